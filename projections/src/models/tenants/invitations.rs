use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use domain::Partition;
use domain::tenant::TenantEvent;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use crate::InvitationStatus;
use crate::decoded::{Body, Decoded};

/// A tenant and an invitation.
type Key = (Uuid, Uuid);

/// An invitation that was made in the batch.
struct Invited<'a> {
    email: &'a str,
    role: &'static str,
    status: InvitationStatus,
    expires_at: DateTime<Utc>,
    digest: &'a str,
    created_at: DateTime<Utc>,
}

pub(super) async fn apply(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<(), Fault> {
    let mut new: BTreeMap<Key, Invited<'_>> = BTreeMap::new();
    // Those made before, and the position of the event that ended each.
    let mut ended: BTreeMap<Key, (InvitationStatus, i64)> = BTreeMap::new();
    for Decoded { event, body, .. } in batch {
        let Ok(Body::Tenant(said)) = body else {
            continue;
        };
        let (invitation, status) = match said {
            TenantEvent::Invited { invitation, email, role, expires_at, digest } => {
                let invited = Invited {
                    email: email.as_str(),
                    role: role.as_str(),
                    status: InvitationStatus::Open,
                    expires_at: *expires_at,
                    digest: digest.as_str(),
                    created_at: event.recorded_at,
                };
                new.insert((event.text.tenant_id, invitation.0), invited);
                continue;
            }
            TenantEvent::InvitationAccepted { invitation, .. } => (invitation, InvitationStatus::Accepted),
            TenantEvent::InvitationWithdrawn { invitation } => (invitation, InvitationStatus::Withdrawn),
            _ => continue,
        };
        let key = (event.text.tenant_id, invitation.0);
        match new.get_mut(&key) {
            Some(invited) => invited.status = status,
            None => {
                ended.insert(key, (status, event.position));
            }
        }
    }
    insert(connection, partition, &new).await?;
    update(connection, partition, &ended).await
}

async fn insert(
    connection: &mut PgConnection,
    partition: Partition,
    new: &BTreeMap<Key, Invited<'_>>,
) -> Result<(), sqlx::Error> {
    if new.is_empty() {
        return Ok(());
    }
    let (tenants, ids): (Vec<Uuid>, Vec<Uuid>) = new.keys().copied().unzip();
    let emails: Vec<&str> = new.values().map(|invited| invited.email).collect();
    let roles: Vec<&str> = new.values().map(|invited| invited.role).collect();
    let statuses: Vec<&str> = new.values().map(|invited| invited.status.as_str()).collect();
    let expiries: Vec<DateTime<Utc>> = new.values().map(|invited| invited.expires_at).collect();
    let digests: Vec<&str> = new.values().map(|invited| invited.digest).collect();
    let created: Vec<DateTime<Utc>> = new.values().map(|invited| invited.created_at).collect();
    sqlx::query!(
        "INSERT INTO invitations (partition, tenant_id, invitation_id, email, role, status, expires_at, digest,
             created_at)
         SELECT $1, c.* FROM UNNEST($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[],
             $8::text[], $9::timestamptz[]) AS c",
        partition.0,
        &tenants,
        &ids,
        &emails as &[&str],
        &roles as &[&str],
        &statuses as &[&str],
        &expiries,
        &digests as &[&str],
        &created
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn update(
    connection: &mut PgConnection,
    partition: Partition,
    ended: &BTreeMap<Key, (InvitationStatus, i64)>,
) -> Result<(), Fault> {
    if ended.is_empty() {
        return Ok(());
    }
    let (tenants, ids): (Vec<Uuid>, Vec<Uuid>) = ended.keys().copied().unzip();
    let statuses: Vec<&str> = ended.values().map(|(status, _)| status.as_str()).collect();
    let updated = sqlx::query!(
        "UPDATE invitations i SET status = c.status
         FROM UNNEST($2::uuid[], $3::uuid[], $4::text[]) AS c (tenant_id, invitation_id, status)
         WHERE i.tenant_id = c.tenant_id AND i.invitation_id = c.invitation_id AND i.partition = $1
         RETURNING i.tenant_id, i.invitation_id",
        partition.0,
        &tenants,
        &ids,
        &statuses as &[&str]
    )
    .fetch_all(connection)
    .await?;
    let updated: HashSet<Key> = updated.into_iter().map(|row| (row.tenant_id, row.invitation_id)).collect();
    match ended.iter().find(|(key, _)| !updated.contains(*key)) {
        None => Ok(()),
        Some(((_, id), (_, at))) => Err(Fault::poison(*at, format!("invitation {id} has no row"))),
    }
}
