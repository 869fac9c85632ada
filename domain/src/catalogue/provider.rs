//! Where models are had.

use serde::{Deserialize, Serialize};

use crate::{ModelName, ProviderName, Sealed, WebAddress};

/// The wire format that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `OpenAI`'s, which many others speak too.
    #[default]
    Openai,
    /// Anthropic's.
    Anthropic,
    /// Google's Gemini.
    Gemini,
}

impl Dialect {
    /// The dialect as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }
}

/// Somebody who answers calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// As the tenant calls it.
    pub name: ProviderName,
    /// What it speaks.
    pub dialect: Dialect,
    /// The address in front of the dialect's own paths, such as `https://api.openai.com/v1`.
    pub base_url: WebAddress,
    /// What it asks for, sealed; never in plain in an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Sealed>,
    /// Which comes first where a route does not say; the lower first.
    pub priority: u16,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// Whether it is used.
    pub enabled: bool,
}

/// How long a provider may take, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// To be reached.
    pub connect_ms: u32,
    /// Until its first token.
    pub first_token_ms: u32,
    /// Between two tokens.
    pub between_tokens_ms: u32,
    /// In all.
    pub total_ms: u32,
}

impl Timeouts {
    /// Whether each is between 1 millisecond and an hour.
    pub(super) fn are_valid(self) -> bool {
        let Self { connect_ms, first_token_ms, between_tokens_ms, total_ms } = self;
        [connect_ms, first_token_ms, between_tokens_ms, total_ms]
            .iter()
            .all(|ms| (1..=3_600_000).contains(ms))
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect_ms: 5_000, first_token_ms: 60_000, between_tokens_ms: 30_000, total_ms: 600_000 }
    }
}

/// A model, as callers call it, and where it is had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// What callers call it.
    pub alias: ModelName,
    /// Where it is had.
    pub routes: Vec<Route>,
    /// The most tokens that it answers where a caller does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
}

/// One place where a model is had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// At whom.
    pub provider: ProviderName,
    /// What it is called there.
    pub model: ModelName,
    /// Which is tried first: the lower first.
    #[serde(default)]
    pub priority: u16,
    /// Which share of the calls it gets among those of its priority.
    #[serde(default = "one")]
    pub weight: u16,
}

const fn one() -> u16 {
    1
}
