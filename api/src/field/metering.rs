//! Fields about what is metered: names of levels, providers and models, and the words of policies.

use std::fmt;

use domain::catalogue::{Dialect, Enforcement};
use domain::execution::ExecutionStatus;
use domain::{FeatureName, LevelName, ModelName, NameError, ProviderName, UserRef, ZoneName};

use zeroize::Zeroizing;

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
    FeatureName INVALID_FEATURE "a feature is a text, such as \"priority_support\""
    LevelName INVALID_LEVEL "a level is a text, such as \"pro\""
    ProviderName INVALID_PROVIDER "a provider is a text, such as \"openai\""
    ModelName INVALID_MODEL "a model is a text, such as \"gpt-5\""
    UserRef INVALID_USER "a user is a text, such as \"customer-42\""
    ZoneName INVALID_TIME_ZONE "a time zone is a text, such as \"Europe/Berlin\""
}

macro_rules! words {
    ($($name:ident $code:ident $expected:literal { $($word:literal $variant:ident),* })*) => {
        $(impl Checked for $name {
            const CODE: Code = code::$code;
            const EXPECTED: &'static str = $expected;

            fn check(text: &str) -> Result<Self, Wrong> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(Wrong::new(Self::CODE, Self::EXPECTED)),
                }
            }
        })*
    };
}

/// How often a policy allocates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModeWord {
    /// Once.
    Lifetime,
    /// Each month.
    Monthly,
}

/// What becomes of the rest of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloverWord {
    /// It expires.
    None,
    /// Some of it is carried over.
    Capped,
    /// All of it is.
    Full,
}

words! {
    ModeWord INVALID_MODE "a mode is lifetime or monthly" { "lifetime" Lifetime, "monthly" Monthly }
    RolloverWord INVALID_ROLLOVER "a rollover is none, capped or full"
        { "none" None, "capped" Capped, "full" Full }
    Dialect INVALID_DIALECT "a dialect is openai, anthropic or gemini"
        { "openai" Openai, "anthropic" Anthropic, "gemini" Gemini }
    Enforcement INVALID_ENFORCEMENT "enforcement is monitor, warn or hard"
        { "monitor" Monitor, "warn" Warn, "hard" Hard }
    ExecutionStatus INVALID_STATUS "the status of an execution is running, completed, failed, cancelled or expired"
        { "running" Running, "completed" Completed, "failed" Failed, "cancelled" Cancelled, "expired" Expired }
}

/// The key by which a provider knows us. It does not show itself and is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(Zeroizing<String>);

impl Credential {
    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

impl Checked for Credential {
    const CODE: Code = code::INVALID_CREDENTIAL;
    const EXPECTED: &'static str = "a credential is a text of 1 to 2,048 visible ASCII characters";

    fn check(text: &str) -> Result<Self, Wrong> {
        let visible = (1..=2048).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        let credential = || Self(Zeroizing::new(text.to_owned()));
        visible.then(credential).ok_or_else(|| Wrong::new(Self::CODE, Self::EXPECTED))
    }
}
