//! What people send about themselves, in checked form.

use std::fmt;

use domain::{Change, Label, Metadata, WebAddress};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::field::{Checked, Wrong};
use crate::problem::{Code, code};

/// The longest address that mail can be sent to (RFC 5321).
const LONGEST_EMAIL: usize = 254;
/// The longest part before the `@`.
const LONGEST_MAILBOX: usize = 64;
/// The longest secret that is looked at, in bytes.
const LONGEST_SECRET: usize = 1024;

/// An email address, trimmed and in lower case: the form in which two are the same. It can be written into a mail's
/// header as it is.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Email(String);

impl Email {
    /// Reads an address.
    ///
    /// # Errors
    /// In words, what an address looks like.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let text = text.trim().to_ascii_lowercase();
        let formed = text.len() <= LONGEST_EMAIL
            && text.split_once('@').is_some_and(|(mailbox, host)| is_mailbox(mailbox) && is_host(host));
        if formed { Ok(Self(text)) } else { Err(<Self as Checked>::EXPECTED) }
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Email {
    /// Not the address: it is personal, and what is printed may be kept.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

fn is_mailbox(text: &str) -> bool {
    let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    text.len() <= LONGEST_MAILBOX && text.split('.').all(|part| !part.is_empty() && part.bytes().all(atom))
}

fn is_host(text: &str) -> bool {
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.split('.').all(label)
}

impl Checked for Email {
    const CODE: Code = code::INVALID_EMAIL;
    const EXPECTED: &'static str = "an email address is a text, such as \"ada@example.com\"";

    fn check(text: &str) -> Result<Self, Wrong> {
        Self::new(text).map_err(|expected| Wrong::new(Self::CODE, expected))
    }
}

/// A language tag (BCP 47): `en`, `de-AT`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Locale(String);

impl Locale {
    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Checked for Locale {
    const CODE: Code = code::INVALID_LOCALE;
    const EXPECTED: &'static str = "a locale is a language tag, such as \"en\" or \"de-AT\"";

    fn check(text: &str) -> Result<Self, Wrong> {
        let mut parts = text.split('-');
        let language = parts.next().unwrap_or_default();
        let formed = text.len() <= 35
            && (2..=8).contains(&language.len())
            && language.bytes().all(|b| b.is_ascii_alphabetic())
            && parts
                .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
        if formed { Ok(Self(text.to_owned())) } else { Err(Wrong::new(Self::CODE, Self::EXPECTED)) }
    }
}

/// A text that is nobody else's business: a password, a token, a code. Wiped from memory, never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Self::new(String::deserialize(deserializer)?);
        if text.as_str().len() > LONGEST_SECRET {
            return Err(serde::de::Error::custom("this text is too long"));
        }
        Ok(text)
    }
}

/// The second factor, as it was shown.
#[derive(Debug)]
pub enum Proof {
    /// What the authenticator shows.
    Code(Secret),
    /// One of the recovery codes.
    Recovery(Secret),
}

/// What changes in what a person says about themselves.
#[derive(Debug, Default)]
pub struct ProfileChange {
    /// Another name.
    pub name: Option<Label>,
    /// Another picture, or none any more.
    pub avatar: Change<WebAddress>,
    /// Another language, or none any more.
    pub locale: Change<Locale>,
    /// Other preferences, or none any more.
    pub preferences: Change<Metadata>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_an_address_are_one() {
        assert_eq!(Email::new(" Ada@Example.COM ").unwrap().as_str(), "ada@example.com");
        for good in ["a@b", "a.b+c@x-y.example", "o'neil@example.co.uk"] {
            assert!(Email::new(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_could_write_a_header_or_reach_another_is_no_address() {
        let long = format!("{}@example.com", "a".repeat(65));
        for bad in [
            "",
            "@",
            "a@",
            "@b",
            "a b@c",
            "a@b c",
            "a@b\r\nBcc: x@y",
            "a@b,c@d",
            "<a@b>",
            "a@b@c",
            "\"a\"@b",
            ".a@b",
            "a..b@c",
            "a@-b",
            "a@b..c",
            "ü@b",
            "a@[127.0.0.1]",
            "a\0@b",
            &long,
        ] {
            assert!(Email::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_locale_is_a_language_tag() {
        for good in ["en", "de-AT", "zh-Hant-TW"] {
            assert!(Locale::check(good).is_ok(), "{good}");
        }
        for bad in ["", "e", "en_GB", "en-", "-en", "12", "en-<b>", &"a-".repeat(30)] {
            assert!(Locale::check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_and_an_address_do_not_show_themselves() {
        let secret: Secret = serde_json::from_str("\"open sesame\"").unwrap();
        let email = Email::new("ada@example.com").unwrap();
        assert_eq!(format!("{secret:?} {email:?}"), "Secret(..) Email(..)");
        assert!(serde_json::from_str::<Secret>(&format!("\"{}\"", "a".repeat(1025))).is_err());
    }
}
