//! Fields about what is metered: names of levels, providers and models, and the words of policies.

use domain::catalogue::{Dialect, Enforcement, Governed};
use domain::{Amount, LevelName, ModelName, NameError, ProviderName, TimeZoneName, UserRef, WalletPath};

use super::{Checked, Wrong};
use crate::problem::{Code, code};

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
    LevelName INVALID_LEVEL "a level is a text, such as \"pro\""
    ProviderName INVALID_PROVIDER "a provider is a text, such as \"openai\""
    ModelName INVALID_MODEL "a model is a text, such as \"gpt-5\""
    UserRef INVALID_USER "a user is a text, such as \"customer-42\""
    TimeZoneName INVALID_TIME_ZONE "a time zone is a text, such as \"Europe/Berlin\""
}
