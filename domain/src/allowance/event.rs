use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use super::{Part, Period};
use crate::{
    AllowanceId, Amount, AssetCode, Event, ExecutionId, GrantId, LevelName, Scale, UserRef, WalletPath,
};

/// What happened to an allowance. What the ledger moves for it is in the same commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllowanceEvent {
    /// It is known who uses the wallet, and at which level.
    Assigned {
        /// The id of the allowance, by which grants of policies are named.
        id: AllowanceId,
        /// The wallet.
        wallet: WalletPath,
        /// Its asset.
        asset: AssetCode,
        /// The asset's scale.
        scale: Scale,
        /// The level of service.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<LevelName>,
        /// The user.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserRef>,
    },
    /// A policy granted something: with a period the grant of that period, without one what it grants once. Said again of
    /// the same period, something came back to an earlier one and is carried into it.
    Allocated {
        /// The grant.
        grant: GrantId,
        /// The period.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        period: Option<Period>,
        /// What came into the wallet.
        added: Amount,
        /// What was left of the period before and is part of this grant now.
        carried: Amount,
        /// The grant from which that was taken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        carried_from: Option<GrantId>,
        /// What of `added` is what would be left of periods in which nobody asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        missed: Option<Amount>,
    },
    /// Somebody granted something.
    Granted {
        /// The grant.
        grant: GrantId,
        /// How much.
        amount: Amount,
        /// Which is used first: the lower first.
        priority: u16,
        /// When what is left of it is gone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
    },
    /// The time of a grant is over, and what was left and not promised is gone. It may be nothing: of the last period's grant
    /// it says then that no policy follows.
    Expired {
        /// The grant.
        grant: GrantId,
        /// What was left of it.
        amount: Amount,
        /// What left the wallet: less, where the wallet was emptied in another way.
        moved: Amount,
    },
    /// Parts of grants were promised to an execution.
    Reserved {
        /// The execution.
        execution: ExecutionId,
        /// The parts, in the order in which they are used.
        parts: Vec<Part>,
    },
    /// An execution has used grants. What was promised to it and not used is free again.
    Burned {
        /// The execution.
        execution: ExecutionId,
        /// What it used of which grant.
        parts: Vec<Part>,
    },
    /// What was promised to an execution is free again.
    Returned {
        /// The execution.
        execution: ExecutionId,
    },
    /// An execution cost more than there was.
    Indebted {
        /// The execution.
        execution: ExecutionId,
        /// By how much.
        amount: Amount,
    },
    /// What was owed was taken from what came in.
    DebtRepaid {
        /// How much of it.
        amount: Amount,
        /// What grants paid of it. The rest was the wallet's own.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        parts: Vec<Part>,
    },
    /// An execution was let through although too little was available.
    Exceeded {
        /// The execution.
        execution: ExecutionId,
        /// What was missing.
        short: Amount,
    },
}

impl Event for AllowanceEvent {
    fn kind(&self) -> &'static str {
        match self {
            Self::Assigned { .. } => "assigned",
            Self::Allocated { .. } => "allocated",
            Self::Granted { .. } => "granted",
            Self::Expired { .. } => "expired",
            Self::Reserved { .. } => "reserved",
            Self::Burned { .. } => "burned",
            Self::Returned { .. } => "returned",
            Self::Indebted { .. } => "indebted",
            Self::DebtRepaid { .. } => "debt_repaid",
            Self::Exceeded { .. } => "exceeded",
        }
    }
}

impl DomainEvent for AllowanceEvent {
    fn event_type(&self) -> String {
        self.kind().to_owned()
    }

    fn event_version(&self) -> String {
        Self::VERSION.to_string()
    }
}
