//! What a call records: its request and hold, its extensions, its end.

use std::sync::Arc;
use std::time::Duration;

use commands::{
    Command, Context, Failure, FinishedCall, IdempotencyKey, NewCall, Outcome, Request, Resource,
};
use domain::execution::Execution;
use domain::{ExecutionId, TenantId, Usage};
use journal::Position;
use tokio::task::JoinHandle;

use crate::gateway::Shared;
use crate::refusal::Refusal;

/// The pause after a first failure to record an end; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// An execution in the ledger.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tenant: TenantId,
    pub(crate) context: Context,
    pub(crate) id: ExecutionId,
}

impl Account {
    /// Records the request and holds what it is estimated to cost. With the fingerprint of an execution that was requested
    /// before under this id, that one is given.
    pub(crate) async fn request(
        &self,
        call: NewCall,
        fingerprint: [u8; 32],
    ) -> Result<(Execution, bool), Refusal> {
        let command = Command::Execute { id: self.id, call: Box::new(call) };
        let outcome = self.submit(command, "execute", fingerprint.to_vec()).await.map_err(refused)?;
        match outcome.resource {
            Resource::Execution(_, execution) => Ok((*execution, outcome.replayed)),
            _ => Err(Refusal::new(500, "internal", "the execution was not recorded as one")),
        }
    }

    /// Holds what `more` is estimated to cost; the `number`-th time.
    pub(crate) async fn extend(&self, number: u32, more: Usage) -> Result<(), Failure> {
        let command = Command::ExtendExecution { id: self.id, estimate: more };
        self.submit(command, &format!("extend/{number}"), Vec::new()).await.map(drop)
    }

    /// Records the end. It is a task of its own that nothing but the end of the program stops, and it is repeated until the
    /// journal takes it. Gives the position, or nothing when the journal refuses it.
    pub(crate) fn finish(&self, finished: FinishedCall) -> JoinHandle<Option<Position>> {
        let account = self.clone();
        self.shared.tasks.spawn(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                let finished = Box::new(finished.clone());
                let command = Command::FinishExecution { id: account.id, finished };
                match account.submit(command, "finish", Vec::new()).await {
                    Ok(outcome) => return Some(outcome.position),
                    Err(Failure::Rejected(rejection)) => {
                        tracing::error!(
                            execution = %account.id, code = rejection.code(), %rejection,
                            "the end of an execution is refused"
                        );
                        metrics::counter!("counterfoil_gateway_unsettled_total").increment(1);
                        return None;
                    }
                    Err(failure) => {
                        tracing::warn!(execution = %account.id, %failure, "recording the end of an execution again");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
        })
    }

    async fn submit(&self, command: Command, step: &str, fingerprint: Vec<u8>) -> Result<Outcome, Failure> {
        let key = IdempotencyKey { key: format!("execution/{}/{step}", self.id), fingerprint };
        let request = Request { tenant: self.tenant, command, context: self.context.clone(), key: Some(key) };
        self.shared.pipeline.submit(request).await
    }
}

/// Why the ledger does not take it, for the client.
fn refused(failure: Failure) -> Refusal {
    let wait = Duration::from_secs(1);
    match failure {
        Failure::Rejected(rejection) => {
            let code = rejection.code();
            let status = match code {
                "allowance_exhausted" | "allowance_in_debt" | "insufficient_funds" => 402,
                "wallet_frozen" | "wallet_closed" | "tenant_suspended" | "tenant_closed" => 403,
                "wallet_not_found" | "tenant_not_found" => 404,
                _ => 422,
            };
            Refusal::new(status, code, rejection.to_string())
        }
        Failure::KeyReused => key_reused(),
        Failure::Overloaded => {
            Refusal::new(503, "overloaded", "too many calls are waiting; nothing was done").after(wait)
        }
        Failure::Unavailable(reason) => {
            tracing::error!(reason, "an execution could not be recorded");
            Refusal::new(503, "unavailable", "the call cannot be recorded at the moment").after(wait)
        }
    }
}

/// The key was used for another request.
pub(crate) fn key_reused() -> Refusal {
    Refusal::new(422, "idempotency_key_reused", "the idempotency key was used for another request")
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("id", &self.id).finish_non_exhaustive()
    }
}
