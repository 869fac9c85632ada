use chrono::{DateTime, Utc};
use domain::application::ApplicationCommand;
use domain::tenant::TenantCommand;
use domain::transaction::Posting;
use domain::user::UserCommand;
use domain::{
    Amount, ApplicationId, AssetCode, Metadata, Reason, Reference, Scale, Slug, TenantName, TransactionId,
    UserId, WalletPath,
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
