use super::ExecutionStatus;

/// Why a command to an execution is refused, in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExecutionRejection {
    /// There is no such execution.
    #[error("the execution does not exist")]
    NotFound,
    /// The id is taken.
    #[error("an execution with this id exists already")]
    AlreadyExists,
    /// It has ended.
    #[error("the execution is {} already", .0.as_str())]
    Ended(ExecutionStatus),
    /// Its time is not over.
    #[error("the execution's time is not over yet")]
    NotDue,
    /// It was to end before it began.
    #[error("an execution's end must be in the future")]
    ExpiryInThePast,
    /// It is thought to use more than can be counted.
    #[error("a call has at most {} tokens of a kind", crate::MOST_TOKENS)]
    UsageTooLarge,
    /// Its model has no price, and its policy allows none without.
    #[error("the model has no price")]
    Unpriced,
    /// Its price is in another asset than the wallet's.
    #[error("the price is in another asset than the wallet's")]
    AssetMismatch,
    /// There were more tries than can be kept.
    #[error("an execution has at most {} attempts", super::MAX_ATTEMPTS)]
    TooManyAttempts,
}

impl ExecutionRejection {
    /// The stable code of this rejection.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotFound => "execution_not_found",
            Self::AlreadyExists => "execution_exists",
            Self::Ended(_) => "execution_ended",
            Self::NotDue => "execution_not_due",
            Self::ExpiryInThePast => "expiry_in_the_past",
            Self::UsageTooLarge => "usage_too_large",
            Self::Unpriced => "model_unpriced",
            Self::AssetMismatch => "price_asset_mismatch",
            Self::TooManyAttempts => "too_many_attempts",
        }
    }
}
