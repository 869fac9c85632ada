//! The transaction: an atomic set of postings, posted at once or held first.
//!
//! Each posting moves a positive amount from one wallet to another of the same asset, so the sum over all
//! wallets of an asset cannot change: double entry is a property of the type.
//!
//! A transaction is `posted`; or `pending` (held) and then `settled`, `released` or `expired`. What was
//! posted or settled can be reversed in parts, never beyond the original; reversed whole it is `reversed`.

mod command;
mod event;
mod legs;
mod rejection;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

pub use command::{NewTransaction, TransactionCommand};
pub use event::{Posting, TransactionBody, TransactionEvent};
pub use legs::{Leg, legs};
pub use rejection::TransactionRejection;

use crate::{Amount, Moment};

/// The most postings that one transaction may have.
pub const MAX_POSTINGS: usize = 500;

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionStatus {
    /// It was never made.
    #[default]
    Absent,
    /// Posted at once.
    Posted,
    /// Held: promised, not yet settled.
    Pending,
    /// Held, then settled in part or whole.
    Settled,
    /// Held, then given back.
    Released,
    /// Held, then given back because its time was over.
    Expired,
    /// Posted or settled, then reversed whole.
    Reversed,
}

impl TransactionStatus {
    /// The status as the API and the read models write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Posted => "posted",
            Self::Pending => "pending",
            Self::Settled => "settled",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Reversed => "reversed",
        }
    }
}

/// A transaction's state. The default is a transaction that was never made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Transaction {
    /// Where it stands.
    pub status: TransactionStatus,
    /// What it was made with.
    pub body: Arc<TransactionBody>,
    /// What was settled of each posting; empty unless it was held and settled.
    pub settled: Vec<Amount>,
    /// What was reversed of each posting; empty until something is.
    pub reversed: Vec<Amount>,
}

impl Transaction {
    /// Whether the transaction was made.
    pub fn exists(&self) -> bool {
        self.status != TransactionStatus::Absent
    }

    /// What each posting came to: the settled amounts, or the amounts posted.
    pub fn final_amounts(&self) -> Vec<Amount> {
        if self.settled.is_empty() {
            self.body.postings.iter().map(|posting| posting.amount).collect()
        } else {
            self.settled.clone()
        }
    }

    /// Decides a command at `now`.
    ///
    /// # Errors
    /// The first [`TransactionRejection`] that applies, in the order of that enum.
    pub fn decide(
        &self,
        command: TransactionCommand,
        now: DateTime<Utc>,
    ) -> Result<TransactionEvent, TransactionRejection> {
        match command {
            TransactionCommand::Post(new) => {
                if new.expires_at.is_some() {
                    return Err(TransactionRejection::ExpiryWithoutHold);
                }
                Ok(TransactionEvent::Posted(self.made(new, now)?))
            }
            TransactionCommand::Hold(new) => Ok(TransactionEvent::Held(self.made(new, now)?)),
            TransactionCommand::Settle { amounts } => self.settle(amounts, now),
            TransactionCommand::Release => {
                self.pending(now)?;
                Ok(TransactionEvent::Released {})
            }
            TransactionCommand::Expire => match (self.status, self.body.expires_at) {
                (TransactionStatus::Absent, _) => Err(TransactionRejection::NotFound),
                (TransactionStatus::Pending, Some(at)) if at <= now => Ok(TransactionEvent::Expired {}),
                (TransactionStatus::Pending, _) => Err(TransactionRejection::NotDue),
                (status, _) => Err(TransactionRejection::NotPending(status)),
            },
            TransactionCommand::Reverse { amounts } => self.reverse(amounts),
        }
    }

    fn made(
        &self,
        new: NewTransaction,
        now: DateTime<Utc>,
    ) -> Result<Box<TransactionBody>, TransactionRejection> {
        if new.postings.is_empty() {
            return Err(TransactionRejection::NoPostings);
        }
        if new.postings.len() > MAX_POSTINGS {
            return Err(TransactionRejection::TooManyPostings);
        }
        for (index, posting) in new.postings.iter().enumerate() {
            if posting.from == posting.to {
                return Err(TransactionRejection::SameWallet { index });
            }
            if !posting.amount.is_positive() {
                return Err(TransactionRejection::NotPositive { index });
            }
        }
        if new.expires_at.is_some_and(|at| at <= now) {
            return Err(TransactionRejection::ExpiryInThePast);
        }
        if self.exists() {
            return Err(TransactionRejection::AlreadyExists);
        }
        Ok(Box::new(TransactionBody {
            postings: new.postings,
            recorded_at: now,
            effective_at: new.effective_at,
            expires_at: new.expires_at,
            reference: new.reference,
            adjustment: new.adjustment,
            metadata: new.metadata,
        }))
    }

