//! The wallet: one balance of one asset.
//!
//! `posted` is what the wallet has, `held` what is promised away by pending transactions, `incoming` what
//! is promised to it. What can be spent is [`Wallet::available`]; no posting or hold takes it below zero.
//! A settlement, a release and an expiry give back what a hold took, so they need no funds and are allowed
//! on a frozen wallet too: a promise once given is kept.

mod command;
mod event;
mod rejection;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

pub use command::{Movement, Step, WalletCommand};
pub use event::{Balance, WalletEvent};
pub use rejection::WalletRejection;

use crate::{Amount, AssetCode, Metadata, Moment, MoneyError, TransactionId, WalletPath};

/// Whether a wallet takes part in transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WalletStatus {
    /// It was never opened.
    #[default]
    Absent,
    /// It takes part.
    Open,
    /// No new postings or holds but adjustments; what is pending may be settled, released or expire.
    Frozen,
    /// Empty, and for good.
    Closed,
}

/// A wallet's state. The default is a wallet that was never opened.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wallet {
    /// Its path within the tenant.
    pub path: WalletPath,
    /// The asset it holds.
    pub asset: AssetCode,
    /// Whether it takes part.
    pub status: WalletStatus,
    /// What it has, has promised and was promised.
    pub balance: Balance,
    /// What `posted - held` may not fall below; `None` is no limit, for system wallets.
    pub minimum: Option<Amount>,
    /// The caller's own facts.
    pub metadata: Metadata,
    /// Holds on this wallet that expire by themselves, soonest first.
    pub expiring: Arc<BTreeSet<(DateTime<Utc>, TransactionId)>>,
}

impl Wallet {
    /// Whether the wallet was opened (it may be closed since).
    pub fn exists(&self) -> bool {
        self.status != WalletStatus::Absent
    }

    /// What can still be spent: `posted - held - minimum`, or `posted - held` where there is no limit.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] where the difference cannot be held by an `i128`.
    pub fn available(&self) -> Result<Amount, MoneyError> {
        let free = self.balance.posted.checked_sub(self.balance.held)?;
        self.minimum.map_or(Ok(free), |minimum| free.checked_sub(minimum))
    }

    /// The same, for paying from it: what is more than an amount can be (a minimum may lie far below nothing) is the most that
    /// one can be.
    pub fn spendable(&self) -> Amount {
        let Balance { posted, held, .. } = self.balance;
        // Cannot be less than an amount can be: see `Balance::countable`.
        let free = posted.minor().saturating_sub(held.minor());
        let minimum = self.minimum.map_or(0, Amount::minor);
        Amount::from_minor(free.saturating_sub(minimum), posted.scale())
    }

