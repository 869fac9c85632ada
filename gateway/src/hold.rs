//! What is held for a call, and how it grows while tokens flow.
//!
//! A hold covers the input and a tranche of output. When half of the last tranche has passed, the next one is asked for,
//! while the stream goes on; it waits only where all that is held has passed. Under a hard limit a refusal ends the stream
//! there. Where more passed at once than a tranche, all of it is asked for. A bound of the output ends the growing, unless a
//! provider goes well beyond it. A price is always counted in tokens of the quoted one, because that is what the ledger holds by.

use commands::Failure;
use domain::{Price, Rates, Scale, Usage};
use tokio::task::JoinHandle;

use crate::flow::Stopped;
use crate::ledger::{Account, refused};
use crate::refusal::Refusal;

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
    /// What the ledger was asked to hold in all, at the quoted price, in units of 10^-18. Less may be held where nothing is
    /// enforced.
    held: i128,
    tranche: u64,
    /// The most tokens of output that can come.
    most: Option<u64>,
    hard: bool,
    /// Whether less is held than was asked for.
    short: bool,
    /// The next part.
    growing: Option<Growing>,
    /// Why no more is to be had, where that is so.
    refused: Option<Stopped>,
}

/// A part of a hold that is asked for.
#[derive(Debug)]
struct Growing {
    asked: JoinHandle<Result<bool, Failure>>,
    /// How many tokens of output it covers.
    covers: u64,
    /// What it is in the quoted price.
    more: Usage,
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
        let held = quoted.as_ref().and_then(|quoted| cost(quoted, &estimate)).unwrap_or_default();
        Self {
            account,
            price: quoted.clone(),
            held,
            quoted,
            input: estimate.input,
            covered: estimate.output,
            tranche: tranche.max(1),
            most: None,
            hard,
            short: false,
            growing: None,
            refused: None,
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

    /// Whether less was to be had for a dearer provider than it may cost.
    pub(crate) fn is_short(&self) -> bool {
        self.short
    }

    /// Makes the hold cover what it covers at another provider's price; only what is not held yet is asked for.
    ///
    /// # Errors
    /// Why that is refused, where it matters.
    pub(crate) async fn cover(&mut self, price: Option<&Price>) -> Result<(), Stopped> {
        let covered = Usage { input: self.input, output: self.covered, ..Usage::default() };
        let more = match (&self.quoted, price) {
            (Some(quoted), Some(price)) if quoted.rates != price.rates => {
                missing(quoted, self.held, price, &covered)
            }
            _ => Some(Usage::default()),
        };
        let done = match more {
            // It cannot be counted, or what is quoted costs nothing.
            None => Err(Stopped::Exhausted),
            Some(more) if more.is_zero() => Ok(()),
            Some(more) => self.extend_now(more).await,
        };
        if done.is_ok() {
            self.price = price.cloned();
        }
        if self.hard { done } else { Ok(()) }
    }

    async fn extend_now(&mut self, more: Usage) -> Result<(), Stopped> {
        match self.account.extend(more).await {
            Ok(short) => {
                self.short |= short;
                self.holds(&more);
                Ok(())
            }
            Err(failure) => {
                tracing::debug!(%failure, "a hold is not extended for a dearer provider");
                Err(unheld(refused(failure)))
            }
        }
    }

    /// So much more is held.
    fn holds(&mut self, more: &Usage) {
        let more = self.quoted.as_ref().and_then(|quoted| cost(quoted, more)).unwrap_or_default();
        self.held = self.held.saturating_add(more);
    }

    /// So many tokens of output passed.
    ///
    /// # Errors
    /// Why no more may pass.
    pub(crate) async fn passed(&mut self, tokens: u64) -> Result<(), Stopped> {
        if self.growing.as_ref().is_some_and(|growing| growing.asked.is_finished()) {
            self.grown().await;
        }
        self.grow(tokens);
        while tokens >= self.covered && self.growing.is_some() {
            self.grown().await;
            self.grow(tokens);
        }
        match &self.refused {
            Some(why) if self.hard && tokens >= self.covered && !self.is_bounded(tokens) => Err(why.clone()),
            _ => Ok(()),
        }
    }

    /// Whether what is covered is all that can come. Tokens are counted about, so a provider is taken to keep to the bound
    /// until it is far beyond it.
    fn is_bounded(&self, tokens: u64) -> bool {
        let far = |most: u64| most.saturating_add(most / 2).saturating_add(self.tranche);
        self.most.is_some_and(|most| self.covered >= most && tokens < far(most))
    }

    /// Asks for the next tranche when it is time to.
    fn grow(&mut self, tokens: u64) {
        let early = tokens <= self.covered.saturating_sub(self.tranche / 2);
        if early || self.growing.is_some() || self.refused.is_some() || self.is_bounded(tokens) {
            return;
        }
        let wanted = tokens.saturating_sub(self.covered).saturating_add(self.tranche);
        let tranche = Usage { output: wanted, ..Usage::default() };
        let more = match (&self.quoted, &self.price) {
            (Some(quoted), Some(price)) if quoted.rates != price.rates => in_quoted(quoted, price, &tranche),
            _ => Some(tranche),
        };
        let account = self.account.clone();
        match more {
            Some(more) => {
                let tasks = account.shared.tasks.clone();
                let asked = tasks.spawn(async move { account.extend_patiently(more).await });
                self.growing = Some(Growing { asked, covers: wanted, more });
            }
            None => self.refused = Some(Stopped::Exhausted),
        }
    }

    async fn grown(&mut self) {
        let Some(Growing { asked, covers, more }) = self.growing.take() else {
            return;
        };
        match asked.await {
            Ok(Ok(_)) => {
                self.covered = self.covered.saturating_add(covers);
                self.holds(&more);
            }
            Ok(Err(failure)) => {
                tracing::debug!(execution = %self.account.id, %failure, "a hold is not extended");
                self.refused = Some(unheld(refused(failure)));
            }
            Err(_) => {
                let refusal = Refusal::new(500, "internal", "the ledger was not asked for more");
                self.refused = Some(unheld(refusal));
            }
        }
    }
}

/// Why a call ends of which the ledger holds no more.
fn unheld(refusal: Refusal) -> Stopped {
    if refusal.status == 402 { Stopped::Exhausted } else { Stopped::Unheld(refusal) }
}

/// What has to be held beyond what is, in tokens of the quoted price, to cover `usage` at another.
fn missing(quoted: &Price, held: i128, price: &Price, usage: &Usage) -> Option<Usage> {
    let needed = cost(price, usage)?;
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
        let held = cost(&cheap, &usage).unwrap();
        let more = missing(&cheap, held, &dear, &usage).unwrap();
        assert_eq!(more, Usage { output: 3_750, ..Usage::default() }, "0.0105 - 0.003 at 2 a million");
        let dearer = cost(&dear, &usage).unwrap();
        assert_eq!(missing(&dear, dearer, &cheap, &usage).unwrap(), Usage::default());
        let held = held + cost(&cheap, &more).unwrap();
        assert!(held >= dearer);
        assert_eq!(missing(&cheap, held, &dear, &usage).unwrap(), Usage::default(), "once");
    }

    #[test]
    fn what_cannot_be_counted_in_the_quoted_price_is_not_covered() {
        let usage = Usage { input: 1, output: 1, ..Usage::default() };
        assert_eq!(missing(&price("0", "0"), 0, &price("1", "1"), &usage), None);
        let quoted = price("2", "0");
        let held = cost(&quoted, &usage).unwrap();
        let by_input = missing(&quoted, held, &price("2", "3"), &usage).unwrap();
        assert_eq!(by_input, Usage { input: 2, ..Usage::default() }, "3 at 2 a million, rounded up");
        assert_eq!(in_quoted(&price("1", "1"), &price("0", "0"), &usage), Some(Usage::default()));
    }
}
