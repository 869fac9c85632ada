use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::fold::Fold;
use super::views::{same_maps, written};
use super::{VerifyError, same};

/// Compares the applications of every tenant with the fold; returns how many there are.
pub(super) async fn applications(connection: &mut PgConnection, fold: &Fold) -> Result<i64, VerifyError> {
    let rows = sqlx::query!(
        "SELECT tenant_id, application_id, details, status, sequence, created_at
         FROM applications WHERE partition = $1",
        fold.partition.0
    )
    .fetch_all(connection)
    .await?;
    let found: BTreeMap<Uuid, _> = rows
        .into_iter()
        .map(|row| {
            let at = (row.tenant_id, row.sequence, row.created_at);
            (row.application_id, (at, row.status, row.details))
        })
        .collect();
    let mut expected = BTreeMap::new();
    for (id, application) in &fold.applications {
        let details = written(|| format!("application {id}"), &*application.state.details)?;
        let at = (application.tenant_id, application.sequence, application.began);
        expected.insert(*id, (at, application.state.status.as_str().to_owned(), details));
    }
    same_maps("application", &expected, &found)?;
    Ok(i64::try_from(expected.len()).unwrap_or(i64::MAX))
}

/// Compares the API keys of every application with the fold, and that with what the applications' states say is alive.
pub(super) async fn keys(connection: &mut PgConnection, fold: &Fold) -> Result<(), VerifyError> {
    let rows = sqlx::query!(
        "SELECT tenant_id, application_id, key_id, public_id, environment, digest, scopes, addresses, expires_at,
             revoked_at, created_at
         FROM api_keys WHERE partition = $1",
        fold.partition.0
    )
    .fetch_all(connection)
    .await?;
    let name = |(tenant, application, key): (Uuid, Uuid, Uuid)| {
        format!("{key} of application {application} of tenant {tenant}")
    };
    let found: BTreeMap<String, _> = rows
        .into_iter()
        .map(|row| {
            let key = name((row.tenant_id, row.application_id, row.key_id));
            let texts = [row.public_id, row.environment, row.digest];
            let times = (row.expires_at, row.revoked_at, row.created_at);
            (key, (texts, row.scopes, row.addresses, times))
        })
        .collect();
    let mut expected = BTreeMap::new();
    for (place, kept) in &fold.dated.keys {
        let issued = &kept.issued;
        let texts =
            [issued.public_id.to_string(), issued.environment.as_str().to_owned(), issued.digest.to_string()];
        let scopes: Vec<String> = issued.scopes.iter().map(ToString::to_string).collect();
        let addresses: Vec<String> = issued.addresses.iter().map(ToString::to_string).collect();
        let times = (kept.expires_at, kept.revoked_at, kept.created_at);
        expected.insert(name(*place), (texts, scopes, addresses, times));
        let alive = fold
            .applications
            .get(&place.1)
            .map(|application| application.state.keys.get(&issued.key).map(|key| key.expires_at));
        let said = kept.revoked_at.is_none().then_some(kept.expires_at);
        same(|| format!("what application {} says of key {}", place.1, place.2), &alive, &Some(said))?;
    }
    Ok(same_maps("key", &expected, &found)?)
}
