use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use domain::{Partition, Wallet};
use journal::SNAPSHOT_FORM;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::fold::{Fold, Kept, Tracked};
use super::{Difference, VerifyError, same};
use crate::names::wallet_status;

/// Rows that are read at a time.
const PAGE: i64 = 2000;

/// The snapshots of a partition that this program would use.
pub(super) async fn snapshots(
    connection: &mut PgConnection,
    partition: Partition,
) -> Result<HashMap<Uuid, Kept>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT aggregate_id, sequence, state FROM snapshots WHERE partition = $1 AND form = $2",
        partition.0,
        SNAPSHOT_FORM
    )
    .fetch_all(connection)
    .await?;
    let kept = |row: (i64, Value)| Kept { sequence: row.0, state: row.1 };
    Ok(rows.into_iter().map(|row| (row.aggregate_id, kept((row.sequence, row.state)))).collect())
}

/// Compares tenants and assets with the fold; returns how many tenants there are.
pub(super) async fn tenants(connection: &mut PgConnection, fold: &Fold) -> Result<i64, VerifyError> {
    let rows = sqlx::query!(
        "SELECT tenant_id, slug, name, status, domain, branding, recorded_at FROM tenants WHERE partition = $1",
        fold.partition.0
    )
    .fetch_all(&mut *connection)
    .await?;
    let found: BTreeMap<Uuid, _> = rows
        .into_iter()
        .map(|row| {
            let names = (row.slug, row.name, row.status, row.domain);
            (row.tenant_id, (names, row.branding, row.recorded_at))
        })
        .collect();
    let mut expected = BTreeMap::new();
    for (id, tenant) in &fold.tenants {
        let state = &tenant.state;
        let domain = state.domain.as_ref().map(ToString::to_string);
        let names =
            (state.slug.to_string(), state.name.to_string(), state.status.as_str().to_owned(), domain);
        let branding = written(|| format!("the branding of tenant {id}"), &*state.branding)?;
        expected.insert(*id, (names, branding, tenant.began));
    }
    same_maps("tenant", &expected, &found)?;

    let rows =
        sqlx::query!("SELECT tenant_id, code, scale FROM assets WHERE partition = $1", fold.partition.0)
            .fetch_all(connection)
            .await?;
    let found: BTreeMap<String, i32> = rows
        .into_iter()
        .map(|row| (format!("{} of tenant {}", row.code, row.tenant_id), row.scale))
        .collect();
    let assets = fold.tenants.iter().flat_map(|(id, tenant)| {
        let assets = tenant.state.assets.iter();
        assets.map(move |(code, scale)| (format!("{code} of tenant {id}"), i32::from(scale.digits())))
    });
    same_maps("asset", &assets.collect(), &found)?;
    Ok(i64::try_from(expected.len()).unwrap_or(i64::MAX))
}

/// A state as the read models write it.
pub(super) fn written<T: serde::Serialize>(
    place: impl FnOnce() -> String,
    state: &T,
) -> Result<Value, Difference> {
    serde_json::to_value(state).map_err(|error| Difference {
        place: place(),
        expected: "a state that can be written".to_owned(),
        found: error.to_string(),
    })
}

pub(super) fn same_maps<K: Ord + std::fmt::Display, V: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: &BTreeMap<K, V>,
    found: &BTreeMap<K, V>,
) -> Result<(), Difference> {
    for key in expected.keys().chain(found.keys()) {
        same(|| format!("the row of {what} {key}"), &expected.get(key), &found.get(key))?;
    }
    Ok(())
}

/// Compares every wallet's row with the fold; returns how many there are.
pub(super) async fn wallets(connection: &mut PgConnection, fold: &Fold) -> Result<i64, VerifyError> {
    let mut after = Uuid::nil();
    let mut count = 0;
    loop {
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT tenant_id, wallet_id, path, asset, scale, status, minimum::text, metadata,
                   posted::text AS "posted!", held::text AS "held!", incoming::text AS "incoming!", sequence,
                   position, recorded_at
               FROM balances WHERE partition = $1 AND wallet_id > $2 ORDER BY wallet_id LIMIT $3"#,
            fold.partition.0,
            after,
            PAGE
        )
        .fetch_all(&mut *connection)
        .await?;
        let Some(last) = rows.last() else { break };
        after = last.wallet_id;
        for row in rows {
            let Some(wallet) = fold.wallets.get(&row.wallet_id) else {
                let place = format!("the row of wallet {} ({})", row.wallet_id, row.path);
                let (expected, found) = ("no such wallet".to_owned(), "a row".to_owned());
                return Err(Difference { place, expected, found }.into());
            };
            compare(&row, wallet)?;
            count += 1;
        }
    }
    if count < fold.wallets.len() {
        let place = format!("the wallets of partition {}", fold.partition);
        let expected = format!("{} rows", fold.wallets.len());
        return Err(Difference { place, expected, found: format!("{count} rows") }.into());
    }
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

struct Row {
    tenant_id: Uuid,
    wallet_id: Uuid,
    path: String,
    asset: String,
    scale: i32,
    status: String,
    minimum: Option<String>,
    metadata: Value,
    posted: String,
    held: String,
    incoming: String,
    sequence: i64,
    position: i64,
    recorded_at: DateTime<Utc>,
}

fn compare(row: &Row, wallet: &Tracked<Wallet>) -> Result<(), Difference> {
    let place = || format!("the row of wallet {} ({})", row.wallet_id, row.path);
    let state = &wallet.state;
    let last = (wallet.sequence, wallet.position, wallet.recorded_at);
    same(place, &wallet.tenant_id, &row.tenant_id)?;
    same(place, &last, &(row.sequence, row.position, row.recorded_at))?;
    let balance = state.balance;
    let amounts = [balance.posted, balance.held, balance.incoming].map(|amount| amount.to_string());
    let found = [&row.posted, &row.held, &row.incoming].map(String::as_str);
    same(place, &amounts.each_ref().map(String::as_str), &found)?;
    same(place, &state.minimum.map(|minimum| minimum.to_string()), &row.minimum)?;
    let names = [state.path.as_str(), state.asset.as_str(), wallet_status(state.status)];
    same(place, &names, &[row.path.as_str(), row.asset.as_str(), row.status.as_str()])?;
    same(place, &i32::from(balance.posted.scale().digits()), &row.scale)?;
    same(place, &Value::Object(state.metadata.as_map().clone()), &row.metadata)
}
