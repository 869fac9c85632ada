//! Metered calls.

use chrono::{DateTime, Utc};
use commands::Resource;
use domain::execution::{Attempt, Settled};
use domain::{Amount, Execution, ExecutionId};
use projections::ExecutionView;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::Problem;

/// Tokens, in kinds that do not overlap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Usage)]
pub struct UsageBody {
    /// Input that was neither read from a cache nor written to one.
    #[schema(example = 1200)]
    pub input: u64,
    /// Input read from a cache.
    pub cache_read: u64,
    /// Input written to a cache for the usual time.
    pub cache_write: u64,
    /// Input written to a cache for long.
    pub cache_write_long: u64,
    /// Output, without reasoning.
    #[schema(example = 350)]
    pub output: u64,
    /// Reasoning.
    pub reasoning: u64,
}

/// One try of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptBody {
    /// Which it was, from 1.
    pub number: u32,
    /// Who was asked.
    #[schema(example = "openai")]
    pub provider: String,
    /// For which model, as the provider calls it.
    #[schema(example = "gpt-5")]
    pub model: String,
    /// What became of it: `answered`, `unreachable`, `timed_out`, `rate_limited`, `provider_error`, `invalid_request`,
    /// `content_filter`, `cut`, `malformed` or `stopped`.
    #[schema(value_type = String, example = "answered")]
    pub outcome: domain::execution::AttemptOutcome,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// Milliseconds until the first token.
    pub first_token_ms: Option<u64>,
    /// Milliseconds in all.
    pub total_ms: u64,
    /// What it used, where that is known.
    pub usage: Option<UsageBody>,
    /// How that is known: `reported` by the provider, `estimated` from what passed, or `input_only`.
    #[schema(example = "reported")]
    pub usage_source: Option<&'static str>,
    /// The version of the price at which it was made.
    pub price_version: Option<u32>,
    /// What that use costs, whether it was billed or not: of several tries one is billed at the most.
    #[schema(example = "0.0125")]
    pub cost: Option<String>,
}

impl From<&Attempt> for AttemptBody {
    fn from(attempt: &Attempt) -> Self {
        Self {
            number: attempt.number,
            provider: attempt.provider.to_string(),
            model: attempt.model.to_string(),
            outcome: attempt.outcome,
            status: attempt.status,
            first_token_ms: attempt.first_token_ms,
            total_ms: attempt.total_ms,
            usage: attempt.usage.map(UsageBody::from),
            usage_source: attempt.usage_source.map(domain::UsageSource::as_str),
            price_version: attempt.price_version,
            cost: attempt.cost.map(|cost| cost.to_string()),
        }
    }
}

/// A call of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Execution)]
pub struct ExecutionBody {
    /// Its id.
    pub id: Uuid,
    /// `running`, `completed`, `failed`, `cancelled` or `expired`.
    #[schema(example = "completed")]
    pub status: &'static str,
    /// Why it failed, where it did: `provider_timeout`, `budget_exhausted` and so on.
    pub reason: Option<&'static str>,
    /// The wallet that pays.
    #[schema(example = "customers:42:credits")]
    pub wallet: String,
    /// Its asset, in which everything is counted.
    #[schema(example = "USD")]
    pub asset: String,
    /// The application that called.
    pub application: Option<Uuid>,
    /// For which user.
    pub user: Option<String>,
    /// The model that was asked for.
    #[schema(example = "gpt-5")]
    pub model: String,
    /// What was asked for: `openai_chat`, `anthropic_messages` and so on.
    #[schema(example = "openai_chat")]
    pub operation: &'static str,
    /// What happens where the wallet has not enough: `monitor`, `warn` or `hard`.
    #[schema(example = "hard")]
    pub enforcement: &'static str,
    /// Whether the model has no price at the provider that answered, so that the call cost nothing. While it is running: at
    /// the one that is asked first.
    pub unpriced: bool,
    /// What it was thought to use at the most, with all extensions.
    pub estimate: UsageBody,
    /// What its first part was made by, besides the input: `client_bound`, `model_bound`, `configured`, `tranche`, or nothing
    /// (`input`).
    #[schema(example = "tranche")]
    pub estimate_basis: Option<&'static str>,
    /// What was held for it in all.
    #[schema(example = "0.05")]
    pub held: String,
    /// The tries.
    pub attempts: Vec<AttemptBody>,
    /// Who was paid for, and for which of its models.
    pub provider: Option<String>,
    /// What the provider calls the model.
    pub provider_model: Option<String>,
    /// What was used. Nothing while it is running, and where it expired.
    pub usage: Option<UsageBody>,
    /// How that is known: `reported` by the provider, `estimated` from what passed, or `input_only`.
    #[schema(example = "reported")]
    pub usage_source: Option<&'static str>,
    /// The version of the price at which it was paid.
    pub price_version: Option<u32>,
    /// What it cost.
    #[schema(example = "0.0125")]
    pub cost: Option<String>,
    /// What of that the holds covered.
    pub from_holds: Option<String>,
    /// What was taken beyond them, because the wallet had it.
    pub overdrawn: Option<String>,
    /// What the wallet owes.
    pub debt: Option<String>,
    /// What tries cost beyond `cost`, as far as their providers said what they had used: nobody is billed for it.
    #[schema(example = "0.0000")]
    pub unbilled_cost: Option<String>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// When it ends by itself, and what it holds is given back.
    pub expires_at: DateTime<Utc>,
}

