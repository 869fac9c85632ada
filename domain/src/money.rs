//! Money: integers of minor units with the scale of their asset, and checked arithmetic.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// How many decimal digits an asset has behind the point: 0 to 18.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, serde::Deserialize,
)]
#[serde(try_from = "u8", into = "u8")]
pub struct Scale(u8);

impl Scale {
    /// The finest scale that an asset may have.
    pub const MAX: u8 = 18;

    /// The scale with [`Scale::MAX`] digits.
    pub const FINEST: Self = Self(Self::MAX);

    /// # Errors
    /// [`MoneyError::Scale`] above [`Scale::MAX`].
    pub const fn new(digits: u8) -> Result<Self, MoneyError> {
        if digits > Self::MAX { Err(MoneyError::Scale) } else { Ok(Self(digits)) }
    }

    /// The number of digits behind the point.
    pub const fn digits(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Scale {
    type Error = MoneyError;
    fn try_from(digits: u8) -> Result<Self, MoneyError> {
        Self::new(digits)
    }
}

impl From<Scale> for u8 {
    fn from(scale: Scale) -> Self {
        scale.0
    }
}

/// What can be wrong with an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a plain decimal number.
    #[error("an amount is a decimal number in a string, such as \"12.50\"")]
    Malformed,
    /// More digits behind the point than the asset has.
    #[error("the amount has more digits behind the point than its asset")]
    TooPrecise,
    /// Beyond what an `i128` of minor units can hold.
    #[error("the amount is too large")]
    Overflow,
    /// A scale beyond 18.
    #[error("a scale is a whole number from 0 to {}", Scale::MAX)]
    Scale,
    /// Amounts of different scales cannot be combined.
    #[error("the amounts have different scales")]
    ScaleMismatch,
}

/// An exact quantity: `minor` units of an asset that has `scale` digits behind the point.
///
/// As text and in JSON it is a decimal string with exactly `scale` digits behind the point (`"12.50"`), so
/// that it says its scale itself. A JSON number is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Amount {
    minor: i128,
    scale: Scale,
}

impl Amount {
    /// `minor` units at `scale`.
    pub const fn from_minor(minor: i128, scale: Scale) -> Self {
        Self { minor, scale }
    }

    /// Nothing, at `scale`.
    pub const fn zero(scale: Scale) -> Self {
        Self { minor: 0, scale }
    }

    /// The number of minor units.
    pub const fn minor(self) -> i128 {
        self.minor
    }

    /// The number of digits behind the point.
    pub const fn scale(self) -> Scale {
        self.scale
    }

    /// Whether this is nothing.
    pub const fn is_zero(self) -> bool {
        self.minor == 0
    }

    /// Whether this is more than nothing.
    pub const fn is_positive(self) -> bool {
        self.minor > 0
    }

    /// Whether this is less than nothing.
    pub const fn is_negative(self) -> bool {
        self.minor < 0
    }

    /// The same quantity with the digits of an asset: `12.5` at scale 2 is `12.50`.
    ///
    /// # Errors
    /// [`MoneyError::TooPrecise`] where digits would be lost, even zeros; [`MoneyError::Overflow`].
    pub fn at_scale(self, scale: Scale) -> Result<Self, MoneyError> {
        let more = scale.0.checked_sub(self.scale.0).ok_or(MoneyError::TooPrecise)?;
        let factor = 10_i128.checked_pow(u32::from(more)).ok_or(MoneyError::Overflow)?;
        let minor = self.minor.checked_mul(factor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, scale })
    }

    /// The sum.
    ///
    /// # Errors
    /// [`MoneyError::ScaleMismatch`], [`MoneyError::Overflow`].
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i128::checked_add)
    }

    /// The difference.
    ///
    /// # Errors
    /// [`MoneyError::ScaleMismatch`], [`MoneyError::Overflow`].
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i128::checked_sub)
    }

    /// The same quantity the other way.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] for the one number that has no opposite.
    pub fn checked_neg(self) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_neg().ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    fn combine(self, other: Self, op: fn(i128, i128) -> Option<i128>) -> Result<Self, MoneyError> {
        if self.scale != other.scale {
            return Err(MoneyError::ScaleMismatch);
        }
        let minor = op(self.minor, other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = self.minor.unsigned_abs();
        if self.scale.0 == 0 {
            return write!(f, "{sign}{digits}");
        }
        // 10^18 fits; a scale is never finer.
        let unit = 10_u128.pow(u32::from(self.scale.0));
        let width = usize::from(self.scale.0);
        write!(f, "{sign}{}.{:0width$}", digits / unit, digits % unit)
    }
}

impl FromStr for Amount {
    type Err = MoneyError;

    /// Reads `-?digits(.digits)?`; the digits behind the point give the scale. No exponent, no plus sign,
    /// no spaces, no bare point.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = match unsigned.split_once('.') {
            Some((_, "")) => return Err(MoneyError::Malformed),
            Some(parts) => parts,
            None => (unsigned, ""),
        };
        let digits = || whole.bytes().chain(fraction.bytes());
        if whole.is_empty() || !digits().all(|b| b.is_ascii_digit()) {
            return Err(MoneyError::Malformed);
        }
        let scale = u8::try_from(fraction.len()).map_err(|_| MoneyError::TooPrecise)?;
        let scale = Scale::new(scale).map_err(|_| MoneyError::TooPrecise)?;
        let minor = digits().try_fold(0_i128, |sum, b| {
            let digit = i128::from(b - b'0');
            sum.checked_mul(10)?.checked_add(if negative { -digit } else { digit })
        });
        Ok(Self { minor: minor.ok_or(MoneyError::Overflow)?, scale })
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Amount;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number in a string, such as \"12.50\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests;
