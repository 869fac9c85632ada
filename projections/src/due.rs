//! What the sweeper looks for: what is to be done when its time has come, though nobody asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use domain::{ExecutionId, NameError, Partition, TenantId, TransactionId, WalletPath};
use sqlx::PgPool;
use uuid::Uuid;

/// Finds holds, executions and allowances whose time has come, across tenants. The read models may be behind: some of
/// what is found may have been done already.
#[derive(Debug, Clone)]
pub struct Due {
    pool: PgPool,
    passed: Arc<Mutex<BTreeMap<Partition, Passed>>>,
}

impl Due {
    /// `pool` acts as [`journal::Role::Writer`].
    pub fn new(pool: PgPool) -> Self {
        Self { pool, passed: Arc::default() }
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
    /// Where there are more, the next call goes on behind them, and begins anew at the end: what cannot be done, such as
    /// a period that no policy follows, does not stand in the way of the rest.
    ///
    /// # Errors
    /// What the database says; [`sqlx::Error::Decode`] for a path that is none.
    pub async fn allowances(
        &self,
        partition: Partition,
        now: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<(TenantId, WalletPath)>, sqlx::Error> {
        let passed = self.passed(partition);
        let (at, id) = passed.over;
        let over = sqlx::query_as!(
            Row,
            r#"SELECT tenant_id, path, due_at AS "due_at?", allowance_id FROM allowances
               WHERE partition = $1 AND due_at <= $2 AND (due_at, allowance_id) > ($3::timestamptz, $4::uuid)
               ORDER BY due_at, allowance_id LIMIT $5"#,
            partition.0,
            now,
            at,
            id,
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        let payable = sqlx::query_as!(
            Row,
            r#"SELECT a.tenant_id, a.path, a.due_at AS "due_at?", a.allowance_id FROM allowances a
               JOIN balances b ON b.wallet_id = a.wallet_id AND b.partition = a.partition
               WHERE a.partition = $1 AND a.debt > 0 AND a.allowance_id > $2
                 AND b.posted - b.held - coalesce(b.minimum, 0) > 0
               ORDER BY a.allowance_id LIMIT $3"#,
            partition.0,
            passed.payable,
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        let full = |rows: &[Row]| i64::try_from(rows.len()).is_ok_and(|rows| rows >= limit);
        let mut next = Passed::default();
        if let Some(Row { due_at: Some(at), allowance_id, .. }) = over.last().filter(|_| full(&over)) {
            next.over = (*at, *allowance_id);
        }
        if let Some(last) = payable.last().filter(|_| full(&payable)) {
            next.payable = last.allowance_id;
        }
        self.pass(partition, next);
        let mut found: Vec<_> =
            over.into_iter().chain(payable).map(|row| (TenantId(row.tenant_id), row.path)).collect();
        found.sort_unstable();
        found.dedup();
        let named = found.into_iter().map(|(tenant, path)| Ok((tenant, WalletPath::new(&path)?)));
        named.collect::<Result<_, NameError>>().map_err(|error| sqlx::Error::Decode(Box::new(error)))
    }

    fn passed(&self, partition: Partition) -> Passed {
        let passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        passed.get(&partition).copied().unwrap_or_default()
    }

    fn pass(&self, partition: Partition, passed: Passed) {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, passed);
    }
}

struct Row {
    tenant_id: Uuid,
    path: String,
    due_at: Option<DateTime<Utc>>,
    allowance_id: Uuid,
}

/// Up to where the allowances of a partition were found, where there were more.
#[derive(Debug, Clone, Copy)]
struct Passed {
    over: (DateTime<Utc>, Uuid),
    payable: Uuid,
}

impl Default for Passed {
    fn default() -> Self {
        Self { over: (DateTime::UNIX_EPOCH, Uuid::nil()), payable: Uuid::nil() }
    }
}
