//! Providers that are left alone at the moment.

use std::time::Duration;

use crate::breaker::Passage;
use crate::refusal::Refusal;

/// The soonest that one of them may be asked, and why not before. Ordered by the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Closed {
    /// How long until then.
    pub(super) wait: Duration,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// It said that it is at its limit.
    Limit,
    /// It fails.
    Failures,
}

impl Closed {
    /// What keeps from asking, if something does.
    pub(super) fn of(passage: Passage) -> Option<Self> {
        match passage {
            Passage::Open => None,
            Passage::Limited(wait) => Some(Self { wait, why: Why::Limit }),
            Passage::Shut(wait) => Some(Self { wait, why: Why::Failures }),
        }
    }

    pub(super) fn is_limit(&self) -> bool {
        self.why == Why::Limit
    }

    /// What a client is told where nobody else is left.
    pub(super) fn refusal(self) -> Refusal {
        match self.why {
            Why::Limit => {
                let message = "the provider is at its limit and wants to be left alone for a while";
                Refusal::new(429, "provider_rate_limited", message).after(self.wait)
            }
            Why::Failures => left_alone(self.wait),
        }
    }
}

/// Providers fail.
pub(super) fn left_alone(wait: Duration) -> Refusal {
    let message = "the providers of the model fail and are left alone for a moment";
    Refusal::new(503, "provider_unavailable", message).after(wait)
}
