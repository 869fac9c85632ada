//! What metered calls came to: sums of the rows of quarters of an hour.
//!
//! A call counts in the quarter in which it ended, with the outcome that it ended with; its usage and cost where it was
//! settled, which is the same commit. So the sum of all costs is exactly what executions have posted to `@revenue`.

mod burn;
mod latency;
mod spenders;
mod usage;
mod window;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use domain::execution::ExecutionStatus;
use domain::{
    ApplicationId, AssetCode, ModelName, Partition, ProviderName, TenantId, Usage, UserRef, WalletId,
    WalletPath,
};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

pub use self::burn::BurnRate;
pub use self::latency::LatencyRow;
pub use self::spenders::Spender;
pub use self::usage::UsageRow;
pub(crate) use self::window::quarter;
pub use self::window::{Granularity, Window, WindowError};
use super::{ReadError, Snapshot, TenantReader};
use crate::Kind;

/// By what calls can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// The application that called.
    Application,
    /// The wallet that paid.
    Wallet,
    /// The user for whom the application called.
    User,
    /// The provider that answered last.
    Provider,
    /// The model that was asked for.
    Model,
    /// How the call ended.
    Outcome,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Application, Self::Wallet, Self::User, Self::Provider, Self::Model, Self::Outcome];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Wallet => "wallet",
            Self::User => "user",
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Outcome => "outcome",
        }
    }

    /// The dimension of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.as_str() == name)
    }

    const fn column(self) -> &'static str {
        match self {
            Self::Application => "application_id",
            Self::Wallet => "path",
            Self::User => "user_ref",
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Outcome => "outcome",
        }
    }
}

/// Which calls to count; everything set must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsageFilter {
    /// Only calls of this application.
    pub application: Option<ApplicationId>,
    /// Only those that this wallet paid for.
    pub wallet: Option<WalletPath>,
    /// Only those for this user.
    pub user: Option<UserRef>,
    /// Only those that this provider answered last.
    pub provider: Option<ProviderName>,
    /// Only those for which this model was asked.
    pub model: Option<ModelName>,
    /// Only those that ended like this.
    pub outcome: Option<ExecutionStatus>,
    /// Only those whose cost is in this asset.
    pub asset: Option<AssetCode>,
}

/// What to count: a window, how it is divided, and by what calls are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuestion {
    /// The time.
    pub window: Window,
    /// By what calls are told apart, beside time and asset.
    pub group_by: BTreeSet<Dimension>,
    /// Which calls to count.
    pub filter: UsageFilter,
}

/// An answer over a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Analysis<R> {
    /// The window that was looked at: the one asked for, in whole quarters of an hour.
    #[serde(flatten)]
    pub window: Window,
    /// The tenant's time zone, whose hours and days these are.
    pub time_zone: String,
    /// The rows, by time and then by what they are grouped by.
    pub rows: Vec<R>,
    /// Whether there are more rows than were asked for.
    pub more: bool,
}

/// What the calls of a row have in common. A field is `None` where calls are not told apart by it, and where the calls
/// have no such thing: no application, no user, no provider that answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
pub struct Group {
    /// The application that called.
    pub application: Option<ApplicationId>,
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

impl Group {
    fn of(row: &PgRow, by: &BTreeSet<Dimension>) -> Result<Self, sqlx::Error> {
        let mut group = Self::default();
        for dimension in by {
            let text = |row: &PgRow| -> Result<Option<String>, sqlx::Error> {
                Ok(Some(row.try_get(dimension.column())?).filter(|text: &String| !text.is_empty()))
            };
            match dimension {
                Dimension::Application => {
                    let id: Uuid = row.try_get(dimension.column())?;
                    group.application = Some(ApplicationId(id)).filter(|id| !id.0.is_nil());
                }
                Dimension::Wallet => group.wallet = text(row)?,
                Dimension::User => group.user = text(row)?,
                Dimension::Provider => group.provider = text(row)?,
                Dimension::Model => group.model = text(row)?,
                Dimension::Outcome => group.outcome = text(row)?,
            }
        }
        Ok(group)
    }
}

/// What was used, and what it cost. Sums beyond 2^64 - 1 tokens are told as that.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Consumption {
    /// How many calls ended.
    pub calls: u64,
    /// The tokens.
    pub usage: Usage,
    /// The cost, in decimal digits: sums can exceed any [`domain::Amount`].
    pub cost: String,
}

