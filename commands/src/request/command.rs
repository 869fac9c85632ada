use chrono::{DateTime, Utc};
use domain::application::ApplicationCommand;
use domain::catalogue::CatalogueCommand;
use domain::execution::{Attempt, Basis, End, Operation, Quoted};
use domain::tenant::TenantCommand;
use domain::transaction::Posting;
use domain::user::UserCommand;
use domain::{
    Amount, ApplicationId, AssetCode, Digest, ExecutionId, GrantId, LevelName, Metadata, ModelName, Price,
    Reason, Reference, Scale, Slug, TenantName, TransactionId, Usage, UsageSource, UserId, UserRef,
    WalletPath,
};

/// What can be done.
#[derive(Debug, Clone)]
pub enum Command {
    /// Bring a tenant into being; the request's tenant is the one that the slug gives.
    CreateTenant {
        /// Its short name.
        slug: Slug,
        /// Its display name.
        name: TenantName,
        /// Its first owner, a member from the beginning.
        owner: Option<UserId>,
    },
    /// Anything else that can be asked of a tenant.
    Tenant(TenantCommand),
    /// What can be asked of a user; the request's tenant is the platform.
    User {
        /// Whom.
        id: UserId,
        /// What.
        command: UserCommand,
    },
    /// What can be asked of an application of the tenant.
    Application {
        /// Which.
        id: ApplicationId,
        /// What.
        command: ApplicationCommand,
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
    /// What can be asked of the tenant's catalogue, or of the platform's.
    Catalogue(CatalogueCommand),
    /// Change what a wallet may use.
    Allowance {
        /// Which wallet.
        path: WalletPath,
        /// How.
        change: AllowanceChange,
    },
    /// Begin a metered call, and hold what it may cost.
    Execute {
        /// Its id.
        id: ExecutionId,
        /// What is called.
        call: Box<NewCall>,
    },
    /// Hold more for a metered call.
    ExtendExecution {
        /// Which.
        id: ExecutionId,
        /// What it is thought to use beyond what was thought before.
        estimate: Usage,
    },
    /// End a metered call, and pay for it.
    FinishExecution {
        /// Which.
        id: ExecutionId,
        /// How it ended.
        finished: Box<FinishedCall>,
    },
    /// End a metered call whose time is over, and give back what is held for it.
    ExpireExecution {
        /// Which.
        id: ExecutionId,
    },
}

impl Command {
    /// The command's name in the audit log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateTenant { .. } => "create_tenant",
            Self::Tenant(command) => command.name(),
            Self::User { command, .. } => command.name(),
            Self::Application { command, .. } => command.name(),
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
            Self::Catalogue(command) => command.name(),
            Self::Allowance { change, .. } => change.name(),
            Self::Execute { .. } => "request_execution",
            Self::ExtendExecution { .. } => "extend_execution",
            Self::FinishExecution { .. } => "finish_execution",
            Self::ExpireExecution { .. } => "expire_execution",
        }
    }

    /// About how many events it will make, for filling batches.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Transact(request) => 1 + 2 * request.postings.len(),
            Self::Batch(requests) => requests.iter().map(|request| 1 + 2 * request.postings.len()).sum(),
            Self::Execute { .. } | Self::FinishExecution { .. } | Self::Allowance { .. } => 8,
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

/// What can be changed of what a wallet may use. Each change brings the allowance up to date first: grants end whose time is
/// over, a policy grants what it grants by now, and what is owed is paid from what came in.
#[derive(Debug, Clone)]
pub enum AllowanceChange {
    /// Say who uses the wallet, and at which level of service.
    Assign {
        /// The level.
        level: Option<LevelName>,
        /// The user.
        user: Option<UserRef>,
    },
    /// Grant something.
    Grant {
        /// The new grant's id.
        grant: GrantId,
        /// How much.
        amount: Amount,
        /// Which is used first: the lower first; what policies grant has 100.
        priority: u16,
        /// When what is left of it is gone.
        expires_at: Option<DateTime<Utc>>,
    },
    /// Bring it up to date and nothing else.
    Renew,
}

impl AllowanceChange {
    const fn name(&self) -> &'static str {
        match self {
            Self::Assign { .. } => "assign_allowance",
            Self::Grant { .. } => "grant_allowance",
            Self::Renew => "renew_allowance",
        }
    }
}

/// A metered call that is asked for.
#[derive(Debug, Clone)]
pub struct NewCall {
    /// Who pays.
    pub wallet: WalletPath,
    /// Which program asks.
    pub application: Option<ApplicationId>,
    /// For which user of the tenant's.
    pub user: Option<UserRef>,
    /// Which model, as the caller calls it.
    pub model: ModelName,
    /// What for.
    pub operation: Operation,
    /// The digest of the request.
    pub fingerprint: Digest,
    /// What it is thought to use at first.
    pub estimate: Usage,
    /// What that was made by, where it is known.
    pub basis: Option<Basis>,
    /// Where it can be had, and at which price, in the order in which it is tried. It is held by the first whose price is in
    /// the asset of the wallet; without any it costs nothing.
    pub quotes: Vec<Quoted>,
    /// When it was asked for, where that was before now; what is yet to come is now.
    pub requested_at: Option<DateTime<Utc>>,
    /// When it ends by itself.
    pub expires_at: DateTime<Utc>,
}

/// A try of a provider.
#[derive(Debug, Clone)]
pub struct Tried {
    /// What is known of it. Its cost is counted when it is recorded.
    pub attempt: Attempt,
    /// The price at which it was made.
    pub price: Option<Price>,
}

/// The end of a metered call.
#[derive(Debug, Clone)]
pub struct FinishedCall {
    /// The tries of providers, in their order.
    pub attempts: Vec<Tried>,
    /// How it ended.
    pub end: End,
    /// What is to be paid for.
    pub usage: Usage,
    /// How that is known.
    pub usage_source: UsageSource,
    /// At whom, and at which price; without one nothing is paid.
    pub paid: Option<Quoted>,
}
