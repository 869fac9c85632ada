use super::Balance;
use crate::{Amount, AssetCode, WalletPath};

/// Why a command to a wallet is refused, in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalletRejection {
    /// It was never opened.
    #[error("the wallet {0} does not exist")]
    NotFound(WalletPath),
    /// The path is taken.
    #[error("a wallet with this path exists already")]
    AlreadyExists,
    /// It is closed for good.
    #[error("the wallet {0} is closed")]
    Closed(WalletPath),
    /// It is frozen.
    #[error("the wallet {0} is frozen")]
    Frozen(WalletPath),
    /// It cannot be unfrozen, for it is not frozen.
    #[error("the wallet is not frozen")]
    NotFrozen,
    /// It cannot be closed while it has or awaits something.
    #[error("the wallet is not empty: posted {}, held {}, incoming {}", .0.posted, .0.held, .0.incoming)]
    NotEmpty(Balance),
    /// It holds another asset.
    #[error("the wallet {path} holds {has}")]
    AssetMismatch {
        /// The wallet.
        path: WalletPath,
        /// The asset it holds.
        has: AssetCode,
    },
    /// The hold that is to be given back is not there: a broken invariant, never expected.
    #[error("the wallet {0} has no such hold")]
    HoldMissing(WalletPath),
    /// The balance would leave the range of an `i128`.
    #[error("the balance of {0} would be too large")]
    Overflow(WalletPath),
    /// There is not enough.
    #[error("the wallet {path} has {available} available, and {needed} is needed")]
    InsufficientFunds {
        /// The wallet.
        path: WalletPath,
        /// What can be spent.
        available: Amount,
        /// What was asked for.
        needed: Amount,
    },
}

impl WalletRejection {
    /// The stable code of this rejection.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "wallet_not_found",
            Self::AlreadyExists => "wallet_exists",
            Self::Closed(_) => "wallet_closed",
            Self::Frozen(_) => "wallet_frozen",
            Self::NotFrozen => "wallet_not_frozen",
            Self::NotEmpty(_) => "wallet_not_empty",
            Self::AssetMismatch { .. } => "asset_mismatch",
            Self::HoldMissing(_) => "hold_missing",
            Self::Overflow(_) => "balance_overflow",
            Self::InsufficientFunds { .. } => "insufficient_funds",
        }
    }
}
