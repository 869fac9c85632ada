use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use crate::{Amount, AssetCode, Event, Metadata, MoneyError, Scale, TransactionId, WalletPath};

/// What a wallet has, has promised and was promised, in its asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Balance {
    /// What it has.
    pub posted: Amount,
    /// What pending transactions promise away.
    pub held: Amount,
    /// What pending transactions promise to it.
    pub incoming: Amount,
}

impl Balance {
    /// Nothing at all, at `scale`.
    pub const fn empty(scale: Scale) -> Self {
        let zero = Amount::zero(scale);
        Self { posted: zero, held: zero, incoming: zero }
    }

    /// Whether it can be counted whatever becomes of the holds. A wallet takes on nothing new where it could not, so that what
    /// is held can always be settled.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub(super) fn countable(self) -> Result<(), MoneyError> {
        self.posted.checked_add(self.incoming)?;
        self.posted.checked_sub(self.held).map(|_| ())
    }

    /// Whether it could be counted with so much more, and with so much less.
    pub fn has_room_for(self, amount: Amount) -> bool {
        let sums = [self.posted.checked_add(amount), self.posted.checked_sub(amount)];
        sums.into_iter().all(|sum| sum.and_then(|posted| Self { posted, ..self }.countable()).is_ok())
    }
}

/// What happened to a wallet. A movement carries the balance after it, so that folding is assignment and
/// every event can be checked against the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WalletEvent {
    /// The wallet was opened, empty.
    Opened {
        /// Its path.
        path: WalletPath,
        /// Its asset.
        asset: AssetCode,
        /// The asset's scale.
        scale: Scale,
        /// What `posted - held` may not fall below; absent for no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        minimum: Option<Amount>,
        /// The caller's own facts.
        #[serde(default, skip_serializing_if = "Metadata::is_empty")]
        metadata: Metadata,
    },
    /// No new postings and holds from here on.
    Frozen {},
    /// It takes part again.
    Unfrozen {},
    /// It was closed, empty.
    Closed {},
    /// A transaction was posted.
    Posted {
        /// The transaction.
        transaction_id: TransactionId,
        /// Net change of `posted`.
        amount: Amount,
        /// When it took effect, where that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        effective_at: Option<DateTime<Utc>>,
        /// The balance after it.
        balance: Balance,
    },
    /// A transaction was held.
    Held {
        /// The transaction.
        transaction_id: TransactionId,
        /// Promised away.
        outgoing: Amount,
        /// Promised to this wallet.
        incoming: Amount,
        /// When the promise ends by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
        /// The balance after it.
        balance: Balance,
    },
    /// A held transaction was settled.
    Settled {
        /// The transaction.
        transaction_id: TransactionId,
        /// Net change of `posted`.
        amount: Amount,
        /// Given back of `held`.
        outgoing: Amount,
        /// Given back of `incoming`.
        incoming: Amount,
        /// When it took effect, where that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        effective_at: Option<DateTime<Utc>>,
        /// When the hold would have expired.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
        /// The balance after it.
        balance: Balance,
    },
    /// A held transaction was released.
    Released {
        /// The transaction.
        transaction_id: TransactionId,
        /// Given back of `held`.
        outgoing: Amount,
        /// Given back of `incoming`.
        incoming: Amount,
        /// When the hold would have expired.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
        /// The balance after it.
        balance: Balance,
    },
    /// A held transaction expired.
    Expired {
        /// The transaction.
        transaction_id: TransactionId,
        /// Given back of `held`.
        outgoing: Amount,
        /// Given back of `incoming`.
        incoming: Amount,
        /// When the hold expired.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
        /// The balance after it.
        balance: Balance,
    },
    /// A transaction was reversed, in part or whole.
    Reversed {
        /// The transaction.
        transaction_id: TransactionId,
        /// Net change of `posted`.
        amount: Amount,
        /// When it took effect, where that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        effective_at: Option<DateTime<Utc>>,
        /// The balance after it.
        balance: Balance,
    },
}

impl WalletEvent {
    /// The balance after the event, where it is a movement.
    pub const fn balance(&self) -> Option<Balance> {
        match self {
            Self::Opened { .. } | Self::Frozen {} | Self::Unfrozen {} | Self::Closed {} => None,
            Self::Posted { balance, .. }
            | Self::Held { balance, .. }
            | Self::Settled { balance, .. }
            | Self::Released { balance, .. }
            | Self::Expired { balance, .. }
            | Self::Reversed { balance, .. } => Some(*balance),
        }
    }

    /// The net change of `posted`, where the event changes it.
    pub const fn amount(&self) -> Option<Amount> {
        match self {
            Self::Posted { amount, .. } | Self::Settled { amount, .. } | Self::Reversed { amount, .. } => {
                Some(*amount)
            }
            _ => None,
        }
    }
}

impl Event for WalletEvent {
    fn kind(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::Frozen {} => "frozen",
            Self::Unfrozen {} => "unfrozen",
            Self::Closed {} => "closed",
            Self::Posted { .. } => "posted",
            Self::Held { .. } => "held",
            Self::Settled { .. } => "settled",
            Self::Released { .. } => "released",
            Self::Expired { .. } => "expired",
            Self::Reversed { .. } => "reversed",
        }
    }

    fn effective_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Posted { effective_at, .. }
            | Self::Settled { effective_at, .. }
            | Self::Reversed { effective_at, .. } => *effective_at,
            _ => None,
        }
    }
}

impl DomainEvent for WalletEvent {
    fn event_type(&self) -> String {
        self.kind().to_owned()
    }

    fn event_version(&self) -> String {
        Self::VERSION.to_string()
    }
}
