use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{QueryBuilder, Row as _};

use super::{Analysis, Consumption, Group, SUMS, UsageQuestion, columns, part};
use crate::reader::{ReadError, Reflected, TenantReader};

/// What the calls of one group came to in one part of the window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageRow {
    /// When the part begins.
    pub start: DateTime<Utc>,
    /// When it ends (exclusive).
    pub end: DateTime<Utc>,
    /// What the calls have in common.
    #[serde(flatten)]
    pub group: Group,
    /// The asset of the cost.
    pub asset: String,
    /// What they came to.
    #[serde(flatten)]
    pub consumption: Consumption,
}

impl TenantReader<'_> {
    /// What calls came to, by time, asset and what is asked for. At most `limit` rows, those of the earliest parts;
    /// parts and groups without a call have none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn usage(
        &self,
        question: &UsageQuestion,
        limit: u32,
    ) -> Result<Reflected<Analysis<UsageRow>>, ReadError> {
        let (mut snapshot, zone) = self.usage_view(&[]).await?;
        let UsageQuestion { window, group_by, filter } = question;
        let beginnings = window.beginnings(zone);
        let columns = columns(group_by);
        let mut query = QueryBuilder::new("SELECT ");
        part(&mut query, &beginnings);
        query.push(format!("{columns}, asset, {SUMS}"));
        self.counted(&mut query, window, filter);
        query.push(format!(" GROUP BY part{columns}, asset ORDER BY part{columns}, asset LIMIT "));
        query.push_bind(i64::from(limit).saturating_add(1));
        let found = query.build().fetch_all(&mut *snapshot.tx).await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut rows = Vec::with_capacity(found.len().min(most));
        for row in found.iter().take(most) {
            let (start, end) = bounds(row.try_get("part")?, &beginnings, window.to)?;
            let (group, asset) = (Group::of(row, group_by)?, row.try_get("asset")?);
            rows.push(UsageRow { start, end, group, asset, consumption: Consumption::of(row)? });
        }
        let more = found.len() > most;
        snapshot.answer(Analysis { window: *window, time_zone: zone.name().to_owned(), rows, more }).await
    }
}

/// When the part of this number begins and ends.
pub(super) fn bounds(
    part: i32,
    beginnings: &[DateTime<Utc>],
    end: DateTime<Utc>,
) -> Result<(DateTime<Utc>, DateTime<Utc>), ReadError> {
    let index = usize::try_from(part).ok().and_then(|part| part.checked_sub(1));
    let start = index.and_then(|index| beginnings.get(index)).copied();
    let next = index.and_then(|index| beginnings.get(index + 1)).copied();
    let outside = || ReadError::Unreadable { what: "a part of the window", reason: format!("{part}") };
    Ok((start.ok_or_else(outside)?, next.unwrap_or(end)))
}
