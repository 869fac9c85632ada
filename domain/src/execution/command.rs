use super::{Attempt, ExecutionBody, FailureReason, Settled};
use crate::{Amount, TransactionId, Usage};

/// What can be asked of an execution. What it holds and pays is decided beside it, by transactions and the allowance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecutionCommand {
    /// Begin.
    Request {
        /// With what.
        body: Box<ExecutionBody>,
        /// Held by this transaction.
        hold: Option<TransactionId>,
        /// How much.
        held: Amount,
    },
    /// Hold more.
    Extend {
        /// For how much use more.
        estimate: Usage,
        /// Held by this transaction.
        hold: Option<TransactionId>,
        /// How much.
        held: Amount,
    },
    /// End, known how.
    Finish {
        /// The tries, in their order.
        attempts: Vec<Attempt>,
        /// How it ended.
        end: End,
        /// What it came to.
        settled: Box<Settled>,
    },
    /// End, because the time is over.
    Expire,
}

/// How an execution ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Answered whole.
    Completed,
    /// Not answered whole.
    Failed(FailureReason),
    /// Ended by somebody who had a right to.
    Cancelled,
}
