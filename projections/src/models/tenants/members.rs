use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::Partition;
use domain::tenant::TenantEvent;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use crate::decoded::{Body, Decoded};

/// A tenant and a user.
type Key = (Uuid, Uuid);

/// A member with the role, and since when; `None` who is none any more.
type Members = BTreeMap<Key, Option<(String, DateTime<Utc>)>>;

pub(super) async fn apply(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<(), Fault> {
    let touched: Vec<Key> = batch.iter().filter_map(|decoded| touched(decoded)).collect();
    if touched.is_empty() {
        return Ok(());
    }
    let mut members = load(connection, partition, &touched).await?;
    let before: Vec<Key> = members.keys().copied().collect();
    for decoded in batch {
        fold(&mut members, decoded)?;
    }
    let gone = before.into_iter().filter(|key| matches!(members.get(key), Some(None))).collect();
    delete(connection, partition, gone).await?;
    write(connection, partition, &members).await
}

/// Whose membership an event is about.
fn touched(decoded: &Decoded) -> Option<Key> {
    let Ok(Body::Tenant(said)) = &decoded.body else {
        return None;
    };
    match said {
        TenantEvent::MemberAdded { user, .. }
        | TenantEvent::MemberRoleChanged { user, .. }
        | TenantEvent::MemberRemoved { user }
        | TenantEvent::InvitationAccepted { user, .. } => Some((decoded.event.text.tenant_id, user.0)),
        _ => None,
    }
}

fn fold(members: &mut Members, decoded: &Decoded) -> Result<(), Fault> {
    let (Some(key), Ok(Body::Tenant(said))) = (touched(decoded), &decoded.body) else {
        return Ok(());
    };
    let event = &decoded.event;
    let member = members.entry(key).or_default();
    let is_member = member.is_some();
    let must_be = match said {
        TenantEvent::MemberAdded { role, .. } | TenantEvent::InvitationAccepted { role, .. } => {
            *member = Some((role.as_str().to_owned(), event.recorded_at));
            false
        }
        TenantEvent::MemberRoleChanged { role, .. } => {
            if let Some((before, _)) = member {
                role.as_str().clone_into(before);
            }
            true
        }
        _ => {
            *member = None;
            true
        }
    };
    if is_member != must_be {
        let reason = format!("user {} is {}a member", key.1, if is_member { "" } else { "not " });
        return Err(Fault::poison(event.position, reason));
    }
    Ok(())
}

async fn load(
    connection: &mut PgConnection,
    partition: Partition,
    keys: &[Key],
) -> Result<Members, sqlx::Error> {
    let (tenants, users): (Vec<Uuid>, Vec<Uuid>) = keys.iter().copied().unzip();
    let rows = sqlx::query!(
        "SELECT m.tenant_id, m.user_id, m.role, m.since
         FROM (SELECT DISTINCT * FROM UNNEST($2::uuid[], $3::uuid[]) AS named (tenant_id, user_id)) AS wanted
         JOIN members m ON m.tenant_id = wanted.tenant_id AND m.user_id = wanted.user_id AND m.partition = $1",
        partition.0,
        &tenants,
        &users
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.tenant_id, row.user_id), Some((row.role, row.since)))).collect())
}

async fn delete(
    connection: &mut PgConnection,
    partition: Partition,
    gone: Vec<Key>,
) -> Result<(), sqlx::Error> {
    if gone.is_empty() {
        return Ok(());
    }
    let (tenants, users): (Vec<Uuid>, Vec<Uuid>) = gone.into_iter().unzip();
    sqlx::query!(
        "DELETE FROM members m USING UNNEST($2::uuid[], $3::uuid[]) AS gone (tenant_id, user_id)
         WHERE m.tenant_id = gone.tenant_id AND m.user_id = gone.user_id AND m.partition = $1",
        partition.0,
        &tenants,
        &users
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn write(connection: &mut PgConnection, partition: Partition, members: &Members) -> Result<(), Fault> {
    let (mut tenants, mut users, mut roles, mut since) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((tenant, user), member) in members {
        if let Some((role, at)) = member {
            tenants.push(*tenant);
            users.push(*user);
            roles.push(role.as_str());
            since.push(*at);
        }
    }
    if tenants.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO members (partition, tenant_id, user_id, role, since)
         SELECT $1, c.* FROM UNNEST($2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[]) AS c
         ON CONFLICT (tenant_id, user_id, partition) DO UPDATE
         SET role = excluded.role, since = excluded.since",
        partition.0,
        &tenants,
        &users,
        &roles as &[&str],
        &since
    )
    .execute(connection)
    .await?;
    Ok(())
}
