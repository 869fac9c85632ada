use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::{Allowance, LevelName, Partition, TenantId, UserRef, WalletId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use crate::decoded::{Body, Decoded};

/// An allowance as its row says it.
struct Folded {
    tenant_id: Uuid,
    sequence: i64,
    /// The position of its last event in the batch.
    position: i64,
    recorded_at: DateTime<Utc>,
    state: Allowance,
}

pub(super) async fn apply(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<(), Fault> {
    let mut folded = load(connection, partition, batch).await?;
    for Decoded { event, body, .. } in batch {
        let Ok(Body::Allowance(said)) = body else {
            continue;
        };
        let id = event.text.aggregate_id;
        let allowance = folded.entry(id).or_insert_with(|| Folded {
            tenant_id: event.text.tenant_id,
            sequence: 0,
            position: 0,
            recorded_at: event.recorded_at,
            state: Allowance::default(),
        });
        if event.text.sequence != allowance.sequence + 1 {
            let reason = format!("allowance {id} is at sequence {}", allowance.sequence);
            return Err(Fault::poison(event.position, reason));
        }
        allowance.sequence = event.text.sequence;
        allowance.position = event.position;
        allowance.recorded_at = event.recorded_at;
        allowance.state.apply((**said).clone());
    }
    write(connection, partition, &folded).await
}

/// The allowances that began before this batch.
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
        r#"SELECT allowance_id, tenant_id, sequence, recorded_at, state::text AS "state!" FROM allowances
           WHERE allowance_id = ANY($1) AND partition = $2"#,
        &begun,
        partition.0
    )
    .fetch_all(connection)
    .await?;
    let mut folded = BTreeMap::new();
    for row in rows {
        let first = batch.iter().find(|e| e.event.text.aggregate_id == row.allowance_id);
        let position = first.map_or(0, |e| e.event.position);
        let state = serde_json::from_str(&row.state)
            .map_err(|error| Fault::poison(position, format!("the state kept before it: {error}")))?;
        let (tenant_id, sequence, recorded_at) = (row.tenant_id, row.sequence, row.recorded_at);
        folded.insert(row.allowance_id, Folded { tenant_id, sequence, position, recorded_at, state });
    }
    Ok(folded)
}

#[derive(Default)]
struct Columns<'a> {
    tenant_id: Vec<Uuid>,
    id: Vec<Uuid>,
    wallet_id: Vec<Uuid>,
    path: Vec<&'a str>,
    level: Vec<Option<&'a str>>,
    user: Vec<Option<&'a str>>,
    debt: Vec<String>,
    due_at: Vec<Option<DateTime<Utc>>>,
    sequence: Vec<i64>,
    recorded_at: Vec<DateTime<Utc>>,
    state: Vec<String>,
}

impl<'a> Columns<'a> {
    fn of(folded: &'a BTreeMap<Uuid, Folded>) -> Result<Self, Fault> {
        let mut columns = Self::default();
        for (id, Folded { tenant_id, sequence, position, recorded_at, state }) in folded {
            columns.tenant_id.push(*tenant_id);
            columns.id.push(*id);
            columns.wallet_id.push(WalletId::of(TenantId(*tenant_id), &state.wallet).0);
            columns.path.push(state.wallet.as_str());
            columns.level.push(state.level.as_ref().map(LevelName::as_str));
            columns.user.push(state.user.as_ref().map(UserRef::as_str));
            columns.debt.push(state.debt.to_string());
            columns.due_at.push(state.due_at());
            columns.sequence.push(*sequence);
            columns.recorded_at.push(*recorded_at);
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
        "INSERT INTO allowances (partition, tenant_id, allowance_id, wallet_id, path, level, user_ref, debt, due_at,
             sequence, recorded_at, state)
         SELECT $1, c.tenant_id, c.allowance_id, c.wallet_id, c.path, c.level, c.user_ref, c.debt::numeric, c.due_at,
             c.sequence, c.recorded_at, c.state::jsonb
         FROM UNNEST($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[],
             $9::timestamptz[], $10::bigint[], $11::timestamptz[], $12::text[])
             AS c (tenant_id, allowance_id, wallet_id, path, level, user_ref, debt, due_at, sequence, recorded_at,
                 state)
         ON CONFLICT (allowance_id, partition) DO UPDATE
         SET level = excluded.level, user_ref = excluded.user_ref, debt = excluded.debt, due_at = excluded.due_at,
             sequence = excluded.sequence, recorded_at = excluded.recorded_at, state = excluded.state",
        partition.0,
        &columns.tenant_id,
        &columns.id,
        &columns.wallet_id,
        &columns.path as &[&str],
        &columns.level as &[Option<&str>],
        &columns.user as &[Option<&str>],
        &columns.debt,
        &columns.due_at as &[Option<DateTime<Utc>>],
        &columns.sequence,
        &columns.recorded_at,
        &columns.state
    )
    .execute(connection)
    .await?;
    Ok(())
}
