//! How often credentials from one place may be refused.
//!
//! Whether a key is a right one is found out by looking it up. A place from which too many were refused is refused before
//! that, also with a right one: its guesses cost no look-up, and what is answered does not tell a right one from a wrong
//! one. It is not its count that others share where a gate is crowded, so that nobody waits for somebody else's guesses.

use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::Pace;
use super::origin::Place;
use super::rate::{Gate, MOST, Standing};

/// The count of what was refused, and the places that wait.
#[derive(Debug)]
pub struct Refusals {
    gate: Gate<Place>,
    pace: Pace,
    held: Cache<Place, Instant>,
}

impl Refusals {
    /// A count of nothing.
    pub fn new(pace: Pace) -> Self {
        Self { gate: Gate::new(pace), pace, held: Cache::new(MOST) }
    }

    /// Counts a credential that was refused. After the last that there is room for, the place waits.
    pub fn count(&self, place: Place) -> Standing {
        let standing = self.gate.pass(&place);
        if standing.remaining == 0
            && let Some(until) = Instant::now().checked_add(standing.wait.unwrap_or(self.pace.every))
        {
            self.held.insert(place, until);
        }
        standing
    }

    /// How a place stands that waits; `None` where what it shows is looked at.
    pub fn held(&self, place: Place) -> Option<Standing> {
        let until = self.held.get(&place)?;
        let wait = until.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero())?;
        let limit = self.pace.burst.get();
        let rest = self.pace.every.saturating_mul(limit.saturating_sub(1));
        Some(Standing { limit, remaining: 0, reset: rest.saturating_add(wait), wait: Some(wait) })
    }

    /// Forgets those whose counts are as if they had never asked.
    pub fn upkeep(&self) {
        self.gate.upkeep();
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_place_waits_after_the_last_refusal_that_there_was_room_for_and_no_other_does() {
        let pace = Pace { burst: NonZeroU32::new(2).unwrap(), every: Duration::from_secs(10) };
        let refusals = Refusals::new(pace);
        let place = |last| Place::of(IpAddr::V4(Ipv4Addr::new(203, 0, 113, last)));
        assert_eq!(refusals.held(place(1)), None);
        assert_eq!(refusals.count(place(1)).wait, None);
        assert_eq!(refusals.held(place(1)), None);
        assert_eq!(refusals.count(place(1)).wait, None);
        let held = refusals.held(place(1)).unwrap();
        assert_eq!((held.remaining, held.wait), (0, Some(Duration::from_secs(10))));
        assert_eq!(held.reset, Duration::from_secs(20));
        assert_eq!(refusals.held(place(2)), None);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(refusals.held(place(1)), None);
        assert_eq!(refusals.count(place(1)).wait, None, "one more after the wait");
        assert!(refusals.held(place(1)).is_some(), "and no other");
    }
}
