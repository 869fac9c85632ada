use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use domain::wallet::{Balance, WalletEvent, WalletStatus};
use domain::{Amount, Metadata, Partition};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Fault;
use crate::decoded::{Body, Decoded};
use crate::names::wallet_status;

/// What a batch does to one wallet.
struct Change<'a> {
    tenant_id: Uuid,
    /// Its first event in the batch: position and sequence.
    first: (i64, i64),
    opened: Option<Opened<'a>>,
    status: Option<WalletStatus>,
    balance: Option<Balance>,
    /// Its last event in the batch.
    sequence: i64,
    position: i64,
    recorded_at: DateTime<Utc>,
}

struct Opened<'a> {
    path: &'a str,
    asset: &'a str,
    scale: i32,
    minimum: Option<Amount>,
    metadata: &'a Metadata,
}

pub(super) async fn apply(
    connection: &mut PgConnection,
    partition: Partition,
    batch: &[&Decoded],
) -> Result<(), Fault> {
    // By id, so that rows are locked in one order.
    let mut changes: BTreeMap<Uuid, Change<'_>> = BTreeMap::new();
    for Decoded { event, body, .. } in batch {
        let Ok(Body::Wallet(said)) = body else {
            continue;
        };
        let change = changes.entry(event.text.aggregate_id).or_insert_with(|| Change {
            tenant_id: event.text.tenant_id,
            first: (event.position, event.text.sequence),
            opened: None,
            status: None,
            balance: None,
            sequence: 0,
            position: 0,
            recorded_at: event.recorded_at,
        });
        change.sequence = event.text.sequence;
        change.position = event.position;
        change.recorded_at = event.recorded_at;
        change.balance = said.balance().or(change.balance);
        match &**said {
            WalletEvent::Opened { path, asset, scale, minimum, metadata } => {
                change.status = Some(WalletStatus::Open);
                change.balance = Some(Balance::empty(*scale));
                change.opened = Some(Opened {
                    path: path.as_str(),
                    asset: asset.as_str(),
                    scale: i32::from(scale.digits()),
                    minimum: *minimum,
                    metadata,
                });
            }
            WalletEvent::Frozen {} => change.status = Some(WalletStatus::Frozen),
            WalletEvent::Unfrozen {} => change.status = Some(WalletStatus::Open),
            WalletEvent::Closed {} => change.status = Some(WalletStatus::Closed),
            _ => {}
        }
    }
    let (new, known): (Vec<_>, Vec<_>) = changes.iter().partition(|(_, change)| change.opened.is_some());
    insert(connection, partition, &new).await?;
    update(connection, partition, &known).await
}

/// What both statements write of a wallet.
#[derive(Default)]
struct Columns {
    id: Vec<Uuid>,
    status: Vec<Option<&'static str>>,
    posted: Vec<Option<String>>,
    held: Vec<Option<String>>,
    incoming: Vec<Option<String>>,
    sequence: Vec<i64>,
    position: Vec<i64>,
    recorded_at: Vec<DateTime<Utc>>,
}

impl Columns {
    fn of(changes: &[(&Uuid, &Change<'_>)]) -> Self {
        let mut columns = Self::default();
        for (id, change) in changes {
            columns.id.push(**id);
            columns.status.push(change.status.map(wallet_status));
            columns.posted.push(change.balance.map(|balance| balance.posted.to_string()));
            columns.held.push(change.balance.map(|balance| balance.held.to_string()));
            columns.incoming.push(change.balance.map(|balance| balance.incoming.to_string()));
            columns.sequence.push(change.sequence);
            columns.position.push(change.position);
            columns.recorded_at.push(change.recorded_at);
        }
        columns
    }
}

async fn insert(
    connection: &mut PgConnection,
    partition: Partition,
    new: &[(&Uuid, &Change<'_>)],
) -> Result<(), Fault> {
    if new.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(new);
    let tenants: Vec<Uuid> = new.iter().map(|(_, change)| change.tenant_id).collect();
    let opened = || new.iter().filter_map(|(_, change)| change.opened.as_ref());
    let paths: Vec<&str> = opened().map(|opened| opened.path).collect();
    let assets: Vec<&str> = opened().map(|opened| opened.asset).collect();
    let scales: Vec<i32> = opened().map(|opened| opened.scale).collect();
    let minima: Vec<Option<String>> =
        opened().map(|o| o.minimum.map(|minimum| minimum.to_string())).collect();
    let metadata: Vec<serde_json::Value> =
        opened().map(|opened| serde_json::Value::Object(opened.metadata.as_map().clone())).collect();
    sqlx::query!(
        "INSERT INTO balances (partition, tenant_id, wallet_id, path, asset, scale, status, minimum, metadata,
             posted, held, incoming, sequence, position, recorded_at)
         SELECT $1, c.tenant_id, c.wallet_id, c.path, c.asset, c.scale, c.status, c.minimum::numeric, c.metadata,
             c.posted::numeric, c.held::numeric, c.incoming::numeric, c.sequence, c.position, c.recorded_at
         FROM UNNEST($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::integer[], $7::text[], $8::text[],
             $9::jsonb[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::bigint[],
             $15::timestamptz[])
             AS c (tenant_id, wallet_id, path, asset, scale, status, minimum, metadata, posted, held, incoming,
                 sequence, position, recorded_at)",
        partition.0,
        &tenants,
        &columns.id,
        &paths as &[&str],
        &assets as &[&str],
        &scales,
        &columns.status as &[Option<&str>],
        &minima as &[Option<String>],
        &metadata,
        &columns.posted as &[Option<String>],
        &columns.held as &[Option<String>],
        &columns.incoming as &[Option<String>],
        &columns.sequence,
        &columns.position,
        &columns.recorded_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes what changed, where the row is at the event just before. A row that is not would be wrong already, and
/// stops the read model.
async fn update(
    connection: &mut PgConnection,
    partition: Partition,
    known: &[(&Uuid, &Change<'_>)],
) -> Result<(), Fault> {
    if known.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(known);
    let before: Vec<i64> = known.iter().map(|(_, change)| change.first.1 - 1).collect();
    let updated = sqlx::query_scalar!(
        "UPDATE balances b
         SET status = coalesce(c.status, b.status), posted = coalesce(c.posted::numeric, b.posted),
             held = coalesce(c.held::numeric, b.held), incoming = coalesce(c.incoming::numeric, b.incoming),
             sequence = c.sequence, position = c.position, recorded_at = c.recorded_at
         FROM UNNEST($2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[],
             $9::bigint[], $10::timestamptz[])
             AS c (wallet_id, before, status, posted, held, incoming, sequence, position, recorded_at)
         WHERE b.wallet_id = c.wallet_id AND b.partition = $1 AND b.sequence = c.before
         RETURNING b.wallet_id",
        partition.0,
        &columns.id,
        &before,
        &columns.status as &[Option<&str>],
        &columns.posted as &[Option<String>],
        &columns.held as &[Option<String>],
        &columns.incoming as &[Option<String>],
        &columns.sequence,
        &columns.position,
        &columns.recorded_at
    )
    .fetch_all(connection)
    .await?;
    let updated: HashSet<Uuid> = updated.into_iter().collect();
    let missing =
        known.iter().filter(|(id, _)| !updated.contains(*id)).min_by_key(|(_, change)| change.first.0);
    match missing {
        None => Ok(()),
        Some((id, change)) => {
            let (position, sequence) = change.first;
            Err(Fault::poison(position, format!("wallet {id} has no row at sequence {}", sequence - 1)))
        }
    }
}