impl ExecutionBody {
    /// An execution, and when it ended.
    pub fn new(id: ExecutionId, execution: &Execution, ended_at: Option<DateTime<Utc>>) -> Self {
        let body = &execution.body;
        let settled = execution.settled.as_deref();
        let amount = |part: fn(&Settled) -> Amount| settled.map(|settled| part(settled).to_string());
        let held = execution.holds.iter().map(|tranche| tranche.held);
        let held = held.reduce(|sum, more| sum.checked_add(more).unwrap_or(sum));
        let held = held.or_else(|| settled.map(|settled| Amount::zero(settled.cost.scale())));
        Self {
            id: id.0,
            status: execution.status.as_str(),
            reason: execution.reason.map(domain::execution::FailureReason::as_str),
            wallet: body.wallet.to_string(),
            asset: body.asset.to_string(),
            application: body.application.map(|id| id.0),
            user: body.user.as_ref().map(ToString::to_string),
            model: body.model.to_string(),
            operation: body.operation.as_str(),
            enforcement: body.enforcement.as_str(),
            unpriced: unpriced(execution),
            estimate: UsageBody::from(execution.estimate),
            estimate_basis: body.basis.map(domain::execution::Basis::as_str),
            held: held.map_or_else(|| "0".to_owned(), |held| held.to_string()),
            attempts: execution.attempts.iter().map(AttemptBody::from).collect(),
            provider: settled.and_then(|settled| settled.provider.as_ref()).map(ToString::to_string),
            provider_model: settled.and_then(|settled| settled.model.as_ref()).map(ToString::to_string),
            usage: settled.map(|settled| UsageBody::from(settled.usage)),
            usage_source: settled.map(|settled| settled.usage_source.as_str()),
            price_version: settled.and_then(|settled| settled.price_version),
            cost: amount(|settled| settled.cost),
            unbilled_cost: settled.map(|settled| unbilled(&execution.attempts, settled).to_string()),
            from_holds: amount(|settled| settled.from_holds),
            overdrawn: amount(|settled| settled.overdrawn),
            debt: amount(|settled| settled.debt),
            requested_at: body.requested_at,
            ended_at,
            expires_at: body.expires_at,
        }
    }
}

/// Whether a call has no price: as it was paid, else where it was tried last, else as it was quoted.
fn unpriced(execution: &Execution) -> bool {
    let quoted = execution.body.quoted.is_some();
    let Some(settled) = execution.settled.as_deref() else {
        return !quoted;
    };
    // What is paid for by nobody is without a price too.
    let tried = || execution.attempts.last().map_or(quoted, |last| last.price_version.is_some());
    settled.price_version.is_none() && !tried()
}

/// What tries cost beyond what is paid for.
fn unbilled(attempts: &[Attempt], settled: &Settled) -> Amount {
    let nothing = Amount::zero(settled.cost.scale());
    let costs = attempts.iter().filter_map(|attempt| attempt.cost);
    let tried = costs.fold(nothing, |sum, cost| sum.checked_add(cost).unwrap_or(sum));
    // What was imported is paid for and has no tries.
    tried.checked_sub(settled.cost).ok().filter(|rest| rest.is_positive()).unwrap_or(nothing)
}

impl From<ExecutionView> for ExecutionBody {
    fn from(view: ExecutionView) -> Self {
        Self::new(view.id, &view.state, view.ended_at)
    }
}

impl TryFrom<Resource> for ExecutionBody {
    type Error = Problem;

    fn try_from(resource: Resource) -> Result<Self, Problem> {
        match resource {
            Resource::Execution(id, execution) => Ok(Self::new(id, &execution, None)),
            _ => Err(Problem::internal("a command for an execution came to something else")),
        }
    }
}