    /// Checks that the hold is still there to be settled or released.
    fn pending(&self, now: DateTime<Utc>) -> Result<(), TransactionRejection> {
        match self.status {
            TransactionStatus::Absent => Err(TransactionRejection::NotFound),
            TransactionStatus::Expired => Err(TransactionRejection::HoldExpired),
            TransactionStatus::Pending if self.body.expires_at.is_some_and(|at| at <= now) => {
                Err(TransactionRejection::HoldExpired)
            }
            TransactionStatus::Pending => Ok(()),
            status => Err(TransactionRejection::NotPending(status)),
        }
    }

    fn settle(
        &self,
        amounts: Option<Vec<Amount>>,
        now: DateTime<Utc>,
    ) -> Result<TransactionEvent, TransactionRejection> {
        self.pending(now)?;
        let held = self.final_amounts();
        let Some(amounts) = amounts else {
            return Ok(TransactionEvent::Settled { amounts: held });
        };
        let amounts = self.aligned(&amounts)?;
        for (index, (amount, most)) in amounts.iter().zip(&held).enumerate() {
            if amount.is_negative() {
                return Err(TransactionRejection::Negative { index });
            }
            if amount.minor() > most.minor() {
                return Err(TransactionRejection::MoreThanHeld { index });
            }
        }
        Ok(TransactionEvent::Settled { amounts })
    }

    fn reverse(&self, amounts: Option<Vec<Amount>>) -> Result<TransactionEvent, TransactionRejection> {
        match self.status {
            TransactionStatus::Absent => return Err(TransactionRejection::NotFound),
            TransactionStatus::Posted | TransactionStatus::Settled => {}
            status => return Err(TransactionRejection::NotReversible(status)),
        }
        let left = self.reversible();
        let amounts = match amounts {
            Some(amounts) => self.aligned(&amounts)?,
            None => left.clone(),
        };
        for (index, (amount, most)) in amounts.iter().zip(&left).enumerate() {
            if amount.is_negative() {
                return Err(TransactionRejection::Negative { index });
            }
            if amount.minor() > most.minor() {
                return Err(TransactionRejection::MoreThanOriginal { index });
            }
        }
        if amounts.iter().all(|amount| amount.is_zero()) {
            return Err(TransactionRejection::NothingToReverse);
        }
        Ok(TransactionEvent::Reversed { amounts })
    }

    /// What can still be reversed of each posting.
    fn reversible(&self) -> Vec<Amount> {
        let mut left = self.final_amounts();
        for (amount, gone) in left.iter_mut().zip(&self.reversed) {
            // Both have the asset's scale and `gone` was checked against `amount` when it was decided.
            *amount = Amount::from_minor(amount.minor().saturating_sub(gone.minor()), amount.scale());
        }
        left
    }

    /// One amount per posting, in the scale of the posting's asset.
    fn aligned(&self, amounts: &[Amount]) -> Result<Vec<Amount>, TransactionRejection> {
        let postings = &self.body.postings;
        if amounts.len() != postings.len() {
            return Err(TransactionRejection::AmountsMismatch { expected: postings.len() });
        }
        let scaled = amounts.iter().zip(postings).enumerate().map(|(index, (amount, posting))| {
            amount
                .at_scale(posting.amount.scale())
                .map_err(|source| TransactionRejection::Amount { index, source })
        });
        scaled.collect()
    }
}

impl Aggregate for Transaction {
    const TYPE: &'static str = "transaction";
    type Command = TransactionCommand;
    type Event = TransactionEvent;
    type Error = TransactionRejection;
    type Services = Moment;

    async fn handle(
        &mut self,
        command: TransactionCommand,
        moment: &Moment,
        sink: &EventSink<Self>,
    ) -> Result<(), TransactionRejection> {
        let event = self.decide(command, moment.0)?;
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, event: TransactionEvent) {
        match event {
            TransactionEvent::Posted(body) => {
                self.body = Arc::from(body);
                self.status = TransactionStatus::Posted;
            }
            TransactionEvent::Held(body) => {
                self.body = Arc::from(body);
                self.status = TransactionStatus::Pending;
            }
            TransactionEvent::Settled { amounts } => {
                self.settled = amounts;
                self.status = TransactionStatus::Settled;
            }
            TransactionEvent::Released {} => self.status = TransactionStatus::Released,
            TransactionEvent::Expired {} => self.status = TransactionStatus::Expired,
            TransactionEvent::Reversed { amounts } => {
                if self.reversed.is_empty() {
                    self.reversed = amounts;
                } else {
                    for (sum, amount) in self.reversed.iter_mut().zip(amounts) {
                        *sum = Amount::from_minor(sum.minor().saturating_add(amount.minor()), sum.scale());
                    }
                }
                if self.reversible().iter().all(|left| left.is_zero()) {
                    self.status = TransactionStatus::Reversed;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
