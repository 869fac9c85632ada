use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::transaction::TransactionStatus;
use domain::{Reference, TransactionId, WalletId, WalletPath};
use serde::Serialize;
use sqlx::{Postgres, QueryBuilder, Row};
use uuid::Uuid;

use super::{ReadError, Reflected, TenantReader, storable};
use crate::Kind;

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TransactionView {
    /// Its id.
    pub id: TransactionId,
    /// The fold of its stream.
    pub state: domain::Transaction,
    /// The position of its first event.
    pub position: i64,
}

/// Which transactions to list; everything set must hold. Windows include their beginning and not their end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransactionFilter {
    /// Only those that touch this wallet.
    pub wallet: Option<WalletPath>,
    /// Only those of this status.
    pub status: Option<TransactionStatus>,
    /// Only the one with this reference.
    pub reference: Option<Reference>,
    /// Only those whose metadata has these keys with these strings.
    pub metadata: BTreeMap<String, String>,
    /// Only those recorded at this time or later.
    pub recorded_from: Option<DateTime<Utc>>,
    /// Only those recorded before this time.
    pub recorded_to: Option<DateTime<Utc>>,
    /// Only those that took effect at this time or later.
    pub effective_from: Option<DateTime<Utc>>,
    /// Only those that took effect before this time.
    pub effective_to: Option<DateTime<Utc>>,
}

fn view(id: Uuid, state: &str, position: i64) -> Result<TransactionView, ReadError> {
    let state = serde_json::from_str(state).map_err(ReadError::unreadable("a transaction's state"))?;
    Ok(TransactionView { id: TransactionId(id), state, position })
}

impl TenantReader<'_> {
    /// One transaction; `None` where there is none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn transaction(
        &self,
        id: TransactionId,
    ) -> Result<Reflected<Option<TransactionView>>, ReadError> {
        let mut snapshot = self.view(Kind::Transactions).await?;
        let row = sqlx::query!(
            r#"SELECT state::text AS "state!", position FROM transactions
               WHERE transaction_id = $1 AND partition = $2 AND tenant_id = $3"#,
            id.0,
            self.partition.0,
            self.tenant.0
        )
        .fetch_optional(&mut *snapshot.tx)
        .await?;
        snapshot.answer(row.map(|row| view(id.0, &row.state, row.position)).transpose()?).await
    }

    /// At most `limit` transactions, newest first, those before the position `before`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn transactions(
        &self,
        filter: &TransactionFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Reflected<Vec<TransactionView>>, ReadError> {
        let mut snapshot = self.view(Kind::Transactions).await?;
        if !filter.metadata.iter().all(|(key, value)| storable(key) && storable(value)) {
            return snapshot.answer(Vec::new()).await;
        }
        let metadata = serde_json::to_value(&filter.metadata)
            .map_err(ReadError::unreadable("the metadata asked for"))?;
        let mut query = self.list(filter, metadata, before, limit);
        let rows = query.build().fetch_all(&mut *snapshot.tx).await?;
        let views = rows.into_iter().map(|row| {
            let state: String = row.try_get("state")?;
            view(row.try_get("transaction_id")?, &state, row.try_get("position")?)
        });
        let views = views.collect::<Result<_, ReadError>>()?;
        snapshot.answer(views).await
    }

    fn list(
        &self,
        filter: &TransactionFilter,
        metadata: serde_json::Value,
        before: Option<i64>,
        limit: i64,
    ) -> QueryBuilder<'static, Postgres> {
        let mut query =
            QueryBuilder::new("SELECT t.transaction_id, t.state::text AS state, t.position FROM ");
        match &filter.wallet {
            Some(path) => self.touching(&mut query, path, before),
            None => {
                query.push("transactions t WHERE true");
            }
        }
        query.push(" AND t.tenant_id = ").push_bind(self.tenant.0);
        query.push(" AND t.partition = ").push_bind(self.partition.0);
        if let Some(before) = before {
            query.push(" AND t.position < ").push_bind(before);
        }
        if let Some(status) = filter.status {
            query.push(" AND t.status = ").push_bind(status.as_str());
        }
        if let Some(reference) = &filter.reference {
            query.push(" AND t.transaction_id = ").push_bind(TransactionId::of(self.tenant, reference).0);
        }
        if !filter.metadata.is_empty() {
            query.push(" AND t.metadata @> ").push_bind(metadata);
        }
        // The time of recording grows with the position, so a window of one is a window of the other.
        for (at, comparison) in [(filter.recorded_from, ">"), (filter.recorded_to, "<=")] {
            if let Some(at) = at {
                query.push(format!(" AND t.position {comparison} (SELECT journal.position_at("));
                query.push_bind(self.partition.0).push(", ").push_bind(self.tenant.0);
                query.push(", ").push_bind(at).push("::timestamptz - interval '1 microsecond'))");
            }
        }
        if let Some(from) = filter.effective_from {
            query.push(" AND t.effective_at >= ").push_bind(from);
        }
        if let Some(to) = filter.effective_to {
            query.push(" AND t.effective_at < ").push_bind(to);
        }
        query.push(if filter.wallet.is_some() {
            " ORDER BY e.sequence DESC LIMIT "
        } else {
            " ORDER BY t.position DESC LIMIT "
        });
        query.push_bind(limit);
        query
    }

    /// The transactions in a wallet's own stream. Each appears there once as `posted` or `held`, in the order
    /// in which they were made, so the stream is read backwards and only as far as the limit asks.
    fn touching(&self, query: &mut QueryBuilder<'static, Postgres>, path: &WalletPath, before: Option<i64>) {
        query.push(
            "journal.events e JOIN transactions t
                 ON t.transaction_id = (e.payload->>'transaction_id')::uuid AND t.partition = e.partition
             WHERE e.event_type IN ('posted', 'held') AND e.aggregate_id = ",
        );
        query.push_bind(WalletId::of(self.tenant, path).0);
        query.push(" AND e.partition = ").push_bind(self.partition.0);
        query.push(" AND e.tenant_id = ").push_bind(self.tenant.0);
        if let Some(before) = before {
            // Events of the command at the cursor may come after the cursor; those of later commands do not.
            query.push(
                " AND e.position < coalesce((SELECT min(position) FROM journal.events
                      WHERE metadata IS NOT NULL AND tenant_id = ",
            );
            query.push_bind(self.tenant.0).push(" AND partition = ").push_bind(self.partition.0);
            query.push(" AND position >= ").push_bind(before).push("), 9223372036854775807)");
        }
    }
}
