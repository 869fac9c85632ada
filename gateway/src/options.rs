//! What bounds the gateway.

use std::time::Duration;

use crate::breaker::BreakerOptions;
use crate::retry::RetryOptions;
use crate::upstream::UpstreamOptions;

/// What becomes of a call whose client has gone. Calls with an idempotency key are always brought to their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Departure {
    /// The answer is read to its end, so that it is billed by what the provider reports.
    #[default]
    Drain,
    /// The provider is left at once. What was used is estimated, unless it was reported already.
    Cancel,
}

/// What bounds the gateway.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many calls there can be at once. A stream counts until it is at its end.
    pub calls: usize,
    /// How many of them a tenant can have.
    pub calls_per_tenant: usize,
    /// How long a call may take in all, retries and slow readers included.
    pub total: Duration,
    /// How long after that its execution expires, if its end could not be recorded.
    pub grace: Duration,
    /// Tokens of output that are held for a stream at a time.
    pub tranche: u64,
    /// Tokens of output that are held for an answer that comes whole, where neither the client nor the model names a bound.
    pub whole: u64,
    /// Tokens of input that are held for what a request names and does not carry: a file, an earlier answer, a cache.
    pub reference: u64,
    /// How long the end of an answer is kept back at the most while its settlement is recorded.
    pub settle: Duration,
    /// How long running calls are waited for when the program ends, before they are ended.
    pub drain: Duration,
    /// What becomes of calls whose client has gone.
    pub departure: Departure,
    /// The longest answer that is remembered for an idempotency key, in bytes.
    pub most_kept: usize,
    /// How often and how patiently a call is tried.
    pub retry: RetryOptions,
    /// When a provider is left alone.
    pub breaker: BreakerOptions,
    /// What is allowed upstream.
    pub upstream: UpstreamOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            calls: 2_000,
            calls_per_tenant: 1_000,
            total: Duration::from_secs(600),
            grace: Duration::from_secs(300),
            tranche: 1_024,
            whole: 4_096,
            reference: 8_192,
            settle: Duration::from_secs(5),
            drain: Duration::from_secs(30),
            departure: Departure::Drain,
            most_kept: 4 << 20,
            retry: RetryOptions::default(),
            breaker: BreakerOptions::default(),
            upstream: UpstreamOptions::default(),
        }
    }
}
