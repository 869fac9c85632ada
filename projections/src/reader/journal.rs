use std::collections::BTreeMap;

use ::journal::{EventText, Lead, Recorded};
use chrono::{DateTime, Utc};
use domain::{Amount, Partition, WalletId, WalletPath};
use serde::Serialize;
use uuid::Uuid;

use super::{ReadError, Reflected, TenantReader, amount, storable};

/// A line of a wallet's statement: one event that changed what the wallet has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntryView {
    /// The event's place in the wallet's stream.
    pub sequence: i64,
    /// The transaction it belongs to.
    pub transaction_id: Uuid,
    /// `posted`, `settled` or `reversed`.
    pub kind: String,
    /// What was added, or taken away where negative.
    pub amount: Amount,
    /// What the wallet had afterwards.
    pub posted_after: Amount,
    /// What was promised away afterwards.
    pub held_after: Amount,
    /// When it took effect.
    pub effective_at: DateTime<Utc>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// The event's position in the partition.
    pub position: i64,
}

/// Which commands to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// Only what this subject asked for.
    pub actor: Option<String>,
    /// Only commands of this name.
    pub command: Option<String>,
}

/// A line of the audit log: one command that changed something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditView {
    /// The command.
    pub command_id: Uuid,
    /// Who asked for what, from where.
    pub metadata: BTreeMap<String, String>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// The position of its first event.
    pub first: i64,
    /// The position of its last event.
    pub last: i64,
}

impl TenantReader<'_> {
    /// At most `limit` lines of a wallet's statement, newest first, those before the sequence `before`. `None`
    /// where there is no wallet at `path`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn entries(
        &self,
        path: &WalletPath,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Reflected<Option<Vec<EntryView>>>, ReadError> {
        let mut snapshot = self.journal().await?;
        let wallet = WalletId::of(self.tenant, path);
        let rows = sqlx::query!(
            r#"SELECT sequence, event_type, payload->>'transaction_id' AS transaction_id,
                   payload->>'amount' AS amount, payload->'balance'->>'posted' AS posted,
                   payload->'balance'->>'held' AS held, coalesce(effective_at, recorded_at) AS "effective_at!",
                   recorded_at, position
               FROM journal.events
               WHERE aggregate_id = $1 AND partition = $2 AND tenant_id = $3 AND sequence < $4
                 AND event_type IN ('posted', 'settled', 'reversed') AND (payload->>'amount')::numeric <> 0
               ORDER BY sequence DESC LIMIT $5"#,
            wallet.0,
            self.partition.0,
            self.tenant.0,
            before.unwrap_or(i64::MAX),
            limit
        )
        .fetch_all(&mut *snapshot.tx)
        .await?;
        if rows.is_empty() {
            let exists = sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT FROM journal.events WHERE aggregate_id = $1 AND partition = $2
                       AND tenant_id = $3 AND sequence = 1) AS "exists!""#,
                wallet.0,
                self.partition.0,
                self.tenant.0
            )
            .fetch_one(&mut *snapshot.tx)
            .await?;
            return snapshot.answer(exists.then(Vec::new)).await;
        }
        let entries = rows.into_iter().map(|row| {
            let id = row.transaction_id.unwrap_or_default();
            Ok(EntryView {
                sequence: row.sequence,
                transaction_id: id.parse().map_err(ReadError::unreadable("an entry's transaction"))?,
                kind: row.event_type,
                amount: amount("an entry's amount", &row.amount.unwrap_or_default())?,
                posted_after: amount("an entry's balance", &row.posted.unwrap_or_default())?,
                held_after: amount("an entry's balance", &row.held.unwrap_or_default())?,
                effective_at: row.effective_at,
                recorded_at: row.recorded_at,
                position: row.position,
            })
        });
        let entries = entries.collect::<Result<_, ReadError>>()?;
        snapshot.answer(Some(entries)).await
    }

    /// At most `limit` of the tenant's events behind the position `after`, oldest first. Idempotency keys are
    /// left out.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn events(&self, after: i64, limit: i64) -> Result<Reflected<Vec<Recorded>>, ReadError> {
        let mut snapshot = self.journal().await?;
        let rows = sqlx::query!(
            r#"SELECT partition, position, tenant_id, aggregate_type, aggregate_id, sequence, event_type,
                   event_version, payload::text AS "payload!", recorded_at, effective_at, command_id,
                   metadata::text
               FROM journal.events WHERE tenant_id = $1 AND partition = $2 AND position > $3
               ORDER BY position LIMIT $4"#,
            self.tenant.0,
            self.partition.0,
            after,
            limit
        )
        .fetch_all(&mut *snapshot.tx)
        .await?;
        let events = rows.into_iter().map(|row| Recorded {
            partition: Partition(row.partition),
            position: row.position,
            recorded_at: row.recorded_at,
            text: EventText {
                tenant_id: row.tenant_id,
                aggregate_type: row.aggregate_type,
                aggregate_id: row.aggregate_id,
                sequence: row.sequence,
                event_type: row.event_type,
                event_version: row.event_version,
                payload: row.payload,
                effective_at: row.effective_at,
                command_id: row.command_id,
            },
            lead: row.metadata.map(|metadata| Lead { metadata, key: None }),
        });
        let events = events.collect();
        snapshot.answer(events).await
    }

    /// At most `limit` lines of the audit log, newest first, those whose first event is before the position
    /// `before`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Reflected<Vec<AuditView>>, ReadError> {
        let mut snapshot = self.journal().await?;
        if ![&filter.actor, &filter.command].into_iter().flatten().all(|text| storable(text)) {
            return snapshot.answer(Vec::new()).await;
        }
        let rows = sqlx::query!(
            r#"SELECT command_id, metadata::text AS "metadata!", recorded_at, position
               FROM journal.events
               WHERE tenant_id = $1 AND partition = $2 AND metadata IS NOT NULL AND position < $3
                 AND ($4::text IS NULL OR metadata->>'actor' = $4)
                 AND ($5::text IS NULL OR metadata->>'command' = $5)
               ORDER BY position DESC LIMIT $6"#,
            self.tenant.0,
            self.partition.0,
            before.unwrap_or(i64::MAX),
            filter.actor.as_deref(),
            filter.command.as_deref(),
            limit
        )
        .fetch_all(&mut *snapshot.tx)
        .await?;
        let lines = rows.into_iter().map(|row| {
            let metadata: BTreeMap<String, String> =
                serde_json::from_str(&row.metadata).map_err(ReadError::unreadable("a command's metadata"))?;
            let events = metadata.get("events").map_or("1", String::as_str);
            let events: i64 =
                events.parse().map_err(ReadError::unreadable("a command's number of events"))?;
            Ok(AuditView {
                command_id: row.command_id,
                metadata,
                recorded_at: row.recorded_at,
                first: row.position,
                last: row.position.saturating_add(events).saturating_sub(1),
            })
        });
        let lines = lines.collect::<Result<_, ReadError>>()?;
        snapshot.answer(lines).await
    }
}
