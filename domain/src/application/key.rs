//! What an application is, and what its keys may do.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Change, Description, Digest, KeyId, Label, Metadata, Network, PublicId, WebAddress};

/// What an application is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Details {
    /// Its name.
    pub name: Label,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// Among which it is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Label>,
    /// Where a picture of it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<WebAddress>,
    /// What it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Label>,
    /// The caller's own facts.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

impl Details {
    pub(super) fn change(&mut self, change: ApplicationChange) {
        let ApplicationChange { name, description, category, icon, template, metadata } = change;
        if let Some(name) = name {
            self.name = name;
        }
        description.apply(&mut self.description);
        category.apply(&mut self.category);
        icon.apply(&mut self.icon);
        template.apply(&mut self.template);
        if let Some(metadata) = metadata {
            self.metadata = metadata;
        }
    }
}

/// What changes in what an application is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApplicationChange {
    /// Another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Label>,
    /// Another description, or none any more.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub description: Change<Description>,
    /// Another category, or none any more.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub category: Change<Label>,
    /// Another picture, or none any more.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub icon: Change<WebAddress>,
    /// Another template, or none any more.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub template: Change<Label>,
    /// Other facts, in whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident $word:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$doc])* $variant),* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// It as a word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                let words = || Self::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(", ");
                let found = Self::ALL.iter().copied().find(|one| one.as_str() == text);
                found.ok_or_else(|| format!("must be one of {}", words()))
            }
        }
    };
}

words! {
    /// What a key is meant for. It is written in the key, so that nobody confuses the two.
    Environment {
        /// Business.
        Live "live",
        /// Trying things out.
        Test "test",
    }
}

words! {
    /// What a key may do.
    Scope {
        /// Read wallets, transactions and balances.
        Read "read",
        /// Read the audit log and the events too.
        Audit "audit",
        /// Make transactions.
        Transact "transact",
        /// Register assets, open and freeze wallets, make adjustments.
        Administer "administer",
        /// Call models, at the expense of wallets.
        Execute "execute",
    }
}

/// A key as it is issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedKey {
    /// Its id.
    pub key: KeyId,
    /// Its public half.
    pub public_id: PublicId,
    /// What it is meant for.
    pub environment: Environment,
    /// The digest of its secret half.
    pub digest: Digest,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// When it expires by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// From where alone it may be used; from everywhere if there is none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub addresses: BTreeSet<Network>,
}

/// What an application knows of a key that was not revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its public half.
    pub public_id: PublicId,
    /// What it is meant for.
    pub environment: Environment,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// When it expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was meant to expire, as it was issued: what takes its place does so too.
    pub meant_until: Option<DateTime<Utc>>,
    /// From where alone it may be used; from everywhere if there is none.
    pub addresses: BTreeSet<Network>,
}

impl Key {
    /// Whether it has not expired.
    pub fn alive(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|at| at > now)
    }
}

impl From<IssuedKey> for (KeyId, Key) {
    fn from(issued: IssuedKey) -> Self {
        let IssuedKey { key, public_id, environment, scopes, expires_at, addresses, .. } = issued;
        (key, Key { public_id, environment, scopes, expires_at, meant_until: expires_at, addresses })
    }
}
