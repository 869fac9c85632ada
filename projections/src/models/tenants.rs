mod invitations;
mod members;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::Partition;
use domain::tenant::{Branding, ProfileChange, TenantEvent, TenantStatus};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use crate::decoded::{Body, Decoded};
use crate::names::tenant_status;

/// What a batch makes of one tenant.
struct Row {
    /// Whether the tenant came into being in this batch.
    new: bool,
    slug: String,
    name: String,
    status: TenantStatus,
    domain: Option<String>,
    branding: serde_json::Value,
    recorded_at: DateTime<Utc>,
}

pub(super) async fn apply(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<(), Fault> {
    let rows = fold(load(connection, partition, batch).await?, batch)?;
    insert(connection, partition, rows.iter().filter(|(_, row)| row.new)).await?;
    update(connection, partition, rows.iter().filter(|(_, row)| !row.new)).await?;
    register(connection, partition, batch).await?;
    members::apply(connection, partition, batch).await?;
    invitations::apply(connection, partition, batch).await
}

/// Whether an event changes the tenant's own row.
fn changes(said: &TenantEvent) -> bool {
    matches!(
        said,
        TenantEvent::ProfileChanged(_)
            | TenantEvent::Suspended { .. }
            | TenantEvent::Resumed {}
            | TenantEvent::Closed {}
    )
}

/// The tenants that change and were there before this batch.
async fn load(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<BTreeMap<Uuid, Row>, Fault> {
    let ours = batch.iter().filter(|e| matches!(&e.body, Ok(Body::Tenant(said)) if changes(said)));
    let ids: Vec<Uuid> = ours.map(|e| e.event.text.aggregate_id).collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query!(
        "SELECT tenant_id, slug, name, status, domain, branding, recorded_at FROM tenants
         WHERE tenant_id = ANY($1) AND partition = $2",
        &ids,
        partition.0
    )
    .fetch_all(connection)
    .await?;
    let mut known = BTreeMap::new();
    for row in rows {
        let status = tenant_status(&row.status).ok_or_else(|| {
            let first = batch.iter().find(|e| e.event.text.aggregate_id == row.tenant_id);
            let reason = format!("the status kept before it is {:?}", row.status);
            Fault::poison(first.map_or(0, |e| e.event.position), reason)
        })?;
        let (slug, name, domain, branding) = (row.slug, row.name, row.domain, row.branding);
        let recorded_at = row.recorded_at;
        known.insert(row.tenant_id, Row { new: false, slug, name, status, domain, branding, recorded_at });
    }
    Ok(known)
}

fn fold(mut rows: BTreeMap<Uuid, Row>, batch: &[&Decoded]) -> Result<BTreeMap<Uuid, Row>, Fault> {
    for Decoded { event, body, .. } in batch {
        let Ok(Body::Tenant(said)) = body else {
            continue;
        };
        let id = event.text.aggregate_id;
        if let TenantEvent::Created { slug, name } = said {
            let row = Row {
                new: true,
                slug: slug.to_string(),
                name: name.to_string(),
                status: TenantStatus::Active,
                domain: None,
                branding: written(&Branding::default(), event.position)?,
                recorded_at: event.recorded_at,
            };
            rows.insert(id, row);
            continue;
        }
        if !changes(said) {
            continue;
        }
        let missing = || Fault::poison(event.position, format!("tenant {id} has no row"));
        let row = rows.get_mut(&id).ok_or_else(missing)?;
        match said {
            TenantEvent::ProfileChanged(ProfileChange { name, domain, branding }) => {
                if let Some(name) = name {
                    row.name = name.to_string();
                }
                let mut kept = None;
                domain.clone().apply(&mut kept);
                if !domain.is_keep() {
                    row.domain = kept.map(|domain| domain.to_string());
                }
                if let Some(branding) = branding {
                    row.branding = written(branding, event.position)?;
                }
            }
            TenantEvent::Suspended { .. } => row.status = TenantStatus::Suspended,
            TenantEvent::Resumed {} => row.status = TenantStatus::Active,
            TenantEvent::Closed {} => row.status = TenantStatus::Closed,
            _ => {}
        }
    }
    Ok(rows)
}

fn written(branding: &Branding, at: i64) -> Result<serde_json::Value, Fault> {
    serde_json::to_value(branding).map_err(|error| Fault::poison(at, error))
}

#[derive(Default)]
struct Columns<'a> {
    id: Vec<Uuid>,
    slug: Vec<&'a str>,
    name: Vec<&'a str>,
    status: Vec<&'static str>,
    domain: Vec<Option<&'a str>>,
    branding: Vec<serde_json::Value>,
    recorded_at: Vec<DateTime<Utc>>,
}

impl<'a> Columns<'a> {
    fn of(rows: impl Iterator<Item = (&'a Uuid, &'a Row)>) -> Self {
        let mut columns = Self::default();
        for (id, row) in rows {
            columns.id.push(*id);
            columns.slug.push(&row.slug);
            columns.name.push(&row.name);
            columns.status.push(row.status.as_str());
            columns.domain.push(row.domain.as_deref());
            columns.branding.push(row.branding.clone());
            columns.recorded_at.push(row.recorded_at);
        }
        columns
    }
}

async fn insert<'a>(
    connection: &mut PgConnection,
    partition: Partition,
    rows: impl Iterator<Item = (&'a Uuid, &'a Row)>,
) -> Result<(), Fault> {
    let columns = Columns::of(rows);
    if columns.id.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO tenants (partition, tenant_id, slug, name, status, domain, branding, recorded_at)
         SELECT $1, c.* FROM UNNEST($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[],
             $8::timestamptz[]) AS c",
        partition.0,
        &columns.id,
        &columns.slug as &[&str],
        &columns.name as &[&str],
        &columns.status as &[&str],
        &columns.domain as &[Option<&str>],
        &columns.branding,
        &columns.recorded_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn update<'a>(
    connection: &mut PgConnection,
    partition: Partition,
    rows: impl Iterator<Item = (&'a Uuid, &'a Row)>,
) -> Result<(), Fault> {
    let columns = Columns::of(rows);
    if columns.id.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE tenants t SET name = c.name, status = c.status, domain = c.domain, branding = c.branding
         FROM UNNEST($2::uuid[], $3::text[], $4::text[], $5::text[], $6::jsonb[])
             AS c (tenant_id, name, status, domain, branding)
         WHERE t.tenant_id = c.tenant_id AND t.partition = $1",
        partition.0,
        &columns.id,
        &columns.name as &[&str],
        &columns.status as &[&str],
        &columns.domain as &[Option<&str>],
        &columns.branding
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds the assets that were registered.
async fn register(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<(), Fault> {
    let (mut tenants, mut codes, mut scales) = (Vec::new(), Vec::new(), Vec::new());
    for Decoded { event, body, .. } in batch {
        if let Ok(Body::Tenant(TenantEvent::AssetRegistered { code, scale })) = body {
            tenants.push(event.text.tenant_id);
            codes.push(code.as_str());
            scales.push(i32::from(scale.digits()));
        }
    }
    if codes.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO assets (partition, tenant_id, code, scale)
         SELECT $1, c.* FROM UNNEST($2::uuid[], $3::text[], $4::integer[]) AS c",
        partition.0,
        &tenants,
        &codes as &[&str],
        &scales
    )
    .execute(connection)
    .await?;
    Ok(())
}
