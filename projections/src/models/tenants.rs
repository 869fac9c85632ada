use chrono::{DateTime, Utc};
use domain::tenant::TenantEvent;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use crate::decoded::{Body, Decoded};

#[derive(Default)]
struct Tenants<'a> {
    partition: Vec<i32>,
    id: Vec<Uuid>,
    slug: Vec<&'a str>,
    name: Vec<&'a str>,
    recorded_at: Vec<DateTime<Utc>>,
}

#[derive(Default)]
struct Assets<'a> {
    partition: Vec<i32>,
    tenant_id: Vec<Uuid>,
    code: Vec<&'a str>,
    scale: Vec<i32>,
}

pub(super) async fn apply(connection: &mut PgConnection, batch: &[&Decoded]) -> Result<(), Fault> {
    let mut tenants = Tenants::default();
    let mut assets = Assets::default();
    for Decoded { event, body, .. } in batch {
        match body {
            Ok(Body::Tenant(TenantEvent::Created { slug, name })) => {
                tenants.partition.push(event.partition.0);
                tenants.id.push(event.text.tenant_id);
                tenants.slug.push(slug.as_str());
                tenants.name.push(name.as_str());
                tenants.recorded_at.push(event.recorded_at);
            }
            Ok(Body::Tenant(TenantEvent::AssetRegistered { code, scale })) => {
                assets.partition.push(event.partition.0);
                assets.tenant_id.push(event.text.tenant_id);
                assets.code.push(code.as_str());
                assets.scale.push(i32::from(scale.digits()));
            }
            _ => {}
        }
    }
    if !tenants.id.is_empty() {
        sqlx::query!(
            "INSERT INTO tenants (partition, tenant_id, slug, name, recorded_at)
             SELECT * FROM UNNEST($1::integer[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[])",
            &tenants.partition,
            &tenants.id,
            &tenants.slug as &[&str],
            &tenants.name as &[&str],
            &tenants.recorded_at
        )
        .execute(&mut *connection)
        .await?;
    }
    if !assets.code.is_empty() {
        sqlx::query!(
            "INSERT INTO assets (partition, tenant_id, code, scale)
             SELECT * FROM UNNEST($1::integer[], $2::uuid[], $3::text[], $4::integer[])",
            &assets.partition,
            &assets.tenant_id,
            &assets.code as &[&str],
            &assets.scale
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
