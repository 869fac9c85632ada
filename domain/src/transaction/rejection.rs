use super::{MAX_POSTINGS, TransactionStatus};
use crate::MoneyError;

/// Why a command to a transaction is refused, in order of precedence. `index` counts postings from 0.
///
/// A transaction decides before the wallets it touches; they follow in the order in which the postings
/// name them first, each with its own [`crate::wallet::WalletRejection`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionRejection {
    /// No such transaction.
    #[error("the transaction does not exist")]
    NotFound,
    /// A posting at once cannot expire.
    #[error("expires_at is for pending transactions only")]
    ExpiryWithoutHold,
    /// A transaction moves something.
    #[error("a transaction needs at least one posting")]
    NoPostings,
    /// A transaction has a limit.
    #[error("a transaction has at most {MAX_POSTINGS} postings")]
    TooManyPostings,
    /// A posting leads from a wallet to itself.
    #[error("posting {index} leads from a wallet to itself")]
    SameWallet {
        /// Which posting.
        index: usize,
    },
    /// An amount is zero or negative where it may not be.
    #[error("the amount of posting {index} must be positive")]
    NotPositive {
        /// Which posting.
        index: usize,
    },
    /// An amount is negative where it may be zero.
    #[error("amount {index} must not be negative")]
    Negative {
        /// Which amount.
        index: usize,
    },
    /// A hold cannot expire before it is made.
    #[error("expires_at must be in the future")]
    ExpiryInThePast,
    /// The reference is taken.
    #[error("a transaction with this reference exists already")]
    AlreadyExists,
    /// The hold's time is over.
    #[error("the hold has expired")]
    HoldExpired,
    /// The hold's time is not over yet.
    #[error("the hold is not due to expire")]
    NotDue,
    /// Only a pending transaction is settled, released or expires.
    #[error("the transaction is {}, not pending", .0.as_str())]
    NotPending(TransactionStatus),
    /// Only what was posted or settled can be reversed.
    #[error("the transaction is {} and cannot be reversed", .0.as_str())]
    NotReversible(TransactionStatus),
    /// There is one amount per posting.
    #[error("amounts must have one amount for each of the {expected} postings")]
    AmountsMismatch {
        /// How many postings there are.
        expected: usize,
    },
    /// An amount does not fit its asset.
    #[error("amount {index}: {source}")]
    Amount {
        /// Which posting.
        index: usize,
        /// What is wrong with it.
        source: MoneyError,
    },
    /// A settlement beyond the hold.
    #[error("amount {index} is more than is held")]
    MoreThanHeld {
        /// Which posting.
        index: usize,
    },
    /// A reversal beyond what is left of the original.
    #[error("amount {index} is more than is left of the original")]
    MoreThanOriginal {
        /// Which posting.
        index: usize,
    },
    /// A reversal of nothing.
    #[error("there is nothing to reverse")]
    NothingToReverse,
}

impl TransactionRejection {
    /// The stable code of this rejection.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "transaction_not_found",
            Self::ExpiryWithoutHold => "expiry_without_hold",
            Self::NoPostings => "postings_empty",
            Self::TooManyPostings => "postings_too_many",
            Self::SameWallet { .. } => "posting_to_same_wallet",
            Self::NotPositive { .. } | Self::Negative { .. } => "amount_not_positive",
            Self::ExpiryInThePast => "expiry_in_the_past",
            Self::AlreadyExists => "reference_taken",
            Self::HoldExpired => "hold_expired",
            Self::NotDue => "hold_not_due",
            Self::NotPending(_) => "transaction_not_pending",
            Self::NotReversible(_) => "transaction_not_reversible",
            Self::AmountsMismatch { .. } => "amounts_mismatch",
            Self::Amount { source: MoneyError::TooPrecise, .. } => "amount_too_precise",
            Self::Amount { source: MoneyError::Overflow, .. } => "amount_too_large",
            Self::Amount { .. } => "invalid_amount",
            Self::MoreThanHeld { .. } => "settlement_exceeds_hold",
            Self::MoreThanOriginal { .. } => "reversal_exceeds_original",
            Self::NothingToReverse => "nothing_to_reverse",
        }
    }
}
