//! What a usage costs, against the arithmetic of school: decimal numbers as strings of digits.

use std::cell::Cell;

use chrono::{DateTime, Utc};
use domain::catalogue::CatalogueCommand;
use domain::{
    Amount, AssetCode, Catalogue, MOST_TOKENS, ModelName, MoneyError, Price, ProviderName, Rates, Scale,
    Usage,
};
use proptest::prelude::*;

use crate::config;

/// A number that is not negative, its decimal digits from the last one on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Digits(Vec<u8>);

impl Digits {
    fn of(mut number: u128) -> Self {
        let mut digits = Vec::new();
        while number > 0 {
            digits.push(u8::try_from(number % 10).unwrap());
            number /= 10;
        }
        Self(digits)
    }

    fn carried(sums: Vec<u32>) -> Self {
        let (mut digits, mut carry) = (Vec::new(), 0);
        for sum in sums {
            carry += sum;
            digits.push(u8::try_from(carry % 10).unwrap());
            carry /= 10;
        }
        while carry > 0 {
            digits.push(u8::try_from(carry % 10).unwrap());
            carry /= 10;
        }
        while digits.last() == Some(&0) {
            digits.pop();
        }
        Self(digits)
    }

    fn plus(&self, other: &Self) -> Self {
        let digit = |of: &Self, place: usize| u32::from(of.0.get(place).copied().unwrap_or(0));
        let places = self.0.len().max(other.0.len());
        Self::carried((0..places).map(|place| digit(self, place) + digit(other, place)).collect())
    }

    fn times(&self, other: &Self) -> Self {
        let products = other.0.iter().enumerate().map(|(zeros, digit)| {
            let row = self.0.iter().map(|own| u32::from(*own) * u32::from(*digit));
            Self::carried(std::iter::repeat_n(0, zeros).chain(row).collect())
        });
        products.fold(Self::default(), |sum, product| sum.plus(&product))
    }

    /// Times ten to the power of `zeros`.
    fn shifted(&self, zeros: usize) -> Self {
        let digits = std::iter::repeat_n(0, zeros).chain(self.0.iter().copied()).collect::<Vec<_>>();
        Self::carried(digits.into_iter().map(u32::from).collect())
    }

    /// Without its last `places` digits; the last of those decides whether it is rounded up.
    fn rounded(&self, places: usize) -> Self {
        let up = places > 0 && self.0.get(places - 1).is_some_and(|digit| *digit >= 5);
        let kept = Self(self.0.get(places..).unwrap_or_default().to_vec());
        if up { kept.plus(&Self(vec![1])) } else { kept }
    }

    /// As an `i128`, where it is one.
    fn number(&self) -> Option<i128> {
        self.0
            .iter()
            .rev()
            .try_fold(0_i128, |sum, digit| sum.checked_mul(10)?.checked_add(i128::from(*digit)))
    }
}

/// The exact cost, before it is rounded, and how many digits of it are behind the point.
fn exact(price: &Price, usage: &Usage) -> (Digits, usize) {
    // Which rate stands in for one that is not there, as the rates are documented.
    let Rates { input, output, cache_read, cache_write, cache_write_long, reasoning } = price.rates;
    let pairs = [
        (usage.input, input),
        (usage.cache_read, cache_read.unwrap_or(input)),
        (usage.cache_write, cache_write.unwrap_or(input)),
        (usage.cache_write_long, cache_write_long.or(cache_write).unwrap_or(input)),
        (usage.output, output),
        (usage.reasoning, reasoning.unwrap_or(output)),
    ];
    let used: Vec<_> = pairs.into_iter().filter(|(tokens, _)| *tokens > 0).collect();
    let finest = used.iter().map(|(_, rate)| rate.scale().digits()).max().unwrap_or(0);
    let sum = used.iter().fold(Digits::default(), |sum, (tokens, rate)| {
        let zeros = usize::from(finest - rate.scale().digits());
        let minor = Digits::of(u128::try_from(rate.minor()).unwrap());
        sum.plus(&minor.shifted(zeros).times(&Digits::of(u128::from(*tokens))))
    });
    (sum, usize::from(finest) + 6)
}

