//! Accounts: what one needs to sign in. Who somebody is, is in the events of the user; here is what must be forgettable.
//!
//! An account is found by the blind index of its email (`Vault::blind`): the database knows no address.

mod links;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::{Clock, TenantId, UserId};
use sqlx::PgPool;
use uuid::Uuid;

use crate::password::PasswordHash;

pub use links::{Link, Linked};

/// Why an account could not be looked up or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The database.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// Its password hash is none that can be checked; somebody else wrote it.
    #[error("the stored password hash of {0} cannot be read")]
    Hash(UserId),
}

/// What one needs to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Whose it is.
    pub user: UserId,
    /// The hash of the password. Without one, the user signs in at a provider or has to choose one first.
    pub password: Option<PasswordHash>,
    /// When the password was chosen. A better hash of the same password does not change it.
    pub password_set_at: Option<DateTime<Utc>>,
    /// Whether a second factor is asked for.
    pub second_factor: bool,
    /// When the account was made.
    pub created_at: DateTime<Utc>,
}

/// What became of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// The account is made.
    New,
    /// The email belongs to this user already.
    Taken(UserId),
}

/// All accounts. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    pool: PgPool,
    clock: Arc<dyn Clock>,
}

impl Accounts {
    /// Works on a pool that acts as `journal::Role::Identity`.
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>) -> Self {
        Self { pool, clock }
    }

    /// Makes an account of this email for `user`, unless the email has one. Of two at the same time one succeeds. It comes
    /// before the user is registered: a user without account could not sign in, an account without user lets nobody in,
    /// and the next attempt of its address goes on with it.
    ///
    /// # Errors
    /// The database.
    pub async fn reserve(&self, email: &[u8; 32], user: UserId) -> Result<Reserved, AccountError> {
        let made = sqlx::query!(
            "INSERT INTO identity.accounts (user_id, email_index, created_at) VALUES ($1, $2, $3)
             ON CONFLICT (email_index) DO NOTHING",
            user.0,
            &email[..],
            self.clock.now(),
        )
        .execute(&self.pool)
        .await?;
        if made.rows_affected() > 0 {
            return Ok(Reserved::New);
        }
        // Deleted meanwhile: the caller's own next attempt finds it free.
        let owner =
            sqlx::query_scalar!("SELECT user_id FROM identity.accounts WHERE email_index = $1", &email[..],)
                .fetch_one(&self.pool)
                .await?;
        Ok(Reserved::Taken(UserId(owner)))
    }

    /// Gives the account another email. `None` when there is no such account.
    ///
    /// # Errors
    /// The database.
    pub async fn change_email(
        &self,
        user: UserId,
        email: &[u8; 32],
    ) -> Result<Option<Reserved>, AccountError> {
        let changed = sqlx::query!(
            "UPDATE identity.accounts SET email_index = $2
             WHERE user_id = $1
               AND NOT EXISTS (SELECT FROM identity.accounts WHERE email_index = $2 AND user_id <> $1)",
            user.0,
            &email[..],
        )
        .execute(&self.pool)
        .await;
        match changed {
            Ok(done) if done.rows_affected() > 0 => return Ok(Some(Reserved::New)),
            Ok(_) => {}
            // Somebody took it between the look and the change.
            Err(sqlx::Error::Database(error)) if error.constraint() == Some("accounts_email_index_key") => {}
            Err(error) => return Err(error.into()),
        }
        let owner =
            sqlx::query_scalar!("SELECT user_id FROM identity.accounts WHERE email_index = $1", &email[..],)
                .fetch_optional(&self.pool)
                .await?;
        Ok(owner.map(|owner| Reserved::Taken(UserId(owner))))
    }

    /// The account of this email.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn by_email(&self, email: &[u8; 32]) -> Result<Option<Account>, AccountError> {
        let row = sqlx::query_as!(
            Row,
            "SELECT user_id, password, password_set_at, totp_confirmed_at, created_at
             FROM identity.accounts WHERE email_index = $1",
            &email[..],
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Account::try_from).transpose()
    }

    /// The account of this user.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn by_id(&self, user: UserId) -> Result<Option<Account>, AccountError> {
        let row = sqlx::query_as!(
            Row,
            "SELECT user_id, password, password_set_at, totp_confirmed_at, created_at
             FROM identity.accounts WHERE user_id = $1",
            user.0,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Account::try_from).transpose()
    }

    /// Sets the password. False when there is no such account.
    ///
    /// # Errors
    /// The database.
    pub async fn set_password(&self, user: UserId, hash: &PasswordHash) -> Result<bool, AccountError> {
        let done = sqlx::query!(
            "UPDATE identity.accounts SET password = $2, password_set_at = $3 WHERE user_id = $1",
            user.0,
            hash.as_str(),
            self.clock.now(),
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Replaces the hash of the same password by a better one. False when the password is another by now: it is not
    /// overwritten.
    ///
    /// # Errors
    /// The database.
    pub async fn rehash(
        &self,
        user: UserId,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Result<bool, AccountError> {
        let done = sqlx::query!(
            "UPDATE identity.accounts SET password = $3 WHERE user_id = $1 AND password = $2",
            user.0,
            old.as_str(),
            new.as_str(),
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// The users whose key was destroyed before this moment and whose account is still there: their erasure was cut off.
    ///
    /// # Errors
    /// The database.
    pub async fn half_erased(&self, before: DateTime<Utc>) -> Result<Vec<UserId>, AccountError> {
        let found = sqlx::query_scalar!(
            "SELECT user_id FROM identity.accounts JOIN identity.subject_keys ON subject_id = user_id
             WHERE erased_at < $1 AND tenant_id = $2 ORDER BY user_id LIMIT 100",
            before,
            TenantId::PLATFORM.0,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(found.into_iter().map(UserId).collect())
    }

    /// Deletes the account with its sessions, recovery codes and links to providers: part of erasing somebody. False when there is
    /// none.
    ///
    /// # Errors
    /// The database.
    pub async fn delete(&self, user: UserId) -> Result<bool, AccountError> {
        let done = sqlx::query!("DELETE FROM identity.accounts WHERE user_id = $1", user.0)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts").finish_non_exhaustive()
    }
}

struct Row {
    user_id: Uuid,
    password: Option<String>,
    password_set_at: Option<DateTime<Utc>>,
    totp_confirmed_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Account {
    type Error = AccountError;

    fn try_from(row: Row) -> Result<Self, AccountError> {
        let user = UserId(row.user_id);
        let password = row.password.map(|text| PasswordHash::parse(&text)).transpose();
        Ok(Self {
            user,
            password: password.map_err(|_| AccountError::Hash(user))?,
            password_set_at: row.password_set_at,
            second_factor: row.totp_confirmed_at.is_some(),
            created_at: row.created_at,
        })
    }
}
