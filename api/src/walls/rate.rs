//! How often: one count for each key, user or address.
//!
//! A gate remembers only those who asked so lately that it matters. Where more of them come than it will remember,
//! newcomers share a fixed number of counts, so a flood of addresses costs it patience and not memory.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use super::Pace;

/// How many a gate remembers at the most, give or take those of one second.
pub(super) const MOST: usize = 100_000;
/// How many counts are shared by those whom it does not remember.
const SHARED: u64 = 4_096;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// The time since the gate was built.
#[derive(Debug, Clone, Copy)]
struct Ticks(Instant);

impl Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Whose count it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Slot<K> {
    One(K),
    Shared(u64),
}

type Limiter<K> = RateLimiter<Slot<K>, DashMapStateStore<Slot<K>>, Ticks, StateInformationMiddleware>;

/// Lets each of many through at the same pace.
pub struct Gate<K: Hash + Eq + Clone> {
    limiter: Limiter<K>,
    pace: Pace,
    crowded: AtomicBool,
    seed: RandomState,
}

impl<K: Hash + Eq + Clone> std::fmt::Debug for Gate<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("pace", &self.pace).finish_non_exhaustive()
    }
}

/// How somebody stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How many they may ask at once.
    pub limit: u32,
    /// How many of them are left.
    pub remaining: u32,
    /// How long until all of them are there again.
    pub reset: Duration,
    /// How long the request should have waited, where it came too early.
    pub wait: Option<Duration>,
}

impl<K: Hash + Eq + Clone> Gate<K> {
    /// A gate that nobody has passed.
    pub fn new(pace: Pace) -> Self {
        // A period of zero would be no limit at all; the shortest one is as good as none.
        let every = pace.every.max(Duration::from_nanos(1));
        let quota =
            Quota::with_period(every).unwrap_or(Quota::per_second(pace.burst)).allow_burst(pace.burst);
        let limiter = Limiter::new(quota, DashMapStateStore::default(), Ticks(Instant::now()));
        Self {
            limiter,
            pace: Pace { every, ..pace },
            crowded: AtomicBool::new(false),
            seed: RandomState::new(),
        }
    }

    /// Counts a request of `who`.
    pub fn pass(&self, who: &K) -> Standing {
        let slot = if self.crowded.load(Ordering::Relaxed) {
            Slot::Shared(self.seed.hash_one(who) % SHARED)
        } else {
            Slot::One(who.clone())
        };
        let limit = self.pace.burst.get();
        let (remaining, wait) = match self.limiter.check_key(&slot) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(early) => (0, Some(early.wait_time_from(self.limiter.clock().now()))),
        };
        let missing = limit.saturating_sub(remaining);
        Standing { limit, remaining, reset: self.pace.every.saturating_mul(missing), wait }
    }

    /// How many callers are remembered at present.
    pub fn remembered(&self) -> usize {
        self.limiter.len()
    }

    /// Forgets those whose counts are as if they had never asked.
    pub fn upkeep(&self) {
        self.limiter.retain_recent();
        let crowded = self.remembered() > MOST;
        if crowded != self.crowded.swap(crowded, Ordering::Relaxed) {
            tracing::warn!(
                crowded,
                "the rate limits have more callers to remember than they will, or no longer"
            );
        }
    }
}

impl Standing {
    /// The one of the two with less room.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        let room = |standing: &Self| (standing.wait.is_none(), standing.remaining);
        if room(&other) <= room(&self) { other } else { self }
    }

    /// Says it in the headers of an answer.
    pub fn tell(&self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from(whole_seconds(self.reset)));
    }
}

/// A duration in seconds, rounded up; whoever waits as long has waited long enough.
pub fn whole_seconds(duration: Duration) -> u32 {
    let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn gate(burst: u32, every: Duration) -> Gate<u32> {
        Gate::new(Pace { burst: NonZeroU32::new(burst).unwrap(), every })
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_let_through_and_then_one_each_period() {
        let gate = gate(3, Duration::from_secs(10));
        let remaining: Vec<_> = (0..3).map(|_| gate.pass(&1).remaining).collect();
        assert_eq!(remaining, [2, 1, 0]);
        let early = gate.pass(&1);
        assert_eq!((early.wait, early.remaining), (Some(Duration::from_secs(10)), 0));
        assert_eq!(gate.pass(&2).wait, None, "others have their own count");
        tokio::time::advance(Duration::from_secs(10)).await;
        let (next, early) = (gate.pass(&1), gate.pass(&1));
        assert_eq!((next.wait, early.wait.is_some()), (None, true));
        assert_eq!(whole_seconds(early.reset), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_not_asked_for_long_is_forgotten() {
        let gate = gate(2, Duration::from_secs(1));
        for who in 0..1_000 {
            gate.pass(&who);
        }
        gate.upkeep();
        assert_eq!(gate.limiter.len(), 1_000);
        tokio::time::advance(Duration::from_secs(5)).await;
        gate.upkeep();
        assert_eq!(gate.limiter.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_callers_does_not_grow_the_gate() {
        let gate = gate(2, Duration::from_secs(3_600));
        let most = u32::try_from(MOST).unwrap();
        for who in 0..=most {
            let _ = gate.pass(&who);
        }
        gate.upkeep();
        for who in 0..most {
            let _ = gate.pass(&(most + 1 + who));
        }
        assert!(gate.limiter.len() <= MOST + 1 + usize::try_from(SHARED).unwrap());
        assert!(
            (0..100).any(|who| gate.pass(&(3 * most + who)).wait.is_some()),
            "the shared counts are used up"
        );
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(whole_seconds(Duration::ZERO), 0);
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
        assert_eq!(whole_seconds(Duration::MAX), u32::MAX);
    }
}
