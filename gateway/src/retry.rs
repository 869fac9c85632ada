//! How long to wait before another attempt.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::Ids;
use sha2::{Digest as _, Sha256};

/// How often and how patiently a call is tried.
#[derive(Debug, Clone)]
pub struct RetryOptions {
    /// The most attempts of one call, over all providers.
    pub attempts: u32,
    /// The bound of the first pause; it doubles with each further one. The pause itself lies anywhere below (full jitter).
    pub base: Duration,
    /// The highest bound of a pause.
    pub cap: Duration,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self { attempts: 4, base: Duration::from_millis(250), cap: Duration::from_secs(8) }
    }
}

impl RetryOptions {
    /// The pause after the `number`-th failed round, counted from 0: at random below the bound, but never shorter than
    /// the provider asked for.
    pub(crate) fn pause(&self, number: u32, asked: Option<Duration>, chance: &Chance) -> Duration {
        let bound = self.base.saturating_mul(2_u32.saturating_pow(number)).min(self.cap);
        let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        let jittered = Duration::from_micros(chance.below(micros.saturating_add(1)));
        asked.map_or(jittered, |asked| asked.saturating_add(jittered.min(self.base)))
    }
}

/// Chance, drawn from the source of ids so that tests can know it beforehand.
#[derive(Clone)]
pub(crate) struct Chance(Arc<dyn Ids>);

impl Chance {
    pub(crate) fn new(ids: Arc<dyn Ids>) -> Self {
        Self(ids)
    }

    /// A number below `bound`, each as likely as the others as far as a remainder allows; zero when there is none.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        let digest = Sha256::digest(self.0.next().as_bytes());
        let drawn = digest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        drawn.checked_rem(bound).unwrap_or_default()
    }
}

/// What a `Retry-After` header asks for: seconds, or a moment as HTTP writes it. Nothing when it is neither.
pub(crate) fn retry_after(header: &str, now: DateTime<Utc>) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number too long to read is a wait without end.
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::MAX)));
    }
    let moment: DateTime<Utc> = httpdate::parse_http_date(header).ok()?.into();
    Some((moment - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use uuid::Uuid;

    use super::*;

    struct Counting(AtomicU64);

    impl Ids for Counting {
        fn next(&self) -> Uuid {
            Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
        }
    }

    fn chance() -> Chance {
        Chance::new(Arc::new(Counting(AtomicU64::new(0))))
    }

    #[test]
    fn a_pause_lies_anywhere_below_a_bound_that_doubles_up_to_the_cap() {
        let (options, chance) = (RetryOptions::default(), chance());
        for (number, bound) in
            [(0, 250), (1, 500), (2, 1_000), (3, 2_000), (5, 8_000), (31, 8_000), (99, 8_000)]
        {
            let bound = Duration::from_millis(bound);
            let pauses: Vec<_> = (0..200).map(|_| options.pause(number, None, &chance)).collect();
            assert!(pauses.iter().all(|pause| *pause <= bound), "{number}");
            assert!(pauses.iter().any(|pause| *pause < bound / 4), "{number}: full jitter reaches down");
            assert!(pauses.iter().any(|pause| *pause > bound / 4 * 3), "{number}: and up");
        }
    }

    #[test]
    fn a_pause_is_never_shorter_than_what_was_asked_for() {
        let asked = Duration::from_secs(31);
        let pause = RetryOptions::default().pause(0, Some(asked), &chance());
        assert!((asked..=asked + Duration::from_millis(250)).contains(&pause));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "1994-11-06T08:49:30Z".parse().unwrap();
        assert_eq!(retry_after(" 120 ", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:00 GMT", now), Some(Duration::ZERO), "it is over");
        assert_eq!(retry_after("99999999999999999999999", now), Some(Duration::from_secs(u64::MAX)));
        for bad in ["", "soon", "-1", "1.5"] {
            assert_eq!(retry_after(bad, now), None, "{bad}");
        }
    }
}
