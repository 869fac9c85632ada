//! One try of a provider, and what a call came to.

use serde::{Deserialize, Serialize};

use crate::{Amount, ModelName, ProviderName, TransactionId, Usage, UsageSource};

/// One try of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which try it was, from 1.
    pub number: u32,
    /// Who was tried.
    pub provider: ProviderName,
    /// Which model, as the provider calls it.
    pub model: ModelName,
    /// What became of it.
    pub outcome: AttemptOutcome,
    /// The HTTP status, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Milliseconds until the first token, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
    /// Milliseconds in all.
    pub total_ms: u64,
    /// What it used, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// How that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_source: Option<UsageSource>,
    /// The version of the price at which it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_version: Option<u32>,
    /// What that use costs at that price, in the asset of the execution, whether anybody is billed for it or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Amount>,
}

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// A whole answer.
    Answered,
    /// The provider could not be reached.
    Unreachable,
    /// It took longer than it may.
    TimedOut,
    /// It asked to be asked less often.
    RateLimited,
    /// It said that it could not.
    ProviderError,
    /// It said that the request is wrong.
    InvalidRequest,
    /// It refused to answer this content.
    ContentFilter,
    /// Its answer ended before its end.
    Cut,
    /// Its answer could not be read.
    Malformed,
    /// It was ended from our side.
    Stopped,
}

/// Why an execution was not answered whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// No provider could be reached.
    ProviderUnreachable,
    /// No provider was in time.
    ProviderTimeout,
    /// All providers asked to be asked less often.
    ProviderRateLimited,
    /// The provider said that it could not.
    ProviderError,
    /// The provider said that the request is wrong.
    InvalidRequest,
    /// The provider refused to answer this content.
    ContentFilter,
    /// The answer ended before its end.
    StreamCut,
    /// The answer could not be read.
    MalformedAnswer,
    /// What was available was used up in the middle.
    BudgetExhausted,
    /// The ledger took no more of it in the middle: the wallet was frozen or closed, or its tenant suspended or closed.
    HoldRefused,
    /// The ledger was out of reach in the middle.
    LedgerUnavailable,
    /// The caller went away, and the call was ended for it.
    ClientGone,
    /// The program was ended in the middle.
    Interrupted,
}

impl FailureReason {
    /// The reason as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProviderUnreachable => "provider_unreachable",
            Self::ProviderTimeout => "provider_timeout",
            Self::ProviderRateLimited => "provider_rate_limited",
            Self::ProviderError => "provider_error",
            Self::InvalidRequest => "invalid_request",
            Self::ContentFilter => "content_filter",
            Self::StreamCut => "stream_cut",
            Self::MalformedAnswer => "malformed_answer",
            Self::BudgetExhausted => "budget_exhausted",
            Self::HoldRefused => "hold_refused",
            Self::LedgerUnavailable => "ledger_unavailable",
            Self::ClientGone => "client_gone",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What a call came to. `cost` is the sum of the three amounts after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Who was paid for; none where no provider answered anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderName>,
    /// Which model, as the provider calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
    /// What was used.
    pub usage: Usage,
    /// How that is known.
    pub usage_source: UsageSource,
    /// The version of the price at which it was paid; none where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_version: Option<u32>,
    /// What it cost.
    pub cost: Amount,
    /// What of it the holds covered.
    pub from_holds: Amount,
    /// What of it was beyond the holds, and taken from what the wallet had besides.
    pub overdrawn: Amount,
    /// What of it nothing covered: the wallet owes it.
    pub debt: Amount,
    /// The transaction that took what was beyond the holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdraw_transaction: Option<TransactionId>,
    /// The transaction that took what is owed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debt_transaction: Option<TransactionId>,
}
