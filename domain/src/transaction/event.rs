use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use crate::{Amount, AssetCode, Event, Metadata, Reason, Reference, WalletPath};

/// A positive amount that moves from one wallet to another of the same asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// The wallet that pays.
    pub from: WalletPath,
    /// The wallet that receives.
    pub to: WalletPath,
    /// How much, in the asset's scale.
    pub amount: Amount,
    /// The asset of both wallets.
    pub asset: AssetCode,
}

/// What a transaction is made with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TransactionBody {
    /// The postings.
    pub postings: Vec<Posting>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// When it took effect, where that was said; otherwise when it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<DateTime<Utc>>,
    /// When the hold ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// The caller's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Why, where it is an adjustment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adjustment: Option<Reason>,
    /// The caller's own facts.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

/// What happened to a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionEvent {
    /// It was posted at once.
    Posted(Box<TransactionBody>),
    /// It was held.
    Held(Box<TransactionBody>),
    /// The hold was settled, the remainder released.
    Settled {
        /// What was settled of each posting.
        amounts: Vec<Amount>,
    },
    /// The hold was given back.
    Released {},
    /// The hold was given back because its time was over.
    Expired {},
    /// It was reversed, in part or whole.
    Reversed {
        /// What was reversed of each posting.
        amounts: Vec<Amount>,
    },
}

impl Event for TransactionEvent {
    fn kind(&self) -> &'static str {
        match self {
            Self::Posted(_) => "posted",
            Self::Held(_) => "held",
            Self::Settled { .. } => "settled",
            Self::Released {} => "released",
            Self::Expired {} => "expired",
            Self::Reversed { .. } => "reversed",
        }
    }
}

impl DomainEvent for TransactionEvent {
    fn event_type(&self) -> String {
        self.kind().to_owned()
    }

    fn event_version(&self) -> String {
        Self::VERSION.to_string()
    }
}
