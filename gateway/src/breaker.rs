//! Circuit breakers: a provider that fails, under a credential, is left alone for a while.
//!
//! Some failures in a row open the circuit for a time that doubles with each opening. When it is over, one call may try;
//! what comes of it closes the circuit or opens it again. A provider that asks for a pause (`Retry-After`) gets it without
//! a failure being counted; whether it asked because it is at its limit (429) is kept, since that is the client's to know.
//! In memory alone: other instances find out for themselves.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When circuits open, and for how long.
#[derive(Debug, Clone)]
pub struct BreakerOptions {
    /// How many failures in a row open a circuit.
    pub failures: u32,
    /// For how long it opens first.
    pub first: Duration,
    /// For how long it opens at the most.
    pub longest: Duration,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self { failures: 5, first: Duration::from_secs(5), longest: Duration::from_secs(120) }
    }
}

/// Over how many circuits are kept; beyond it those that are closed are forgotten.
const KEPT: usize = 10_000;

/// The circuits of all providers and credentials.
#[derive(Debug)]
pub(crate) struct Breakers<K> {
    options: BreakerOptions,
    circuits: Mutex<HashMap<K, Circuit>>,
}

#[derive(Debug, Clone, Default)]
struct Circuit {
    failures: u32,
    /// How often it opened since the last success.
    openings: u32,
    /// Until when it is open or was.
    until: Option<Instant>,
    /// Whether it is open until then because the provider said that it is at its limit.
    limited: bool,
    /// Since when one call tries what comes of it.
    trying: Option<Instant>,
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It may.
    Open,
    /// Not for so long.
    Shut(Duration),
    /// Not for so long, because the provider is at its limit.
    Limited(Duration),
}

impl<K: Eq + Hash + Clone> Breakers<K> {
    pub(crate) fn new(options: BreakerOptions) -> Self {
        Self { options, circuits: Mutex::default() }
    }

    /// Whether a call may be made now. Who is let through says what came of it, by one of the other functions; who never
    /// does is forgotten after [`BreakerOptions::longest`].
    pub(crate) fn enter(&self, key: &K) -> Passage {
        let now = Instant::now();
        let mut circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(circuit) = circuits.get_mut(key) else {
            return Passage::Open;
        };
        let Some(until) = circuit.until else {
            return Passage::Open;
        };
        if until > now {
            let wait = until - now;
            return if circuit.limited { Passage::Limited(wait) } else { Passage::Shut(wait) };
        }
        if circuit.openings == 0 {
            // It was a pause that the provider had asked for.
            circuit.until = None;
            return Passage::Open;
        }
        match circuit.trying {
            Some(since) if now - since < self.options.longest => Passage::Shut(self.options.first),
            _ => {
                circuit.trying = Some(now);
                Passage::Open
            }
        }
    }

    /// An answer came, whatever it says. A pause that the provider asked for is not over by that: the answer may be to what
    /// was asked before.
    pub(crate) fn succeeded(&self, key: &K) {
        let now = Instant::now();
        let mut circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        match circuits.get_mut(key) {
            Some(circuit) if circuit.openings == 0 && circuit.until.is_some_and(|until| until > now) => {
                circuit.failures = 0;
            }
            _ => {
                circuits.remove(key);
            }
        }
    }

    /// Whether it works is not known: a call that was let through was given up.
    pub(crate) fn abandoned(&self, key: &K) {
        if let Some(circuit) = self.circuits.lock().unwrap_or_else(PoisonError::into_inner).get_mut(key) {
            circuit.trying = None;
        }
    }

    /// No answer, or one that says that it cannot answer. True when that opened the circuit.
    pub(crate) fn failed(&self, key: &K) -> bool {
        let now = Instant::now();
        let mut circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut circuits, now);
        let circuit = circuits.entry(key.clone()).or_default();
        circuit.failures = circuit.failures.saturating_add(1);
        let tried = circuit.trying.take().is_some();
        if !tried && circuit.failures < self.options.failures {
            return false;
        }
        let factor = 2_u32.saturating_pow(circuit.openings);
        circuit.openings = circuit.openings.saturating_add(1);
        circuit.failures = 0;
        circuit.limited = false;
        circuit.until = Some(now + self.options.first.saturating_mul(factor).min(self.options.longest));
        true
    }

    /// It asks for a pause, which is no failure; `limited` where it does so because it is at its limit.
    pub(crate) fn pause(&self, key: &K, wait: Duration, limited: bool) {
        let now = Instant::now();
        let mut circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut circuits, now);
        let circuit = circuits.entry(key.clone()).or_default();
        circuit.trying = None;
        let until = now + wait.min(self.options.longest);
        if circuit.until.is_none_or(|before| before <= until) {
            (circuit.until, circuit.limited) = (Some(until), limited);
        }
    }
}

