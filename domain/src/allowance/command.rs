use chrono::{DateTime, Utc};

use super::Period;
use crate::catalogue::Policy;
use crate::{AllowanceId, Amount, AssetCode, ExecutionId, GrantId, LevelName, Scale, UserRef, WalletPath};

/// What can be asked of an allowance. `available` is what its wallet can spend at that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowanceCommand {
    /// Say who uses the wallet, and at which level.
    Assign {
        /// The id of the allowance, by which grants of policies are named.
        id: AllowanceId,
        /// The wallet.
        wallet: WalletPath,
        /// Its asset.
        asset: AssetCode,
        /// The asset's scale.
        scale: Scale,
        /// The level of service.
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
        /// Which is used first: the lower first.
        priority: u16,
        /// When what is left of it is gone.
        expires_at: Option<DateTime<Utc>>,
    },
    /// Bring it up to date: let grants expire whose time is over, and grant what a policy grants by now.
    Renew {
        /// The policy that applies.
        policy: Option<Policy>,
        /// The present period, and how many began since the last one that was allocated, this one included.
        period: (Period, u32),
        /// What the wallet can spend.
        available: Amount,
    },
    /// Promise as much as grants can cover of `amount` to an execution.
    Reserve {
        /// The execution.
        execution: ExecutionId,
        /// What is held for it.
        amount: Amount,
    },
    /// Use what was promised to an execution, and more where it cost more.
    Burn {
        /// The execution.
        execution: ExecutionId,
        /// What it cost and the wallet paid.
        amount: Amount,
        /// What the wallet has left after that, and nothing holds: below zero where it owes.
        available: Amount,
    },
    /// Note what an execution cost beyond what there was.
    Owe {
        /// The execution.
        execution: ExecutionId,
        /// How much.
        amount: Amount,
    },
    /// Take from what the wallet has what is owed.
    Repay {
        /// What the wallet can spend.
        available: Amount,
    },
    /// Note that an execution was let through.
    Exceed {
        /// The execution.
        execution: ExecutionId,
        /// What was missing.
        short: Amount,
    },
}