fn rounded((sum, digits): &(Digits, usize), scale: Scale) -> Digits {
    let wanted = usize::from(scale.digits());
    if wanted >= *digits { sum.shifted(wanted - digits) } else { sum.rounded(digits - wanted) }
}

fn scales() -> impl Strategy<Value = Scale> {
    (0..=Scale::MAX).prop_map(|digits| Scale::new(digits).unwrap())
}

/// Rates as they are in price lists, and all others.
fn rates() -> impl Strategy<Value = Rates> {
    let rate = || {
        let usual = (0..100_000_i128, 0..=6_u8).boxed();
        let any = (prop_oneof![0..i128::MAX, 0..10_i128.pow(24)], 0..=Scale::MAX).boxed();
        prop_oneof![6 => usual, 1 => any]
            .prop_map(|(minor, digits)| Amount::from_minor(minor, Scale::new(digits).unwrap()))
    };
    let perhaps = move || prop::option::of(rate());
    (rate(), rate(), perhaps(), perhaps(), perhaps(), perhaps()).prop_map(
        |(input, output, cache_read, cache_write, cache_write_long, reasoning)| Rates {
            input,
            output,
            cache_read,
            cache_write,
            cache_write_long,
            reasoning,
        },
    )
}

fn usages() -> impl Strategy<Value = Usage> {
    let bucket =
        || prop_oneof![3 => Just(0_u64), 6 => 0..2_000_000_u64, 1 => any::<u64>(), 1 => Just(u64::MAX)];
    (bucket(), bucket(), bucket(), bucket(), bucket(), bucket()).prop_map(
        |(input, cache_read, cache_write, cache_write_long, output, reasoning)| Usage {
            input,
            cache_read,
            cache_write,
            cache_write_long,
            output,
            reasoning,
        },
    )
}

fn price(rates: Rates) -> Price {
    Price { version: 1, asset: AssetCode::new("USD").unwrap(), rates }
}

#[test]
fn a_cost_is_exact_and_rounded_once_and_what_no_amount_can_hold_is_an_error() {
    proptest!(config(512), |(rates in rates(), usage in usages(), scale in scales())| {
        let price = price(rates);
        let sum = exact(&price, &usage);
        // Beyond what is promised, that is: the sum itself, or the cost.
        let expected = sum.0.number().and_then(|_| rounded(&sum, scale).number());
        let expected = expected.map(|minor| Amount::from_minor(minor, scale)).ok_or(MoneyError::Overflow);
        prop_assert_eq!(price.cost(&usage, scale), expected);
    });
}

/// A usage that a call can have, more often than not at the edge.
fn countable() -> impl Strategy<Value = Usage> {
    let bucket = || prop_oneof![1 => Just(0_u64), 2 => 0..=MOST_TOKENS, 2 => Just(MOST_TOKENS)];
    (bucket(), bucket(), bucket(), bucket(), bucket(), bucket()).prop_map(
        |(input, cache_read, cache_write, cache_write_long, output, reasoning)| Usage {
            input,
            cache_read,
            cache_write,
            cache_write_long,
            output,
            reasoning,
        },
    )
}

/// Rates about as high as they can be.
fn high() -> impl Strategy<Value = Rates> {
    let rate = || {
        (1..10_i128.pow(30), 0..=Scale::MAX, 0..30_u32).prop_map(|(minor, digits, less)| {
            Amount::from_minor(minor / 10_i128.pow(less), Scale::new(digits).unwrap())
        })
    };
    let perhaps = move || prop::option::of(rate());
    (rate(), rate(), perhaps(), perhaps(), perhaps(), perhaps()).prop_map(
        |(input, output, cache_read, cache_write, cache_write_long, reasoning)| Rates {
            input,
            output,
            cache_read,
            cache_write,
            cache_write_long,
            reasoning,
        },
    )
}

