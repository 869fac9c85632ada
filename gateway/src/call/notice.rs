//! What a client is told about its execution.

use domain::catalogue::Enforcement;
use domain::{Execution, ExecutionId, WalletPath};

use crate::ledger;

/// The headers of an answer: the execution's id, and what a policy that lets calls pass would have the client know.
pub(super) struct Notice {
    id: ExecutionId,
    wallet: WalletPath,
    enforcement: Enforcement,
    /// Whether less was held for the request than it was estimated to cost.
    short: bool,
}

impl Notice {
    /// For an execution that was asked for.
    pub(super) fn new(id: ExecutionId, execution: &Execution) -> Self {
        let body = &execution.body;
        Self {
            id,
            wallet: body.wallet.clone(),
            enforcement: body.enforcement,
            short: ledger::is_short(execution),
        }
    }

    /// The headers of an answer by a provider that has a price or has none, or by nobody. `short` where less is held than
    /// was to be when more was asked for.
    pub(super) fn headers(&self, priced: Option<bool>, short: bool) -> Vec<(String, String)> {
        let mut headers = vec![("counterfoil-execution".to_owned(), self.id.to_string())];
        let warning = match priced {
            Some(false) => "model_unpriced",
            _ if self.short || short => "allowance_exceeded",
            _ => return headers,
        };
        // What is only watched is in the ledger, and nobody is told.
        if self.enforcement == Enforcement::Warn {
            tracing::warn!(
                execution = %self.id, wallet = %self.wallet, warning, "a call is made that a hard limit would refuse"
            );
            headers.push(("counterfoil-warning".to_owned(), warning.to_owned()));
        }
        headers
    }
}
