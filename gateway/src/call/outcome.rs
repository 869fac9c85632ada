//! What calls come to.

use domain::execution::{AttemptOutcome, End, Quoted};
use domain::{Usage, UsageSource};

use crate::dialect::Meter;
use crate::flow::Stopped;

/// What a call came to.
pub(super) struct Outcome {
    pub(super) end: End,
    pub(super) usage: Usage,
    pub(super) source: UsageSource,
    pub(super) route: Option<Quoted>,
}

impl Outcome {
    /// Nothing was used.
    pub(super) fn nothing(end: End) -> Self {
        Self { end, usage: Usage::default(), source: UsageSource::Reported, route: None }
    }
}

/// An answer that is whole. One that a filter ended is whole too, and paid for.
pub(super) fn answered(meter: &Meter) -> (AttemptOutcome, End) {
    let outcome = if meter.is_refused() { AttemptOutcome::ContentFilter } else { AttemptOutcome::Answered };
    (outcome, End::Completed)
}

/// What a call comes to that was ended from our side.
pub(super) fn ended(stopped: &Stopped) -> End {
    stopped.reason().map_or(End::Cancelled, End::Failed)
}

/// An end as a word.
pub(super) fn named(end: End) -> &'static str {
    match end {
        End::Completed => "completed",
        End::Cancelled => "cancelled",
        End::Failed(reason) => reason.as_str(),
    }
}
