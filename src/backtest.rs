//! Past calls under another policy, as the command line asks for it and tells of it. What becomes of the calls is decided by
//! [`domain::backtest`].

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};
use domain::backtest::{BacktestError, Outcome, PastCall, Tally, Trial};
use domain::catalogue::{Enforcement, Mode, Policy, Rollover};
use domain::{Amount, AssetCode, MoneyError, Scale, WalletPath, ZoneName};

/// A call as the ledger has recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Who paid.
    pub wallet: WalletPath,
    /// In which asset.
    pub asset: AssetCode,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// What was held for it in all.
    pub held: Amount,
    /// What it cost.
    pub cost: Amount,
}

/// What is tried.
#[derive(Debug, Clone)]
pub struct Question {
    /// How often something is allocated.
    pub mode: Mode,
    /// How much.
    pub amount: Amount,
    /// What happens where too little is there.
    pub enforcement: Enforcement,
    /// What each wallet has besides, at the beginning.
    pub balance: Amount,
    /// Where months begin.
    pub zone: ZoneName,
    /// From when on the policy holds; from the first call on, unless that is earlier or nothing is said.
    pub from: Option<DateTime<Utc>>,
    /// Which asset; nothing where the calls have one.
    pub asset: Option<AssetCode>,
}

/// Why calls cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Amounts of several assets do not add up.
    #[error("the calls were paid in several assets ({0}); --asset says in which the policy allocates")]
    SeveralAssets(String),
    /// An amount that was asked about does not fit the asset.
    #[error("{option}: {source}")]
    Amount {
        /// Which one: an option of the command line.
        option: &'static str,
        /// Why.
        source: MoneyError,
    },
    /// They cannot be tried.
    #[error(transparent)]
    Trial(#[from] BacktestError),
}

/// What became of the calls.
#[derive(Debug)]
pub struct Report {
    enforcement: Enforcement,
    outcome: Outcome,
}

impl Question {
    /// Takes calls, in whatever order, through the policy.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn replay(&self, mut calls: Vec<Call>) -> Result<Report, ReplayError> {
        calls.retain(|call| self.asset.as_ref().is_none_or(|asset| call.asset == *asset));
        let assets: BTreeSet<&str> = calls.iter().map(|call| call.asset.as_str()).collect();
        if assets.len() > 1 {
            return Err(ReplayError::SeveralAssets(assets.into_iter().collect::<Vec<_>>().join(", ")));
        }
        calls.sort_by_key(|call| call.requested_at);
        let first = calls.first();
        // Every cost has the digits of its asset.
        let scale = first.map_or(self.amount, |call| call.cost).scale();
        self.check(scale)?;
        let asset = first.map(|call| call.asset.clone()).or_else(|| self.asset.clone()).unwrap_or_default();
        let begins = first.map(|call| call.requested_at).into_iter().chain(self.from).min();
        let (mode, amount, enforcement) = (self.mode, self.amount, self.enforcement);
        let policy = Policy { mode, amount, asset, enforcement };
        let trial = Trial { policy, scale, from: begins.unwrap_or_default() };
        let month = |at| commands::month(Some(&self.zone), at);
        let outcome =
            domain::backtest::backtest(&trial, |_| self.balance, month, calls.into_iter().map(past))?;
        Ok(Report { enforcement, outcome })
    }

    fn check(&self, scale: Scale) -> Result<(), ReplayError> {
        let most = match self.mode {
            Mode::Monthly { rollover: Rollover::Capped { most } } => Some(most),
            _ => None,
        };
        let given =
            [("--amount", Some(self.amount)), ("--balance", Some(self.balance)), ("--rollover-most", most)];
        for (option, amount) in given {
            amount
                .map(|amount| amount.at_scale(scale))
                .transpose()
                .map_err(|source| ReplayError::Amount { option, source })?;
        }
        Ok(())
    }
}

/// What has to be there for a call is what was held for it, or what it cost, where less was held: because less was there, or
/// because nobody asked.
fn past(call: Call) -> PastCall {
    let covered = call.held.at_scale(call.cost.scale()).is_ok_and(|held| held.minor() >= call.cost.minor());
    let needed = if covered { call.held } else { call.cost };
    PastCall { at: call.requested_at, wallet: call.wallet, needed, cost: call.cost }
}

impl Report {
    /// What stands in a line besides the calls that are allowed: how many are not, or not quite, and how much that is.
    fn missed(&self, tally: &Tally) -> (u64, String) {
        match self.enforcement {
            Enforcement::Hard => (tally.refused, tally.cost_refused.to_string()),
            Enforcement::Monitor | Enforcement::Warn => (tally.flagged, tally.short.to_string()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { total, wallets } = &self.outcome;
        let (missed, much) =
            if self.enforcement == Enforcement::Hard { ("refused", "cost") } else { ("flagged", "missing") };
        let width =
            wallets.keys().map(|path| path.as_str().len()).max().unwrap_or_default().max("wallet".len());
        writeln!(
            f,
            "{:width$}  {:>8}  {:>20}  {missed:>8}  {much:>20}  for the first time",
            "wallet", "allowed", "cost"
        )?;
        for (path, tally) in wallets {
            let (count, amount) = self.missed(tally);
            let first = tally.first_at.map_or_else(|| "-".to_owned(), |at| at.to_rfc3339());
            let (path, cost) = (path.as_str(), tally.cost_allowed.to_string());
            writeln!(
                f,
                "{path:width$}  {:>8}  {cost:>20}  {count:>8}  {amount:>20}  {first}",
                tally.allowed
            )?;
        }
        let (count, _) = self.missed(total);
        let allowed = total.allowed;
        write!(f, "{} wallets: {allowed} calls would have been allowed, {count} {missed}", wallets.len())
    }
}

#[cfg(test)]
mod tests;
