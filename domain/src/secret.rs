//! What stands in the place of a secret: a ciphertext, a digest, the public half of a key.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::NameError;
use crate::name::name;

name! {
    /// The ciphertext of a personal field, under a key of its subject. This crate never opens it; when the subject's
    /// key is destroyed, nobody does.
    Sealed, "sealed",
    |text| text.len() <= 4096
        && text.strip_prefix("s1.").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(base64url)),
    "must be `s1.` and base64url, 4096 bytes at the most"
}

name! {
    /// The SHA-256 digest of a secret that is shown once and never kept.
    Digest, "digest",
    |text| text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
    "must be 64 hexadecimal digits in lower case"
}

name! {
    /// The public half of an API key: it says which key is presented, and proves nothing.
    PublicId, "public id",
    |text| (8..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric()),
    "must be 8 to 32 letters and digits"
}

fn base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_looks_like_a_ciphertext_and_never_like_a_name() {
        assert!(Sealed::new("s1.AbC-_0").is_ok());
        let long = format!("s1.{}", "a".repeat(4094));
        for bad in ["", "s1.", "s2.abc", "alice@example.org", "s1.a b", "s1.a=", &long] {
            assert!(Sealed::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_digest_has_one_spelling() {
        assert!(Digest::new(&"0f".repeat(32)).is_ok());
        for bad in ["0F".repeat(32), "0f".repeat(31), "0g".repeat(32)] {
            assert!(Digest::new(&bad).is_err(), "{bad}");
        }
    }
}
