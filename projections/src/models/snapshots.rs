use std::collections::{BTreeMap, HashMap};

use cqrs_es::Aggregate;
use domain::{Allowance, Application, Catalogue, Event, Partition, Tenant, User, Wallet, event};
use journal::SNAPSHOT_FORM;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use crate::decoded::Decoded;

/// A stream gets a snapshot each time it has grown by this many events.
const EVERY: i64 = 200;

/// What a batch adds to one stream.
struct Grown<'a> {
    tenant_id: Uuid,
    aggregate_type: &'a str,
    from: i64,
    to: i64,
    /// The position of the last event.
    position: i64,
}

/// A snapshot to be kept.
struct Taken {
    id: Uuid,
    tenant_id: Uuid,
    aggregate_type: &'static str,
    sequence: i64,
    state: String,
}

pub(super) async fn apply(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<(), Fault> {
    let mut streams: BTreeMap<Uuid, Grown<'_>> = BTreeMap::new();
    for Decoded { event, .. } in batch {
        let text = &event.text;
        let grown = streams.entry(text.aggregate_id).or_insert_with(|| Grown {
            tenant_id: text.tenant_id,
            aggregate_type: &text.aggregate_type,
            from: text.sequence - 1,
            to: 0,
            position: 0,
        });
        grown.to = text.sequence;
        grown.position = event.position;
    }
    streams.retain(|_, grown| grown.to / EVERY > grown.from / EVERY);
    if streams.is_empty() {
        return Ok(());
    }
    let mut taken = take::<Wallet>(connection, partition, &streams).await?;
    taken.extend(take::<Tenant>(connection, partition, &streams).await?);
    taken.extend(take::<User>(connection, partition, &streams).await?);
    taken.extend(take::<Application>(connection, partition, &streams).await?);
    taken.extend(take::<Catalogue>(connection, partition, &streams).await?);
    taken.extend(take::<Allowance>(connection, partition, &streams).await?);
    keep(connection, partition, &taken).await
}

/// Folds the streams of one kind from their latest snapshots, or from their beginning.
async fn take<A: Aggregate<Event: Event>>(
    connection: &mut PgConnection,
    partition: Partition,
    streams: &BTreeMap<Uuid, Grown<'_>>,
) -> Result<Vec<Taken>, Fault> {
    let ours: Vec<(Uuid, &Grown<'_>)> =
        streams.iter().filter(|(_, grown)| grown.aggregate_type == A::TYPE).map(|(id, g)| (*id, g)).collect();
    if ours.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = ours.iter().map(|(id, _)| *id).collect();
    let mut states = kept::<A>(connection, partition, &ids).await?;
    let after: Vec<i64> = ids.iter().map(|id| states.get(id).map_or(0, |(sequence, _)| *sequence)).collect();
    let upto: Vec<i64> = ours.iter().map(|(_, grown)| grown.to).collect();
    let events = sqlx::query!(
        r#"SELECT e.aggregate_id, e.position, e.sequence, e.event_type, e.event_version,
               e.payload::text AS "payload!"
           FROM UNNEST($2::uuid[], $3::bigint[], $4::bigint[]) AS wanted (id, after, upto)
           JOIN journal.events e ON e.aggregate_id = wanted.id AND e.partition = $1
               AND e.sequence > wanted.after AND e.sequence <= wanted.upto
           ORDER BY e.aggregate_id, e.sequence"#,
        partition.0,
        &ids,
        &after,
        &upto
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in events {
        let said: A::Event = event::decode(&row.event_type, row.event_version, &row.payload)
            .map_err(|error| Fault::poison(row.position, error))?;
        let (sequence, state) = states.entry(row.aggregate_id).or_default();
        if row.sequence != *sequence + 1 {
            return Err(Fault::poison(row.position, format!("its stream is at sequence {sequence}")));
        }
        *sequence = row.sequence;
        state.apply(said);
    }
    let mut taken = Vec::with_capacity(ours.len());
    for (id, grown) in ours {
        if let Some((sequence, state)) = states.remove(&id)
            && sequence == grown.to
        {
            let state =
                serde_json::to_string(&state).map_err(|error| Fault::poison(grown.position, error))?;
            taken.push(Taken { id, tenant_id: grown.tenant_id, aggregate_type: A::TYPE, sequence, state });
        }
    }
    Ok(taken)
}

/// The snapshots kept of these streams: where they were taken, and the states.
async fn kept<A: Aggregate>(
    connection: &mut PgConnection,
    partition: Partition,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, (i64, A)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT aggregate_id, sequence, state::text AS "state!" FROM snapshots
           WHERE aggregate_id = ANY($1) AND partition = $2 AND form = $3"#,
        ids,
        partition.0,
        SNAPSHOT_FORM
    )
    .fetch_all(connection)
    .await?;
    let mut states: HashMap<Uuid, (i64, A)> = HashMap::new();
    for row in rows {
        // One that cannot be read is as good as none: the stream itself is the truth.
        if let Ok(state) = serde_json::from_str(&row.state) {
            states.insert(row.aggregate_id, (row.sequence, state));
        }
    }
    Ok(states)
}

async fn keep(connection: &mut PgConnection, partition: Partition, taken: &[Taken]) -> Result<(), Fault> {
    let tenants: Vec<Uuid> = taken.iter().map(|snapshot| snapshot.tenant_id).collect();
    let types: Vec<&str> = taken.iter().map(|snapshot| snapshot.aggregate_type).collect();
    let ids: Vec<Uuid> = taken.iter().map(|snapshot| snapshot.id).collect();
    let sequences: Vec<i64> = taken.iter().map(|snapshot| snapshot.sequence).collect();
    let states: Vec<&str> = taken.iter().map(|snapshot| snapshot.state.as_str()).collect();
    sqlx::query!(
        "INSERT INTO snapshots (partition, form, tenant_id, aggregate_type, aggregate_id, sequence, state)
         SELECT $1, $2, c.tenant_id, c.aggregate_type, c.aggregate_id, c.sequence, c.state::jsonb
         FROM UNNEST($3::uuid[], $4::text[], $5::uuid[], $6::bigint[], $7::text[])
             AS c (tenant_id, aggregate_type, aggregate_id, sequence, state)
         ON CONFLICT (aggregate_id, partition) DO UPDATE
         SET form = excluded.form, sequence = excluded.sequence, state = excluded.state",
        partition.0,
        SNAPSHOT_FORM,
        &tenants,
        &types as &[&str],
        &ids,
        &sequences,
        &states as &[&str]
    )
    .execute(connection)
    .await?;
    Ok(())
}
