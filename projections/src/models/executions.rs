mod usage;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::{Execution, Partition, TenantId, UserRef, WalletId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use crate::decoded::{Body, Decoded};
use crate::usage::{Tallies, count, provider};

/// An execution as its row says it.
struct Folded {
    tenant_id: Uuid,
    position: i64,
    sequence: i64,
    recorded_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    state: Execution,
    /// Where in this batch it ended.
    ended: Option<(i64, DateTime<Utc>)>,
}

pub(super) async fn apply(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<(), Fault> {
    let mut folded = load(connection, partition, batch).await?;
    for Decoded { event, body, .. } in batch {
        let Ok(Body::Execution(said)) = body else {
            continue;
        };
        let id = event.text.aggregate_id;
        let execution = folded.entry(id).or_insert_with(|| Folded {
            tenant_id: event.text.tenant_id,
            position: event.position,
            sequence: 0,
            recorded_at: event.recorded_at,
            ended_at: None,
            state: Execution::default(),
            ended: None,
        });
        if event.text.sequence != execution.sequence + 1 {
            let reason = format!("execution {id} is at sequence {}", execution.sequence);
            return Err(Fault::poison(event.position, reason));
        }
        execution.sequence = event.text.sequence;
        execution.state.apply((**said).clone());
        if execution.ended_at.is_none() && execution.state.status.is_final() {
            execution.ended_at = Some(event.recorded_at);
            execution.ended = Some((event.position, event.recorded_at));
        }
    }
    write(connection, partition, &folded).await?;
    usage::add(connection, partition, &tallies(&folded)?).await
}

/// What the calls that ended in this batch came to. Only here, when all events of the commands are folded: a call ends
/// and is settled in one command.
fn tallies(folded: &BTreeMap<Uuid, Folded>) -> Result<Tallies, Fault> {
    let mut tallies = Tallies::new();
    for execution in folded.values() {
        if let Some((position, at)) = execution.ended {
            count(&mut tallies, TenantId(execution.tenant_id), &execution.state, at)
                .map_err(|error| Fault::poison(position, error))?;
        }
    }
    Ok(tallies)
}

/// The executions that began before this batch.
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
        r#"SELECT execution_id, tenant_id, position, sequence, recorded_at, ended_at, state::text AS "state!"
           FROM executions WHERE execution_id = ANY($1) AND partition = $2"#,
        &begun,
        partition.0
    )
    .fetch_all(connection)
    .await?;
    let mut folded = BTreeMap::new();
    for row in rows {
        let state = serde_json::from_str(&row.state).map_err(|error| {
            let first = batch.iter().find(|e| e.event.text.aggregate_id == row.execution_id);
            Fault::poison(first.map_or(0, |e| e.event.position), format!("the state kept before it: {error}"))
        })?;
        let execution = Folded {
            tenant_id: row.tenant_id,
            position: row.position,
            sequence: row.sequence,
            recorded_at: row.recorded_at,
            ended_at: row.ended_at,
            state,
            ended: None,
        };
        folded.insert(row.execution_id, execution);
    }
    Ok(folded)
}

#[derive(Default)]
struct Columns<'a> {
    tenant_id: Vec<Uuid>,
    id: Vec<Uuid>,
    position: Vec<i64>,
    sequence: Vec<i64>,
    status: Vec<&'static str>,
    wallet_id: Vec<Uuid>,
    application_id: Vec<Option<Uuid>>,
    user: Vec<Option<&'a str>>,
    model: Vec<&'a str>,
    provider: Vec<Option<&'a str>>,
    cost: Vec<Option<String>>,
    recorded_at: Vec<DateTime<Utc>>,
    ended_at: Vec<Option<DateTime<Utc>>>,
    expires_at: Vec<Option<DateTime<Utc>>>,
    state: Vec<String>,
}

impl<'a> Columns<'a> {
    fn of(folded: &'a BTreeMap<Uuid, Folded>) -> Result<Self, Fault> {
        let mut columns = Self::default();
        for (id, execution) in folded {
            let Folded { tenant_id, position, sequence, recorded_at, ended_at, state, .. } = execution;
            let body = &state.body;
            columns.tenant_id.push(*tenant_id);
            columns.id.push(*id);
            columns.position.push(*position);
            columns.sequence.push(*sequence);
            columns.status.push(state.status.as_str());
            columns.wallet_id.push(WalletId::of(TenantId(*tenant_id), &body.wallet).0);
            columns.application_id.push(body.application.map(|application| application.0));
            columns.user.push(body.user.as_ref().map(UserRef::as_str));
            columns.model.push(body.model.as_str());
            columns.provider.push(provider(state));
            columns.cost.push(state.settled.as_ref().map(|settled| settled.cost.to_string()));
            columns.recorded_at.push(*recorded_at);
            columns.ended_at.push(*ended_at);
            columns.expires_at.push(Some(body.expires_at).filter(|_| ended_at.is_none()));
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
        "INSERT INTO executions (partition, tenant_id, execution_id, position, sequence, status, wallet_id,
             application_id, user_ref, model, provider, cost, recorded_at, ended_at, expires_at, state)
         SELECT $1, c.tenant_id, c.execution_id, c.position, c.sequence, c.status, c.wallet_id, c.application_id,
             c.user_ref, c.model, c.provider, c.cost::numeric, c.recorded_at, c.ended_at, c.expires_at,
             c.state::jsonb
         FROM UNNEST($2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::text[], $7::uuid[], $8::uuid[],
             $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[], $14::timestamptz[],
             $15::timestamptz[], $16::text[])
             AS c (tenant_id, execution_id, position, sequence, status, wallet_id, application_id, user_ref, model,
                 provider, cost, recorded_at, ended_at, expires_at, state)
         ON CONFLICT (execution_id, partition) DO UPDATE
         SET sequence = excluded.sequence, status = excluded.status, provider = excluded.provider,
             cost = excluded.cost, ended_at = excluded.ended_at, expires_at = excluded.expires_at,
             state = excluded.state",
        partition.0,
        &columns.tenant_id,
        &columns.id,
        &columns.position,
        &columns.sequence,
        &columns.status as &[&str],
        &columns.wallet_id,
        &columns.application_id as &[Option<Uuid>],
        &columns.user as &[Option<&str>],
        &columns.model as &[&str],
        &columns.provider as &[Option<&str>],
        &columns.cost as &[Option<String>],
        &columns.recorded_at,
        &columns.ended_at as &[Option<DateTime<Utc>>],
        &columns.expires_at as &[Option<DateTime<Utc>>],
        &columns.state
    )
    .execute(connection)
    .await?;
    Ok(())
}
