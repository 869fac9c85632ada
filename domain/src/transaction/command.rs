use chrono::{DateTime, Utc};

use super::Posting;
use crate::{Amount, Metadata, Reason, Reference};

/// What can be asked of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionCommand {
    /// Post it at once.
    Post(NewTransaction),
    /// Hold it.
    Hold(NewTransaction),
    /// Settle a hold: `amounts` of each posting (the remainder is released), or all of it.
    Settle {
        /// One amount per posting, zero allowed.
        amounts: Option<Vec<Amount>>,
    },
    /// Give a hold back.
    Release,
    /// Give a hold back because its time is over.
    Expire,
    /// Undo: `amounts` of each posting, or all that is left.
    Reverse {
        /// One amount per posting, zero allowed for some.
        amounts: Option<Vec<Amount>>,
    },
}

/// A transaction to be made. Amounts have the scale of their asset already.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewTransaction {
    /// The postings, one to many.
    pub postings: Vec<Posting>,
    /// The caller's name for it, unique within the tenant.
    pub reference: Option<Reference>,
    /// When it took effect, where that is not when it is recorded.
    pub effective_at: Option<DateTime<Utc>>,
    /// When a hold ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// Why, where it is an adjustment.
    pub adjustment: Option<Reason>,
    /// The caller's own facts.
    pub metadata: Metadata,
}
