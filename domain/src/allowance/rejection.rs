use crate::{Amount, WalletPath};

/// Why a command to an allowance is refused, in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowanceRejection {
    /// Nothing was ever said of what the wallet may use.
    #[error("the wallet has no allowance")]
    NotFound,
    /// Paths beginning with `@` are the tenant's own; nothing is allowed to them.
    #[error("a system wallet has no allowance")]
    SystemWallet,
    /// The grant's id is taken.
    #[error("a grant with this id exists already")]
    GrantExists,
    /// What is granted is nothing, or less.
    #[error("a grant must be more than nothing")]
    NotPositive,
    /// The grant would be over before it began.
    #[error("a grant's end must be in the future")]
    ExpiryInThePast,
    /// There are as many grants as a wallet can have.
    #[error("a wallet has at most {} grants at a time", super::MAX_GRANTS)]
    TooManyGrants,
    /// It owes something, and may use nothing until that is paid.
    #[error("the wallet {wallet} owes {debt}; it may be used again once that is paid")]
    InDebt {
        /// Which.
        wallet: WalletPath,
        /// How much.
        debt: Amount,
    },
    /// Too little is available.
    #[error("the wallet {wallet} has {available} to spend, and {needed} may be needed")]
    Exhausted {
        /// Which.
        wallet: WalletPath,
        /// What it can spend.
        available: Amount,
        /// What is asked of it.
        needed: Amount,
    },
}

impl AllowanceRejection {
    /// The stable code of this rejection.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "allowance_not_found",
            Self::SystemWallet => "system_wallet",
            Self::GrantExists => "grant_exists",
            Self::NotPositive => "amount_not_positive",
            Self::ExpiryInThePast => "expiry_in_the_past",
            Self::TooManyGrants => "too_many_grants",
            Self::InDebt { .. } => "allowance_in_debt",
            Self::Exhausted { .. } => "allowance_exhausted",
        }
    }
}
