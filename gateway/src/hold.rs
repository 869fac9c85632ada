//! What is held for a call, and how it grows while tokens flow.
//!
//! A hold covers the input and a tranche of output. When half of the last tranche has passed, the next one is asked for,
//! while the stream goes on; it waits only where all that is held has passed. Under a hard limit a refusal ends the stream
//! there. A price is always counted in tokens of the quoted one, because that is what the ledger holds by.

use commands::Failure;
use domain::{Price, Rates, Scale, Usage};
use tokio::task::JoinHandle;

use crate::ledger::Account;

/// The hold of one call.
#[derive(Debug)]
pub(crate) struct Hold {
    account: Account,
    /// The price by which the ledger holds; none where the call costs nothing.
    quoted: Option<Price>,
    /// The price of the provider that answers.
    price: Option<Price>,
    /// The estimate of the input.
    input: u64,
    /// Tokens of output that are covered at `price`.
    covered: u64,
    tranche: u64,
    /// The most tokens of output that can come.
    most: Option<u64>,
    hard: bool,
    number: u32,
    growing: Option<JoinHandle<Result<(), Failure>>>,
    /// No more is to be had.
    refused: bool,
}

impl Hold {
    /// What the ledger holds after the request.
    pub(crate) fn new(
        account: Account,
        quoted: Option<Price>,
        estimate: Usage,
        tranche: u64,
        hard: bool,
    ) -> Self {
        Self {
            account,
            price: quoted.clone(),
            quoted,
            input: estimate.input,
            covered: estimate.output,
            tranche: tranche.max(1),
            most: None,
            hard,
            number: 0,
            growing: None,
            refused: false,
        }
    }

    /// No more than this many tokens of output can come.
    pub(crate) fn bounded(mut self, most: Option<u64>) -> Self {
        self.most = most;
        self
    }

    /// Whether nothing may be spent that is not there.
    pub(crate) fn is_hard(&self) -> bool {
        self.hard
    }

    /// Makes the hold cover what it covers at another provider's price. False where that is refused.
    pub(crate) async fn cover(&mut self, price: Option<&Price>) -> bool {
        let covered = Usage { input: self.input, output: self.covered, ..Usage::default() };
        let more = match (&self.quoted, price) {
            (Some(quoted), Some(price)) if quoted.rates != price.rates => difference(quoted, price, &covered),
            _ => Some(Usage::default()),
        };
        let Some(more) = more else {
            // It cannot be counted, or what is quoted costs nothing.
            return !self.hard;
        };
        let done = more.is_zero() || self.extend_now(more).await;
        if done {
            self.price = price.cloned();
        }
        done || !self.hard
    }

    async fn extend_now(&mut self, more: Usage) -> bool {
        self.number += 1;
        match self.account.extend(self.number, more).await {
            Ok(()) => true,
            Err(failure) => {
                tracing::debug!(%failure, "a hold is not extended for a dearer provider");
                false
            }
        }
    }

    /// So many tokens of output passed. True while more may pass.
    pub(crate) async fn passed(&mut self, tokens: u64) -> bool {
        if self.growing.as_ref().is_some_and(JoinHandle::is_finished) {
            self.grown().await;
        }
        let ends = self.most.is_some_and(|most| self.covered >= most);
        if self.growing.is_none()
            && !self.refused
            && !ends
            && tokens > self.covered.saturating_sub(self.tranche / 2)
        {
            self.grow();
        }
        if tokens >= self.covered && self.growing.is_some() {
            self.grown().await;
        }
        tokens < self.covered || ends || !self.hard || !self.refused
    }

    /// Asks for the next tranche.
    fn grow(&mut self) {
        let tranche = Usage { output: self.tranche, ..Usage::default() };
        let more = match (&self.quoted, &self.price) {
            (Some(quoted), Some(price)) if quoted.rates != price.rates => in_quoted(quoted, price, &tranche),
            _ => Some(tranche),
        };
        self.number += 1;
        let (account, number) = (self.account.clone(), self.number);
        match more {
            Some(more) => {
                let tasks = account.shared.tasks.clone();
                self.growing = Some(tasks.spawn(async move { account.extend(number, more).await }));
            }
            None => self.refused = true,
        }
    }