/// The sums of a row, as columns.
const SUMS: &str = "sum(calls)::text AS calls, sum(input)::text AS input, sum(cache_read)::text AS cache_read, \
    sum(cache_write)::text AS cache_write, sum(cache_write_long)::text AS cache_write_long, \
    sum(output)::text AS output, sum(reasoning)::text AS reasoning, sum(cost)::text AS cost";

impl Consumption {
    fn of(row: &PgRow) -> Result<Self, ReadError> {
        let count = |column: &str| -> Result<u64, ReadError> {
            let text: String = row.try_get(column)?;
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            match text.parse() {
                Ok(count) => Ok(count),
                Err(_) if digits => Ok(u64::MAX),
                Err(error) => Err(ReadError::unreadable("a sum")(error)),
            }
        };
        let usage = Usage {
            input: count("input")?,
            cache_read: count("cache_read")?,
            cache_write: count("cache_write")?,
            cache_write_long: count("cache_write_long")?,
            output: count("output")?,
            reasoning: count("reasoning")?,
        };
        Ok(Self { calls: count("calls")?, usage, cost: row.try_get("cost")? })
    }
}

impl TenantReader<'_> {
    /// A snapshot of what calls came to, and the tenant's time zone.
    async fn usage_view(&self, beside: &[Kind]) -> Result<(Snapshot, Tz), ReadError> {
        let mut snapshot =
            self.view_beside(Kind::Executions, &[&[Kind::Catalogues], beside].concat()).await?;
        let zone = sqlx::query_scalar!(
            "SELECT state->>'time_zone' FROM catalogues WHERE tenant_id = $1 AND partition = $2",
            self.tenant.0,
            self.partition.0
        )
        .fetch_optional(&mut *snapshot.tx)
        .await?;
        let zone = match zone.flatten() {
            None => Tz::UTC,
            Some(name) => name.parse().map_err(ReadError::unreadable("the tenant's time zone"))?,
        };
        Ok((snapshot, zone))
    }

    /// The rows of the window that pass the filter.
    fn counted(&self, query: &mut QueryBuilder<'static, Postgres>, window: &Window, filter: &UsageFilter) {
        counted(query, self.tenant, self.partition, window, filter);
    }
}

fn counted(
    query: &mut QueryBuilder<'static, Postgres>,
    tenant: TenantId,
    partition: Partition,
    window: &Window,
    filter: &UsageFilter,
) {
    query.push(" FROM usage_quarters WHERE tenant_id = ").push_bind(tenant.0);
    query.push(" AND partition = ").push_bind(partition.0);
    query.push(" AND quarter >= ").push_bind(window.from);
    query.push(" AND quarter < ").push_bind(window.to);
    if let Some(wallet) = &filter.wallet {
        query.push(" AND wallet_id = ").push_bind(WalletId::of(tenant, wallet).0);
    }
    if let Some(application) = filter.application {
        query.push(" AND application_id = ").push_bind(application.0);
    }
    let texts = [
        ("user_ref", filter.user.as_ref().map(UserRef::as_str)),
        ("provider", filter.provider.as_ref().map(ProviderName::as_str)),
        ("model", filter.model.as_ref().map(ModelName::as_str)),
        ("outcome", filter.outcome.map(ExecutionStatus::as_str)),
        ("asset", filter.asset.as_ref().map(AssetCode::as_str)),
    ];
    for (column, text) in texts {
        if let Some(text) = text {
            query.push(format!(" AND {column} = ")).push_bind(text.to_owned());
        }
    }
}

/// The names of the columns by which rows are told apart, each with a comma before it.
fn columns(by: &BTreeSet<Dimension>) -> String {
    by.iter().flat_map(|dimension| [", ", dimension.column()]).collect()
}

/// The column `part`: in which part of the window a row is, counted from 1.
fn part(query: &mut QueryBuilder<'static, Postgres>, beginnings: &[DateTime<Utc>]) {
    if beginnings.len() == 1 {
        query.push("1 AS part");
    } else {
        query.push("width_bucket(quarter, ").push_bind(beginnings.to_vec()).push("::timestamptz[]) AS part");
    }
}
