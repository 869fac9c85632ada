mod keys;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::{Application, Partition};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use crate::decoded::{Body, Decoded};
use crate::names::application_status;

/// An application as its row says it. The keys in the state are those of this batch alone; they have rows of their own.
struct Folded {
    tenant_id: Uuid,
    sequence: i64,
    created_at: DateTime<Utc>,
    state: Application,
}

pub(super) async fn apply(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<(), Fault> {
    let mut folded = load(connection, partition, batch).await?;
    for Decoded { event, body, .. } in batch {
        let Ok(Body::Application(said)) = body else {
            continue;
        };
        let id = event.text.aggregate_id;
        let application = folded.entry(id).or_insert_with(|| Folded {
            tenant_id: event.text.tenant_id,
            sequence: 0,
            created_at: event.recorded_at,
            state: Application::default(),
        });
        if event.text.sequence != application.sequence + 1 {
            let reason = format!("application {id} is at sequence {}", application.sequence);
            return Err(Fault::poison(event.position, reason));
        }
        application.sequence = event.text.sequence;
        application.state.apply((**said).clone());
    }
    write(connection, partition, &folded).await?;
    keys::apply(connection, partition, batch).await
}

/// The applications that were created before this batch.
async fn load(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<BTreeMap<Uuid, Folded>, Fault> {
    let ours = || batch.iter().map(|e| &e.event).filter(|event| event.text.sequence > 1);
    if ours().next().is_none() {
        return Ok(BTreeMap::new());
    }
    let (tenants, ids): (Vec<Uuid>, Vec<Uuid>) =
        ours().map(|event| (event.text.tenant_id, event.text.aggregate_id)).unzip();
    let rows = sqlx::query!(
        r#"SELECT a.tenant_id, a.application_id, a.details::text AS "details!", a.status, a.sequence, a.created_at
           FROM (SELECT DISTINCT * FROM UNNEST($2::uuid[], $3::uuid[]) AS named (tenant_id, id)) AS wanted
           JOIN applications a ON a.tenant_id = wanted.tenant_id AND a.application_id = wanted.id
               AND a.partition = $1"#,
        partition.0,
        &tenants,
        &ids
    )
    .fetch_all(connection)
    .await?;
    let mut folded = BTreeMap::new();
    for row in rows {
        let poison = |reason: String| {
            let first = ours().find(|event| event.text.aggregate_id == row.application_id);
            Fault::poison(
                first.map_or(0, |event| event.position),
                format!("the row kept before it: {reason}"),
            )
        };
        let details = serde_json::from_str(&row.details).map_err(|error| poison(error.to_string()))?;
        let status =
            application_status(&row.status).ok_or_else(|| poison(format!("the status {:?}", row.status)))?;
        let state = Application { status, details: Arc::new(details), ..Application::default() };
        let (tenant_id, sequence, created_at) = (row.tenant_id, row.sequence, row.created_at);
        folded.insert(row.application_id, Folded { tenant_id, sequence, created_at, state });
    }
    Ok(folded)
}

async fn write(
    connection: &mut PgConnection,
    partition: Partition,
    folded: &BTreeMap<Uuid, Folded>,
) -> Result<(), Fault> {
    let ids: Vec<Uuid> = folded.keys().copied().collect();
    let tenants: Vec<Uuid> = folded.values().map(|application| application.tenant_id).collect();
    let mut details = Vec::with_capacity(folded.len());
    for (id, application) in folded {
        let text = serde_json::to_string(&*application.state.details);
        // Our own details always serialize.
        details.push(text.map_err(|error| Fault::poison(0, format!("application {id}: {error}")))?);
    }
    let statuses: Vec<&str> = folded.values().map(|application| application.state.status.as_str()).collect();
    let sequences: Vec<i64> = folded.values().map(|application| application.sequence).collect();
    let created: Vec<DateTime<Utc>> = folded.values().map(|application| application.created_at).collect();
    sqlx::query!(
        "INSERT INTO applications (partition, tenant_id, application_id, details, status, sequence, created_at)
         SELECT $1, c.tenant_id, c.id, c.details::jsonb, c.status, c.sequence, c.created_at
         FROM UNNEST($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[])
             AS c (tenant_id, id, details, status, sequence, created_at)
         ON CONFLICT (tenant_id, application_id, partition) DO UPDATE
         SET details = excluded.details, status = excluded.status, sequence = excluded.sequence",
        partition.0,
        &tenants,
        &ids,
        &details,
        &statuses as &[&str],
        &sequences,
        &created
    )
    .execute(connection)
    .await?;
    Ok(())
}
