//! From provider to provider until one begins to answer.
//!
//! All providers of the model are tried once, in their order, without a pause; then, after a pause, those that may have
//! recovered. Nothing is tried again once a part of an answer has come: then it is the client's. Under a hard limit no
//! provider without a price is tried, and none whose price the hold cannot be made to cover.

mod attempt;
mod bill;
mod choice;
mod closed;
mod cover;
mod stop;
mod verdict;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use commands::Tried;
use domain::execution::{Attempt, AttemptOutcome, MAX_ATTEMPTS, Operation};
use domain::{ModelName, Usage, UsageSource};
use tokio::time::Instant;

use self::attempt::named;
pub(crate) use self::attempt::{Opened, Streaming};
pub(crate) use self::bill::Bill;
pub(crate) use self::choice::{Choice, Circuit};
use self::closed::{Closed, left_alone};
use self::cover::Uncovered;
use crate::dialect::{self, Asked};
use crate::gateway::Shared;
use crate::hold::Hold;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::upstream::{Late, Trouble};

/// The way of one call.
pub(crate) struct Trip {
    pub(crate) shared: Arc<Shared>,
    pub(crate) asked: Asked,
    pub(crate) query: Query,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) choices: Vec<Choice>,
    pub(crate) hold: Option<Hold>,
    /// When the whole call ends.
    pub(crate) deadline: Instant,
    pub(crate) attempts: Vec<Tried>,
    pub(crate) flying: Option<Flying>,
    /// Which of the choices was tried last.
    pub(crate) last: Option<usize>,
    pub(crate) bill: Bill,
}

/// An attempt that goes on.
#[derive(Debug)]
pub(crate) struct Flying {
    /// Which of the choices.
    pub(crate) choice: usize,
    since: Instant,
    first_token: Option<Instant>,
    /// Whether the request was begun to be sent: a connection stood.
    sent: Arc<AtomicBool>,
}

/// Why no provider answered.
#[derive(Debug)]
pub(crate) enum Stranded {
    /// The last of them said this.
    Trouble(Trouble),
    /// None could be asked.
    Refused(Refusal),
}

/// What came of trying all of them once.
#[derive(Default)]
struct Round {
    opened: Option<Opened>,
    trouble: Option<Trouble>,
    /// The soonest that somebody wants to be asked again.
    asked: Option<Duration>,
    /// Whether somebody failed who may recover and did not ask for a pause.
    free: bool,
    /// The soonest that a circuit may close.
    shut: Option<Closed>,
    refused: Option<Refusal>,
}

impl Trip {
    /// Tries until a provider begins to answer.
    pub(crate) async fn open(&mut self) -> Result<Opened, Stranded> {
        let mut out = BTreeSet::new();
        let mut last = None;
        for number in 0_u32.. {
            let round = self.round(&mut out).await;
            if let Some(opened) = round.opened {
                return Ok(opened);
            }
            let tried = round.trouble.is_some();
            last = round.trouble.or(last);
            if last.as_ref().is_some_and(|trouble| !trouble.is_passing()) {
                break;
            }
            let options = &self.shared.options.retry;
            let wait = if tried {
                // Who asked for a pause gets it by its circuit; the others are not kept from being asked again.
                let others = round.asked.into_iter().chain(round.shut.map(|shut| shut.wait)).min();
                options.pause(number, others.filter(|_| !round.free), &self.shared.chance)
            } else {
                match (round.shut, round.refused) {
                    (Some(shut), _) if last.is_some() => shut.wait,
                    (Some(shut), _) => return Err(Stranded::Refused(shut.refusal())),
                    (None, Some(refused)) if last.is_none() => return Err(Stranded::Refused(refused)),
                    _ => break,
                }
            };
            let spent = self.attempts.len() >= self.most();
            let nobody = out.len() == self.choices.len();
            // A provider may ask for any time at all, so nothing is added to the present one.
            if spent || nobody || wait >= self.deadline.duration_since(Instant::now()) {
                // Who is left would answer, only not yet: the client may come again.
                let limit = round
                    .shut
                    .filter(|shut| !round.free && round.asked.is_none() && !spent && shut.is_limit());
                if let Some(limit) = limit {
                    return Err(Stranded::Refused(limit.refusal()));
                }
                break;
            }
            tokio::time::sleep(wait).await;
        }
        Err(last.map_or_else(|| Stranded::Refused(left_alone(Duration::from_secs(1))), Stranded::Trouble))
    }

    /// How many attempts there may be: no more than an execution can record.
    fn most(&self) -> usize {
        usize::try_from(self.shared.options.retry.attempts).unwrap_or(usize::MAX).min(MAX_ATTEMPTS)
    }