#[test]
fn whatever_a_call_uses_has_a_cost_at_every_price_that_a_catalogue_takes() {
    let most = Digits::of(10).shifted(14 + 18).number().unwrap();
    let (taken, refused) = (Cell::new(0), Cell::new(0));
    proptest!(config(1024), |(rates in prop_oneof![rates(), high()], usage in countable(), scale in scales())| {
        let (asset, model) = (AssetCode::new("USD").unwrap(), ModelName::new("m").unwrap());
        let set = CatalogueCommand::SetPrice { provider: ProviderName::new("p").unwrap(), model, asset, rates };
        let decided = Catalogue::default().decide(set, DateTime::<Utc>::UNIX_EPOCH);
        let largest = exact(&price(rates), &Usage::LARGEST);
        let bounded = largest.0.number().and_then(|_| rounded(&largest, Scale::FINEST).number());
        let fits = bounded.is_some_and(|cost| cost < most);
        prop_assert_eq!(decided.is_ok(), fits, "{:?}", decided);
        if fits {
            taken.set(taken.get() + 1);
            let cost = price(rates).cost(&usage, scale);
            prop_assert!(cost.as_ref().is_ok_and(|cost| cost.minor() <= most), "{:?}", cost);
        } else {
            refused.set(refused.get() + 1);
        }
    });
    assert!(taken.get() > 100 && refused.get() > 100, "{taken:?} {refused:?}");
}

#[test]
fn more_tokens_never_cost_less() {
    proptest!(config(256), |(rates in rates(), usage in usages(), more in usages(), scale in scales())| {
        let price = price(rates);
        let Some(both) = usage.checked_add(&more) else { return Ok(()) };
        if let Ok(all) = price.cost(&both, scale) {
            prop_assert!(price.cost(&usage, scale).unwrap().minor() <= all.minor());
        }
    });
}

#[test]
fn costs_that_need_no_rounding_add_up() {
    proptest!(config(256), |(rates in rates(), usage in usages(), more in usages())| {
        let price = price(rates);
        let scale = Scale::FINEST;
        let needs_none = |usage: &Usage| {
            let sum = exact(&price, usage);
            let beyond = sum.1.saturating_sub(usize::from(scale.digits()));
            sum.0.0.iter().take(beyond).all(|digit| *digit == 0)
        };
        let Some(both) = usage.checked_add(&more) else { return Ok(()) };
        if let Ok(all) = price.cost(&both, scale) && needs_none(&usage) && needs_none(&more) {
            let (one, other) = (price.cost(&usage, scale).unwrap(), price.cost(&more, scale).unwrap());
            prop_assert_eq!(one.checked_add(other), Ok(all));
        }
    });
}

#[test]
fn halves_are_rounded_up_and_what_is_less_is_not() {
    let (input, output): (Amount, Amount) = ("2.50".parse().unwrap(), "10".parse().unwrap());
    let bare =
        Rates { input, output, cache_read: None, cache_write: None, cache_write_long: None, reasoning: None };
    let cents = Scale::new(2).unwrap();
    let cost = |input, output| price(bare).cost(&Usage { input, output, ..Usage::default() }, cents);
    for (input, output, expected) in [
        (0, 0, "0.00"),
        (1_999, 0, "0.00"),
        (2_000, 0, "0.01"),
        (5_999, 0, "0.01"),
        (6_000, 0, "0.02"),
        // Each alone is less than half a cent; rounded each for itself they would cost nothing.
        (1_000, 250, "0.01"),
        (1_000_000, 1_000_000, "12.50"),
    ] {
        assert_eq!(cost(input, output), Ok(expected.parse().unwrap()), "{input} {output}");
    }
}

#[test]
fn a_year_of_a_large_providers_tokens_has_a_cost() {
    let bare = Rates {
        input: "1000000".parse().unwrap(),
        output: "1000000".parse().unwrap(),
        cache_read: None,
        cache_write: None,
        cache_write_long: None,
        reasoning: None,
    };
    let usage = Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() };
    let expected = Amount::from_minor(2 * i128::from(u64::MAX), Scale::default());
    assert_eq!(price(bare).cost(&usage, Scale::default()), Ok(expected), "one for each token");
}
