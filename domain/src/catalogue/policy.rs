//! Who may use how much.

use serde::{Deserialize, Serialize};

use crate::{Amount, AssetCode, LevelName, UserRef, WalletPath};

/// For whom a policy is. Where several apply, the wallet's wins over the user's, and the user's over the level's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Governed {
    /// All who are at a level of service.
    Level(LevelName),
    /// A user of the tenant's.
    User(UserRef),
    /// A wallet.
    Wallet(WalletPath),
}

/// What is granted, and what happens when it is used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// How often something is granted.
    pub mode: Mode,
    /// How much each time.
    pub amount: Amount,
    /// Of which asset.
    pub asset: AssetCode,
    /// What happens when it is used up.
    pub enforcement: Enforcement,
}

/// How often something is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Once.
    Lifetime,
    /// With every month of the tenant's time zone.
    Monthly {
        /// What becomes of what is left at the end of a month.
        rollover: Rollover,
    },
}

/// What becomes of what is left of a period's grant. What is not carried over expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rollover {
    /// Nothing is carried over.
    None,
    /// As much as this is carried over.
    Capped {
        /// The most.
        most: Amount,
    },
    /// All of it is carried over.
    Full,
}

/// What happens to a call for which too little is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// It is made, and recorded.
    Monitor,
    /// It is made; the caller, the log and an event say so.
    Warn,
    /// It is refused before a provider is called.
    #[default]
    Hard,
}

impl Enforcement {
    /// The enforcement as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Monitor => "monitor",
            Self::Warn => "warn",
            Self::Hard => "hard",
        }
    }
}
