//! Who was invited by which address, for the day on which its owner is erased, or the invitation has ended and nobody
//! came.
//!
//! The address of an invitation is sealed under the invitation's own key, so nobody can look it up. Here is the blind
//! index of it beside the invitation, and nothing else.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::{Clock, InvitationId, TenantId};
use sqlx::PgPool;

/// The invitations by address. Cheap to clone.
#[derive(Clone)]
pub struct Invited {
    pool: PgPool,
    clock: Arc<dyn Clock>,
}

/// How many are looked at together.
const AT_ONCE: i64 = 1_000;

/// An invitation of which nobody has seen yet how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which.
    pub invitation: InvitationId,
    /// When it was noted last.
    pub at: DateTime<Utc>,
}

/// The database.
#[derive(Debug, thiserror::Error)]
pub enum InvitedError {
    /// It failed or could not be reached.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Invited {
    /// Works on a pool that acts as `journal::Role::Identity`.
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>) -> Self {
        Self { pool, clock }
    }

    /// Notes that an invitation goes to the address of this index. Before the invitation is recorded: one that is noted
    /// and was never made does no harm, one that is made and not noted would never be found. An invitation has one
    /// address; that it is noted again says that it may be made only now.
    ///
    /// # Errors
    /// The database.
    pub async fn note(
        &self,
        tenant: TenantId,
        invitation: InvitationId,
        email: &[u8; 32],
    ) -> Result<(), InvitedError> {
        sqlx::query!(
            "INSERT INTO identity.invited (tenant_id, invitation_id, email_index, created_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (invitation_id, tenant_id) DO UPDATE SET created_at = excluded.created_at",
            tenant.0,
            invitation.0,
            &email[..],
            self.clock.now(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The invitations that went to this address.
    ///
    /// # Errors
    /// The database.
    pub async fn of(&self, email: &[u8; 32]) -> Result<Vec<(TenantId, InvitationId)>, InvitedError> {
        let rows = sqlx::query!(
            "SELECT tenant_id, invitation_id FROM identity.invited WHERE email_index = $1
             ORDER BY invitation_id, tenant_id",
            &email[..],
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (TenantId(row.tenant_id), InvitationId(row.invitation_id))).collect())
    }

    /// Those that were noted last before this moment and are not known to be kept, the oldest first, not more than a
    /// thousand.
    ///
    /// # Errors
    /// The database.
    pub async fn due(&self, before: DateTime<Utc>) -> Result<Vec<Noted>, InvitedError> {
        let rows = sqlx::query!(
            "SELECT tenant_id, invitation_id, created_at FROM identity.invited
             WHERE created_at < $1 AND kept_since IS NULL ORDER BY created_at LIMIT $2",
            before,
            AT_ONCE,
        )
        .fetch_all(&self.pool)
        .await?;
        let noted = rows.into_iter().map(|row| Noted {
            tenant: TenantId(row.tenant_id),
            invitation: InvitationId(row.invitation_id),
            at: row.created_at,
        });
        Ok(noted.collect())
    }

    /// Keeps an address until its owner is erased: somebody came.
    ///
    /// # Errors
    /// The database.
    pub async fn keep(&self, tenant: TenantId, invitation: InvitationId) -> Result<(), InvitedError> {
        sqlx::query!(
            "UPDATE identity.invited SET kept_since = $3 WHERE tenant_id = $1 AND invitation_id = $2",
            tenant.0,
            invitation.0,
            self.clock.now(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Takes the note of an invitation away that was never made, unless it was noted again meanwhile.
    ///
    /// # Errors
    /// The database.
    pub async fn never_made(&self, noted: &Noted) -> Result<(), InvitedError> {
        sqlx::query!(
            "DELETE FROM identity.invited WHERE tenant_id = $1 AND invitation_id = $2 AND created_at = $3",
            noted.tenant.0,
            noted.invitation.0,
            noted.at,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Takes the note of an invitation away whose key is destroyed.
    ///
    /// # Errors
    /// The database.
    pub async fn ended(&self, tenant: TenantId, invitation: InvitationId) -> Result<(), InvitedError> {
        sqlx::query!(
            "DELETE FROM identity.invited WHERE tenant_id = $1 AND invitation_id = $2",
            tenant.0,
            invitation.0,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets that this address was invited, once the keys of its invitations are destroyed.
    ///
    /// # Errors
    /// The database.
    pub async fn forget(&self, email: &[u8; 32]) -> Result<(), InvitedError> {
        sqlx::query!("DELETE FROM identity.invited WHERE email_index = $1", &email[..])
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

impl std::fmt::Debug for Invited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invited").finish_non_exhaustive()
    }
}