    /// Tries each provider that is not out, once.
    async fn round(&mut self, out: &mut BTreeSet<usize>) -> Round {
        let mut round = Round::default();
        for index in 0..self.choices.len() {
            let Some(choice) = self.choices.get(index).filter(|_| !out.contains(&index)) else {
                continue;
            };
            if self.attempts.len() >= self.most() {
                break;
            }
            let (circuit, price) = (choice.circuit(), choice.stop.price.clone());
            if let Some(shut) = Closed::of(self.shared.breakers.enter(&circuit)) {
                round.shut = Some(round.shut.map_or(shut, |other| other.min(shut)));
                continue;
            }
            if let Err(uncovered) = self.cover(price.as_ref()).await {
                self.shared.breakers.abandoned(&circuit);
                let Uncovered::Refused(refusal) = uncovered else {
                    round.trouble = Some(Trouble::TimedOut(Late::Total));
                    return round;
                };
                round.refused = Some(refusal);
                out.insert(index);
                continue;
            }
            match self.attempt(index).await {
                Ok(opened) => {
                    // Of one that only began it is known at its end whether it works.
                    if matches!(opened, Opened::Whole { .. }) {
                        self.shared.breakers.succeeded(&circuit);
                    }
                    round.opened = Some(opened);
                    return round;
                }
                Err(trouble) => {
                    let quoted = self.present().and_then(Choice::quoted);
                    let used = self.bill.failed(quoted);
                    self.landed(trouble.outcome(), trouble.status(), used);
                    if !self.weigh(&circuit, index, trouble, out, &mut round) {
                        return round;
                    }
                }
            }
        }
        round
    }

    /// What follows from a failed attempt. False when nobody else is to be asked.
    fn weigh(
        &self,
        circuit: &Circuit,
        index: usize,
        trouble: Trouble,
        out: &mut BTreeSet<usize>,
        round: &mut Round,
    ) -> bool {
        let breakers = &self.shared.breakers;
        tracing::debug!(provider = %circuit.1, reason = trouble.reason().as_str(), %trouble, "an attempt failed");
        if trouble.is_failure() {
            if breakers.failed(circuit) {
                // Not in its own words: they may tell a credential.
                tracing::warn!(provider = %circuit.1, reason = trouble.reason().as_str(), "a provider is left alone");
            }
        } else {
            breakers.succeeded(circuit);
        }
        if let Some(asked) = trouble.retry_after() {
            breakers.pause(circuit, asked, trouble.status() == Some(429));
            round.asked = Some(round.asked.map_or(asked, |other| other.min(asked)));
        }
        if trouble.may_heal() {
            round.free |= trouble.retry_after().is_none();
        } else {
            out.insert(index);
        }
        let passing = trouble.is_passing();
        round.trouble = Some(trouble);
        passing
    }

    /// Closes the present attempt with what became of it.
    pub(crate) fn landed(
        &mut self,
        outcome: AttemptOutcome,
        status: Option<u16>,
        used: Option<(Usage, UsageSource)>,
    ) {
        let Some(flying) = self.flying.take() else {
            return;
        };
        self.last = Some(flying.choice);
        let Some(choice) = self.choices.get(flying.choice) else {
            return;
        };
        let now = Instant::now();
        let millis = |to: Instant| u64::try_from((to - flying.since).as_millis()).unwrap_or(u64::MAX);
        let number = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let provider = choice.stop.supplier.provider.name.clone();
        metrics::counter!(
            "counterfoil_gateway_attempts_total",
            "provider" => provider.to_string(), "outcome" => named(outcome)
        )
        .increment(1);
        let price = choice.stop.price.clone();
        let attempt = Attempt {
            number,
            provider,
            model: choice.stop.model.clone(),
            outcome,
            status,
            first_token_ms: flying.first_token.map(millis),
            total_ms: millis(now),
            usage: used.map(|(usage, _)| usage),
            usage_source: used.map(|(_, source)| source),
            price_version: price.as_ref().map(|price| price.version),
            // Counted where it is recorded.
            cost: None,
        };
        self.attempts.push(Tried { attempt, price });
    }

    /// The provider that is asked or answers.
    pub(crate) fn present(&self) -> Option<&Choice> {
        self.flying.as_ref().and_then(|flying| self.choices.get(flying.choice))
    }

    /// The operation that the provider was asked for which was tried last.
    pub(crate) fn spoken(&self) -> Option<Operation> {
        self.last.and_then(|last| self.choices.get(last)).map(|choice| choice.spoken)
    }

    /// Where a provider is asked. The query goes with the client's own words, and not with their translation.
    fn address(&self, choice: &Choice) -> String {
        let (provider, model) = (&choice.stop.supplier.provider, &choice.stop.model);
        let base = provider.base_url.as_str();
        let address = dialect::address(choice.spoken, base, model.as_str(), self.asked.stream);
        match choice.translated {
            Some(_) => address,
            None => self.query.behind(address, provider.dialect),
        }
    }

    /// The body for a provider.
    fn body(&self, choice: &Choice) -> Bytes {
        let model: &ModelName = &choice.stop.model;
        match &choice.translated {
            Some(body) => body.clone(),
            None => dialect::forwarded(choice.spoken, &self.asked, model.as_str()),
        }
    }
}
