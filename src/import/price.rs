//! What a request costs, exactly: tokens times a decimal price per million, in minor units of the asset.

use thiserror::Error;

/// Prices are quoted per this many tokens, as a power of ten.
const PER_TOKENS: u32 = 6;

/// The most digits an asset may have after the point.
const MAX_SCALE: u32 = 18;

/// A price per million tokens as written on the command line: `digits / 10^scale`, without trailing zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    digits: i128,
    scale: u32,
}

/// Why a text is not a price.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PriceError {
    /// Something else than decimal digits with at most one point.
    #[error("a price is written in decimal digits, such as 0.50; `{0}` is not")]
    NotDecimal(String),
    /// More digits than exact arithmetic has room for.
    #[error("the price `{0}` has too many digits")]
    TooLong(String),
}

/// Why a pair of prices cannot be charged in an asset.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TariffError {
    /// One token at this price is not a whole number of minor units.
    #[error(
        "the {which} price per token cannot be written with {scale} digits after the point; \
         the asset needs a scale of {needed}{}",
        if *.needed > MAX_SCALE { format!(", and {MAX_SCALE} is the largest there is") } else { String::new() }
    )]
    TooFine {
        /// `input` or `output`.
        which: &'static str,
        /// The scale the asset has.
        scale: u32,
        /// The scale it would need.
        needed: u32,
    },
    /// One token at this price is more than an amount can hold.
    #[error("the {which} price is too large")]
    TooLarge {
        /// `input` or `output`.
        which: &'static str,
    },
}

impl std::str::FromStr for Price {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let not_decimal = || PriceError::NotDecimal(text.to_owned());
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return Err(not_decimal()),
            Some(parts) => parts,
            None => (text, ""),
        };
        let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return Err(not_decimal());
        }
        let fraction = fraction.trim_end_matches('0');
        let too_long = || PriceError::TooLong(text.to_owned());
        let scale = u32::try_from(fraction.len()).map_err(|_| too_long())?;
        let digits = format!("{whole}{fraction}").parse().map_err(|_| too_long())?;
        Ok(Self { digits, scale })
    }
}

impl std::fmt::Display for Price {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = self.scale as usize + 1;
        let digits = format!("{:0>width$}", self.digits);
        match digits.split_at(digits.len() - self.scale as usize) {
            (whole, "") => f.write_str(whole),
            (whole, fraction) => write!(f, "{whole}.{fraction}"),
        }
    }
}

impl Price {
    /// The digits after the point that an asset needs to hold the price of a single token.
    fn needed_scale(self) -> u32 {
        let (mut digits, mut needed) = (self.digits, self.scale + PER_TOKENS);
        while needed > 0 && digits % 10 == 0 {
            digits /= 10;
            needed -= 1;
        }
        needed
    }

    /// Minor units for one token in an asset of this scale.
    fn per_token(self, scale: u32, which: &'static str) -> Result<i128, TariffError> {
        let needed = self.needed_scale();
        if needed > scale {
            return Err(TariffError::TooFine { which, scale, needed });
        }
        let quoted = self.scale + PER_TOKENS;
        let power = |exponent| 10_i128.checked_pow(exponent);
        let units = if scale >= quoted {
            power(scale - quoted).and_then(|factor| self.digits.checked_mul(factor))
        } else {
            power(quoted - scale).map(|divisor| self.digits / divisor)
        };
        units.ok_or(TariffError::TooLarge { which })
    }
}

/// What one token of either kind costs in minor units of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tariff {
    input: i128,
    output: i128,
    scale: u32,
}

impl Tariff {
    /// Fixes two prices per million tokens to an asset.
    ///
    /// # Errors
    /// A price that the asset cannot hold exactly for every single token is refused: nothing is ever rounded.
    pub fn new(input: Price, output: Price, scale: u32) -> Result<Self, TariffError> {
        // The finer of the two decides, so that one message names the scale that suits both.
        let (first, second) = if output.needed_scale() > input.needed_scale() {
            ((output, "output"), (input, "input"))
        } else {
            ((input, "input"), (output, "output"))
        };
        let first_units = first.0.per_token(scale, first.1)?;
        let second_units = second.0.per_token(scale, second.1)?;
        let (input, output) =
            if first.1 == "input" { (first_units, second_units) } else { (second_units, first_units) };
        Ok(Self { input, output, scale })
    }

    /// The cost of a request in minor units; `None` where it is more than an amount can hold.
    #[must_use]
    pub fn cost(&self, context_tokens: u64, generated_tokens: u64) -> Option<i128> {
        let input = self.input.checked_mul(i128::from(context_tokens))?;
        let output = self.output.checked_mul(i128::from(generated_tokens))?;
        input.checked_add(output)
    }

    /// A number of minor units (never negative here) as a decimal with exactly the asset's digits.
    #[must_use]
    pub fn decimal(&self, units: i128) -> String {
        let scale = self.scale as usize;
        if scale == 0 {
            return units.to_string();
        }
        let digits = format!("{units:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        format!("{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests;
