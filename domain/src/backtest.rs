//! What a policy would have done to calls of the past.
//!
//! Each wallet is taken through its calls by the [`Allowance`] itself, with money that is only counted, so that grants, what
//! is carried over and debts are what they would have been. What differs from calls in life is that they follow one another,
//! and that all that was held for one has to be there at its beginning: none is ended in the middle. That a caller who
//! was refused would have gone on differently, nobody knows.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::allowance::{AllowanceCommand, AllowanceEvent, AllowanceRejection, Period};
use crate::catalogue::{Enforcement, Policy};
use crate::{Allowance, AllowanceId, Amount, ExecutionId, MoneyError, Scale, WalletPath};

/// How many periods are counted back to the last one that was granted. An allowance looks no further back either.
const MOST_PERIODS: u32 = 1_200;

/// A call of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastCall {
    /// When it was made.
    pub at: DateTime<Utc>,
    /// By whom it was paid.
    pub wallet: WalletPath,
    /// What has to be there for it under `hard`, in the asset of the policy: what was held for it.
    pub needed: Amount,
    /// What it cost, in the asset of the policy.
    pub cost: Amount,
}

/// What is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The policy, for every wallet alike.
    pub policy: Policy,
    /// The scale of its asset.
    pub scale: Scale,
    /// From when on it holds. What it grants in the period of this moment, every wallet that makes a call has from the
    /// beginning. Calls before it are refused as out of order.
    pub from: DateTime<Utc>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Of all wallets together.
    pub total: Tally,
    /// Of each wallet.
    pub wallets: BTreeMap<WalletPath, Tally>,
}

/// What came of some calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Calls that would have been made, those that would have been flagged among them.
    pub allowed: u64,
    /// Calls that `hard` would have refused.
    pub refused: u64,
    /// Calls that `warn` or `monitor` would have let through although too little was there.
    pub flagged: u64,
    /// What those cost that would have been made.
    pub cost_allowed: Amount,
    /// What those cost that would have been refused.
    pub cost_refused: Amount,
    /// What was missing for those that would have been flagged.
    pub short: Amount,
    /// When a call would have been refused or flagged for the first time.
    pub first_at: Option<DateTime<Utc>>,
}

/// Why a trial has no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BacktestError {
    /// An amount has more digits than the asset, or a sum is more than an amount can hold.
    #[error("an amount of the trial: {0}")]
    Amount(#[from] MoneyError),
    /// A call cost less than nothing, or needed that, or the policy grants it.
    #[error("an amount of the trial is negative")]
    Negative,
    /// A call was before the one before it, or before the policy held.
    #[error("the calls are not in the order of time")]
    Unordered,
    /// There is no allowance of the tenant's own wallets.
    #[error("a system wallet has no allowance")]
    SystemWallet,
}

/// Takes `calls`, in the order of time, through a policy. `balance` says what a wallet had of its own when the policy began,
/// `period` in which period a moment lies; it is asked for the policy's modes with periods alone, and the periods must follow
/// each other without gaps.
///
/// # Errors
/// [`BacktestError`].
pub fn backtest(
    trial: &Trial,
    balance: impl Fn(&WalletPath) -> Amount,
    period: impl Fn(DateTime<Utc>) -> Period,
    calls: impl IntoIterator<Item = PastCall>,
) -> Result<Outcome, BacktestError> {
    trial.check()?;
    let mut purses: BTreeMap<WalletPath, Purse> = BTreeMap::new();
    let mut total = Tally::none(trial.scale);
    let mut last = trial.from;
    for (number, PastCall { at, wallet, needed, cost }) in (0_u128..).zip(calls) {
        if at < last {
            return Err(BacktestError::Unordered);
        }
        last = at;
        let (needed, cost) = (needed.at_scale(trial.scale)?, cost.at_scale(trial.scale)?);
        if cost.is_negative() || needed.is_negative() {
            return Err(BacktestError::Negative);
        }
        if !purses.contains_key(&wallet) {
            let mut purse = Purse::open(trial, &wallet, balance(&wallet).at_scale(trial.scale)?)?;
            purse.renew(trial, &period, trial.from)?;
            purses.insert(wallet.clone(), purse);
        }
        let Some(purse) = purses.get_mut(&wallet) else { continue };
        purse.renew(trial, &period, at)?;
        let call = ExecutionId(uuid::Uuid::from_u128(number));
        let short = purse.call(trial.policy.enforcement, call, (needed, cost), at)?;
        for tally in [&mut purse.tally, &mut total] {
            tally.count(trial.policy.enforcement, cost, short, at)?;
        }
    }
    let wallets = purses.into_iter().map(|(wallet, purse)| (wallet, purse.tally)).collect();
    Ok(Outcome { total, wallets })
}

impl Trial {
    fn check(&self) -> Result<(), BacktestError> {
        use crate::catalogue::{Mode, Rollover};
        let most = match self.policy.mode {
            Mode::Monthly { rollover: Rollover::Capped { most } } => most,
            _ => Amount::zero(self.scale),
        };
        let (amount, most) = (self.policy.amount.at_scale(self.scale)?, most.at_scale(self.scale)?);
        if amount.is_negative() || most.is_negative() { Err(BacktestError::Negative) } else { Ok(()) }
    }
}

