//! Answers that may be given again: what a call with an idempotency key was answered, sealed under the tenant's data key
//! and bound to the execution, for as long as the installation keeps it.
//!
//! The first answer that is kept for an execution stays. Rows are deleted when their time is over; there are as many as
//! calls with keys in that time.

use std::sync::Arc;

use chrono::TimeDelta;
use domain::{Clock, TenantId};
use sqlx::PgPool;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::vault::{Purpose, Vault, VaultError};

/// Why an answer was not kept or found.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The database.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// Sealing or revealing it.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// What is known of the answer to an execution.
#[derive(Debug)]
pub enum Kept {
    /// Nothing is kept, or no longer.
    Nothing,
    /// Something is, of another request.
    OtherRequest,
    /// The answer.
    Answer(Zeroizing<Vec<u8>>),
}

/// The answers. Cheap to clone.
#[derive(Clone)]
pub struct KeptResponses {
    pool: PgPool,
    vault: Vault,
    clock: Arc<dyn Clock>,
    lifetime: TimeDelta,
}

impl KeptResponses {
    /// Works on a pool that acts as `journal::Role::Identity`, and keeps each answer for `lifetime`.
    pub fn new(pool: PgPool, vault: Vault, clock: Arc<dyn Clock>, lifetime: TimeDelta) -> Self {
        Self { pool, vault, clock, lifetime }
    }

    /// Keeps the answer to an execution, unless one is kept already.
    ///
    /// # Errors
    /// [`KeptError`].
    pub async fn keep(
        &self,
        tenant: TenantId,
        execution: Uuid,
        fingerprint: [u8; 32],
        answer: &[u8],
    ) -> Result<(), KeptError> {
        let sealed = self.vault.seal_secret(tenant, Purpose::KeptResponse, execution, answer).await?;
        let now = self.clock.now();
        sqlx::query!(
            "INSERT INTO identity.kept_responses
                 (tenant_id, execution_id, fingerprint, sealed, kept_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (execution_id, tenant_id) DO NOTHING",
            tenant.0,
            execution,
            &fingerprint[..],
            sealed,
            now,
            now + self.lifetime,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The answer to an execution, for the request with this fingerprint.
    ///
    /// # Errors
    /// [`KeptError`].
    pub async fn find(
        &self,
        tenant: TenantId,
        execution: Uuid,
        fingerprint: [u8; 32],
    ) -> Result<Kept, KeptError> {
        let found = sqlx::query!(
            "SELECT fingerprint, sealed FROM identity.kept_responses
             WHERE execution_id = $1 AND tenant_id = $2 AND expires_at > $3",
            execution,
            tenant.0,
            self.clock.now(),
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(found) = found else {
            return Ok(Kept::Nothing);
        };
        if found.fingerprint != fingerprint {
            return Ok(Kept::OtherRequest);
        }
        let answer =
            self.vault.reveal_secret(tenant, Purpose::KeptResponse, execution, &found.sealed).await?;
        Ok(Kept::Answer(answer))
    }

    /// Forgets the answers whose time is over, and says how many.
    ///
    /// # Errors
    /// The database.
    pub async fn sweep(&self) -> Result<u64, KeptError> {
        let done =
            sqlx::query!("DELETE FROM identity.kept_responses WHERE expires_at <= $1", self.clock.now())
                .execute(&self.pool)
                .await?;
        Ok(done.rows_affected())
    }
}

impl std::fmt::Debug for KeptResponses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptResponses").finish_non_exhaustive()
    }
}
