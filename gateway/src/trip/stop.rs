//! Attempts that are ended from our side.

use std::sync::atomic::Ordering;

use domain::execution::{AttemptOutcome, Quoted};
use domain::{Usage, UsageSource};

use super::{Choice, Trip};

impl Trip {
    /// Ends the trying, and says what is to be paid, and at which price. It is what the provider that is being asked has
    /// reported, else the input, if it was sent at all; where nobody is being asked, it is what an earlier one is owed.
    pub(crate) fn stopped(&mut self) -> Option<(Usage, UsageSource, Option<Quoted>)> {
        let quoted = self.present().and_then(Choice::quoted);
        let sent = self.flying.as_ref().is_some_and(|flying| flying.sent.load(Ordering::Acquire));
        let input = Usage { input: self.asked.input.billed(), ..Usage::default() }.countable();
        let used = self.bill.stopped().or_else(|| sent.then_some((input, UsageSource::Estimated)));
        self.landed(AttemptOutcome::Stopped, None, used);
        match used {
            Some((usage, source)) => Some((usage, source, quoted)),
            None => self.bill.last.take().map(|(usage, source, quoted)| (usage, source, Some(quoted))),
        }
    }
}
