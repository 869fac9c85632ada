use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::transaction::TransactionStatus;
use domain::{Partition, Transaction};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::fold::Tracked;
use super::streams;
use super::{Difference, VerifyError, same};
use crate::decoded::Decoded;

/// Folds the streams of the transactions in a batch, and compares those that begin in it with their rows, as of
/// the `checkpoint`. Returns how many must have a row.
pub(super) async fn check(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[Arc<Decoded>],
    checkpoint: i64,
) -> Result<i64, VerifyError> {
    let ours = || batch.iter().map(|e| &e.event).filter(|e| e.text.aggregate_type == Transaction::TYPE);
    let ids: Vec<Uuid> = ours().map(|e| e.text.aggregate_id).collect::<BTreeSet<_>>().into_iter().collect();
    if ids.is_empty() {
        return Ok(0);
    }
    let folded = streams::fold(connection, partition, &ids, checkpoint, |_, _, _| ()).await?;
    let begun: Vec<Uuid> = ours()
        .filter(|e| e.text.sequence == 1 && e.position <= checkpoint)
        .map(|e| e.text.aggregate_id)
        .collect();
    let first: HashMap<Uuid, i64> =
        ours().filter(|e| e.text.sequence == 1).map(|e| (e.text.aggregate_id, e.position)).collect();
    let rows = sqlx::query_as!(
        Row,
        "SELECT tenant_id, transaction_id, position, sequence, status, recorded_at, effective_at, expires_at,
             metadata, state
         FROM transactions WHERE transaction_id = ANY($1) AND partition = $2",
        &begun,
        partition.0
    )
    .fetch_all(connection)
    .await?;
    let mut rows: HashMap<Uuid, Row> = rows.into_iter().map(|row| (row.transaction_id, row)).collect();
    for id in &begun {
        let (Some(row), Some(transaction)) = (rows.remove(id), folded.get(id)) else {
            let place = format!("the row of transaction {id}");
            let (expected, found) = ("a row".to_owned(), "none".to_owned());
            return Err(Difference { place, expected, found }.into());
        };
        compare(&row, transaction, first.get(id).copied().unwrap_or(0))?;
    }
    Ok(i64::try_from(begun.len()).unwrap_or(i64::MAX))
}

struct Row {
    tenant_id: Uuid,
    transaction_id: Uuid,
    position: i64,
    sequence: i64,
    status: String,
    recorded_at: DateTime<Utc>,
    effective_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    metadata: Option<Value>,
    state: Value,
}

/// Compares a row with the fold of a transaction that began at `first`.
fn compare(row: &Row, transaction: &Tracked<Transaction>, first: i64) -> Result<(), Difference> {
    let place = || format!("the row of transaction {}", row.transaction_id);
    let state = &transaction.state;
    let expected = serde_json::to_value(state).map_err(|error| Difference {
        place: place(),
        expected: "a state that can be written".to_owned(),
        found: error.to_string(),
    })?;
    same(place, &expected, &row.state)?;
    same(place, &transaction.sequence, &row.sequence)?;
    same(place, &transaction.tenant_id, &row.tenant_id)?;
    same(place, &first, &row.position)?;
    same(place, &state.status.as_str(), &row.status.as_str())?;
    let pending = state.status == TransactionStatus::Pending;
    let times = (
        transaction.began,
        state.body.effective_at.unwrap_or(transaction.began),
        state.body.expires_at.filter(|_| pending),
    );
    same(place, &times, &(row.recorded_at, row.effective_at, row.expires_at))?;
    let metadata = &state.body.metadata;
    let metadata = (!metadata.is_empty()).then(|| Value::Object(metadata.as_map().clone()));
    same(place, &metadata, &row.metadata)
}

/// Checks that there is no row without a transaction.
pub(super) async fn none_more(
    connection: &mut PgConnection,
    partition: Partition,
    made: i64,
) -> Result<(), VerifyError> {
    let rows = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM transactions WHERE partition = $1"#,
        partition.0
    )
    .fetch_one(connection)
    .await?;
    same(|| format!("the number of transactions in partition {partition}"), &made, &rows)?;
    Ok(())
}
