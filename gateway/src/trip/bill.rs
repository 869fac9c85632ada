//! What attempts that failed are known to have used.

use domain::execution::Quoted;
use domain::{Usage, UsageSource};

/// What is paid where no provider answers, but one said what it had used before it failed: that of the last of them.
#[derive(Debug, Default)]
pub(crate) struct Bill {
    /// What the present attempt was reported to have used, where it fails all the same.
    pub(super) reported: Option<(Usage, UsageSource)>,
    /// The last one of which that was known, and by which price.
    pub(crate) last: Option<(Usage, UsageSource, Quoted)>,
}

impl Bill {
    /// The present attempt has failed: what it used, if that is known.
    pub(super) fn failed(&mut self, quoted: Option<Quoted>) -> Option<(Usage, UsageSource)> {
        let used = self.reported.take();
        if let (Some((usage, source)), Some(quoted)) = (used, quoted) {
            self.last = Some((usage, source, quoted));
        }
        used
    }
}
