//! What wallets may use.

use chrono::{DateTime, Utc};
use commands::Resource;
use domain::Allowance;
use domain::allowance::GrantSource;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::Problem;

/// What a wallet may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Allowance)]
pub struct AllowanceBody {
    /// The wallet.
    #[schema(example = "customers:42:credits")]
    pub wallet: String,
    /// Its asset.
    #[schema(example = "USD")]
    pub asset: String,
    /// The level whose policy is for it.
    #[schema(example = "pro")]
    pub level: Option<String>,
    /// The user whose policy is for it.
    #[schema(example = "customer-42")]
    pub user: Option<String>,
    /// The last month for which something was allocated.
    pub period: Option<PeriodBody>,
    /// What it owes: calls that cost more than there was. Until that is paid, nothing more is called under `hard`.
    #[schema(example = "0.00")]
    pub debt: String,
    /// What was granted and is left, in the order in which it is used up.
    pub grants: Vec<GrantBody>,
}

/// A span of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Period)]
pub struct PeriodBody {
    /// Its first moment.
    pub start: DateTime<Utc>,
    /// The first moment after it.
    pub end: DateTime<Utc>,
}

/// Something that was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Grant)]
pub struct GrantBody {
    /// Its id.
    pub id: Uuid,
    /// How much it was.
    #[schema(example = "20.00")]
    pub amount: String,
    /// What is left of it, promised to calls that are running or not.
    #[schema(example = "12.50")]
    pub remaining: String,
    /// What of that is promised to calls that are running.
    #[schema(example = "0.25")]
    pub reserved: String,
    /// Lower ones are used up first.
    pub priority: u16,
    /// When what is left of it expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// Where it comes from: `period` or `lifetime` of a policy, or `given` by somebody.
    #[schema(example = "period")]
    pub source: &'static str,
}

impl AllowanceBody {
    /// An allowance.
    pub fn new(allowance: &Allowance) -> Self {
        let grant = |(id, grant): (domain::GrantId, &domain::allowance::Grant)| GrantBody {
            id: id.0,
            amount: grant.amount.to_string(),
            remaining: grant.remaining.to_string(),
            reserved: grant.reserved.to_string(),
            priority: grant.priority,
            expires_at: grant.expires_at,
            source: match grant.source {
                GrantSource::Period => "period",
                GrantSource::Lifetime => "lifetime",
                GrantSource::Given => "given",
            },
        };
        Self {
            wallet: allowance.wallet.to_string(),
            asset: allowance.asset.to_string(),
            level: allowance.level.as_ref().map(ToString::to_string),
            user: allowance.user.as_ref().map(ToString::to_string),
            period: allowance.period.map(|period| PeriodBody { start: period.start, end: period.end }),
            debt: allowance.debt.to_string(),
            grants: allowance.in_order().map(grant).collect(),
        }
    }
}

impl TryFrom<Resource> for AllowanceBody {
    type Error = Problem;

    fn try_from(resource: Resource) -> Result<Self, Problem> {
        match resource {
            Resource::Allowance(_, allowance) => Ok(Self::new(&allowance)),
            _ => Err(Problem::internal("a command for an allowance came to something else")),
        }
    }
}