fn make_room<K: Eq + Hash>(circuits: &mut HashMap<K, Circuit>, now: Instant) {
    if circuits.len() >= KEPT {
        circuits.retain(|_, circuit| circuit.until.is_some_and(|until| until > now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breakers() -> Breakers<&'static str> {
        let options =
            BreakerOptions { failures: 3, first: Duration::from_secs(5), longest: Duration::from_secs(12) };
        Breakers::new(options)
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let breakers = breakers();
        assert!(!breakers.failed(&"a") && !breakers.failed(&"a"));
        breakers.succeeded(&"a");
        assert!(!breakers.failed(&"a") && !breakers.failed(&"a"));
        assert_eq!(breakers.enter(&"a"), Passage::Open);
        assert!(breakers.failed(&"a"));
        assert_eq!(breakers.enter(&"a"), Passage::Shut(Duration::from_secs(5)));
        assert_eq!(breakers.enter(&"b"), Passage::Open, "another credential has its own");
    }

    #[tokio::test(start_paused = true)]
    async fn after_its_time_one_call_tries_and_decides() {
        let breakers = breakers();
        assert_eq!((0..3).filter(|_| breakers.failed(&"a")).count(), 1);
        pass(5).await;
        assert_eq!(breakers.enter(&"a"), Passage::Open);
        assert!(matches!(breakers.enter(&"a"), Passage::Shut(_)), "one at a time");
        assert!(breakers.failed(&"a"), "one failure opens it again");
        assert_eq!(breakers.enter(&"a"), Passage::Shut(Duration::from_secs(10)), "for twice as long");
        pass(10).await;
        assert_eq!(breakers.enter(&"a"), Passage::Open);
        breakers.failed(&"a");
        assert_eq!(breakers.enter(&"a"), Passage::Shut(Duration::from_secs(12)), "up to the longest");
        pass(12).await;
        assert_eq!(breakers.enter(&"a"), Passage::Open);
        breakers.succeeded(&"a");
        assert_eq!(breakers.enter(&"a"), Passage::Open);
        assert_eq!(breakers.enter(&"a"), Passage::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_never_says_what_came_of_it_does_not_keep_it_shut_for_ever() {
        let breakers = breakers();
        assert_eq!((0..3).filter(|_| breakers.failed(&"a")).count(), 1);
        pass(5).await;
        assert_eq!(breakers.enter(&"a"), Passage::Open);
        breakers.abandoned(&"a");
        assert_eq!(breakers.enter(&"a"), Passage::Open);
        pass(12).await;
        assert_eq!(breakers.enter(&"a"), Passage::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_was_asked_for_ends_by_itself_and_counts_no_failure() {
        let breakers = breakers();
        breakers.pause(&"a", Duration::from_secs(3), false);
        assert_eq!(breakers.enter(&"a"), Passage::Shut(Duration::from_secs(3)));
        breakers.succeeded(&"a");
        assert!(
            matches!(breakers.enter(&"a"), Passage::Shut(_)),
            "an answer to an earlier call does not end it"
        );
        pass(3).await;
        assert_eq!(breakers.enter(&"a"), Passage::Open);
        assert_eq!(breakers.enter(&"a"), Passage::Open, "nobody has to try it first");
        breakers.pause(&"a", Duration::from_secs(1_000), false);
        assert_eq!(
            breakers.enter(&"a"),
            Passage::Shut(Duration::from_secs(12)),
            "no provider shuts itself for ever"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn why_it_is_shut_is_told_by_what_shuts_it_longest() {
        let breakers = breakers();
        breakers.pause(&"a", Duration::from_secs(8), true);
        assert_eq!(breakers.enter(&"a"), Passage::Limited(Duration::from_secs(8)));
        breakers.pause(&"a", Duration::from_secs(2), false);
        pass(1).await;
        assert_eq!(breakers.enter(&"a"), Passage::Limited(Duration::from_secs(7)), "what is left of it");
        breakers.pause(&"a", Duration::from_secs(9), false);
        assert_eq!(breakers.enter(&"a"), Passage::Shut(Duration::from_secs(9)));
        breakers.pause(&"b", Duration::from_secs(3), true);
        assert_eq!((0..3).filter(|_| breakers.failed(&"b")).count(), 1);
        assert_eq!(breakers.enter(&"b"), Passage::Shut(Duration::from_secs(5)), "it fails besides");
    }
}
