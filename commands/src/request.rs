//! What is asked of the pipeline, and what it answers.

mod command;
mod rejection;

use domain::{
    Allowance, AllowanceId, Application, ApplicationId, Catalogue, CatalogueId, Execution, ExecutionId,
    Tenant, TenantId, Transaction, TransactionId, User, UserId, Wallet, WalletId,
};
use journal::Position;
use serde::Serialize;

pub use command::{AllowanceChange, Command, FinishedCall, NewCall, TransactionRequest, Tried};
pub use rejection::Rejection;

/// A command with all that belongs to it.
#[derive(Debug, Clone)]
pub struct Request {
    /// In whose ledger; [`TenantId::PLATFORM`] for what is asked of a user.
    pub tenant: TenantId,
    /// What.
    pub command: Command,
    /// By whom and from where; kept for the audit log.
    pub context: Context,
    /// The caller's key, so that a repetition has no second effect.
    pub key: Option<IdempotencyKey>,
}

/// A caller's key with the fingerprint of what it was used for. Unique per tenant, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key.
    pub key: String,
    /// A digest of the request: the same key with another one is refused.
    pub fingerprint: Vec<u8>,
}

/// Who asked, from where. Never holds a secret.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Context {
    /// Who: the subject of the credential, or `system`.
    pub actor: String,
    /// In which role.
    pub role: String,
    /// The address it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The id of the request it came with.
    pub request_id: String,
    /// The W3C trace context it came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl Context {
    /// The program itself, doing `job`.
    pub fn system(job: &str) -> Self {
        Self { actor: "system".into(), role: "system".into(), request_id: job.into(), ..Self::default() }
    }
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What it made or changed, as it was right after the command.
    pub resource: Resource,
    /// The position of the command's last event.
    pub position: Position,
    /// Whether this is the answer of an earlier request with the same key.
    pub replayed: bool,
}

/// What a command made or changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Resource {
    /// A tenant.
    Tenant(TenantId, Tenant),
    /// A wallet.
    Wallet(WalletId, Wallet),
    /// Transactions, in the order in which they were asked for.
    Transactions(Vec<(TransactionId, Transaction)>),
    /// A user.
    User(UserId, User),
    /// An application.
    Application(ApplicationId, Application),
    /// A catalogue.
    Catalogue(CatalogueId, Catalogue),
    /// An allowance.
    Allowance(AllowanceId, Allowance),
    /// An execution.
    Execution(ExecutionId, Box<Execution>),
}

/// Why there is no outcome.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// It was decided against; nothing changed, and its key is still free.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Too many commands wait already; nothing was done.
    #[error("too many commands are waiting")]
    Overloaded,
    /// The journal cannot be reached. The command may have been recorded or not; its key tells.
    #[error("the journal cannot be written: {0}")]
    Unavailable(String),
}
