//! Fields of requests: texts that must have a form, each with the code of the problem when they have not.
//!
//! Serde carries nothing but a message, so a field's message begins with its code; [`crate::problem`] reads it
//! there.

mod address;
mod metering;

use std::fmt;
use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use domain::application::{Environment, Scope};
use domain::{
    Amount, AssetCode, Change, Colour, Description, DomainName, Label, Metadata, MoneyError, NameError,
    Network, Reason, Reference, Role, Scale, Slug, TenantName, WalletPath,
};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::problem::{Code, Problem, code};

pub use address::BaseAddress;
pub use metering::{Credential, ModeWord, RolloverWord};

/// A value of a request that has been checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Field<T>(pub T);

/// A part of a request that is a JSON object. Serde by itself would take a list of the values too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

/// What can be a field of a request.
pub trait Checked: Sized {
    /// The code of the problem where the JSON type is wrong.
    const CODE: Code;
    /// What is expected, in words.
    const EXPECTED: &'static str;

    /// Checks a text.
    fn check(text: &str) -> Result<Self, Wrong>;

    /// Checks a JSON value; anything but a text is wrong by default.
    fn check_value(value: Value) -> Result<Self, Wrong> {
        match value {
            Value::String(text) => Self::check(&text),
            _ => Err(Wrong::new(Self::CODE, Self::EXPECTED)),
        }
    }
}

/// Why a field is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    code: Code,
    detail: String,
}

impl Wrong {
    /// With a code and a sentence.
    pub fn new(code: Code, detail: impl fmt::Display) -> Self {
        Self { code, detail: detail.to_string() }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name, self.detail)
    }
}

impl From<Wrong> for Problem {
    fn from(wrong: Wrong) -> Self {
        Self::new(wrong.code, wrong.detail)
    }
}

impl<'de, T: Checked> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        T::check_value(value).map(Self).map_err(D::Error::custom)
    }
}

/// A field of a change that can be taken away: left out it stays, null takes it away, anything else is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clearable<T>(Change<T>);

impl<T> Default for Clearable<T> {
    fn default() -> Self {
        Self(Change::Keep)
    }
}

impl<T> Clearable<T> {
    /// Whether anything is said about the field.
    pub fn is_given(&self) -> bool {
        !self.0.is_keep()
    }
}

impl<T> From<Clearable<T>> for Change<T> {
    fn from(clearable: Clearable<T>) -> Self {
        clearable.0
    }
}

impl<'de, T: Checked> Deserialize<'de> for Clearable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = Option::<Field<T>>::deserialize(deserializer)?;
        Ok(Self(given.map_or(Change::Clear, |field| Change::Set(field.0))))
    }
}

macro_rules! checked_name {
    ($($name:ident $code:ident $expected:literal)*) => {
        $(impl Checked for $name {
            const CODE: Code = code::$code;
            const EXPECTED: &'static str = $expected;

            fn check(text: &str) -> Result<Self, Wrong> {
                Self::new(text).map_err(|error: NameError| Wrong::new(Self::CODE, error))
            }
        })*
    };
}

checked_name! {
    Slug INVALID_SLUG "a slug is a text"
    TenantName INVALID_NAME "a name is a text"
    AssetCode INVALID_ASSET "an asset is a text, such as \"USD\""
    WalletPath INVALID_PATH "a path is a text, such as \"customers:42\""
    Reference INVALID_REFERENCE "a reference is a text"
    Reason INVALID_REASON "a reason is a text"
    Label INVALID_LABEL "a label is a text"
    Description INVALID_DESCRIPTION "a description is a text"
    DomainName INVALID_DOMAIN "a domain is a text, such as \"ledger.example.org\""
    Colour INVALID_COLOUR "a colour is a text, such as \"#1f6feb\""
}

macro_rules! checked_word {
    ($($name:ident $code:ident $expected:literal)*) => {
        $(impl Checked for $name {
            const CODE: Code = code::$code;
            const EXPECTED: &'static str = $expected;

            fn check(text: &str) -> Result<Self, Wrong> {
                text.parse().map_err(|_| Wrong::new(Self::CODE, Self::EXPECTED))
            }
        })*
    };
}

checked_word! {
    Role INVALID_ROLE "a role is owner, admin, member, viewer or auditor"
    Environment INVALID_ENVIRONMENT "an environment is live or test"
    Scope INVALID_SCOPE "a scope is read, audit, transact, administer or execute"
    Network INVALID_NETWORK "a network is an address or a range, such as \"192.0.2.0/24\""
}

