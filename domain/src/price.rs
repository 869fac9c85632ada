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

/// The most that the largest countable usage may cost, in major units.
const MOST_COST: i128 = 1_000_000_000_000_000;

impl Rates {
    /// Whether whatever a call can use has a cost at these rates that can be counted, in an asset of any scale: what
    /// [`Usage::LARGEST`] costs has no more than fifteen digits before the point.
    pub fn are_countable(&self) -> bool {
        let price = Price { version: 0, asset: AssetCode::default(), rates: *self };
        let most = Amount::from_minor(MOST_COST, Scale::default()).at_scale(Scale::FINEST);
        let largest = price.cost(&Usage::LARGEST, Scale::FINEST);
        matches!((largest, most), (Ok(cost), Ok(most)) if cost.minor() < most.minor())
    }

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
    /// A usage that is [`Usage::countable`] always has a cost at rates that are ([`Rates::are_countable`]), as those of every
    /// price in a catalogue are. So the end of a call is never refused for what it costs.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] where the sum, counted in a millionth of the last digit of the rates that apply, or the cost
    /// itself is more than an amount can hold.
    pub fn cost(&self, usage: &Usage, scale: Scale) -> Result<Amount, MoneyError> {
        let used: Vec<_> =
            usage.buckets().into_iter().zip(self.rates.buckets()).filter(|(tokens, _)| *tokens > 0).collect();
        // No finer than needed, so that large numbers of tokens fit: the sum is in units of 10^-(6 + finest).
        let finest = used.iter().map(|(_, rate)| rate.scale()).max().unwrap_or_default();
        let mut sum = 0_i128;
        for (tokens, rate) in used {
            let rate = rate.at_scale(finest)?.minor();
            let cost = rate.checked_mul(i128::from(tokens)).ok_or(MoneyError::Overflow)?;
            sum = sum.checked_add(cost).ok_or(MoneyError::Overflow)?;
        }
        let (had, wanted) = (PER_TOKENS + u32::from(finest.digits()), u32::from(scale.digits()));
        let power = |digits| 10_i128.checked_pow(digits).ok_or(MoneyError::Overflow);
        let minor = if had <= wanted {
            sum.checked_mul(power(wanted - had)?).ok_or(MoneyError::Overflow)?
        } else {
            let unit = power(had - wanted)?;
            // The remainder is never negative, so half of the unit and more is rounded up whatever the sign.
            let up = i128::from(sum.rem_euclid(unit) >= unit / 2);
            sum.div_euclid(unit).checked_add(up).ok_or(MoneyError::Overflow)?
        };
        Ok(Amount::from_minor(minor, scale))
    }
}
