//! What has to be held before a provider is asked.

use domain::Price;

use super::Trip;
use crate::flow::Stopped;
use crate::refusal::Refusal;

/// Why a provider is not asked.
pub(super) enum Uncovered {
    /// Its price cannot be paid, or it has none.
    Refused(Refusal),
    /// The ledger did not say in time. That is not the provider's fault.
    Late,
}

impl Trip {
    /// Makes the hold cover a provider's price, within the time of the call.
    pub(super) async fn cover(&mut self, price: Option<&Price>) -> Result<(), Uncovered> {
        let Some(hold) = &mut self.hold else {
            return Ok(());
        };
        if price.is_none() && hold.is_hard() {
            let message = "the model has no price at a provider that is left";
            return Err(Uncovered::Refused(Refusal::new(422, "model_unpriced", message)));
        }
        match tokio::time::timeout_at(self.deadline, hold.cover(price)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Stopped::Unheld(refusal))) => Err(Uncovered::Refused(refusal)),
            Ok(Err(_)) => {
                let message = "the provider that is left is dearer, and not enough is available for it";
                Err(Uncovered::Refused(Refusal::new(402, "allowance_exhausted", message)))
            }
            Err(_) => Err(Uncovered::Late),
        }
    }
}
