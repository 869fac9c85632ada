//! What attempts that failed are known to have used.

use domain::execution::Quoted;
use domain::{Usage, UsageSource};

use crate::dialect::Meter;
use crate::upstream::Trouble;

/// What is paid where no provider answers, but one said what it had used before it failed: that of the last of them.
#[derive(Debug, Default)]
pub(crate) struct Bill {
    /// What the present attempt was reported to have used, where it fails all the same.
    reported: Option<Reported>,
    /// The last one that is to be paid where nobody answers, and by which price.
    pub(crate) last: Option<(Usage, UsageSource, Quoted)>,
}

#[derive(Debug, Clone, Copy)]
struct Reported {
    used: (Usage, UsageSource),
    /// Whether it is owed. A provider that ends in an error of its own is owed what it reported of the whole, not of a part.
    owed: bool,
}

impl Bill {
    /// Notes what a provider reported before it failed.
    pub(super) fn note(&mut self, meter: &Meter, trouble: &Trouble) {
        let owed = !matches!(trouble, Trouble::Reported(_)) || meter.is_complete();
        self.reported = meter.reported().map(|used| Reported { used, owed });
    }

    /// Notes what a provider reported so far, before its answer begins.
    pub(super) fn watch(&mut self, meter: &Meter) {
        self.reported = meter.reported().map(|used| Reported { used, owed: true });
    }

    /// The present attempt is ended from our side: what it is owed, if it reported something.
    pub(super) fn stopped(&mut self) -> Option<(Usage, UsageSource)> {
        self.reported.take().filter(|reported| reported.owed).map(|reported| reported.used)
    }

    /// The present attempt has failed: what it used, if that is known.
    pub(super) fn failed(&mut self, quoted: Option<Quoted>) -> Option<(Usage, UsageSource)> {
        let Reported { used, owed } = self.reported.take()?;
        if let Some(quoted) = quoted.filter(|_| owed) {
            self.last = Some((used.0, used.1, quoted));
        }
        Some(used)
    }
}
