mod usage;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{Execution, Partition, TenantId, UserRef, WalletId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use super::fold::{Folded, Mark, Rows, begun, fold, state, written};
use crate::decoded::Decoded;
use crate::usage::{Counts, Tallies, count, provider};

/// When executions ended.
type Ended = BTreeMap<Uuid, DateTime<Utc>>;

pub(super) async fn apply(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<(), Fault> {
    let (mut rows, mut ended) = load(connection, partition, batch).await?;
    let mut tallies = Tallies::new();
    fold(&mut rows, batch, |id, said, Folded { tenant_id, last, state, .. }| {
        if state.status.is_final() {
            ended.entry(id).or_insert(last.at);
        }
        let Some(counts) = Counts::after(said, state) else { return Ok(()) };
        count(&mut tallies, TenantId(*tenant_id), state, last.at, counts)
            .map_err(|error| Fault::poison(last.position, error))
    })?;
    write(connection, partition, &rows, &ended).await?;
    usage::add(connection, partition, &tallies).await
}

/// The executions that began before this batch.
async fn load(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<(Rows<Execution>, Ended), Fault> {
    let (mut folded, mut ended) = (Rows::new(), Ended::new());
    let begun = begun(batch);
    if begun.is_empty() {
        return Ok((folded, ended));
    }
    let rows = sqlx::query!(
        r#"SELECT execution_id, tenant_id, position, sequence, recorded_at, ended_at, state::text AS "state!"
           FROM executions WHERE execution_id = ANY($1) AND partition = $2"#,
        &begun,
        partition.0
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        let state = state(batch, row.execution_id, &row.state)?;
        let first = Mark { position: row.position, at: row.recorded_at };
        folded.insert(row.execution_id, Folded::kept(row.tenant_id, row.sequence, first, state));
        ended.extend(row.ended_at.map(|at| (row.execution_id, at)));
    }
    Ok((folded, ended))
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
    fn of(rows: &'a Rows<Execution>, ended: &Ended) -> Result<Self, Fault> {
        let mut columns = Self::default();
        for (id, row) in rows {
            let Folded { tenant_id, sequence, first, state, .. } = row;
            let (body, ended_at) = (&state.body, ended.get(id).copied());
            columns.tenant_id.push(*tenant_id);
            columns.id.push(*id);
            columns.position.push(first.position);
            columns.sequence.push(*sequence);
            columns.status.push(state.status.as_str());
            columns.wallet_id.push(WalletId::of(TenantId(*tenant_id), &body.wallet).0);
            columns.application_id.push(body.application.map(|application| application.0));
            columns.user.push(body.user.as_ref().map(UserRef::as_str));
            columns.model.push(body.model.as_str());
            columns.provider.push(provider(state));
            columns.cost.push(state.settled.as_ref().map(|settled| settled.cost.to_string()));
            columns.recorded_at.push(first.at);
            columns.ended_at.push(ended_at);
            columns.expires_at.push(Some(body.expires_at).filter(|_| ended_at.is_none()));
            columns.state.push(written(row)?);
        }
        Ok(columns)
    }
}

async fn write(
    connection: &mut PgConnection,
    partition: Partition,
    rows: &Rows<Execution>,
    ended: &Ended,
) -> Result<(), Fault> {
    let columns = Columns::of(rows, ended)?;
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
