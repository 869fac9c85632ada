//! What tokens cost.

use serde::{Deserialize, Serialize};

use crate::{Amount, AssetCode, MoneyError, Scale, Usage};

/// Prices are quoted for this many tokens: ten to this power.
const PER_TOKENS: u32 = 6;

/// Prices of a million tokens of each kind, in major units of an asset; each has its own digits behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Of what is read anew.
    pub input: Amount,
    /// Of what is answered.
    pub output: Amount,
    /// Of what is found in a cache; the rate of input where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Amount>,
    /// Of what is written to a cache; the rate of input where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Amount>,
    /// Of what is written to a cache for long; the rate of `cache_write` where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_long: Option<Amount>,
    /// Of reasoning; the rate of output where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Amount>,
}

impl Rates {
    /// The rates, in the order of [`Usage::buckets`].
    pub fn buckets(&self) -> [Amount; 6] {
        let cache_write = self.cache_write.unwrap_or(self.input);
        [
            self.input,
            self.cache_read.unwrap_or(self.input),
            cache_write,
            self.cache_write_long.unwrap_or(cache_write),
            self.output,
            self.reasoning.unwrap_or(self.output),
        ]
    }
}

/// One version of the rates of a model at a provider. A version never changes: a new price is a new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Which version, from 1 for each provider and model.
    pub version: u32,
    /// In which asset.
    pub asset: AssetCode,
    /// The rates.
    pub rates: Rates,
}

impl Price {
    /// What a usage costs, in the asset's `scale`.
    ///
    /// The sum over the buckets of tokens times rate is exact; it is rounded once, to the nearest minor unit, halves up.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] where the sum is more than an amount can hold.
    pub fn cost(&self, usage: &Usage, scale: Scale) -> Result<Amount, MoneyError> {
        // Everything in units of 10^-(6 + 18): fine enough for every rate and every scale.
        let mut sum = 0_i128;
        for (tokens, rate) in usage.buckets().into_iter().zip(self.rates.buckets()) {
            if tokens == 0 {
                continue;
            }
            let rate = rate.at_scale(FINEST)?.minor();
            let cost = rate.checked_mul(i128::from(tokens)).ok_or(MoneyError::Overflow)?;
            sum = sum.checked_add(cost).ok_or(MoneyError::Overflow)?;
        }
        let coarser = PER_TOKENS + u32::from(FINEST.digits() - scale.digits());
        let unit = 10_i128.checked_pow(coarser).ok_or(MoneyError::Overflow)?;
        let half = unit / 2;
        let minor = sum.checked_add(half).ok_or(MoneyError::Overflow)?.div_euclid(unit);
        Ok(Amount::from_minor(minor, scale))
    }
}

/// The finest scale that an amount can have.
const FINEST: Scale = Scale::FINEST;
