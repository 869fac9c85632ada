use chrono::{DateTime, TimeDelta, Utc};
use domain::{WalletId, WalletPath};
use serde::Serialize;

use super::quarter;
use crate::Kind;
use crate::reader::{ReadError, Reflected, TenantReader};

/// A forecast further ahead than this is none.
const HORIZON: TimeDelta = TimeDelta::days(36_500);
/// A span of less than this says little about the time to come.
const SHORTEST: TimeDelta = TimeDelta::minutes(15);

/// How fast a wallet spends on metered calls, and when it would run dry if it went on like that.
///
/// The method: what its calls have cost since `since`, divided by the seconds from there to now, is the rate; what is
/// available now, divided by the rate, is how long it lasts. `since` is the beginning of the span that was asked for,
/// or of the wallet's first call, if that is later, and at least a quarter of an hour ago. The forecast knows nothing
/// of grants that are to come or to expire, of the time of day, or of what else the wallet pays for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BurnRate {
    /// The wallet.
    pub wallet: String,
    /// Its asset.
    pub asset: String,
    /// What can be spent now, in decimal digits.
    pub available: String,
    /// Since when its calls are counted.
    pub since: DateTime<Utc>,
    /// Until when: the moment of the question.
    pub until: DateTime<Utc>,
    /// How many calls ended in that time.
    pub calls: i64,
    /// What they cost, in decimal digits.
    pub spent: String,
    /// What they cost per day (24 hours), rounded half up to the asset's digits.
    pub per_day: String,
    /// When the wallet runs dry at that rate: now, where nothing is available. `None` where nothing was spent, and more
    /// than a hundred years ahead.
    pub runs_dry_at: Option<DateTime<Utc>>,
}

impl TenantReader<'_> {
    /// How fast the wallet at `path` spends, counted over the `span` before `now`. `None` where there is no such
    /// wallet. The answer reflects the position of the read model that is further behind, of calls or of balances.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn burn_rate(
        &self,
        path: &WalletPath,
        now: DateTime<Utc>,
        span: TimeDelta,
    ) -> Result<Reflected<Option<BurnRate>>, ReadError> {
        let mut snapshot = self.view_beside(Kind::Executions, &[Kind::Balances]).await?;
        let balances = sqlx::query_scalar!(
            "SELECT position FROM checkpoints WHERE projection = $1 AND partition = $2",
            Kind::Balances.name(),
            self.partition.0
        )
        .fetch_optional(&mut *snapshot.tx)
        .await?;
        snapshot.position.position = snapshot.position.position.min(balances.unwrap_or(0));
        let wallet = WalletId::of(self.tenant, path);
        let first = sqlx::query_scalar!(
            "SELECT min(quarter) FROM usage_quarters WHERE tenant_id = $1 AND partition = $2 AND wallet_id = $3",
            self.tenant.0,
            self.partition.0,
            wallet.0
        )
        .fetch_one(&mut *snapshot.tx)
        .await?;
        let since = since(now, span, first);
        let row = sqlx::query!(
            r#"SELECT b.asset, (b.posted - b.held - coalesce(b.minimum, 0))::text AS "available!",
                   used.calls AS "calls!", round(used.spent, b.scale)::text AS "spent!",
                   round(used.spent * 86400 / $6::bigint, b.scale)::text AS "per_day!",
                   div(greatest(b.posted - b.held - coalesce(b.minimum, 0), 0) * $6::bigint,
                       nullif(used.spent, 0))::text AS lasts
               FROM balances b, (
                   SELECT coalesce(sum(calls), 0)::bigint AS calls, coalesce(sum(cost), 0) AS spent
                   FROM usage_quarters u
                   WHERE u.tenant_id = $1 AND u.partition = $2 AND u.wallet_id = $3 AND u.quarter >= $4
                     AND u.quarter <= $5
               ) AS used
               WHERE b.wallet_id = $3 AND b.partition = $2 AND b.tenant_id = $1"#,
            self.tenant.0,
            self.partition.0,
            wallet.0,
            since,
            now,
            now.signed_duration_since(since).num_seconds().max(1)
        )
        .fetch_optional(&mut *snapshot.tx)
        .await?;
        let rate = row.map(|row| BurnRate {
            wallet: path.as_str().to_owned(),
            asset: row.asset,
            available: row.available,
            since,
            until: now,
            calls: row.calls,
            spent: row.spent,
            per_day: row.per_day,
            runs_dry_at: row.lasts.and_then(|seconds| ahead(now, &seconds)),
        });
        snapshot.answer(rate).await
    }
}

/// From when on to count: whole quarters of an hour, and at least one.
fn since(now: DateTime<Utc>, span: TimeDelta, first: Option<DateTime<Utc>>) -> DateTime<Utc> {
    let asked = now.checked_sub_signed(span).unwrap_or(DateTime::UNIX_EPOCH);
    let latest = now.checked_sub_signed(SHORTEST).unwrap_or(now);
    quarter(first.map_or(asked, |first| asked.max(first)).min(latest))
}

/// The moment so many seconds ahead, where it is within the horizon.
fn ahead(now: DateTime<Utc>, seconds: &str) -> Option<DateTime<Utc>> {
    let seconds = seconds.parse().ok().and_then(TimeDelta::try_seconds)?;
    now.checked_add_signed(seconds).filter(|_| seconds <= HORIZON)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_young_wallet_is_judged_by_its_own_time() {
        let now = at("2026-05-08T12:07:00Z");
        let week = TimeDelta::days(7);
        assert_eq!(since(now, week, None), at("2026-05-01T12:00:00Z"));
        assert_eq!(since(now, week, Some(at("2026-01-01T00:00:00Z"))), at("2026-05-01T12:00:00Z"));
        assert_eq!(since(now, week, Some(at("2026-05-08T09:15:00Z"))), at("2026-05-08T09:15:00Z"));
        assert_eq!(since(now, week, Some(at("2026-05-08T12:00:00Z"))), at("2026-05-08T11:45:00Z"));
    }

    #[test]
    fn what_is_too_far_ahead_is_no_forecast() {
        let now = at("2026-05-08T12:00:00Z");
        assert_eq!(ahead(now, "0"), Some(now));
        assert_eq!(ahead(now, "86400"), Some(at("2026-05-09T12:00:00Z")));
        assert_eq!(ahead(now, "99999999999"), None);
        assert_eq!(ahead(now, "170141183460469231731687303715884105727"), None);
    }
}
