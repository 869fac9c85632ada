//! Whole streams, read from the journal again for what is compared row by row.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::{Event, Partition, event};
use sqlx::PgConnection;
use uuid::Uuid;

use super::fold::Tracked;
use super::{Difference, VerifyError, same};

/// The streams with their sequences checked, folded as far as the read model got. `each` is told of every event what it made
/// of its aggregate, and its time.
pub(super) async fn fold<A: Aggregate<Event: Event>>(
    connection: &mut PgConnection,
    partition: Partition,
    ids: &[Uuid],
    checkpoint: i64,
    mut each: impl FnMut(Uuid, &A, DateTime<Utc>),
) -> Result<HashMap<Uuid, Tracked<A>>, VerifyError> {
    let events = sqlx::query!(
        r#"SELECT e.tenant_id, e.aggregate_id, e.position, e.sequence, e.event_type, e.event_version,
               e.payload::text AS "payload!", e.recorded_at
           FROM UNNEST($2::uuid[]) AS wanted (id)
           JOIN journal.events e ON e.aggregate_id = wanted.id AND e.partition = $1
           ORDER BY e.aggregate_id, e.sequence"#,
        partition.0,
        ids
    )
    .fetch_all(connection)
    .await?;
    let mut folded: HashMap<Uuid, Tracked<A>> = HashMap::with_capacity(ids.len());
    let mut sequences: HashMap<Uuid, i64> = HashMap::with_capacity(ids.len());
    for row in events {
        let place = || format!("p{partition}:{}, stream {}", row.position, row.aggregate_id);
        let sequence = sequences.entry(row.aggregate_id).or_default();
        same(place, &(*sequence + 1), &row.sequence)?;
        *sequence = row.sequence;
        if row.position > checkpoint {
            continue;
        }
        let said = event::decode(&row.event_type, row.event_version, &row.payload).map_err(|error| {
            let expected = "an event that can be read".to_owned();
            Difference { place: place(), expected, found: error.to_string() }
        })?;
        let tracked = folded.entry(row.aggregate_id).or_default();
        if tracked.sequence == 0 {
            tracked.tenant_id = row.tenant_id;
            tracked.began = row.recorded_at;
        }
        tracked.sequence = row.sequence;
        tracked.state.apply(said);
        each(row.aggregate_id, &tracked.state, row.recorded_at);
    }
    Ok(folded)
}
