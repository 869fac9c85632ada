//! What is asked of the pipeline, and what it answers.

use chrono::{DateTime, Utc};
use domain::tenant::TenantRejection;
use domain::transaction::{Posting, TransactionRejection};
use domain::wallet::WalletRejection;
use domain::{
    Amount, AssetCode, Metadata, MoneyError, Reason, Reference, Scale, Slug, Tenant, TenantId, TenantName,
    Transaction, TransactionId, Wallet, WalletId, WalletPath,
};
use journal::Position;
use serde::Serialize;

/// A command with all that belongs to it.
#[derive(Debug, Clone)]
pub struct Request {
    /// In whose ledger.
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

/// What can be done.
#[derive(Debug, Clone)]
pub enum Command {
    /// Bring a tenant into being; the request's tenant is the one that the slug gives.
    CreateTenant {
        /// Its short name.
        slug: Slug,
        /// Its display name.
        name: TenantName,
    },
    /// Register an asset.
    RegisterAsset {
        /// Its code.
        code: AssetCode,
        /// Its digits behind the point.
        scale: Scale,
    },
    /// Open a wallet.
    OpenWallet {
        /// Its path.
        path: WalletPath,
        /// Its asset.
        asset: AssetCode,
        /// Its lower limit; without one zero, and none at all for a system wallet.
        minimum: Option<Amount>,
        /// The caller's own facts.
        metadata: Metadata,
    },
    /// Freeze a wallet.
    FreezeWallet {
        /// Which.
        path: WalletPath,
    },
    /// Unfreeze a wallet.
    UnfreezeWallet {
        /// Which.
        path: WalletPath,
    },
    /// Close a wallet.
    CloseWallet {
        /// Which.
        path: WalletPath,
    },
    /// Make a transaction.
    Transact(TransactionRequest),
    /// Make several transactions, all or none.
    Batch(Vec<TransactionRequest>),
    /// Settle a hold.
    Settle {
        /// Which.
        id: TransactionId,
        /// How much of each posting; all of it by default.
        amounts: Option<Vec<Amount>>,
    },
    /// Release a hold.
    Release {
        /// Which.
        id: TransactionId,
    },
    /// Let a hold expire whose time is over.
    Expire {
        /// Which.
        id: TransactionId,
    },
    /// Reverse a transaction.
    Reverse {
        /// Which.
        id: TransactionId,
        /// How much of each posting; all that is left by default.
        amounts: Option<Vec<Amount>>,
    },
}

impl Command {
    /// The command's name in the audit log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateTenant { .. } => "create_tenant",
            Self::RegisterAsset { .. } => "register_asset",
            Self::OpenWallet { .. } => "open_wallet",
            Self::FreezeWallet { .. } => "freeze_wallet",
            Self::UnfreezeWallet { .. } => "unfreeze_wallet",
            Self::CloseWallet { .. } => "close_wallet",
            Self::Transact(request) if request.adjustment.is_some() => "adjust_wallet",
            Self::Transact(request) if request.pending => "hold_transaction",
            Self::Transact(_) => "post_transaction",
            Self::Batch(_) => "post_batch",
            Self::Settle { .. } => "settle_transaction",
            Self::Release { .. } => "release_transaction",
            Self::Expire { .. } => "expire_transaction",
            Self::Reverse { .. } => "reverse_transaction",
        }
    }

    /// About how many events it will make, for filling batches.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Transact(request) => 1 + 2 * request.postings.len(),
            Self::Batch(requests) => requests.iter().map(|request| 1 + 2 * request.postings.len()).sum(),
            _ => 3,
        }
    }
}

/// A transaction that is asked for. Amounts may have fewer digits than their asset.
#[derive(Debug, Clone, Default)]
pub struct TransactionRequest {
    /// The postings.
    pub postings: Vec<Posting>,
    /// Hold it instead of posting it at once.
    pub pending: bool,
    /// When a hold ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// The caller's name for it, unique within the tenant.
    pub reference: Option<Reference>,
    /// When it took effect, where that is not now.
    pub effective_at: Option<DateTime<Utc>>,
    /// Why, where it is an adjustment.
    pub adjustment: Option<Reason>,
    /// The caller's own facts.
    pub metadata: Metadata,
    /// Open wallets that do not exist yet. System wallets open by themselves.
    pub open_wallets: bool,
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

/// Why a command is refused. The tenant is asked first, then the assets and amounts in the order of the
/// postings, then the transaction, then the wallets in the order in which the postings name them.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// By the tenant.
    #[error(transparent)]
    Tenant(#[from] TenantRejection),
    /// The tenant has no such asset.
    #[error("the asset {0} is not registered")]
    UnknownAsset(AssetCode),
    /// An amount does not fit its asset.
    #[error("posting {index}: {source}")]
    Amount {
        /// Which posting, from 0.
        index: usize,
        /// What is wrong.
        source: MoneyError,
    },
    /// A wallet's minimum does not fit its asset.
    #[error("minimum: {0}")]
    Minimum(MoneyError),
    /// By the transaction.
    #[error(transparent)]
    Transaction(#[from] TransactionRejection),
    /// By a wallet.
    #[error(transparent)]
    Wallet(#[from] WalletRejection),
    /// One transaction of a batch that stands or falls together.
    #[error("transaction {index}: {rejection}")]
    InBatch {
        /// Which transaction, from 0.
        index: usize,
        /// Why.
        rejection: Box<Rejection>,
    },
}

impl Rejection {
    /// The stable code of this rejection.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Tenant(rejection) => rejection.code(),
            Self::UnknownAsset(_) => "unknown_asset",
            Self::Amount { source, .. } | Self::Minimum(source) => match source {
                MoneyError::TooPrecise => "amount_too_precise",
                MoneyError::Overflow => "amount_too_large",
                MoneyError::Malformed | MoneyError::Scale | MoneyError::ScaleMismatch => "invalid_amount",
            },
            Self::Transaction(rejection) => rejection.code(),
            Self::Wallet(rejection) => rejection.code(),
            Self::InBatch { rejection, .. } => rejection.code(),
        }
    }

    /// Which transaction of an atomic batch it was, from 0.
    pub fn index(&self) -> Option<usize> {
        match self {
            Self::InBatch { index, .. } => Some(*index),
            _ => None,
        }
    }
}
