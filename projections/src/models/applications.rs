mod keys;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::{Application, Partition};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use super::fold::{Folded, Mark, Rows, fold, state, unreadable};
use crate::decoded::Decoded;
use crate::names::application_status;

pub(super) async fn apply(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<(), Fault> {
    let mut rows = load(connection, partition, batch).await?;
    fold(&mut rows, batch, |_, _, _| Ok(()))?;
    write(connection, partition, &rows).await?;
    keys::apply(connection, partition, batch).await
}

/// The applications that were created before this batch. The keys in their states are those of this batch alone: they have
/// rows of their own.
async fn load(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<Rows<Application>, Fault> {
    let ours = || batch.iter().map(|e| &e.event).filter(|event| event.text.sequence > 1);
    if ours().next().is_none() {
        return Ok(Rows::new());
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
    let mut folded = Rows::new();
    for row in rows {
        let id = row.application_id;
        let details = state(batch, id, &row.details)?;
        let status = application_status(&row.status)
            .ok_or_else(|| unreadable(batch, id, format!("the status {:?}", row.status)))?;
        let state = Application { status, details: Arc::new(details), ..Application::default() };
        let created = Mark { position: 0, at: row.created_at };
        folded.insert(id, Folded::kept(row.tenant_id, row.sequence, created, state));
    }
    Ok(folded)
}

async fn write(
    connection: &mut PgConnection,
    partition: Partition,
    rows: &Rows<Application>,
) -> Result<(), Fault> {
    let ids: Vec<Uuid> = rows.keys().copied().collect();
    let tenants: Vec<Uuid> = rows.values().map(|application| application.tenant_id).collect();
    let mut details = Vec::with_capacity(rows.len());
    for application in rows.values() {
        let text = serde_json::to_string(&*application.state.details);
        details.push(text.map_err(|error| Fault::poison(application.last.position, error))?);
    }
    let statuses: Vec<&str> = rows.values().map(|application| application.state.status.as_str()).collect();
    let sequences: Vec<i64> = rows.values().map(|application| application.sequence).collect();
    let created: Vec<DateTime<Utc>> = rows.values().map(|application| application.first.at).collect();
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
