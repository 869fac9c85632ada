//! What was granted, and in which order it is used up.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Amount, GrantId};

/// Something that a wallet was given to use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// How much it was, with what was carried into it.
    pub amount: Amount,
    /// What is left of it, reserved or not.
    pub remaining: Amount,
    /// What of that is promised to executions that go on.
    pub reserved: Amount,
    /// Which is used first: the lower first.
    pub priority: u16,
    /// When what is left of it is gone; never, if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// Where it comes from.
    pub source: GrantSource,
}

impl Grant {
    /// What is neither used nor promised.
    pub fn free(&self) -> Amount {
        difference(self.remaining, self.reserved)
    }

    /// Whether its time is over at `now`.
    pub fn over(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// What decides the order in which grants are used: priority, then the soonest end, those without an end last, then the id.
    pub(super) fn order(&self, id: GrantId) -> (u16, bool, Option<DateTime<Utc>>, GrantId) {
        (self.priority, self.expires_at.is_none(), self.expires_at, id)
    }
}

/// Where a grant comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantSource {
    /// A monthly policy.
    Period,
    /// A policy that grants once.
    Lifetime,
    /// Somebody.
    Given,
}

/// A span of time, from `start` up to and without `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// Its first moment.
    pub start: DateTime<Utc>,
    /// The first moment after it.
    pub end: DateTime<Utc>,
}

/// A part of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Of which grant.
    pub grant: GrantId,
    /// How much.
    pub amount: Amount,
}

/// `a - b`, or nothing where that would be less. Both have the scale of the wallet's asset.
pub(super) fn difference(a: Amount, b: Amount) -> Amount {
    Amount::from_minor(a.minor().saturating_sub(b.minor()).max(0), a.scale())
}

/// `a + b`, both of the scale of the wallet's asset.
pub(super) fn sum(a: Amount, b: Amount) -> Amount {
    Amount::from_minor(a.minor().saturating_add(b.minor()), a.scale())
}

/// The smaller of both.
pub(super) fn least(a: Amount, b: Amount) -> Amount {
    if a.minor() <= b.minor() { a } else { b }
}