    async fn grown(&mut self) {
        let Some(growing) = self.growing.take() else {
            return;
        };
        match growing.await {
            Ok(Ok(())) => self.covered = self.covered.saturating_add(self.tranche),
            Ok(Err(failure)) => {
                tracing::debug!(execution = %self.account.id, %failure, "a hold is not extended");
                self.refused = true;
            }
            Err(_) => self.refused = true,
        }
    }
}

/// What has to be held beyond `usage` at the quoted price, to cover it at another.
fn difference(quoted: &Price, price: &Price, usage: &Usage) -> Option<Usage> {
    let (held, needed) = (cost(quoted, usage)?, cost(price, usage)?);
    if needed <= held { Some(Usage::default()) } else { tokens(&quoted.rates, needed - held) }
}

/// What costs at the quoted price what `usage` costs at another.
fn in_quoted(quoted: &Price, price: &Price, usage: &Usage) -> Option<Usage> {
    tokens(&quoted.rates, cost(price, usage)?)
}

/// In units of 10^-18.
fn cost(price: &Price, usage: &Usage) -> Option<i128> {
    price.cost(usage, Scale::FINEST).ok().map(domain::Amount::minor)
}

/// So many tokens of output, or of input where output costs nothing, that they cost `cost` at these rates, rounded up.
fn tokens(rates: &Rates, cost: i128) -> Option<Usage> {
    if cost == 0 {
        return Some(Usage::default());
    }
    let worth = |rate: domain::Amount| {
        let rate = rate.at_scale(Scale::FINEST).ok()?.minor();
        let tokens = cost.checked_mul(1_000_000)?.checked_add(rate.checked_sub(1)?)?.checked_div(rate)?;
        u64::try_from(tokens).ok()
    };
    let output = worth(rates.output).map(|output| Usage { output, ..Usage::default() });
    output.or_else(|| worth(rates.input).map(|input| Usage { input, ..Usage::default() }))
}

#[cfg(test)]
mod tests {
    use domain::AssetCode;

    use super::*;

    fn price(input: &str, output: &str) -> Price {
        let rates = Rates {
            input: input.parse().unwrap(),
            output: output.parse().unwrap(),
            cache_read: None,
            cache_write: None,
            cache_write_long: None,
            reasoning: None,
        };
        Price { version: 1, asset: AssetCode::new("USD").unwrap(), rates }
    }

    #[test]
    fn a_dearer_price_is_covered_by_tokens_of_the_quoted_one() {
        let usage = Usage { input: 1_000, output: 1_000, ..Usage::default() };
        let (cheap, dear) = (price("1", "2"), price("3", "7.5"));
        let more = difference(&cheap, &dear, &usage).unwrap();
        assert_eq!(more, Usage { output: 3_750, ..Usage::default() }, "0.0105 - 0.003 at 2 a million");
        assert_eq!(difference(&dear, &cheap, &usage).unwrap(), Usage::default());
        let held = cost(&cheap, &usage).unwrap() + cost(&cheap, &more).unwrap();
        assert!(held >= cost(&dear, &usage).unwrap());
    }

    #[test]
    fn what_cannot_be_counted_in_the_quoted_price_is_not_covered() {
        let usage = Usage { input: 1, output: 1, ..Usage::default() };
        assert_eq!(difference(&price("0", "0"), &price("1", "1"), &usage), None);
        let by_input = difference(&price("2", "0"), &price("2", "3"), &usage).unwrap();
        assert_eq!(by_input, Usage { input: 2, ..Usage::default() }, "3 at 2 a million, rounded up");
        assert_eq!(in_quoted(&price("1", "1"), &price("0", "0"), &usage), Some(Usage::default()));
    }
}
