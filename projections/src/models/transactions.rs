use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::transaction::TransactionStatus;
use domain::{Partition, Transaction};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use crate::decoded::{Body, Decoded};

/// A transaction as its row says it.
struct Folded {
    tenant_id: Uuid,
    position: i64,
    sequence: i64,
    recorded_at: DateTime<Utc>,
    state: Transaction,
}

pub(super) async fn apply(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<(), Fault> {
    let mut folded = load(connection, partition, batch).await?;
    for Decoded { event, body, .. } in batch {
        let Ok(Body::Transaction(said)) = body else {
            continue;
        };
        let id = event.text.aggregate_id;
        let transaction = folded.entry(id).or_insert_with(|| Folded {
            tenant_id: event.text.tenant_id,
            position: event.position,
            sequence: 0,
            recorded_at: event.recorded_at,
            state: Transaction::default(),
        });
        if event.text.sequence != transaction.sequence + 1 {
            let reason = format!("transaction {id} is at sequence {}", transaction.sequence);
            return Err(Fault::poison(event.position, reason));
        }
        transaction.sequence = event.text.sequence;
        transaction.state.apply(said.clone());
    }
    write(connection, partition, &folded).await
}

/// The transactions that began before this batch.
async fn load(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<BTreeMap<Uuid, Folded>, Fault> {
    let begun: Vec<Uuid> =
        batch.iter().filter(|e| e.event.text.sequence > 1).map(|e| e.event.text.aggregate_id).collect();
    if begun.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query!(
        r#"SELECT transaction_id, tenant_id, position, sequence, recorded_at, state::text AS "state!"
           FROM transactions WHERE transaction_id = ANY($1) AND partition = $2"#,
        &begun,
        partition.0
    )
    .fetch_all(connection)
    .await?;
    let mut folded = BTreeMap::new();
    for row in rows {
        let state = serde_json::from_str(&row.state).map_err(|error| {
            let first = batch.iter().find(|e| e.event.text.aggregate_id == row.transaction_id);
            Fault::poison(first.map_or(0, |e| e.event.position), format!("the state kept before it: {error}"))
        })?;
        let transaction = Folded {
            tenant_id: row.tenant_id,
            position: row.position,
            sequence: row.sequence,
            recorded_at: row.recorded_at,
            state,
        };
        folded.insert(row.transaction_id, transaction);
    }
    Ok(folded)
}

#[derive(Default)]
struct Columns {
    tenant_id: Vec<Uuid>,
    id: Vec<Uuid>,
    position: Vec<i64>,
    sequence: Vec<i64>,
    status: Vec<&'static str>,
    recorded_at: Vec<DateTime<Utc>>,
    effective_at: Vec<DateTime<Utc>>,
    expires_at: Vec<Option<DateTime<Utc>>>,
    metadata: Vec<Option<serde_json::Value>>,
    state: Vec<String>,
}

impl Columns {
    fn of(folded: &BTreeMap<Uuid, Folded>) -> Result<Self, Fault> {
        let mut columns = Self::default();
        for (id, Folded { tenant_id, position, sequence, recorded_at, state }) in folded {
            let body = &state.body;
            let pending = state.status == TransactionStatus::Pending;
            let metadata = (!body.metadata.is_empty()).then(|| body.metadata.as_map().clone());
            columns.tenant_id.push(*tenant_id);
            columns.id.push(*id);
            columns.position.push(*position);
            columns.sequence.push(*sequence);
            columns.status.push(state.status.as_str());
            columns.recorded_at.push(*recorded_at);
            columns.effective_at.push(body.effective_at.unwrap_or(*recorded_at));
            columns.expires_at.push(body.expires_at.filter(|_| pending));
            columns.metadata.push(metadata.map(serde_json::Value::Object));
            columns
                .state
                .push(serde_json::to_string(state).map_err(|error| Fault::poison(*position, error))?);
        }
        Ok(columns)
    }
}

async fn write(
    connection: &mut PgConnection,
    partition: Partition,
    folded: &BTreeMap<Uuid, Folded>,
) -> Result<(), Fault> {
    let columns = Columns::of(folded)?;
    sqlx::query!(
        "INSERT INTO transactions (partition, tenant_id, transaction_id, position, sequence, status, recorded_at,
             effective_at, expires_at, metadata, state)
         SELECT $1, c.tenant_id, c.transaction_id, c.position, c.sequence, c.status, c.recorded_at,
             c.effective_at, c.expires_at, c.metadata, c.state::jsonb
         FROM UNNEST($2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::text[], $7::timestamptz[],
             $8::timestamptz[], $9::timestamptz[], $10::jsonb[], $11::text[])
             AS c (tenant_id, transaction_id, position, sequence, status, recorded_at, effective_at, expires_at,
                 metadata, state)
         ON CONFLICT (transaction_id, partition) DO UPDATE
         SET sequence = excluded.sequence, status = excluded.status, expires_at = excluded.expires_at,
             state = excluded.state",
        partition.0,
        &columns.tenant_id,
        &columns.id,
        &columns.position,
        &columns.sequence,
        &columns.status as &[&str],
        &columns.recorded_at,
        &columns.effective_at,
        &columns.expires_at as &[Option<DateTime<Utc>>],
        &columns.metadata as &[Option<serde_json::Value>],
        &columns.state
    )
    .execute(connection)
    .await?;
    Ok(())
}
