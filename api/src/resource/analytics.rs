//! What calls of models came to.

use chrono::{DateTime, Utc};
use domain::Usage;
use projections::{
    Analysis, BurnRate, Consumption, Granularity, Group, LatencyRow, Percentiles, Spender, UsageRow,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::execution::UsageBody;

/// An answer over a window of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AnalysisBody<T> {
    /// Where the window begins: what was asked for, in whole quarters of an hour.
    pub from: DateTime<Utc>,
    /// Where it ends (exclusive).
    pub to: DateTime<Utc>,
    /// Into what it is divided: `hour`, `day` or `total`.
    #[schema(example = "hour")]
    pub granularity: &'static str,
    /// The tenant's time zone, whose hours and days these are.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: String,
    /// The rows, by time. Times and groups without a call have none.
    pub rows: Vec<T>,
    /// Whether there are more rows than are shown.
    pub more: bool,
}

impl<T> AnalysisBody<T> {
    /// The answer, each of its rows made presentable.
    pub fn new<R>(analysis: Analysis<R>, row: impl Fn(R) -> T) -> Self {
        let Analysis { window, time_zone, rows, more } = analysis;
        let granularity = match window.granularity {
            Granularity::Hour => "hour",
            Granularity::Day => "day",
            Granularity::Total => "total",
        };
        let rows = rows.into_iter().map(row).collect();
        Self { from: window.from, to: window.to, granularity, time_zone, rows, more }
    }
}

/// What the calls of a row have in common; null where they are not told apart by it, or have no such thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct GroupBody {
    /// The application that called.
    pub application: Option<Uuid>,
    /// The wallet that paid.
    pub wallet: Option<String>,
    /// The user for whom the application called.
    pub user: Option<String>,
    /// The provider that answered last.
    pub provider: Option<String>,
    /// The model that was asked for.
    pub model: Option<String>,
    /// How the calls ended.
    pub outcome: Option<String>,
}

impl From<Group> for GroupBody {
    fn from(group: Group) -> Self {
        let Group { application, wallet, user, provider, model, outcome } = group;
        Self { application: application.map(|id| id.0), wallet, user, provider, model, outcome }
    }
}

/// What was used, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ConsumptionBody {
    /// How many calls ended.
    pub calls: u64,
    /// The tokens.
    pub usage: UsageBody,
    /// The cost.
    #[schema(example = "12.50")]
    pub cost: String,
}

impl From<Consumption> for ConsumptionBody {
    fn from(consumption: Consumption) -> Self {
        let Consumption { calls, usage, cost } = consumption;
        Self { calls, usage: UsageBody::from(usage), cost }
    }
}

/// What the calls of one group came to in one part of the window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UsageRowBody {
    /// When the part begins.
    pub start: DateTime<Utc>,
    /// When it ends (exclusive).
    pub end: DateTime<Utc>,
    /// What the calls have in common.
    #[serde(flatten)]
    pub group: GroupBody,
    /// The asset of the cost.
    #[schema(example = "USD")]
    pub asset: String,
    /// What they came to.
    #[serde(flatten)]
    pub consumption: ConsumptionBody,
}

impl From<UsageRow> for UsageRowBody {
    fn from(row: UsageRow) -> Self {
        let UsageRow { start, end, group, asset, consumption } = row;
        Self { start, end, group: group.into(), asset, consumption: consumption.into() }
    }
}

/// Half of the calls took at most so long, nine in ten, and 99 in a hundred; each within 3.2 % of what was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PercentilesBody {
    /// How many calls were measured.
    pub calls: u64,
    /// The median, in milliseconds.
    pub p50_ms: u64,
    /// The ninetieth percentile.
    pub p90_ms: u64,
    /// The ninety-ninth percentile.
    pub p99_ms: u64,
}

impl From<Percentiles> for PercentilesBody {
    fn from(percentiles: Percentiles) -> Self {
        let Percentiles { calls, p50_ms, p90_ms, p99_ms } = percentiles;
        Self { calls, p50_ms, p90_ms, p99_ms }
    }
}

/// How long the calls of one group took in one part of the window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LatencyRowBody {
    /// When the part begins.
    pub start: DateTime<Utc>,
    /// When it ends (exclusive).
    pub end: DateTime<Utc>,
    /// What the calls have in common.
    #[serde(flatten)]
    pub group: GroupBody,
    /// Until the first token of the last attempt; null where no answer came in parts.
    pub first_token: Option<PercentilesBody>,
    /// The last attempt as a whole.
    pub total: Option<PercentilesBody>,
}

impl From<LatencyRow> for LatencyRowBody {
    fn from(row: LatencyRow) -> Self {
        let LatencyRow { start, end, group, first_token, total } = row;
        let (first_token, total) = (first_token.map(Into::into), total.map(Into::into));
        Self { start, end, group: group.into(), first_token, total }
    }
}

/// Who or what cost most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SpenderBody {
    /// The place among those of the asset, from 1. Those with the same cost share a place.
    pub place: i64,
    /// The asset.
    #[schema(example = "USD")]
    pub asset: String,
    /// Who or what it is.
    #[serde(flatten)]
    pub group: GroupBody,
    /// What it came to.
    #[serde(flatten)]
    pub consumption: ConsumptionBody,
}

impl From<Spender> for SpenderBody {
    fn from(spender: Spender) -> Self {
        let Spender { place, asset, group, consumption } = spender;
        Self { place, asset, group: group.into(), consumption: consumption.into() }
    }
}

/// How fast a wallet spends on calls of models, and when it would run dry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BurnRateBody {
    /// The wallet.
    #[schema(example = "customers:42:credits")]
    pub wallet: String,
    /// Its asset.
    #[schema(example = "USD")]
    pub asset: String,
    /// What can be spent now.
    #[schema(example = "12.50")]
    pub available: String,
    /// Since when its calls are counted.
    pub since: DateTime<Utc>,
    /// Until when: the moment of the question.
    pub until: DateTime<Utc>,
    /// How many calls ended in that time.
    pub calls: i64,
    /// What they cost.
    #[schema(example = "3.20")]
    pub spent: String,
    /// What they cost per day of 24 hours, rounded half up.
    #[schema(example = "6.40")]
    pub per_day: String,
    /// When the wallet runs dry at that rate; null where nothing was spent, or that is more than a hundred years ahead.
    pub runs_dry_at: Option<DateTime<Utc>>,
}

impl From<BurnRate> for BurnRateBody {
    fn from(rate: BurnRate) -> Self {
        let BurnRate { wallet, asset, available, since, until, calls, spent, per_day, runs_dry_at } = rate;
        Self { wallet, asset, available, since, until, calls, spent, per_day, runs_dry_at }
    }
}

/// The tokens of a call in JSON, every bucket.
impl From<Usage> for UsageBody {
    fn from(usage: Usage) -> Self {
        let Usage { input, cache_read, cache_write, cache_write_long, output, reasoning } = usage;
        Self { input, cache_read, cache_write, cache_write_long, output, reasoning }
    }
}
