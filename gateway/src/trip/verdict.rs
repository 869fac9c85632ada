//! What a stream says about its provider, once it is over.

use super::{Choice, Trip};
use crate::upstream::{Late, Trouble};

impl Trip {
    /// Gives the present attempt up: what would have come of it is not known.
    pub(crate) fn give_up(&self) {
        if let Some(choice) = self.present() {
            self.shared.breakers.abandoned(&choice.circuit());
        }
    }

    /// The stream came to its end. Only now: a provider that begins and then fails would look well otherwise.
    pub(crate) fn praise(&self) {
        if let Some(circuit) = self.present().map(Choice::circuit) {
            self.shared.breakers.succeeded(&circuit);
        }
    }

    /// Counts a failure in the middle of a stream against the provider, but not where a client that read slowly may be the
    /// cause: where the whole took too long, or where the client kept it `waiting`. No client is to have a provider left
    /// alone.
    pub(crate) fn blame(&self, trouble: &Trouble, waiting: bool) {
        let Some(circuit) = self.present().map(Choice::circuit) else {
            return;
        };
        if waiting || !trouble.is_failure() || matches!(trouble, Trouble::TimedOut(Late::Total)) {
            self.shared.breakers.abandoned(&circuit);
        } else if self.shared.breakers.failed(&circuit) {
            tracing::warn!(provider = %circuit.1, reason = trouble.reason().as_str(), "a provider is left alone");
        }
    }
}