    /// The holds on this wallet that are due to expire at `now`, soonest first.
    pub fn due(&self, now: DateTime<Utc>) -> impl Iterator<Item = TransactionId> + '_ {
        self.expiring.iter().take_while(move |(at, _)| *at <= now).map(|(_, id)| *id)
    }

    /// Decides a command.
    ///
    /// # Errors
    /// The first [`WalletRejection`] that applies, in the order of that enum.
    pub fn decide(&self, command: WalletCommand) -> Result<WalletEvent, WalletRejection> {
        match command {
            WalletCommand::Open { path, asset, scale, minimum, metadata } => {
                if self.exists() {
                    return Err(WalletRejection::AlreadyExists);
                }
                Ok(WalletEvent::Opened { path, asset, scale, minimum, metadata })
            }
            WalletCommand::Freeze => match self.existing()? {
                WalletStatus::Frozen => Err(WalletRejection::Frozen(self.path.clone())),
                _ => Ok(WalletEvent::Frozen {}),
            },
            WalletCommand::Unfreeze => match self.existing()? {
                WalletStatus::Frozen => Ok(WalletEvent::Unfrozen {}),
                _ => Err(WalletRejection::NotFrozen),
            },
            WalletCommand::Close => {
                self.existing()?;
                let Balance { posted, held, incoming } = self.balance;
                if posted.is_zero() && held.is_zero() && incoming.is_zero() {
                    Ok(WalletEvent::Closed {})
                } else {
                    Err(WalletRejection::NotEmpty(self.balance))
                }
            }
            WalletCommand::Move(movement) => self.movement(&movement),
        }
    }

    /// The status of a wallet that exists and is not closed.
    fn existing(&self) -> Result<WalletStatus, WalletRejection> {
        match self.status {
            WalletStatus::Absent => Err(WalletRejection::NotFound(self.path.clone())),
            WalletStatus::Closed => Err(WalletRejection::Closed(self.path.clone())),
            status => Ok(status),
        }
    }

    fn movement(&self, movement: &Movement) -> Result<WalletEvent, WalletRejection> {
        let &Movement { transaction_id, ref path, ref asset, step } = movement;
        match self.status {
            WalletStatus::Absent => return Err(WalletRejection::NotFound(path.clone())),
            WalletStatus::Closed => return Err(WalletRejection::Closed(path.clone())),
            WalletStatus::Frozen if step.needs_an_open_wallet() => {
                return Err(WalletRejection::Frozen(path.clone()));
            }
            _ => {}
        }
        if self.asset != *asset {
            return Err(WalletRejection::AssetMismatch { path: path.clone(), has: self.asset.clone() });
        }
        let overflow = |_| WalletRejection::Overflow(path.clone());
        let Balance { posted, held, incoming } = self.balance;
        match step {
            Step::Post { amount, effective_at, .. } | Step::Reverse { amount, effective_at } => {
                let balance =
                    Balance { posted: posted.checked_add(amount).map_err(overflow)?, held, incoming };
                balance.countable().map_err(overflow)?;
                if amount.is_negative() {
                    self.sufficient(path, amount.checked_neg().map_err(overflow)?)?;
                }
                Ok(match step {
                    Step::Reverse { .. } => {
                        WalletEvent::Reversed { transaction_id, amount, effective_at, balance }
                    }
                    _ => WalletEvent::Posted { transaction_id, amount, effective_at, balance },
                })
            }
            Step::Hold { outgoing, incoming: announced, expires_at } => {
                let balance = Balance {
                    posted,
                    held: held.checked_add(outgoing).map_err(overflow)?,
                    incoming: incoming.checked_add(announced).map_err(overflow)?,
                };
                balance.countable().map_err(overflow)?;
                if outgoing.is_positive() {
                    self.sufficient(path, outgoing)?;
                }
                Ok(WalletEvent::Held { transaction_id, outgoing, incoming: announced, expires_at, balance })
            }
            Step::Settle { amount, outgoing, incoming: announced, effective_at, expires_at } => {
                let mut balance = self.given_back(path, outgoing, announced)?;
                balance.posted = posted.checked_add(amount).map_err(overflow)?;
                Ok(WalletEvent::Settled {
                    transaction_id,
                    amount,
                    outgoing,
                    incoming: announced,
                    effective_at,
                    expires_at,
                    balance,
                })
            }
            Step::Release { outgoing, incoming, expires_at } => {
                let balance = self.given_back(path, outgoing, incoming)?;
                Ok(WalletEvent::Released { transaction_id, outgoing, incoming, expires_at, balance })
            }
            Step::Expire { outgoing, incoming, expires_at } => {
                let balance = self.given_back(path, outgoing, incoming)?;
                Ok(WalletEvent::Expired { transaction_id, outgoing, incoming, expires_at, balance })
            }
        }
    }

    fn sufficient(&self, path: &WalletPath, needed: Amount) -> Result<(), WalletRejection> {
        if self.minimum.is_none() {
            return Ok(());
        }
        let available = self.spendable();
        if available.minor() < needed.minor() {
            return Err(WalletRejection::InsufficientFunds { path: path.clone(), available, needed });
        }
        Ok(())
    }

    /// The balance after a hold is taken back. A hold that is not there would be a broken invariant, so it
    /// is refused here even though the transaction has already checked.
    fn given_back(
        &self,
        path: &WalletPath,
        outgoing: Amount,
        announced: Amount,
    ) -> Result<Balance, WalletRejection> {
        let missing = || WalletRejection::HoldMissing(path.clone());
        let Balance { posted, held, incoming } = self.balance;
        let held = held.checked_sub(outgoing).map_err(|_| missing())?;
        let incoming = incoming.checked_sub(announced).map_err(|_| missing())?;
        if held.is_negative() || incoming.is_negative() {
            return Err(missing());
        }
        Ok(Balance { posted, held, incoming })
    }

    fn forget(&mut self, expires_at: Option<DateTime<Utc>>, transaction_id: TransactionId) {
        if let Some(at) = expires_at
            && self.expiring.contains(&(at, transaction_id))
        {
            Arc::make_mut(&mut self.expiring).remove(&(at, transaction_id));
        }
    }
}

impl Aggregate for Wallet {
    const TYPE: &'static str = "wallet";
    type Command = WalletCommand;
    type Event = WalletEvent;
    type Error = WalletRejection;
    type Services = Moment;

    async fn handle(
        &mut self,
        command: WalletCommand,
        _moment: &Moment,
        sink: &EventSink<Self>,
    ) -> Result<(), WalletRejection> {
        let event = self.decide(command)?;
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, event: WalletEvent) {
        if let Some(balance) = event.balance() {
            self.balance = balance;
        }
        match event {
            WalletEvent::Opened { path, asset, scale, minimum, metadata } => {
                *self = Self {
                    path,
                    asset,
                    status: WalletStatus::Open,
                    balance: Balance::empty(scale),
                    minimum,
                    metadata,
                    expiring: Arc::default(),
                };
            }
            WalletEvent::Frozen {} => self.status = WalletStatus::Frozen,
            WalletEvent::Unfrozen {} => self.status = WalletStatus::Open,
            WalletEvent::Closed {} => self.status = WalletStatus::Closed,
            WalletEvent::Held { transaction_id, outgoing, expires_at: Some(at), .. }
                if outgoing.is_positive() =>
            {
                Arc::make_mut(&mut self.expiring).insert((at, transaction_id));
            }
            WalletEvent::Settled { transaction_id, expires_at, .. }
            | WalletEvent::Released { transaction_id, expires_at, .. }
            | WalletEvent::Expired { transaction_id, expires_at, .. } => {
                self.forget(expires_at, transaction_id);
            }
            WalletEvent::Held { .. } | WalletEvent::Posted { .. } | WalletEvent::Reversed { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
