use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use domain::Partition;
use domain::application::{ApplicationEvent, IssuedKey, Scope};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use crate::decoded::{Body, Decoded};

/// A tenant, an application and a key.
type Key = (Uuid, Uuid, Uuid);

/// What a batch does to a key that is issued in it.
struct New<'a> {
    issued: &'a IssuedKey,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

/// What a batch does to a key that was issued before.
#[derive(Default)]
struct Change {
    /// The position of the first event.
    at: i64,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

pub(super) async fn apply(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<(), Fault> {
    let mut new: BTreeMap<Key, New<'_>> = BTreeMap::new();
    let mut known: BTreeMap<Key, Change> = BTreeMap::new();
    for Decoded { event, body, .. } in batch {
        let Ok(Body::Application(said)) = body else {
            continue;
        };
        let (key, expires_at, revoked_at) = match &**said {
            ApplicationEvent::KeyIssued(issued) => {
                let key = (event.text.tenant_id, event.text.aggregate_id, issued.key.0);
                let (expires_at, created_at) = (issued.expires_at, event.recorded_at);
                new.insert(key, New { issued, expires_at, revoked_at: None, created_at });
                continue;
            }
            ApplicationEvent::KeyExpires { key, at } => (key, Some(*at), None),
            ApplicationEvent::KeyRevoked { key } => (key, None, Some(event.recorded_at)),
            _ => continue,
        };
        let key = (event.text.tenant_id, event.text.aggregate_id, key.0);
        if let Some(new) = new.get_mut(&key) {
            new.expires_at = expires_at.or(new.expires_at);
            new.revoked_at = revoked_at.or(new.revoked_at);
        } else {
            let change =
                known.entry(key).or_insert_with(|| Change { at: event.position, ..Change::default() });
            change.expires_at = expires_at.or(change.expires_at);
            change.revoked_at = revoked_at.or(change.revoked_at);
        }
    }
    insert(connection, partition, &new).await?;
    update(connection, partition, &known).await
}

fn parts<V>(keys: &BTreeMap<Key, V>) -> (Vec<Uuid>, Vec<Uuid>, Vec<Uuid>) {
    let (mut tenants, mut applications, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for (tenant, application, id) in keys.keys() {
        tenants.push(*tenant);
        applications.push(*application);
        ids.push(*id);
    }
    (tenants, applications, ids)
}

async fn insert(
    connection: &mut PgConnection,
    partition: Partition,
    new: &BTreeMap<Key, New<'_>>,
) -> Result<(), sqlx::Error> {
    if new.is_empty() {
        return Ok(());
    }
    let (tenants, applications, ids) = parts(new);
    let issued = || new.values().map(|new| new.issued);
    let public_ids: Vec<&str> = issued().map(|issued| issued.public_id.as_str()).collect();
    let environments: Vec<&str> = issued().map(|issued| issued.environment.as_str()).collect();
    let digests: Vec<&str> = issued().map(|issued| issued.digest.as_str()).collect();
    // Postgres has no arrays of arrays of different lengths.
    let scopes: Vec<serde_json::Value> =
        issued().map(|issued| issued.scopes.iter().map(|scope| Scope::as_str(*scope)).collect()).collect();
    let addresses: Vec<serde_json::Value> =
        issued().map(|issued| issued.addresses.iter().map(ToString::to_string).collect()).collect();
    let expiries: Vec<Option<DateTime<Utc>>> = new.values().map(|new| new.expires_at).collect();
    let revoked: Vec<Option<DateTime<Utc>>> = new.values().map(|new| new.revoked_at).collect();
    let created: Vec<DateTime<Utc>> = new.values().map(|new| new.created_at).collect();
    sqlx::query!(
        "INSERT INTO api_keys (partition, tenant_id, application_id, key_id, public_id, environment, digest, scopes,
             addresses, expires_at, revoked_at, created_at)
         SELECT $1, c.tenant_id, c.application_id, c.key_id, c.public_id, c.environment, c.digest,
             ARRAY(SELECT jsonb_array_elements_text(c.scopes)),
             ARRAY(SELECT jsonb_array_elements_text(c.addresses)), c.expires_at, c.revoked_at, c.created_at
         FROM UNNEST($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::jsonb[],
             $10::timestamptz[], $11::timestamptz[], $12::timestamptz[])
             AS c (tenant_id, application_id, key_id, public_id, environment, digest, scopes, addresses, expires_at,
                 revoked_at, created_at)",
        partition.0,
        &tenants,
        &applications,
        &ids,
        &public_ids as &[&str],
        &environments as &[&str],
        &digests as &[&str],
        &scopes,
        &addresses,
        &expiries as &[Option<DateTime<Utc>>],
        &revoked as &[Option<DateTime<Utc>>],
        &created
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn update(
    connection: &mut PgConnection,
    partition: Partition,
    known: &BTreeMap<Key, Change>,
) -> Result<(), Fault> {
    if known.is_empty() {
        return Ok(());
    }
    let (tenants, applications, ids) = parts(known);
    let expiries: Vec<Option<DateTime<Utc>>> = known.values().map(|change| change.expires_at).collect();
    let revoked: Vec<Option<DateTime<Utc>>> = known.values().map(|change| change.revoked_at).collect();
    let updated = sqlx::query!(
        "UPDATE api_keys k
         SET expires_at = coalesce(c.expires_at, k.expires_at), revoked_at = coalesce(c.revoked_at, k.revoked_at)
         FROM UNNEST($2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::timestamptz[])
             AS c (tenant_id, application_id, key_id, expires_at, revoked_at)
         WHERE k.tenant_id = c.tenant_id AND k.application_id = c.application_id AND k.key_id = c.key_id
             AND k.partition = $1
         RETURNING k.tenant_id, k.application_id, k.key_id",
        partition.0,
        &tenants,
        &applications,
        &ids,
        &expiries as &[Option<DateTime<Utc>>],
        &revoked as &[Option<DateTime<Utc>>]
    )
    .fetch_all(connection)
    .await?;
    let updated: HashSet<Key> =
        updated.into_iter().map(|row| (row.tenant_id, row.application_id, row.key_id)).collect();
    match known.iter().find(|(key, _)| !updated.contains(*key)) {
        None => Ok(()),
        Some(((_, _, id), change)) => Err(Fault::poison(change.at, format!("key {id} has no row"))),
    }
}
