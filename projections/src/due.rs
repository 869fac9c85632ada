//! What the sweeper looks for: holds whose time is over.

use chrono::{DateTime, Utc};
use domain::{Partition, TenantId, TransactionId};
use sqlx::PgPool;

/// Finds pending transactions that are due to expire, across tenants.
#[derive(Debug, Clone)]
pub struct Due {
    pool: PgPool,
}

impl Due {
    /// `pool` acts as [`journal::Role::Writer`].
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// At most `limit` transactions of a partition whose hold ends at `now` or before, soonest first. The read
    /// model may be behind: some of them may not be pending any more.
    ///
    /// # Errors
    /// What the database says.
    pub async fn due(
        &self,
        partition: Partition,
        now: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<(TenantId, TransactionId)>, sqlx::Error> {
        let rows = sqlx::query!(
            "SELECT tenant_id, transaction_id FROM transactions
             WHERE partition = $1 AND expires_at <= $2 ORDER BY expires_at LIMIT $3",
            partition.0,
            now,
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (TenantId(row.tenant_id), TransactionId(row.transaction_id))).collect())
    }
}
