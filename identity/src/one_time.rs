//! Tokens that are good for one use: links in mails, the step between password and second factor, the state of a sign-in
//! at a provider, the link of the first start.
//!
//! What a token stands for is sealed; the token itself is stored as its digest. Taking one is a single statement, so
//! of two that come at the same time one gets it.

use std::sync::Arc;

use chrono::TimeDelta;
use domain::{Clock, Ids, TenantId, UserId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::PgPool;

use crate::token::{RandomError, Token};
use crate::vault::{Purpose, Vault, VaultError};

/// The longest payload in bytes, as JSON.
const MOST_BYTES: usize = 8 * 1024;

/// What a one-time token is for. A token of one use is unknown to every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OneTimeUse {
    /// Shows that somebody reads the mail of an address.
    VerifyEmail,
    /// Lets somebody who forgot the password choose another.
    ResetPassword,
    /// The password was right, the second factor is due.
    SecondFactor,
    /// A sign-in that goes on at a provider.
    Provider,
    /// Makes the first superadmin.
    Bootstrap,
}

impl OneTimeUse {
    /// Its name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
            Self::SecondFactor => "second_factor",
            Self::Provider => "provider",
            Self::Bootstrap => "bootstrap",
        }
    }
}

/// Why a token could not be issued or taken.
#[derive(Debug, thiserror::Error)]
pub enum OneTimeError {
    /// The database.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// No randomness for a token.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// Sealing or revealing what it stands for.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// What it stands for is too large, or is not what the taker expects.
    #[error("what a one-time token stands for cannot be written or read: {0}")]
    Payload(String),
}

/// Issues and takes one-time tokens. Cheap to clone.
#[derive(Clone)]
pub struct OneTime {
    pool: PgPool,
    vault: Vault,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

impl OneTime {
    /// Works on a pool that acts as `journal::Role::Identity`.
    pub fn new(pool: PgPool, vault: Vault, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self { pool, vault, clock, ids }
    }

    /// A token that stands for `payload`, for so long. With `user` it goes when the user is [forgotten](Self::forget).
    ///
    /// # Errors
    /// [`OneTimeError`].
    pub async fn issue<T: Serialize + Sync + ?Sized>(
        &self,
        purpose: OneTimeUse,
        user: Option<UserId>,
        payload: &T,
        lifetime: TimeDelta,
    ) -> Result<Token, OneTimeError> {
        let payload = serde_json::to_vec(payload).map_err(unreadable)?;
        if payload.len() > MOST_BYTES {
            return Err(OneTimeError::Payload(format!("over {MOST_BYTES} bytes")));
        }
        let (id, token, now) = (self.ids.next(), Token::draw()?, self.clock.now());
        let sealed = self.vault.seal_secret(TenantId::PLATFORM, Purpose::OneTime, id, &payload).await?;
        sqlx::query!(
            "INSERT INTO identity.one_time_tokens
                 (token_id, digest, purpose, user_id, payload, issued_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            id,
            &token.digest()[..],
            purpose.as_str(),
            user.map(|user| user.0),
            sealed,
            now,
            now + lifetime,
        )
        .execute(&self.pool)
        .await?;
        Ok(token)
    }

    /// Takes what the token stands for. `None` when it is unknown, of another use, expired, or was taken before.
    ///
    /// # Errors
    /// [`OneTimeError`].
    pub async fn take<T: DeserializeOwned>(
        &self,
        purpose: OneTimeUse,
        presented: &str,
    ) -> Result<Option<T>, OneTimeError> {
        let Some(presented) = Token::parse(presented) else {
            return Ok(None);
        };
        let taken = sqlx::query!(
            "UPDATE identity.one_time_tokens SET used_at = $3
             WHERE digest = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3
             RETURNING token_id, payload",
            &presented.digest()[..],
            purpose.as_str(),
            self.clock.now(),
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(taken) = taken else {
            return Ok(None);
        };
        let payload = self
            .vault
            .reveal_secret(TenantId::PLATFORM, Purpose::OneTime, taken.token_id, &taken.payload)
            .await?;
        serde_json::from_slice(&payload).map(Some).map_err(unreadable)
    }

    /// Whether a token of this use waits to be taken.
    ///
    /// # Errors
    /// The database.
    pub async fn is_waiting(&self, purpose: OneTimeUse) -> Result<bool, OneTimeError> {
        let found = sqlx::query_scalar!(
            "SELECT EXISTS (
                 SELECT FROM identity.one_time_tokens WHERE purpose = $1 AND used_at IS NULL AND expires_at > $2
             ) AS \"found!\"",
            purpose.as_str(),
            self.clock.now(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(found)
    }

    /// Withdraws the tokens of one use, of one user or of nobody in particular, and says how many waited: after a new
    /// password the older links are of no use.
    ///
    /// # Errors
    /// The database.
    pub async fn withdraw(&self, purpose: OneTimeUse, user: Option<UserId>) -> Result<u64, OneTimeError> {
        let done = sqlx::query!(
            "DELETE FROM identity.one_time_tokens WHERE purpose = $1 AND user_id IS NOT DISTINCT FROM $2",
            purpose.as_str(),
            user.map(|user| user.0),
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }

    /// Forgets every token of this user: part of erasing somebody.
    ///
    /// # Errors
    /// The database.
    pub async fn forget(&self, user: UserId) -> Result<(), OneTimeError> {
        sqlx::query!("DELETE FROM identity.one_time_tokens WHERE user_id = $1", user.0)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets tokens that were taken or have expired, and says how many.
    ///
    /// # Errors
    /// The database.
    pub async fn sweep(&self) -> Result<u64, OneTimeError> {
        let done = sqlx::query!(
            "DELETE FROM identity.one_time_tokens WHERE expires_at <= $1 OR used_at IS NOT NULL",
            self.clock.now(),
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}

impl std::fmt::Debug for OneTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OneTime").finish_non_exhaustive()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err asks for")]
fn unreadable(error: serde_json::Error) -> OneTimeError {
    OneTimeError::Payload(error.to_string())
}
