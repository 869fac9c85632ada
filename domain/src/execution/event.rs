use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use super::{Attempt, FailureReason, Settled};
use crate::catalogue::{Dialect, Enforcement};
use crate::{
    Amount, ApplicationId, AssetCode, Digest, Event, ModelName, Price, ProviderName, TransactionId, Usage,
    UserRef, WalletPath,
};

/// What a caller asks a model for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `OpenAI`'s chat completions.
    #[default]
    #[serde(rename = "openai_chat")]
    OpenAiChat,
    /// `OpenAI`'s responses.
    #[serde(rename = "openai_responses")]
    OpenAiResponses,
    /// `OpenAI`'s embeddings.
    #[serde(rename = "openai_embeddings")]
    OpenAiEmbeddings,
    /// Anthropic's messages.
    AnthropicMessages,
    /// Anthropic's counting of tokens.
    AnthropicCountTokens,
    /// Gemini's `generateContent` and `streamGenerateContent`.
    GeminiGenerate,
    /// Gemini's `embedContent`.
    GeminiEmbed,
    /// Gemini's `countTokens`.
    GeminiCountTokens,
    /// Usage that was recorded elsewhere and imported.
    Imported,
}

impl Operation {
    /// The operation as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai_chat",
            Self::OpenAiResponses => "openai_responses",
            Self::OpenAiEmbeddings => "openai_embeddings",
            Self::AnthropicMessages => "anthropic_messages",
            Self::AnthropicCountTokens => "anthropic_count_tokens",
            Self::GeminiGenerate => "gemini_generate",
            Self::GeminiEmbed => "gemini_embed",
            Self::GeminiCountTokens => "gemini_count_tokens",
            Self::Imported => "imported",
        }
    }

    /// The dialect that the caller speaks.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::OpenAiChat | Self::OpenAiResponses | Self::OpenAiEmbeddings | Self::Imported => {
                Dialect::Openai
            }
            Self::AnthropicMessages | Self::AnthropicCountTokens => Dialect::Anthropic,
            Self::GeminiGenerate | Self::GeminiEmbed | Self::GeminiCountTokens => Dialect::Gemini,
        }
    }
}

/// What a call was estimated by: a model at a provider, at its price of that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quoted {
    /// At whom.
    pub provider: ProviderName,
    /// Which model, as the provider calls it.
    pub model: ModelName,
    /// How much.
    pub price: Price,
}

/// What an estimate was made by. Its input is always that of the request; this is where its output comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// There is an input alone.
    Input,
    /// The bound that the client named.
    ClientBound,
    /// The most that the model gives.
    ModelBound,
    /// What is configured for answers of which nobody says how long they can be.
    Configured,
    /// The first part of a stream, for which more is held as it goes on.
    Tranche,
}

impl Basis {
    /// The basis as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::ClientBound => "client_bound",
            Self::ModelBound => "model_bound",
            Self::Configured => "configured",
            Self::Tranche => "tranche",
        }
    }
}

/// What an execution is made with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExecutionBody {
    /// Who pays.
    pub wallet: WalletPath,
    /// The asset of the wallet, in which everything of the execution is counted.
    pub asset: AssetCode,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// Which program asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationId>,
    /// For which user of the tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserRef>,
    /// Which model, as the caller calls it.
    pub model: ModelName,
    /// What for.
    pub operation: Operation,
    /// The digest of the request. What was asked is not kept.
    pub fingerprint: Digest,
    /// What it was thought to use at the most before it is extended.
    pub estimate: Usage,
    /// What the estimate was made by, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// By what it was estimated; without a price it costs nothing, which `hard` does not allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quoted: Option<Quoted>,
    /// What happens when too little is available.
    pub enforcement: Enforcement,
    /// When it ends by itself, and what it holds is given back.
    pub expires_at: DateTime<Utc>,
}

/// What happened to an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionEvent {
    /// It was asked for, and what it was estimated to cost was held.
    Requested {
        /// What it was made with.
        #[serde(flatten)]
        body: Box<ExecutionBody>,
        /// The transaction that holds; none where nothing is held.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hold: Option<TransactionId>,
        /// How much it holds.
        held: Amount,
    },
    /// More is held, because more is used than was estimated.
    Extended {
        /// What is thought to be used beyond the estimate and earlier extensions.
        estimate: Usage,
        /// The transaction that holds it; none where nothing more is held.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hold: Option<TransactionId>,
        /// How much it holds.
        held: Amount,
    },
    /// A provider was tried.
    Attempted(Attempt),
    /// It was answered whole.
    Completed {},
    /// It was not.
    Failed {
        /// Why.
        reason: FailureReason,
    },
    /// It was ended by somebody who had a right to.
    Cancelled {},
    /// Its time was over before anything was known of its end. What it held was given back.
    Expired {},
    /// What it cost was paid. Comes in one commit with its end.
    Settled(Box<Settled>),
}

impl Event for ExecutionEvent {
    fn kind(&self) -> &'static str {
        match self {
            Self::Requested { .. } => "requested",
            Self::Extended { .. } => "extended",
            Self::Attempted(_) => "attempted",
            Self::Completed {} => "completed",
            Self::Failed { .. } => "failed",
            Self::Cancelled {} => "cancelled",
            Self::Expired {} => "expired",
            Self::Settled(_) => "settled",
        }
    }
}

impl DomainEvent for ExecutionEvent {
    fn event_type(&self) -> String {
        self.kind().to_owned()
    }

    fn event_version(&self) -> String {
        Self::VERSION.to_string()
    }
}
