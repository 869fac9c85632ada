//! What is configured about calls of models.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use serde::Deserialize;

/// Calls of models.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the embedded defaults document every key")]
pub struct Gateway {
    pub body_limit_bytes: NonZeroUsize,
    pub calls: NonZeroUsize,
    pub calls_per_tenant: NonZeroUsize,
    pub total_ms: NonZeroU64,
    pub grace_ms: NonZeroU64,
    pub tranche_tokens: NonZeroU64,
    pub whole_tokens: NonZeroU64,
    pub reference_tokens: u64,
    pub attempts: NonZeroU32,
    pub breaker_failures: NonZeroU32,
    pub breaker_ms: NonZeroU64,
    pub client_gone: ClientGone,
    pub drain_ms: u64,
    pub kept_hours: NonZeroU32,
    pub kept_bytes: usize,
    pub public_providers_only: bool,
}

/// What becomes of a call whose client has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientGone {
    /// Its answer is read to the end, and billed as reported.
    Drain,
    /// It is ended, and billed by an estimate.
    Cancel,
}
