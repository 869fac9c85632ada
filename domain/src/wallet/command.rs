use chrono::{DateTime, Utc};

use crate::{Amount, AssetCode, Metadata, Scale, TransactionId, WalletPath};

/// What can be asked of a wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WalletCommand {
    /// Open it.
    Open {
        /// Its path.
        path: WalletPath,
        /// The asset it will hold.
        asset: AssetCode,
        /// The asset's scale.
        scale: Scale,
        /// What `posted - held` may not fall below; `None` is no limit.
        minimum: Option<Amount>,
        /// The caller's own facts.
        metadata: Metadata,
    },
    /// Take part in no new postings and holds.
    Freeze,
    /// Take part again.
    Unfreeze,
    /// Close it for good; it must be empty.
    Close,
    /// Bear this wallet's part of a transaction.
    Move(Movement),
}

/// One wallet's part in one step of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// The wallet that the transaction means, which is this one.
    pub path: WalletPath,
    /// The asset that the transaction means.
    pub asset: AssetCode,
    /// What is to be borne.
    pub step: Step,
}

/// The steps of a transaction as one wallet sees them. `amount` is the net change of `posted`, negative
/// when the wallet pays; `outgoing` and `incoming` are the parts of a hold, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Post at once.
    Post {
        /// Net change of `posted`.
        amount: Amount,
        /// When it took effect, where that was said.
        effective_at: Option<DateTime<Utc>>,
        /// An adjustment, which a frozen wallet takes too.
        adjustment: bool,
    },
    /// Reserve and announce.
    Hold {
        /// Promised away.
        outgoing: Amount,
        /// Promised to this wallet.
        incoming: Amount,
        /// When the promise ends by itself.
        expires_at: Option<DateTime<Utc>>,
    },
    /// Give the hold back and post what it came to.
    Settle {
        /// Net change of `posted`.
        amount: Amount,
        /// Given back of `held`.
        outgoing: Amount,
        /// Given back of `incoming`.
        incoming: Amount,
        /// When it took effect, where that was said.
        effective_at: Option<DateTime<Utc>>,
        /// When the hold would have expired.
        expires_at: Option<DateTime<Utc>>,
    },
    /// Give the hold back.
    Release {
        /// Given back of `held`.
        outgoing: Amount,
        /// Given back of `incoming`.
        incoming: Amount,
        /// When the hold would have expired.
        expires_at: Option<DateTime<Utc>>,
    },
    /// Give the hold back because its time is over.
    Expire {
        /// Given back of `held`.
        outgoing: Amount,
        /// Given back of `incoming`.
        incoming: Amount,
        /// When the hold expired.
        expires_at: Option<DateTime<Utc>>,
    },
    /// Undo a posting, in part or whole.
    Reverse {
        /// Net change of `posted`.
        amount: Amount,
        /// When it took effect, where that was said.
        effective_at: Option<DateTime<Utc>>,
    },
}

impl Step {
    pub(super) const fn needs_an_open_wallet(&self) -> bool {
        matches!(self, Self::Post { adjustment: false, .. } | Self::Hold { .. } | Self::Reverse { .. })
    }
}
