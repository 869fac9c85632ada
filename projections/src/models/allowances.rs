use chrono::{DateTime, Utc};
use domain::{Allowance, LevelName, Partition, TenantId, UserRef, WalletId};
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

/// The allowances that began before this batch.
async fn load(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<Rows<Allowance>, Fault> {
    let begun = begun(batch);
    if begun.is_empty() {
        return Ok(Rows::new());
    }
    let rows = sqlx::query!(
        r#"SELECT allowance_id, tenant_id, sequence, recorded_at, state::text AS "state!" FROM allowances
           WHERE allowance_id = ANY($1) AND partition = $2"#,
        &begun,
        partition.0
    )
    .fetch_all(connection)
    .await?;
    let mut folded = Rows::new();
    for row in rows {
        let state = state(batch, row.allowance_id, &row.state)?;
        let kept = Mark { position: 0, at: row.recorded_at };
        folded.insert(row.allowance_id, Folded::kept(row.tenant_id, row.sequence, kept, state));
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
    fn of(rows: &'a Rows<Allowance>) -> Result<Self, Fault> {
        let mut columns = Self::default();
        for (id, row) in rows {
            let Folded { tenant_id, sequence, last, state, .. } = row;
            columns.tenant_id.push(*tenant_id);
            columns.id.push(*id);
            columns.wallet_id.push(WalletId::of(TenantId(*tenant_id), &state.wallet).0);
            columns.path.push(state.wallet.as_str());
            columns.level.push(state.level.as_ref().map(LevelName::as_str));
            columns.user.push(state.user.as_ref().map(UserRef::as_str));
            columns.debt.push(state.debt.to_string());
            columns.due_at.push(state.due_at());
            columns.sequence.push(*sequence);
            columns.recorded_at.push(last.at);
            columns.state.push(written(row)?);
        }
        Ok(columns)
    }
}

async fn write(
    connection: &mut PgConnection,
    partition: Partition,
    rows: &Rows<Allowance>,
) -> Result<(), Fault> {
    let columns = Columns::of(rows)?;
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
