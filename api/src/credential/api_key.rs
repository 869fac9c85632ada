//! API keys as programs present them: `cf_<environment>_<public id>_<secret>`.
//!
//! The public id finds the key, the secret proves it. The secret has 256 random bits, so its SHA-256 is kept and
//! nothing slower is needed: there is nothing to guess.

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::application::Environment;
use domain::{Digest, NameError, PublicId};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::KeyError;

/// What every key begins with: it tells keys from other tokens, and scanners of source code what they have found.
pub const PREFIX: &str = "cf_";
/// How many characters a secret has: 32 bytes in base64.
const SECRET: usize = 43;
/// How many characters a public id has: 10 bytes in hexadecimal digits.
const PUBLIC_ID: usize = 20;

/// A key. Its secret is wiped from memory with it and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    environment: Environment,
    public_id: PublicId,
    secret: Zeroizing<String>,
    digest: Digest,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { environment, public_id, .. } = self;
        f.debug_struct("ApiKey").field("environment", environment).field("public_id", public_id).finish()
    }
}

impl ApiKey {
    /// A new key.
    ///
    /// # Errors
    /// The machine has no random bytes.
    pub fn draw(environment: Environment) -> Result<Self, KeyError> {
        let random = |bytes: &mut [u8]| {
            getrandom::fill(bytes).map_err(|error| KeyError::Form(format!("no random bytes: {error}")))
        };
        let mut id = [0_u8; PUBLIC_ID / 2];
        random(&mut id)?;
        let mut secret = Zeroizing::new([0_u8; 32]);
        random(secret.as_mut())?;
        let mut name = String::with_capacity(PUBLIC_ID);
        for byte in id {
            let _ = write!(name, "{byte:02x}");
        }
        let public_id = PublicId::new(&name).map_err(|error| KeyError::Form(error.to_string()))?;
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_ref()));
        let digest = digest(&secret).map_err(|error| KeyError::Form(error.to_string()))?;
        Ok(Self { environment, public_id, secret, digest })
    }

    /// The key that `text` is; `None` where it is none. There is one text for each key.
    pub fn parse(text: &str) -> Option<Self> {
        let (environment, rest) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let (public_id, secret) = rest.split_once('_')?;
        let formed = is_public_id(public_id) && is_secret(secret);
        let public_id = PublicId::new(public_id).ok().filter(|_| formed)?;
        Some(Self {
            environment: environment.parse().ok()?,
            public_id,
            secret: Zeroizing::new(secret.to_owned()),
            digest: digest(secret).ok()?,
        })
    }

    /// What it is meant for.
    pub fn environment(&self) -> Environment {
        self.environment
    }

    /// What finds it. No secret.
    pub fn public_id(&self) -> &PublicId {
        &self.public_id
    }

    /// What is kept of the secret: its SHA-256.
    pub fn digest(&self) -> Digest {
        self.digest.clone()
    }

    /// Whether its secret is the one with this digest. Takes the same time wherever the first difference is.
    pub fn has_digest(&self, digest: &str) -> bool {
        self.digest.as_str().as_bytes().ct_eq(digest.as_bytes()).into()
    }

    /// The whole text, to be shown once.
    pub fn to_text(&self) -> Zeroizing<String> {
        let Self { environment, public_id, secret, .. } = self;
        Zeroizing::new(format!("{PREFIX}{environment}_{public_id}_{}", secret.as_str()))
    }
}

fn digest(secret: &str) -> Result<Digest, NameError> {
    Digest::new(&format!("{:x}", Sha256::digest(secret.as_bytes())))
}

fn is_public_id(text: &str) -> bool {
    text.len() == PUBLIC_ID && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Decoding is strict: bits that no byte needs must be zero, so that no other text is taken for the same secret.
fn is_secret(text: &str) -> bool {
    text.len() == SECRET && URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_new_key_reads_as_it_is_written_and_is_known_by_its_digest() {
        let key = ApiKey::draw(Environment::Live).unwrap();
        let text = key.to_text();
        assert!(text.starts_with("cf_live_"));
        let read = ApiKey::parse(&text).unwrap();
        assert_eq!(read, key);
        assert!(read.has_digest(key.digest().as_str()));
        let other = ApiKey::draw(Environment::Live).unwrap();
        assert_ne!(other.public_id(), key.public_id());
        assert!(!other.has_digest(key.digest().as_str()) && !key.has_digest("") && !key.has_digest("00"));
    }

    #[test]
    fn the_secret_is_never_printed() {
        let key = ApiKey::draw(Environment::Test).unwrap();
        let secret = key.to_text().rsplit_once(key.public_id().as_str()).unwrap().1.to_owned();
        assert!(!format!("{key:?}").contains(secret.trim_start_matches('_')));
    }

    #[test]
    fn what_differs_in_form_alone_is_no_key() {
        let text = ApiKey::draw(Environment::Live).unwrap().to_text().to_string();
        let last = text.len() - 1;
        // The last character of a secret carries four bits, so its two lowest must be zero.
        let (short, _) = text.split_at(last);
        let sloppy = format!("{short}B");
        let upper = text.to_ascii_uppercase();
        for bad in
            ["", "cf_", "cf__", "cf___", short, &format!("{text}A"), &format!(" {text}"), &sloppy, &upper]
        {
            assert_eq!(ApiKey::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_and_what_is_read_is_written_the_same(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let text = String::from_utf8_lossy(&bytes);
            for text in [text.as_ref(), &format!("cf_{text}")] {
                if let Some(key) = ApiKey::parse(text) {
                    let written = key.to_text();
                    prop_assert_eq!(written.as_str(), text);
                }
            }
        }

        #[test]
        fn near_misses_are_read_or_refused(
            environment in "live|test|[a-z_]{0,6}", id in "[0-9a-g]{19,21}", secret in "[A-Za-z0-9_=-]{42,44}",
        ) {
            let text = format!("cf_{environment}_{id}_{secret}");
            if let Some(key) = ApiKey::parse(&text) {
                let written = key.to_text();
                prop_assert_eq!(written.as_str(), text.as_str());
                prop_assert!(is_public_id(key.public_id().as_str()));
            }
        }
    }
}
