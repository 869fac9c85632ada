use domain::allowance::AllowanceRejection;
use domain::application::ApplicationRejection;
use domain::catalogue::CatalogueRejection;
use domain::execution::ExecutionRejection;
use domain::tenant::TenantRejection;
use domain::transaction::TransactionRejection;
use domain::user::UserRejection;
use domain::wallet::WalletRejection;
use domain::{AssetCode, ExecutionId, MoneyError, ZoneName};

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
    /// The amount of a posting does not fit its asset.
    #[error("posting {index}: {source}")]
    Amount {
        /// Which posting, from 0.
        index: usize,
        /// What is wrong.
        source: MoneyError,
    },
    /// An amount that is in no posting does not fit its asset.
    #[error(transparent)]
    Single(MoneyError),
    /// A wallet's minimum does not fit its asset.
    #[error("minimum: {0}")]
    Minimum(MoneyError),
    /// By the transaction.
    #[error(transparent)]
    Transaction(#[from] TransactionRejection),
    /// By a wallet.
    #[error(transparent)]
    Wallet(#[from] WalletRejection),
    /// By the user.
    #[error(transparent)]
    User(#[from] UserRejection),
    /// By the application.
    #[error(transparent)]
    Application(#[from] ApplicationRejection),
    /// By the catalogue.
    #[error(transparent)]
    Catalogue(#[from] CatalogueRejection),
    /// There is no such time zone.
    #[error("there is no time zone {0}")]
    UnknownTimeZone(ZoneName),
    /// By the allowance.
    #[error(transparent)]
    Allowance(#[from] AllowanceRejection),
    /// Time changes nothing of an allowance now.
    #[error("there is nothing to renew")]
    NothingDue,
    /// By the execution.
    #[error(transparent)]
    Execution(#[from] ExecutionRejection),
    /// The transaction is a hold of an execution that is running, and ends with that.
    #[error("the transaction holds for the execution {0}, which is running, and ends with it")]
    HoldOfExecution(ExecutionId),
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
            Self::Amount { source, .. } | Self::Single(source) | Self::Minimum(source) => match source {
                MoneyError::TooPrecise => "amount_too_precise",
                MoneyError::Overflow => "amount_too_large",
                MoneyError::Malformed | MoneyError::Scale | MoneyError::ScaleMismatch => "invalid_amount",
            },
            Self::Transaction(rejection) => rejection.code(),
            Self::Wallet(rejection) => rejection.code(),
            Self::User(rejection) => rejection.code(),
            Self::Application(rejection) => rejection.code(),
            Self::Catalogue(rejection) => rejection.code(),
            Self::UnknownTimeZone(_) => "unknown_time_zone",
            Self::Allowance(rejection) => rejection.code(),
            Self::NothingDue => "allowance_not_due",
            Self::Execution(rejection) => rejection.code(),
            Self::HoldOfExecution(_) => "hold_of_an_execution",
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
