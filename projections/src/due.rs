//! What the sweeper looks for: what is to be done when its time has come, though nobody asks.

use chrono::{DateTime, Utc};
use domain::{ExecutionId, NameError, Partition, TenantId, TransactionId, WalletPath};
use sqlx::PgPool;

/// Finds holds, executions and allowances whose time has come, across tenants. The read models may be behind: some of
/// what is found may have been done already.
#[derive(Debug, Clone)]
pub struct Due {
    pool: PgPool,
}

impl Due {
    /// `pool` acts as [`journal::Role::Writer`].
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// At most `limit` transactions of a partition whose hold ends at `now` or before, soonest first.
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

    /// At most `limit` running executions of a partition that expire at `now` or before, soonest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn executions(
        &self,
        partition: Partition,
        now: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<(TenantId, ExecutionId)>, sqlx::Error> {
        let rows = sqlx::query!(
            "SELECT tenant_id, execution_id FROM executions
             WHERE partition = $1 AND expires_at <= $2 ORDER BY expires_at LIMIT $3",
            partition.0,
            now,
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (TenantId(row.tenant_id), ExecutionId(row.execution_id))).collect())
    }

    /// The wallets of at most `limit` allowances of a partition whose period or one of whose grants ends at `now` or
    /// before, soonest first; and of at most `limit` that are in debt and have something available.
    ///
    /// # Errors
    /// What the database says; [`sqlx::Error::Decode`] for a path that is none.
    pub async fn allowances(
        &self,
        partition: Partition,
        now: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<(TenantId, WalletPath)>, sqlx::Error> {
        let over = sqlx::query!(
            "SELECT tenant_id, path FROM allowances
             WHERE partition = $1 AND due_at <= $2 ORDER BY due_at LIMIT $3",
            partition.0,
            now,
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        let payable = sqlx::query!(
            "SELECT a.tenant_id, a.path FROM allowances a
             JOIN balances b ON b.wallet_id = a.wallet_id AND b.partition = a.partition
             WHERE a.partition = $1 AND a.debt > 0 AND b.posted - b.held - coalesce(b.minimum, 0) > 0 LIMIT $2",
            partition.0,
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        let over = over.into_iter().map(|row| (row.tenant_id, row.path));
        let mut found: Vec<_> = over.chain(payable.into_iter().map(|row| (row.tenant_id, row.path))).collect();
        found.sort_unstable();
        found.dedup();
        let named = found.into_iter().map(|(tenant, path)| Ok((TenantId(tenant), WalletPath::new(&path)?)));
        named.collect::<Result<_, NameError>>().map_err(|error| sqlx::Error::Decode(Box::new(error)))
    }
}
