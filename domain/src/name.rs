//! Validated names: what a slug, an asset code, a wallet path, a reference and a reason may look like.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is not a valid name of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {rule}")]
pub struct NameError {
    /// Which kind of name was asked for: `slug`, `path`, ...
    pub what: &'static str,
    /// The rule in words, starting with "must".
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$meta:meta])* $name:ident, $what:literal, $valid:expr, $rule:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = concat!("Checks that `text` is a valid ", $what, ".")]
            ///
            /// # Errors
            /// [`NameError`] with the rule that it breaks.
            pub fn new(text: &str) -> Result<Self, NameError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(NameError { what: $what, rule: $rule })
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Default for $name {
            /// Empty: the name of what does not exist yet.
            fn default() -> Self {
                Self("".into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                // Empty is what an aggregate that does not exist yet is serialized with.
                if text.is_empty() { Ok(Self::default()) } else { Self::new(&text) }
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}
pub(crate) use name;

name! {
    /// A tenant's short name, part of URLs and tokens.
    Slug, "slug",
    |text| (2..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric()),
    "must be 2 to 63 of a-z, 0-9 and -, starting and ending with a letter or digit"
}

name! {
    /// A tenant's display name.
    TenantName, "name",
    |text| printable(text, 200),
    "must be 1 to 200 characters without control characters"
}

name! {
    /// An asset's code, such as `USD` or `AI-TOKEN`.
    AssetCode, "asset",
    |text| (1..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"-_.".contains(&b)),
    "must be 1 to 32 of A-Z, 0-9, '-', '_' and '.', starting with a letter"
}

name! {
    /// A wallet's path: segments joined by `:`, the tenant's own system wallets starting with `@`.
    WalletPath, "path",
    |text| text.len() <= 255 && text.strip_prefix('@').unwrap_or(text).split(':').all(segment),
    "must be segments of 1 to 64 letters, digits, '-', '_' and '.', joined by ':', 255 bytes at the most; \
     a leading '@' marks a system wallet"
}

name! {
    /// The caller's own name for a transaction, unique within the tenant.
    Reference, "reference",
    |text| printable(text, 255),
    "must be 1 to 255 characters without control characters"
}

name! {
    /// Why an adjustment was made.
    Reason, "reason",
    |text| printable(text, 500) && !text.trim().is_empty(),
    "must be 1 to 500 characters without control characters, and not blank"
}

name! {
    /// The name of an application, a category or a template.
    Label, "label",
    |text| printable(text, 120) && !text.trim().is_empty(),
    "must be 1 to 120 characters without control characters, and not blank"
}

name! {
    /// What something is for, in a few sentences.
    Description, "description",
    |text| (1..=2000).contains(&text.chars().count()) && !text.chars().any(|c| c.is_control() && c != '\n'),
    "must be 1 to 2000 characters without control characters other than line breaks"
}

impl WalletPath {
    /// Whether this is one of the tenant's own system wallets.
    pub fn is_system(&self) -> bool {
        self.0.starts_with('@')
    }
}

name! {
    /// A level of service.
    LevelName, "level",
    |text| segment(text),
    "must be 1 to 64 letters, digits, `-`, `_` or `.`"
}

name! {
    /// A feature that a level of service has or has not.
    FeatureName, "feature",
    |text| segment(text),
    "must be 1 to 64 letters, digits, `-`, `_` or `.`"
}

name! {
    /// A provider, as the tenant calls it.
    ProviderName, "provider",
    |text| segment(text),
    "must be 1 to 64 letters, digits, `-`, `_` or `.`"
}

name! {
    /// A model, as callers or its provider call it.
    ModelName, "model",
    |text| (1..=200).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/@+".contains(&b))
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()),
    "must be 1 to 200 letters, digits, `-`, `_`, `.`, `:`, `/`, `@` or `+`, the first of them a letter or a digit"
}

name! {
    /// A user of the tenant's own, as the tenant calls them. It is kept in plain, so it should be a number and not an address.
    UserRef, "user",
    |text| printable(text, 128) && text.trim() == text,
    "must be 1 to 128 characters without control characters, none of them a space at either end"
}

name! {
    /// A time zone of the IANA database, such as `Europe/Berlin`. Whether there is such a zone is for others to say.
    ZoneName, "time zone",
    |text| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+-".contains(&b)),
    "must be the name of a zone in the IANA database, such as `Europe/Berlin` or `UTC`"
}

/// `.` and `..` are none: no client sends them as parts of an address.
fn segment(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && !matches!(text, "." | "..")
}

fn printable(text: &str, max: usize) -> bool {
    !text.is_empty() && text.chars().count() <= max && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_segments_of_plain_characters() {
        for good in ["a", "@world", "@world:USD", "customers:42:credits", "a.b-c_d:E", "...", ".a"] {
            assert!(WalletPath::new(good).is_ok(), "{good}");
        }
        let long = "a".repeat(65);
        for bad in [
            "", "@", ":", "a:", ":a", "a::b", "a b", "a/b", "a@b", "ü", "a\0", "..%2f", "@@a", ".", "..",
            "a:..", &long,
        ] {
            assert!(WalletPath::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn slugs_are_safe_in_a_host_name() {
        assert!(Slug::new("acme-2").is_ok());
        assert!("".parse::<Slug>().is_err(), "only what is kept can be empty");
        for bad in ["", "a", "-a", "a-", "Acme", "a_b", "a.b", &"a".repeat(64)] {
            assert!(Slug::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_are_one_line_and_descriptions_a_few() {
        assert!(Label::new("Web shop ü").is_ok());
        for bad in ["", "  ", "a\nb", "a\0", &"a".repeat(121)] {
            assert!(Label::new(bad).is_err(), "{bad}");
        }
        assert!(Description::new("One.\nTwo.").is_ok());
        for bad in ["", "a\rb", "a\0", &"a".repeat(2001)] {
            assert!(Description::new(bad).is_err(), "{bad}");
        }
    }
}