impl Checked for Amount {
    const CODE: Code = code::INVALID_AMOUNT;
    const EXPECTED: &'static str = "an amount is a decimal number in a string, such as \"12.50\"";

    fn check(text: &str) -> Result<Self, Wrong> {
        text.parse().map_err(|error: MoneyError| {
            let code = match error {
                MoneyError::TooPrecise => code::AMOUNT_TOO_PRECISE,
                MoneyError::Overflow => code::AMOUNT_TOO_LARGE,
                MoneyError::Malformed | MoneyError::Scale | MoneyError::ScaleMismatch => Self::CODE,
            };
            Wrong::new(code, error)
        })
    }
}

impl Checked for Scale {
    const CODE: Code = code::INVALID_SCALE;
    const EXPECTED: &'static str = "a scale is a whole number from 0 to 18";

    fn check(_text: &str) -> Result<Self, Wrong> {
        Err(Wrong::new(Self::CODE, Self::EXPECTED))
    }

    fn check_value(value: Value) -> Result<Self, Wrong> {
        let digits = value.as_u64().and_then(|digits| u8::try_from(digits).ok());
        let scale = digits.and_then(|digits| Self::new(digits).ok());
        scale.ok_or_else(|| Wrong::new(Self::CODE, Self::EXPECTED))
    }
}

impl Checked for DateTime<Utc> {
    const CODE: Code = code::INVALID_TIME;
    const EXPECTED: &'static str = "a time is a text as in RFC 3339, such as \"2026-01-31T12:00:00Z\"";

    /// Finer than microseconds is cut off: the journal keeps no more.
    fn check(text: &str) -> Result<Self, Wrong> {
        let time = DateTime::parse_from_rfc3339(text).ok();
        let time = time.and_then(|time| DateTime::from_timestamp_micros(time.timestamp_micros()));
        time.ok_or_else(|| Wrong::new(Self::CODE, Self::EXPECTED))
    }
}

impl Checked for Metadata {
    const CODE: Code = code::INVALID_METADATA;
    const EXPECTED: &'static str = "metadata is a JSON object";

    fn check(_text: &str) -> Result<Self, Wrong> {
        Err(Wrong::new(Self::CODE, Self::EXPECTED))
    }

    fn check_value(value: Value) -> Result<Self, Wrong> {
        match value {
            Value::Object(map) => Self::new(map).map_err(|error| Wrong::new(Self::CODE, error)),
            _ => Err(Wrong::new(Self::CODE, Self::EXPECTED)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(json: &str) -> Result<Amount, String> {
        serde_json::from_str::<Field<Amount>>(json).map(|field| field.0).map_err(|error| error.to_string())
    }

    #[test]
    fn an_amount_is_never_a_json_number() {
        assert_eq!(amount("\"12.50\"").unwrap().to_string(), "12.50");
        for bad in
            ["12.5", "12", "1e3", "null", "true", "[]", "\"1e3\"", "\"+1\"", "\".5\"", "\"1.\"", "\"\""]
        {
            assert!(amount(bad).unwrap_err().starts_with("invalid_amount: "), "{bad}");
        }
    }

    #[test]
    fn forty_digits_are_too_large_and_nineteen_behind_the_point_too_precise() {
        let digits = "9".repeat(40);
        assert!(amount(&format!("\"{digits}\"")).unwrap_err().starts_with("amount_too_large: "));
        assert!(amount("\"0.0000000000000000001\"").unwrap_err().starts_with("amount_too_precise: "));
    }

    #[test]
    fn an_empty_name_is_not_a_name() {
        assert!(serde_json::from_str::<Field<WalletPath>>("\"\"").is_err());
        assert!(serde_json::from_str::<Field<Slug>>("\"\"").is_err());
    }

    #[test]
    fn times_are_cut_to_microseconds_and_brought_to_utc() {
        let time = <DateTime<Utc>>::check("2026-01-31T12:00:00.123456789+01:00").unwrap();
        assert_eq!(time.to_rfc3339(), "2026-01-31T11:00:00.123456+00:00");
        for bad in ["", "2026-01-31", "2026-01-31T12:00:00", "1769860800", "yesterday"] {
            assert!(<DateTime<Utc>>::check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_scale_is_a_small_whole_number() {
        assert_eq!(serde_json::from_str::<Field<Scale>>("18").unwrap().0.digits(), 18);
        for bad in ["19", "-1", "2.5", "2.0", "\"2\"", "300", "null"] {
            assert!(serde_json::from_str::<Field<Scale>>(bad).is_err(), "{bad}");
        }
    }
}
