//! One signing key, and its public half.

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ed25519_dalek::{Signer as _, SigningKey as Ed25519};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// A key that signs, or did, or will.
#[derive(Clone)]
pub struct SigningKey {
    /// The id that tokens name it by. It follows from the key.
    pub id: String,
    /// The public key.
    pub public: [u8; 32],
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on it signs.
    pub signs_from: DateTime<Utc>,
    /// Until when it is published; `None` as long as no other one is to follow it.
    pub published_until: Option<DateTime<Utc>>,
    pub(super) seed: Zeroizing<[u8; 32]>,
}

/// The public half of a key as a member of a key set (RFC 7517, RFC 8037).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwk {
    /// Always `OKP`.
    pub kty: &'static str,
    /// Always `Ed25519`.
    pub crv: &'static str,
    /// Always `EdDSA`.
    pub alg: &'static str,
    /// Always `sig`.
    pub r#use: &'static str,
    /// The id that tokens name it by.
    pub kid: String,
    /// The public key, in base64url.
    pub x: String,
}

impl SigningKey {
    /// The Ed25519 seed.
    pub fn seed(&self) -> &Zeroizing<[u8; 32]> {
        &self.seed
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        Ed25519::from_bytes(&self.seed).sign(message).to_bytes()
    }

    /// The public half.
    pub fn jwk(&self) -> Jwk {
        Jwk {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            r#use: "sig",
            kid: self.id.clone(),
            x: URL_SAFE_NO_PAD.encode(self.public),
        }
    }

    pub(super) fn is_published(&self, now: DateTime<Utc>) -> bool {
        self.published_until.is_none_or(|until| until > now)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .field("signs_from", &self.signs_from)
            .field("published_until", &self.published_until)
            .finish_non_exhaustive()
    }
}

/// The id of the key with this public half: the first 16 hexadecimal digits of its SHA-256, as for the key of operators.
pub fn key_id(public: &[u8; 32]) -> String {
    Sha256::digest(public).iter().take(8).fold(String::with_capacity(16), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_key_is_the_beginning_of_the_digest_of_its_public_half() {
        assert_eq!(key_id(&[0; 32]), "66687aadf862bd77");
    }

    #[test]
    fn a_key_does_not_show_its_secret() {
        let key = SigningKey {
            id: "id".into(),
            public: [1; 32],
            created_at: DateTime::UNIX_EPOCH,
            signs_from: DateTime::UNIX_EPOCH,
            published_until: None,
            seed: Zeroizing::new([0xAB; 32]),
        };
        let said = format!("{key:?}");
        assert!(!said.contains("171") && !said.contains("ab") && !said.contains("seed"), "{said}");
    }
}
