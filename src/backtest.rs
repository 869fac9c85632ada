//! Past calls under another policy: what would have been allowed, what refused.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use domain::catalogue::{Mode, Rollover};
use domain::{Amount, MoneyError, NameError, ZoneName};

/// A call as the ledger has recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Who paid.
    pub wallet: String,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// What was held for it in all.
    pub held: Amount,
    /// What it cost.
    pub cost: Amount,
}

/// Why calls cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// Amounts of several scales, or too large.
    #[error("the amounts of the calls and of the policy do not fit: {0}")]
    Money(#[from] MoneyError),
    /// The tenant's time zone is not known here.
    #[error(transparent)]
    Zone(#[from] NameError),
}

/// What calls came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// How many.
    pub calls: u64,
    /// What they have cost.
    pub cost: Amount,
}

/// A wallet under the policy.
#[derive(Debug, Clone)]
struct Wallet {
    left: Amount,
    month: Option<DateTime<Utc>>,
    allowed: Outcome,
    refused: Outcome,
}

/// A policy, and what became of the calls so far.
#[derive(Debug)]
pub struct Backtest {
    mode: Mode,
    amount: Amount,
    zone: ZoneName,
    wallets: BTreeMap<String, Wallet>,
}

impl Backtest {
    /// Begins with a policy, in a time zone.
    ///
    /// # Errors
    /// The time zone is none.
    pub fn new(mode: Mode, amount: Amount, zone: &str) -> Result<Self, BacktestError> {
        Ok(Self { mode, amount, zone: ZoneName::new(zone)?, wallets: BTreeMap::new() })
    }

    /// Replays one call; whether it would have been allowed. Calls come in the order in which they were asked for.
    ///
    /// # Errors
    /// Amounts that do not fit.
    pub fn call(&mut self, call: &Call) -> Result<bool, BacktestError> {
        let scale = call.cost.scale();
        let granted = self.amount.at_scale(scale)?;
        let zero = Outcome { calls: 0, cost: Amount::zero(scale) };
        let wallet = self.wallets.entry(call.wallet.clone()).or_insert_with(|| {
            let left = match self.mode {
                Mode::Lifetime => granted,
                Mode::Monthly { .. } => Amount::zero(scale),
            };
            Wallet { left, month: None, allowed: zero, refused: zero }
        });
        if let Mode::Monthly { rollover } = self.mode {
            let month = commands::month(Some(&self.zone), call.requested_at).start;
            if wallet.month != Some(month) {
                wallet.left = carried(rollover, wallet.left)?.checked_add(granted)?;
                wallet.month = Some(month);
            }
        }
        let needed = if call.held.is_zero() { call.cost } else { call.held.at_scale(scale)? };
        let allowed = wallet.left.minor() >= needed.minor() && wallet.left.is_positive();
        if allowed {
            wallet.left = wallet.left.checked_sub(call.cost)?;
        }
        let outcome = if allowed { &mut wallet.allowed } else { &mut wallet.refused };
        outcome.calls += 1;
        outcome.cost = outcome.cost.checked_add(call.cost)?;
        Ok(allowed)
    }
}

/// What is carried from one month into the next.
fn carried(rollover: Rollover, left: Amount) -> Result<Amount, MoneyError> {
    Ok(match rollover {
        Rollover::None => Amount::zero(left.scale()),
        Rollover::Full => left,
        Rollover::Capped { most } => {
            let most = most.at_scale(left.scale())?;
            if left.minor() <= most.minor() { left } else { most }
        }
    })
}

impl fmt::Display for Backtest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.wallets.keys().map(String::len).max().unwrap_or_default().max("wallet".len());
        writeln!(f, "{:width$}  {:>8}  {:>20}  {:>8}  {:>20}", "wallet", "allowed", "cost", "refused", "cost")?;
        let (mut allowed, mut refused) = (0, 0);
        for (path, wallet) in &self.wallets {
            allowed += wallet.allowed.calls;
            refused += wallet.refused.calls;
            writeln!(
                f,
                "{path:width$}  {:>8}  {:>20}  {:>8}  {:>20}",
                wallet.allowed.calls,
                wallet.allowed.cost.to_string(),
                wallet.refused.calls,
                wallet.refused.cost.to_string()
            )?;
        }
        write!(f, "{} wallets: {allowed} calls would have been allowed, {refused} refused", self.wallets.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    fn call(wallet: &str, at: &str, cost: &str) -> Call {
        let (held, cost) = (amount(cost), amount(cost));
        Call { wallet: wallet.to_owned(), requested_at: at.parse().unwrap(), held, cost }
    }

    fn run(mode: Mode, calls: &[(&str, &str)]) -> Vec<bool> {
        let mut backtest = Backtest::new(mode, amount("10"), "Europe/Berlin").unwrap();
        calls.iter().map(|(at, cost)| backtest.call(&call("a", at, cost)).unwrap()).collect()
    }

    #[test]
    fn what_is_allocated_once_is_used_up_once() {
        let calls = [("2026-01-01T00:00:00Z", "6.00"), ("2026-02-01T00:00:00Z", "5.00"), ("2026-03-01T00:00:00Z", "4.00")];
        assert_eq!(run(Mode::Lifetime, &calls), [true, false, true]);
    }

    #[test]
    fn a_month_begins_where_the_tenant_is() {
        let calls = [
            ("2026-01-15T00:00:00Z", "10.00"),
            ("2026-01-31T22:59:59Z", "1.00"),
            ("2026-01-31T23:00:00Z", "1.00"),
        ];
        assert_eq!(run(Mode::Monthly { rollover: Rollover::None }, &calls), [true, false, true]);
    }

    #[test]
    fn what_is_left_of_a_month_is_carried_as_the_policy_says() {
        let calls = [("2026-01-15T00:00:00Z", "4.00"), ("2026-02-15T00:00:00Z", "13.00")];
        assert_eq!(run(Mode::Monthly { rollover: Rollover::None }, &calls), [true, false]);
        assert_eq!(run(Mode::Monthly { rollover: Rollover::Full }, &calls), [true, true]);
        let capped = Rollover::Capped { most: amount("2") };
        assert_eq!(run(Mode::Monthly { rollover: capped }, &calls), [true, false]);
    }

    #[test]
    fn wallets_are_counted_apart_and_summed_up() {
        let mut backtest = Backtest::new(Mode::Lifetime, amount("1"), "UTC").unwrap();
        for wallet in ["a", "b"] {
            backtest.call(&call(wallet, "2026-01-01T00:00:00Z", "0.70")).unwrap();
        }
        backtest.call(&call("a", "2026-01-02T00:00:00Z", "0.70")).unwrap();
        let said = backtest.to_string();
        assert!(said.ends_with("2 wallets: 2 calls would have been allowed, 1 refused"), "{said}");
    }
}
