//! Sealing: AES-256-GCM under random 96-bit nonces, bound to where the ciphertext belongs.
//!
//! A ciphertext is `nonce | ciphertext | tag`. The tenant, the purpose and the record it was made for are its associated
//! data, so it opens there and nowhere else. One key seals at most some millions of small texts, far from the 2^32 at
//! which random nonces would begin to be a risk.

use std::fmt;

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Sealed, TenantId};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::VaultError;

/// The first letters of a sealed text; they name the form.
const FORM: &str = "s1.";
/// Bytes of a nonce.
const NONCE: usize = 12;
/// Bytes of a tag.
const TAG: usize = 16;
/// The most bytes that fit into a [`Sealed`].
pub const MOST_BYTES: usize = (4096 - FORM.len()) / 4 * 3 - NONCE - TAG;

/// What a ciphertext is for. Its name is part of what the ciphertext is bound to and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the field of this name")]
pub enum Purpose {
    Email,
    Name,
    Avatar,
    Locale,
    Preferences,
    UserAgent,
    Address,
    TotpSecret,
    SigningKey,
    OneTime,
    OidcSubject,
    OidcSecret,
    ProviderCredential,
    KeptResponse,
}

impl Purpose {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Name => "name",
            Self::Avatar => "avatar",
            Self::Locale => "locale",
            Self::Preferences => "preferences",
            Self::UserAgent => "user_agent",
            Self::Address => "address",
            Self::TotpSecret => "totp_secret",
            Self::SigningKey => "signing_key",
            Self::OneTime => "one_time",
            Self::OidcSubject => "oidc_subject",
            Self::OidcSecret => "oidc_secret",
            Self::ProviderCredential => "provider_credential",
            Self::KeptResponse => "kept_response",
        }
    }
}

/// What a ciphertext is bound to.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    pub tenant: TenantId,
    pub purpose: &'static str,
    pub record: Uuid,
}

impl Bound {
    /// The associated data: fields of fixed length first, so that no two bounds read the same.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(b"counterfoil s1\0");
        bytes.extend_from_slice(self.tenant.0.as_bytes());
        bytes.extend_from_slice(self.record.as_bytes());
        bytes.extend_from_slice(self.purpose.as_bytes());
        bytes
    }
}

/// A key of 256 bits. It is wiped when it is dropped, and says nothing of itself.
pub(super) struct Key(Box<Zeroizing<[u8; 32]>>);

impl Key {
    /// A new one.
    pub fn draw() -> Result<Self, VaultError> {
        let mut key = Self(Box::new(Zeroizing::new([0; 32])));
        getrandom::fill(key.0.as_mut_slice()).map_err(VaultError::Random)?;
        Ok(key)
    }

    /// The key of these bytes, if they are as many as a key has.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut key = Self(Box::new(Zeroizing::new([0; 32])));
        if bytes.len() != key.0.len() {
            return None;
        }
        key.0.copy_from_slice(bytes);
        Some(key)
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// `nonce | ciphertext | tag`.
    pub fn seal(&self, bound: Bound, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(VaultError::Random)?;
        let payload = Payload { msg: plain, aad: &bound.bytes() };
        let cipher = self.cipher()?;
        let sealed = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| VaultError::TooLong)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// What was sealed under this key and this bound; nothing else opens.
    pub fn open(&self, bound: Bound, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let refused = || VaultError::Refused { what: bound.purpose };
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or_else(refused)?;
        let payload = Payload { msg: sealed, aad: &bound.bytes() };
        let plain = self.cipher()?.decrypt(&Nonce::from(*nonce), payload).map_err(|_| refused())?;
        Ok(Zeroizing::new(plain))
    }

    /// HMAC-SHA256 of the parts, told apart by their lengths.
    pub fn digest(&self, parts: &[&[u8]]) -> Result<[u8; 32], VaultError> {
        let mut mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(self.bytes())
            .map_err(|_| VaultError::Refused { what: "key" })?;
        for part in parts {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        Ok(mac.finalize().into_bytes().into())
    }

    fn cipher(&self) -> Result<Aes256Gcm, VaultError> {
        Aes256Gcm::new_from_slice(self.bytes()).map_err(|_| VaultError::Refused { what: "key" })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// A ciphertext as text.
pub(super) fn to_text(sealed: &[u8]) -> Result<Sealed, VaultError> {
    Sealed::new(&format!("{FORM}{}", URL_SAFE_NO_PAD.encode(sealed))).map_err(|_| VaultError::TooLong)
}

/// The ciphertext in a text; `None` if the text cannot be one.
pub(super) fn from_text(sealed: &Sealed) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(sealed.as_str().strip_prefix(FORM)?).ok()
}

#[cfg(test)]
mod tests;
