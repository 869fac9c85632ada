//! Who was invited by which address, for the day on which its owner is erased.
//!
//! The address of an invitation is sealed under the invitation's own key, so nobody can look it up. Here is the blind
//! index of it beside the invitation, and nothing else.

use std::sync::Arc;

use domain::{Clock, InvitationId, TenantId};
use sqlx::PgPool;

/// The invitations by address. Cheap to clone.
#[derive(Clone)]
pub struct Invited {
    pool: PgPool,
    clock: Arc<dyn Clock>,
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
    /// and was never made does no harm, one that is made and not noted would be forgotten.
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
             VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
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
