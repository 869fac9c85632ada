use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::{Execution, Partition, TenantId, WalletId};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::fold::Tracked;
use super::streams;
use super::views::written;
use super::{Difference, VerifyError, same};
use crate::decoded::Decoded;
use crate::usage::provider;

/// Folds the streams of the executions in a batch, and compares those that begin in it with their rows, as of the
/// `checkpoint`. Returns how many must have a row.
pub(super) async fn check(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[Arc<Decoded>],
    checkpoint: i64,
) -> Result<i64, VerifyError> {
    let ours = || batch.iter().map(|e| &e.event).filter(|e| e.text.aggregate_type == Execution::TYPE);
    let ids: Vec<Uuid> = ours().map(|e| e.text.aggregate_id).collect::<BTreeSet<_>>().into_iter().collect();
    if ids.is_empty() {
        return Ok(0);
    }
    let mut ended: HashMap<Uuid, DateTime<Utc>> = HashMap::new();
    let folded = streams::fold(connection, partition, &ids, checkpoint, |id, call: &Execution, at| {
        if call.status.is_final() {
            ended.entry(id).or_insert(at);
        }
    })
    .await?;
    let begun: HashMap<Uuid, i64> = ours()
        .filter(|e| e.text.sequence == 1 && e.position <= checkpoint)
        .map(|e| (e.text.aggregate_id, e.position))
        .collect();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT tenant_id, execution_id, position, sequence, status, wallet_id, application_id, user_ref, model,
               provider, cost::text, recorded_at, ended_at, expires_at, state
           FROM executions WHERE execution_id = ANY($1) AND partition = $2"#,
        &begun.keys().copied().collect::<Vec<_>>(),
        partition.0
    )
    .fetch_all(connection)
    .await?;
    let mut rows: HashMap<Uuid, Row> = rows.into_iter().map(|row| (row.execution_id, row)).collect();
    for (id, first) in &begun {
        let (Some(row), Some(execution)) = (rows.remove(id), folded.get(id)) else {
            let place = format!("the row of execution {id}");
            let (expected, found) = ("a row".to_owned(), "none".to_owned());
            return Err(Difference { place, expected, found }.into());
        };
        compare(&row, execution, (*first, ended.get(id).copied()))?;
    }
    Ok(i64::try_from(begun.len()).unwrap_or(i64::MAX))
}

struct Row {
    tenant_id: Uuid,
    execution_id: Uuid,
    position: i64,
    sequence: i64,
    status: String,
    wallet_id: Uuid,
    application_id: Option<Uuid>,
    user_ref: Option<String>,
    model: String,
    provider: Option<String>,
    cost: Option<String>,
    recorded_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    state: Value,
}

/// Compares a row with the fold of an execution that began at the position `first`.
fn compare(
    row: &Row,
    call: &Tracked<Execution>,
    (first, ended_at): (i64, Option<DateTime<Utc>>),
) -> Result<(), Difference> {
    let place = || format!("the row of execution {}", row.execution_id);
    let state = &call.state;
    same(place, &written(place, state)?, &row.state)?;
    same(place, &(call.tenant_id, call.sequence, first), &(row.tenant_id, row.sequence, row.position))?;
    let body = &state.body;
    let wallet = WalletId::of(TenantId(call.tenant_id), &body.wallet).0;
    let application = body.application.map(|application| application.0);
    same(place, &(wallet, application), &(row.wallet_id, row.application_id))?;
    let user = body.user.as_ref().map(ToString::to_string);
    same(place, &(user.as_ref(), body.model.as_str()), &(row.user_ref.as_ref(), row.model.as_str()))?;
    let cost = state.settled.as_ref().map(|settled| settled.cost.to_string());
    same(place, &(state.status.as_str(), provider(state)), &(row.status.as_str(), row.provider.as_deref()))?;
    same(place, &cost, &row.cost)?;
    let expires_at = Some(body.expires_at).filter(|_| ended_at.is_none());
    same(place, &(call.began, ended_at, expires_at), &(row.recorded_at, row.ended_at, row.expires_at))
}

/// Checks that there is no row without an execution.
pub(super) async fn none_more(
    connection: &mut PgConnection,
    partition: Partition,
    made: i64,
) -> Result<(), VerifyError> {
    let rows = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM executions WHERE partition = $1"#,
        partition.0
    )
    .fetch_one(connection)
    .await?;
    same(|| format!("the number of executions in partition {partition}"), &made, &rows)?;
    Ok(())
}
