use chrono::{DateTime, Utc};
use domain::transaction::TransactionStatus;
use domain::{Partition, Transaction};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use super::fold::{Folded, Mark, Rows, begun, fold, state, written};
use crate::decoded::Decoded;

pub(super) async fn apply(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<(), Fault> {
    let mut rows = load(connection, partition, batch).await?;
    fold(&mut rows, batch, |_, _, _| Ok(()))?;
    write(connection, partition, &rows).await
}

/// The transactions that began before this batch.
async fn load(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<Rows<Transaction>, Fault> {
    let begun = begun(batch);
    if begun.is_empty() {
        return Ok(Rows::new());
    }
    let rows = sqlx::query!(
        r#"SELECT transaction_id, tenant_id, position, sequence, recorded_at, state::text AS "state!"
           FROM transactions WHERE transaction_id = ANY($1) AND partition = $2"#,
        &begun,
        partition.0
    )
    .fetch_all(connection)
    .await?;
    let mut folded = Rows::new();
    for row in rows {
        let state = state(batch, row.transaction_id, &row.state)?;
        let first = Mark { position: row.position, at: row.recorded_at };
        folded.insert(row.transaction_id, Folded::kept(row.tenant_id, row.sequence, first, state));
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
    fn of(rows: &Rows<Transaction>) -> Result<Self, Fault> {
        let mut columns = Self::default();
        for (id, row) in rows {
            let Folded { tenant_id, sequence, first, state, .. } = row;
            let body = &state.body;
            let pending = state.status == TransactionStatus::Pending;
            let metadata = (!body.metadata.is_empty()).then(|| body.metadata.as_map().clone());
            columns.tenant_id.push(*tenant_id);
            columns.id.push(*id);
            columns.position.push(first.position);
            columns.sequence.push(*sequence);
            columns.status.push(state.status.as_str());
            columns.recorded_at.push(first.at);
            columns.effective_at.push(body.effective_at.unwrap_or(first.at));
            columns.expires_at.push(body.expires_at.filter(|_| pending));
            columns.metadata.push(metadata.map(serde_json::Value::Object));
            columns.state.push(written(row)?);
        }
        Ok(columns)
    }
}

async fn write(
    connection: &mut PgConnection,
    partition: Partition,
    rows: &Rows<Transaction>,
) -> Result<(), Fault> {
    let columns = Columns::of(rows)?;
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
