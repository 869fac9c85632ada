use std::collections::BTreeMap;

use domain::{TenantId, WalletId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::fold::Fold;
use super::views::{same_maps, written};
use super::{VerifyError, same};

/// Compares the catalogue of every tenant with the fold; returns how many there are.
pub(super) async fn catalogues(connection: &mut PgConnection, fold: &Fold) -> Result<i64, VerifyError> {
    let rows = sqlx::query!(
        "SELECT tenant_id, sequence, recorded_at, state FROM catalogues WHERE partition = $1",
        fold.partition.0
    )
    .fetch_all(connection)
    .await?;
    let found: BTreeMap<Uuid, _> = rows
        .into_iter()
        .map(|row| (row.tenant_id, (row.sequence, Some(row.recorded_at), Some(row.state))))
        .collect();
    let mut expected = BTreeMap::new();
    for catalogue in fold.catalogues.values() {
        let tenant = catalogue.tenant_id;
        let state = written(|| format!("the catalogue of tenant {tenant}"), &catalogue.state)?;
        expected.insert(tenant, (catalogue.sequence, Some(catalogue.recorded_at), Some(state)));
    }
    same(
        || format!("the number of catalogues in partition {}", fold.partition),
        &fold.catalogues.len(),
        &expected.len(),
    )?;
    same_maps("the catalogue of tenant", &expected, &found)?;
    Ok(i64::try_from(expected.len()).unwrap_or(i64::MAX))
}

/// Compares every allowance with the fold; returns how many there are.
pub(super) async fn allowances(connection: &mut PgConnection, fold: &Fold) -> Result<i64, VerifyError> {
    let rows = sqlx::query!(
        r#"SELECT allowance_id, tenant_id, wallet_id, path, level, user_ref, debt::text AS "debt!", due_at, sequence,
               recorded_at, state
           FROM allowances WHERE partition = $1"#,
        fold.partition.0
    )
    .fetch_all(connection)
    .await?;
    let found: BTreeMap<Uuid, _> = rows
        .into_iter()
        .map(|row| {
            let ids = (row.tenant_id, row.wallet_id);
            let texts = (row.path, row.level, row.user_ref, row.debt);
            let times = (row.due_at, row.sequence, row.recorded_at);
            (row.allowance_id, (ids, texts, times, row.state))
        })
        .collect();
    let mut expected = BTreeMap::new();
    for (id, allowance) in &fold.allowances {
        let state = &allowance.state;
        let wallet = WalletId::of(TenantId(allowance.tenant_id), &state.wallet).0;
        let level = state.level.as_ref().map(ToString::to_string);
        let user = state.user.as_ref().map(ToString::to_string);
        let texts = (state.wallet.to_string(), level, user, state.debt.to_string());
        let times = (state.due_at(), allowance.sequence, allowance.recorded_at);
        let written = written(|| format!("allowance {id}"), state)?;
        expected.insert(*id, ((allowance.tenant_id, wallet), texts, times, written));
    }
    same_maps("allowance", &expected, &found)?;
    Ok(i64::try_from(expected.len()).unwrap_or(i64::MAX))
}
