use std::collections::BTreeSet;

use serde::Serialize;
use sqlx::{QueryBuilder, Row as _};

use super::{Analysis, Consumption, Dimension, Group, SUMS, UsageFilter, Window, columns};
use crate::reader::{ReadError, Reflected, TenantReader};

/// Who or what cost most in an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spender {
    /// The place among those of the asset, from 1. Those with the same cost have the same place.
    pub place: i64,
    /// The asset.
    pub asset: String,
    /// Who or what it is.
    #[serde(flatten)]
    pub group: Group,
    /// What it came to.
    #[serde(flatten)]
    pub consumption: Consumption,
}

impl TenantReader<'_> {
    /// The wallets, users, applications or others that cost most in a window as a whole, most first, by asset: those
    /// on the first `places` of each. What has cost nothing is not among them.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn top_spenders(
        &self,
        window: &Window,
        by: Dimension,
        filter: &UsageFilter,
        places: u32,
    ) -> Result<Reflected<Analysis<Spender>>, ReadError> {
        let (mut snapshot, zone) = self.usage_view(&[]).await?;
        let by = BTreeSet::from([by]);
        let columns = columns(&by);
        let mut query = QueryBuilder::new(format!(
            "SELECT * FROM (SELECT asset{columns}, {SUMS}, \
                 row_number() OVER (PARTITION BY asset ORDER BY sum(cost) DESC{columns}) AS row_number, \
                 rank() OVER (PARTITION BY asset ORDER BY sum(cost) DESC) AS place"
        ));
        self.counted(&mut query, window, filter);
        query
            .push(format!(" GROUP BY asset{columns} HAVING sum(cost) > 0) AS spenders WHERE row_number <= "));
        query.push_bind(i64::from(places)).push(" ORDER BY asset, row_number");
        let found = query.build().fetch_all(&mut *snapshot.tx).await?;
        let mut rows = Vec::with_capacity(found.len());
        for row in &found {
            let (place, asset) = (row.try_get("place")?, row.try_get("asset")?);
            let group = Group::of(row, &by)?;
            rows.push(Spender { place, asset, group, consumption: Consumption::of(row)? });
        }
        let time_zone = zone.name().to_owned();
        snapshot.answer(Analysis { window: *window, time_zone, rows, more: false }).await
    }
}
