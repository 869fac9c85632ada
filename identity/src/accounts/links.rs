//! Users as OpenID providers know them.

use domain::{Sealed, UserId};

use super::{AccountError, Accounts};

/// Somebody at a provider. `index` is the blind index of issuer and subject (see [`crate::oidc::Identified::handle`]).
#[derive(Debug, Clone)]
pub struct Link {
    /// By which the link is found.
    pub index: [u8; 32],
    /// The provider's issuer.
    pub issuer: String,
    /// The provider's name of the user, sealed for the user.
    pub subject: Sealed,
}

/// What became of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linked {
    /// It is there now, or was.
    Done,
    /// It leads to this user already.
    Taken(UserId),
    /// The user has another link to this provider.
    Another,
}

impl Accounts {
    /// Links somebody at a provider with this user. The user has one link per provider, and whoever it is leads to one
    /// user. False positives of a race are impossible: the table's constraints decide.
    ///
    /// # Errors
    /// The database; also when there is no such account.
    pub async fn link(&self, user: UserId, link: &Link) -> Result<Linked, AccountError> {
        let made = sqlx::query!(
            "INSERT INTO identity.oidc_links (subject_index, user_id, issuer, subject, created_at)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            &link.index[..],
            user.0,
            link.issuer,
            link.subject.as_str(),
            self.clock.now(),
        )
        .execute(&self.pool)
        .await?;
        if made.rows_affected() > 0 {
            return Ok(Linked::Done);
        }
        Ok(match self.linked(&link.index).await? {
            Some(owner) if owner == user => Linked::Done,
            Some(owner) => Linked::Taken(owner),
            None => Linked::Another,
        })
    }

    /// The user whom this link leads to.
    ///
    /// # Errors
    /// The database.
    pub async fn linked(&self, index: &[u8; 32]) -> Result<Option<UserId>, AccountError> {
        let found = sqlx::query_scalar!(
            "SELECT user_id FROM identity.oidc_links WHERE subject_index = $1",
            &index[..]
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(found.map(UserId))
    }

    /// The issuers that the user is linked with.
    ///
    /// # Errors
    /// The database.
    pub async fn links(&self, user: UserId) -> Result<Vec<String>, AccountError> {
        let found = sqlx::query_scalar!(
            "SELECT issuer FROM identity.oidc_links WHERE user_id = $1 ORDER BY issuer",
            user.0,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(found)
    }

    /// Removes the user's link with a provider. False when there is none.
    ///
    /// # Errors
    /// The database.
    pub async fn unlink(&self, user: UserId, issuer: &str) -> Result<bool, AccountError> {
        let done = sqlx::query!(
            "DELETE FROM identity.oidc_links WHERE user_id = $1 AND issuer = $2",
            user.0,
            issuer,
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}
