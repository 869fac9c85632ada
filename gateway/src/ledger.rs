//! What a call records: its request and hold, its extensions, its end.

use std::sync::Arc;
use std::time::Duration;

use commands::{
    Command, Context, Failure, FinishedCall, IdempotencyKey, NewCall, Outcome, Rejection, Request, Resource,
};
use domain::execution::{Execution, ExecutionRejection};
use domain::{ExecutionId, Scale, TenantId, Usage};
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
        // The one command with a key: two requests with one key of a client's are told apart by it. The others need none,
        // and a key can be taken by whoever knows it.
        let key = IdempotencyKey { key: format!("execution/{}", self.id), fingerprint: fingerprint.to_vec() };
        let outcome = self.submit(command, Some(key)).await.map_err(refused)?;
        match outcome.resource {
            Resource::Execution(_, execution) => Ok((*execution, outcome.replayed)),
            _ => Err(Refusal::new(500, "internal", "the execution was not recorded as one")),
        }
    }

    /// Holds what `more` is estimated to cost, or what there is where nothing is enforced: true where that is less.
    pub(crate) async fn extend(&self, more: Usage) -> Result<bool, Failure> {
        let command = Command::ExtendExecution { id: self.id, estimate: more };
        let outcome = self.submit(command, None).await?;
        Ok(matches!(outcome.resource, Resource::Execution(_, execution) if is_short(&execution)))
    }

    /// The same, tried again a few times where the ledger is busy or out of reach: a stream is not to end for that at once.
    pub(crate) async fn extend_patiently(&self, more: Usage) -> Result<bool, Failure> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.extend(more).await {
                Err(Failure::Overloaded | Failure::Unavailable(_)) if pause < LONGEST_PAUSE / 10 => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                done => return done,
            }
        }
    }

    /// Whether it has ended. The ledger is asked to let it expire: it says so if it has, and does it if its time is over.
    pub(crate) async fn has_ended(&self) -> bool {
        match self.expire(self.id).await {
            Ok(_) => true,
            Err(Failure::Rejected(Rejection::Execution(rejection))) => {
                matches!(rejection, ExecutionRejection::Ended(_))
            }
            Err(_) => false,
        }
    }

    /// Whether there is an execution that was made anew under its key.
    pub(crate) async fn made_anew(&self) -> Result<bool, Refusal> {
        match self.expire(self.id.again()).await {
            Ok(_) => Ok(true),
            Err(Failure::Rejected(Rejection::Execution(rejection))) => {
                Ok(rejection != ExecutionRejection::NotFound)
            }
            Err(failure) => Err(refused(failure)),
        }
    }

    async fn expire(&self, id: ExecutionId) -> Result<Outcome, Failure> {
        let command = Command::ExpireExecution { id };
        let context = Context::system("gateway");
        self.shared.pipeline.submit(Request { tenant: self.tenant, command, context, key: None }).await
    }

    /// Records the end. It is a task of its own that nothing but the end of the program stops, and it is repeated until the
    /// journal takes it. Gives the position, or nothing when the journal refuses it.
    pub(crate) fn finish(&self, finished: FinishedCall) -> JoinHandle<Option<Position>> {
        let account = self.clone();
        self.shared.tasks.spawn(async move {
            let mut pause = FIRST_PAUSE;
            let mut doubtful = false;
            loop {
                let finished = Box::new(finished.clone());
                let command = Command::FinishExecution { id: account.id, finished };
                match account.submit(command, None).await {
                    Ok(outcome) => return Some(outcome.position),
                    Err(Failure::Rejected(Rejection::Execution(ExecutionRejection::Ended(_)))) if doubtful => {
                        // An earlier attempt was recorded after all.
                        return None;
                    }
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
                        doubtful = true;
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
        })
    }

    async fn submit(&self, command: Command, key: Option<IdempotencyKey>) -> Result<Outcome, Failure> {
        let request = Request { tenant: self.tenant, command, context: self.context.clone(), key };
        self.shared.pipeline.submit(request).await
    }
}

/// Whether less is held for an execution than it is estimated to cost.
pub(crate) fn is_short(execution: &Execution) -> bool {
    let Some(quoted) = &execution.body.quoted else {
        return false;
    };
    let scale = execution.holds.first().map_or(Scale::FINEST, |tranche| tranche.held.scale());
    let held: i128 = execution.holds.iter().map(|tranche| tranche.held.minor()).sum();
    quoted.price.cost(&execution.estimate, scale).is_ok_and(|cost| cost.minor() > held)
}

/// Why the ledger does not take it, for the client.
pub(crate) fn refused(failure: Failure) -> Refusal {
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
