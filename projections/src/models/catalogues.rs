use chrono::{DateTime, Utc};
use domain::{Catalogue, CatalogueId, Partition, TenantId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use super::fold::{Folded, Mark, Rows, fold, state, written};
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

/// The catalogues that began before this batch. A tenant has one.
async fn load(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<Rows<Catalogue>, Fault> {
    let begun = batch.iter().map(|e| &e.event.text).filter(|text| text.sequence > 1);
    let begun: Vec<Uuid> = begun.map(|text| text.tenant_id).collect();
    if begun.is_empty() {
        return Ok(Rows::new());
    }
    let rows = sqlx::query!(
        r#"SELECT tenant_id, sequence, recorded_at, state::text AS "state!" FROM catalogues
           WHERE tenant_id = ANY($1) AND partition = $2"#,
        &begun,
        partition.0
    )
    .fetch_all(connection)
    .await?;
    let mut folded = Rows::new();
    for row in rows {
        let id = CatalogueId::of(TenantId(row.tenant_id)).0;
        let state = state(batch, id, &row.state)?;
        let kept = Mark { position: 0, at: row.recorded_at };
        folded.insert(id, Folded::kept(row.tenant_id, row.sequence, kept, state));
    }
    Ok(folded)
}

async fn write(
    connection: &mut PgConnection,
    partition: Partition,
    rows: &Rows<Catalogue>,
) -> Result<(), Fault> {
    let tenants: Vec<Uuid> = rows.values().map(|catalogue| catalogue.tenant_id).collect();
    let sequences: Vec<i64> = rows.values().map(|catalogue| catalogue.sequence).collect();
    let changed: Vec<DateTime<Utc>> = rows.values().map(|catalogue| catalogue.last.at).collect();
    let states = rows.values().map(written).collect::<Result<Vec<String>, _>>()?;
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