impl Tally {
    const fn none(scale: Scale) -> Self {
        let nothing = Amount::zero(scale);
        let (allowed, refused, flagged) = (0, 0, 0);
        let (cost_allowed, cost_refused, short) = (nothing, nothing, nothing);
        Self { allowed, refused, flagged, cost_allowed, cost_refused, short, first_at: None }
    }

    fn count(
        &mut self,
        enforcement: Enforcement,
        cost: Amount,
        short: Amount,
        at: DateTime<Utc>,
    ) -> Result<(), MoneyError> {
        if short.is_positive() {
            self.first_at = self.first_at.or(Some(at));
            if enforcement == Enforcement::Hard {
                self.refused += 1;
                self.cost_refused = self.cost_refused.checked_add(cost)?;
                return Ok(());
            }
            self.flagged += 1;
            self.short = self.short.checked_add(short)?;
        }
        self.allowed += 1;
        self.cost_allowed = self.cost_allowed.checked_add(cost)?;
        Ok(())
    }
}

/// A wallet of a trial.
struct Purse {
    allowance: Allowance,
    /// What is in it, granted or its own.
    money: Amount,
    tally: Tally,
}

impl Purse {
    fn open(trial: &Trial, wallet: &WalletPath, money: Amount) -> Result<Self, BacktestError> {
        let (wallet, asset, scale) = (wallet.clone(), trial.policy.asset.clone(), trial.scale);
        let (id, level, user) = (AllowanceId::default(), None, None);
        let mut purse = Self { allowance: Allowance::default(), money, tally: Tally::none(scale) };
        purse.decide(AllowanceCommand::Assign { id, wallet, asset, scale, level, user }, trial.from)?;
        Ok(purse)
    }

    /// What it can spend: nothing where it is below zero.
    fn available(&self) -> Amount {
        if self.money.is_negative() { Amount::zero(self.money.scale()) } else { self.money }
    }

    /// Brings it up to date, as a call does before it is made.
    fn renew(
        &mut self,
        trial: &Trial,
        period: &impl Fn(DateTime<Utc>) -> Period,
        now: DateTime<Utc>,
    ) -> Result<(), BacktestError> {
        let present = period(now);
        let begun = self.allowance.period.map_or(1, |last| begun(period, last, present));
        let (policy, available) = (Some(trial.policy.clone()), self.available());
        self.decide(AllowanceCommand::Renew { policy, period: (present, begun), available }, now)?;
        let available = self.available();
        self.decide(AllowanceCommand::Repay { available }, now)
    }

    /// Makes a call that needed and cost this much, unless it is refused, and says what was missing for it. Who owes
    /// something is refused under `hard`, as in life.
    fn call(
        &mut self,
        enforcement: Enforcement,
        execution: ExecutionId,
        (needed, cost): (Amount, Amount),
        now: DateTime<Utc>,
    ) -> Result<Amount, BacktestError> {
        let available = self.available();
        let there = |amount: Amount| if amount.minor() <= available.minor() { amount } else { available };
        let (short, paid) = (needed.checked_sub(there(needed))?, there(cost));
        if enforcement == Enforcement::Hard && self.allowance.debt.is_positive() {
            return Ok(self.allowance.debt);
        }
        if enforcement == Enforcement::Hard && short.is_positive() {
            return Ok(short);
        }
        self.decide(AllowanceCommand::Owe { execution, amount: cost.checked_sub(paid)? }, now)?;
        self.money = self.money.checked_sub(paid)?;
        let burn = AllowanceCommand::Burn { execution, amount: paid, available: self.money };
        self.decide(burn, now)?;
        Ok(short)
    }

    /// Decides, and moves what the ledger would move.
    fn decide(&mut self, command: AllowanceCommand, now: DateTime<Utc>) -> Result<(), BacktestError> {
        use cqrs_es::Aggregate as _;
        let events = match self.allowance.decide(command, now) {
            Ok(events) => events,
            Err(AllowanceRejection::SystemWallet) => return Err(BacktestError::SystemWallet),
            // Grants are made by the policy alone, which nothing refuses.
            Err(_) => Vec::new(),
        };
        for event in events {
            self.money = match &event {
                AllowanceEvent::Allocated { added, .. } => self.money.checked_add(*added)?,
                AllowanceEvent::Expired { moved: amount, .. } | AllowanceEvent::DebtRepaid { amount, .. } => {
                    self.money.checked_sub(*amount)?
                }
                _ => self.money,
            };
            self.allowance.apply(event);
        }
        Ok(())
    }
}

/// How many periods have begun since `last`, up to and with the present one.
fn begun(period: &impl Fn(DateTime<Utc>) -> Period, last: Period, present: Period) -> u32 {
    let (mut at, mut count) = (last, 0);
    while at.start < present.start && count < MOST_PERIODS {
        let next = period(at.end);
        // A way to say the period that stays where it is would keep us here.
        if next.end <= at.end {
            return count + 1;
        }
        (at, count) = (next, count + 1);
    }
    count
}

#[cfg(test)]
mod tests;
