use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::{Catalogue, Partition};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use crate::decoded::{Body, Decoded};

/// A tenant's catalogue as its row says it.
struct Folded {
    sequence: i64,
    /// The position of its last event in the batch.
    position: i64,
    recorded_at: DateTime<Utc>,
    state: Catalogue,
}

pub(super) async fn apply(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<(), Fault> {
    let mut folded = load(connection, partition, batch).await?;
    for Decoded { event, body, .. } in batch {
        let Ok(Body::Catalogue(said)) = body else {
            continue;
        };
        let tenant = event.text.tenant_id;
        let catalogue = folded.entry(tenant).or_insert_with(|| Folded {
            sequence: 0,
            position: 0,
            recorded_at: event.recorded_at,
            state: Catalogue::default(),
        });
        if event.text.sequence != catalogue.sequence + 1 {
            let reason = format!("the catalogue of tenant {tenant} is at sequence {}", catalogue.sequence);
            return Err(Fault::poison(event.position, reason));
        }
        catalogue.sequence = event.text.sequence;
        catalogue.position = event.position;
        catalogue.recorded_at = event.recorded_at;
        catalogue.state.apply((**said).clone());
    }
    write(connection, partition, &folded).await
}

/// The catalogues that began before this batch, by tenant.
async fn load(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<BTreeMap<Uuid, Folded>, Fault> {
    let begun: Vec<Uuid> =
        batch.iter().filter(|e| e.event.text.sequence > 1).map(|e| e.event.text.tenant_id).collect();
    if begun.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query!(
        r#"SELECT tenant_id, sequence, recorded_at, state::text AS "state!" FROM catalogues
           WHERE tenant_id = ANY($1) AND partition = $2"#,
        &begun,
        partition.0
    )
    .fetch_all(connection)
    .await?;
    let mut folded = BTreeMap::new();
    for row in rows {
        let first = batch.iter().find(|e| e.event.text.tenant_id == row.tenant_id);
        let position = first.map_or(0, |e| e.event.position);
        let state = serde_json::from_str(&row.state)
            .map_err(|error| Fault::poison(position, format!("the state kept before it: {error}")))?;
        let (sequence, recorded_at) = (row.sequence, row.recorded_at);
        folded.insert(row.tenant_id, Folded { sequence, position, recorded_at, state });
    }
    Ok(folded)
}

async fn write(
    connection: &mut PgConnection,
    partition: Partition,
    folded: &BTreeMap<Uuid, Folded>,
) -> Result<(), Fault> {
    let tenants: Vec<Uuid> = folded.keys().copied().collect();
    let sequences: Vec<i64> = folded.values().map(|catalogue| catalogue.sequence).collect();
    let changed: Vec<DateTime<Utc>> = folded.values().map(|catalogue| catalogue.recorded_at).collect();
    let mut states = Vec::with_capacity(folded.len());
    for Folded { position, state, .. } in folded.values() {
        states.push(serde_json::to_string(state).map_err(|error| Fault::poison(*position, error))?);
    }
    sqlx::query!(
        "INSERT INTO catalogues (partition, tenant_id, sequence, recorded_at, state)
         SELECT $1, c.tenant_id, c.sequence, c.recorded_at, c.state::jsonb
         FROM UNNEST($2::uuid[], $3::bigint[], $4::timestamptz[], $5::text[])
             AS c (tenant_id, sequence, recorded_at, state)
         ON CONFLICT (tenant_id, partition) DO UPDATE
         SET sequence = excluded.sequence, recorded_at = excluded.recorded_at, state = excluded.state",
        partition.0,
        &tenants,
        &sequences,
        &changed,
        &states
    )
    .execute(connection)
    .await?;
    Ok(())
}
