//! The machine's clock and its source of ids: the one place where the program looks at either.

use chrono::{DateTime, SubsecRound as _, Utc};
use domain::{Clock, Ids};
use uuid::Uuid;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the time comes from")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}

/// Ids of UUID version 7: unique, and in the order of their making.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "this is where ids come from")]
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_has_no_more_digits_than_the_journal_keeps() {
        for _ in 0..1_000 {
            assert_eq!(SystemClock.now().timestamp_subsec_nanos() % 1_000, 0);
        }
    }

    #[test]
    fn ids_sort_by_the_time_of_their_making() {
        let ids: Vec<Uuid> = (0..1_000).map(|_| SystemIds.next()).collect();
        assert!(ids.is_sorted());
    }
}
