use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{QueryBuilder, Row as _};

use super::usage::bounds;
use super::{Analysis, Group, UsageQuestion, columns, part};
use crate::latency::{Histogram, Percentiles};
use crate::reader::{ReadError, Reflected, TenantReader};

/// How long the calls of one group took in one part of the window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LatencyRow {
    /// When the part begins.
    pub start: DateTime<Utc>,
    /// When it ends (exclusive).
    pub end: DateTime<Utc>,
    /// What the calls have in common.
    #[serde(flatten)]
    pub group: Group,
    /// Until the first token of the last attempt; `None` where no answer came in parts.
    pub first_token: Option<Percentiles>,
    /// The last attempt as a whole; `None` where no attempt was made.
    pub total: Option<Percentiles>,
}

impl TenantReader<'_> {
    /// How long calls took, by time and what is asked for: the last attempt of each, until its first token and as a
    /// whole. At most `limit` rows, those of the earliest parts.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn latency(
        &self,
        question: &UsageQuestion,
        limit: u32,
    ) -> Result<Reflected<Analysis<LatencyRow>>, ReadError> {
        let (mut snapshot, zone) = self.usage_view(&[]).await?;
        let UsageQuestion { window, group_by, filter } = question;
        let beginnings = window.beginnings(zone);
        let columns = columns(group_by);
        let mut query = QueryBuilder::new("WITH counted AS (SELECT ");
        part(&mut query, &beginnings);
        query.push(format!("{columns}, first_token, total"));
        self.counted(&mut query, window, filter);
        // The number of a bucket is in the upper half of an element, its calls in the lower.
        let each = |column: &str, name: &str| {
            format!(
                "SELECT part{columns}, '{name}' AS measured, element >> 32 AS bucket, \
                     sum(element & 4294967295)::bigint AS calls \
                 FROM counted, UNNEST({column}) AS element GROUP BY part{columns}, bucket"
            )
        };
        query.push(format!(
            "), buckets AS ({} UNION ALL {}) \
             SELECT part{columns}, array_agg(measured) AS measured, array_agg(bucket) AS buckets, \
                 array_agg(calls) AS calls \
             FROM buckets GROUP BY part{columns} ORDER BY part{columns} LIMIT ",
            each("first_token", "f"),
            each("total", "t")
        ));
        query.push_bind(i64::from(limit).saturating_add(1));
        let found = query.build().fetch_all(&mut *snapshot.tx).await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut rows = Vec::with_capacity(found.len().min(most));
        for row in found.iter().take(most) {
            let (start, end) = bounds(row.try_get("part")?, &beginnings, window.to)?;
            let (mut first_token, mut total) = (Histogram::default(), Histogram::default());
            let measured: Vec<String> = row.try_get("measured")?;
            let (buckets, calls): (Vec<i64>, Vec<i64>) = (row.try_get("buckets")?, row.try_get("calls")?);
            for ((measured, bucket), calls) in measured.iter().zip(buckets).zip(calls) {
                let histogram = if measured == "f" { &mut first_token } else { &mut total };
                histogram.add(bucket, calls);
            }
            let (first_token, total) = (first_token.percentiles(), total.percentiles());
            rows.push(LatencyRow { start, end, group: Group::of(row, group_by)?, first_token, total });
        }
        let more = found.len() > most;
        snapshot.answer(Analysis { window: *window, time_zone: zone.name().to_owned(), rows, more }).await
    }
}
