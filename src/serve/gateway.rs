//! The gateway, as it is configured.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use gateway::{BreakerOptions, Departure, Gateway, Options, RetryOptions, UpstreamOptions};
use identity::KeptResponses;

use super::instances::Instances;
use super::people::Identities;
use super::wiring::Ledger;
use crate::config::{ClientGone, Config};

/// How often answers that were kept long enough are forgotten.
const SWEEP: Duration = Duration::from_secs(60);

/// Puts the gateway together.
pub(super) fn gateway(config: &Config, identities: &Identities, ledger: Makings) -> Gateway {
    let kept = identities.kept_responses(kept_for(config));
    let Makings { pipeline, catalogues, clock, ids, instances } = ledger;
    Gateway::new(options(config), pipeline, catalogues, kept, clock, ids, Arc::new(instances))
}

/// What it is put together from, besides what is kept.
pub(super) struct Makings {
    pub pipeline: commands::Pipeline,
    pub catalogues: Arc<api::Catalogues>,
    pub clock: Arc<dyn domain::Clock>,
    pub ids: Arc<dyn domain::Ids>,
    pub instances: Instances,
}

fn kept_for(config: &Config) -> TimeDelta {
    TimeDelta::hours(config.gateway.kept_hours.get().into())
}

fn options(config: &Config) -> Options {
    let given = &config.gateway;
    let usual = Options::default();
    let milliseconds = |number: std::num::NonZeroU64| Duration::from_millis(number.get());
    Options {
        calls: given.calls.get(),
        calls_per_tenant: given.calls_per_tenant.get(),
        total: milliseconds(given.total_ms),
        grace: milliseconds(given.grace_ms),
        tranche: given.tranche_tokens.get(),
        whole: given.whole_tokens.get(),
        reference: given.reference_tokens,
        drain: Duration::from_millis(given.drain_ms),
        departure: match given.client_gone {
            ClientGone::Drain => Departure::Drain,
            ClientGone::Cancel => Departure::Cancel,
        },
        most_kept: given.kept_bytes,
        retry: RetryOptions { attempts: given.attempts.get(), ..usual.retry },
        breaker: BreakerOptions {
            failures: given.breaker_failures.get(),
            first: milliseconds(given.breaker_ms),
            ..usual.breaker
        },
        upstream: UpstreamOptions { public_only: given.public_providers_only, ..usual.upstream },
        ..Options::default()
    }
}

impl Ledger {
    /// Has answers forgotten that were kept long enough. Not by the gateway: whoever has it has the pipeline, whose end
    /// is waited for before that of what follows.
    pub(super) fn forget_answers(&self, config: &Config) {
        let kept = self.identities.kept_responses(kept_for(config));
        self.follow(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                if let Err(error) = kept.sweep().await {
                    tracing::warn!(%error, "answers that were kept long enough could not be forgotten");
                }
            }
        });
    }
}

impl Identities {
    /// Where the answers to calls with a key are kept, each for `lifetime`.
    fn kept_responses(&self, lifetime: TimeDelta) -> KeptResponses {
        KeptResponses::new(self.pool.clone(), self.vault.clone(), Arc::clone(&self.people.clock), lifetime)
    }
}
