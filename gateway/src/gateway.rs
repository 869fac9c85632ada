//! The gateway itself: takes calls, and keeps what they share.

use std::sync::Arc;

use commands::{Context, Pipeline};
use domain::execution::Operation;
use domain::{ApplicationId, Clock, ExecutionId, Ids, ModelName, TenantId, UserRef, WalletPath};
use identity::KeptResponses;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::breaker::Breakers;
use crate::call;
use crate::client::{Client, Reader};
use crate::offer::{NoOffer, Offers};
use crate::options::Options;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::retry::Chance;
use crate::running::{Others, Running};
use crate::seat::{Full, Seats};
use crate::trip::Circuit;
use crate::upstream::Upstreams;

/// One call of a client.
#[derive(Debug, Clone)]
pub struct Call {
    /// Whose ledger.
    pub tenant: TenantId,
    /// By whom and from where; kept for the audit log.
    pub context: Context,
    /// Who pays.
    pub wallet: WalletPath,
    /// Which program asked.
    pub application: Option<ApplicationId>,
    /// For which user of the tenant's.
    pub user: Option<UserRef>,
    /// What is asked for, and in which shape.
    pub operation: Operation,
    /// The model, where the address names it (Gemini); otherwise the body does, and this is not looked at.
    pub model: String,
    /// Whether the address asks for a stream (Gemini); otherwise the body does, and this is not looked at.
    pub stream: bool,
    /// The body, as it came.
    pub body: bytes::Bytes,
    /// The query of the address, which passes.
    pub query: Query,
    /// The headers, of which those that concern the provider pass.
    pub headers: Vec<(String, String)>,
    /// The `Idempotency-Key`.
    pub key: Option<String>,
}

/// Takes calls. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

/// What all calls share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) pipeline: Pipeline,
    pub(crate) offers: Arc<dyn Offers>,
    pub(crate) kept: KeptResponses,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) chance: Chance,
    pub(crate) upstreams: Upstreams,
    pub(crate) breakers: Breakers<Circuit>,
    pub(crate) running: Running,
    others: Arc<dyn Others>,
    seats: Seats,
    /// Calls and settlements; who waits for it waits for all of them.
    pub(crate) tasks: TaskTracker,
    /// No call is taken any more.
    closing: CancellationToken,
    /// Running calls end now.
    pub(crate) ending: CancellationToken,
}

impl Gateway {
    /// A gateway that records executions by `pipeline`, asks `offers` what can be called, keeps the answers to calls with a
    /// key in `kept`, and has `others` end calls that they make.
    pub fn new(
        options: Options,
        pipeline: Pipeline,
        offers: Arc<dyn Offers>,
        kept: KeptResponses,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        others: Arc<dyn Others>,
    ) -> Self {
        Self(Arc::new(Shared {
            upstreams: Upstreams::new(options.upstream.clone()),
            breakers: Breakers::new(options.breaker.clone()),
            chance: Chance::new(Arc::clone(&ids)),
            seats: Seats::new(options.calls, options.calls_per_tenant),
            options,
            pipeline,
            offers,
            kept,
            clock,
            ids,
            running: Running::default(),
            others,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            ending: CancellationToken::new(),
        }))
    }

    /// Makes a call and answers in the shape that was asked for, errors included. Dropping the future, or the stream of the
    /// answer, says that the client has gone; the call is brought to an end all the same.
    pub async fn call(&self, call: Call) -> Reply {
        let operation = call.operation;
        if self.0.closing.is_cancelled() {
            return shutting_down().reply(operation);
        }
        let seat = match self.0.seats.take(call.tenant) {
            Ok(seat) => seat,
            Err(full) => return too_many_calls(full).reply(operation),
        };
        let reader = Reader { seat, by: Instant::now() + self.0.options.total };
        let (answer, answered) = oneshot::channel();
        self.0.tasks.spawn(call::run(Arc::clone(&self.0), call, Client::new(answer, reader)));
        match answered.await {
            Ok(reply) => reply,
            Err(_) => Refusal::new(500, "internal", "the call ended without an answer").reply(operation),
        }
    }

    /// Whether there is room for another call of a tenant. [`Gateway::call`] says so too; to be asked before a body is read, so that what
    /// is refused has cost nothing.
    ///
    /// # Errors
    /// What a call would be refused with now: `too_many_calls` or `too_many_calls_of_tenant`.
    pub fn has_room(&self, tenant: TenantId) -> Result<(), Refusal> {
        self.0.seats.room(tenant).map_err(too_many_calls)
    }

    /// Ends a call that runs in this program; false when it does not. Its client gets an error, and what was used is
    /// billed.
    pub fn cancel(&self, tenant: TenantId, id: ExecutionId) -> bool {
        self.0.running.cancel(tenant, id)
    }

    /// Has the program that makes a call end it, as [`Gateway::cancel`] does here; false when none that can be reached
    /// makes it. Takes about a second then.
    pub async fn cancel_elsewhere(&self, tenant: TenantId, id: ExecutionId) -> bool {
        self.0.others.cancel(tenant, id).await
    }

    /// The calls that run here, for whoever is to end some of them and must not keep the gateway alive.
    pub fn running(&self) -> Running {
        self.0.running.clone()
    }

    /// The models that a tenant can call, by alias.
    ///
    /// # Errors
    /// What can be called is not known at the moment.
    pub async fn models(&self, tenant: TenantId) -> Result<Vec<ModelName>, NoOffer> {
        Ok(self.0.offers.offer(tenant).await?.models.keys().cloned().collect())
    }

    /// Forgets the answers that were kept for long enough, and says how many; called from time to time.
    ///
    /// # Errors
    /// The database.
    pub async fn sweep(&self) -> Result<u64, identity::kept::KeptError> {
        self.0.kept.sweep().await
    }

    /// Takes no more calls, and waits until those that run are answered and settled. Those that run longer than
    /// [`Options::drain`] are ended, with an error to their clients and what they used billed; for recording that there is
    /// the same time again, and what is not recorded then expires by itself. Call it before the pipeline is stopped.
    pub async fn drain(&self) {
        self.0.closing.cancel();
        self.0.tasks.close();
        if tokio::time::timeout(self.0.options.drain, self.0.tasks.wait()).await.is_err() {
            self.0.ending.cancel();
            if tokio::time::timeout(self.0.options.drain, self.0.tasks.wait()).await.is_err() {
                tracing::error!(tasks = self.0.tasks.len(), "calls are left without a recorded end");
            }
        }
    }
}

fn shutting_down() -> Refusal {
    let wait = std::time::Duration::from_secs(1);
    Refusal::new(503, "shutting_down", "the server is shutting down").after(wait)
}

/// Counts the refusal, because no call is there that would.
fn too_many_calls(full: Full) -> Refusal {
    let wait = std::time::Duration::from_secs(1);
    let (status, code, message) = match full {
        Full::All => (503, "too_many_calls", "too many calls are running; nothing was done"),
        Full::Tenant => {
            (429, "too_many_calls_of_tenant", "too many calls of the tenant are running; nothing was done")
        }
    };
    let refusal = Refusal::new(status, code, message).after(wait);
    metrics::counter!("counterfoil_gateway_refused_total", "code" => refusal.code.clone()).increment(1);
    refusal
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}
