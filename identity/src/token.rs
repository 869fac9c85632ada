//! Tokens: 256 random bits as text, of which the database keeps the digest alone.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

/// The operating system gave no randomness.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the operating system gives no randomness: {0}")]
pub struct RandomError(getrandom::Error);

/// So many random bytes, fit for secrets.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, RandomError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(RandomError)?;
    Ok(bytes)
}

/// A secret of 256 random bits, 43 letters of base64url. Whoever holds it is believed, so it is shown once and kept
/// nowhere; what is kept is its [`digest`](Token::digest). SHA-256 without salt is enough: there is nothing to guess.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// [`RandomError`].
    pub fn draw() -> Result<Self, RandomError> {
        let bytes = random::<32>()?;
        Ok(Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
    }

    /// Reads what somebody presents; `None` when it cannot be a token.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 33];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes);
        bytes.zeroize();
        (length == Ok(32)).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The text to hand out.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the text: what is stored, and by which a token is found.
    pub fn digest(&self) -> [u8; 32] {
        sha256(self.0.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_reads_as_itself_and_never_repeats() {
        let (one, other) = (Token::draw().unwrap(), Token::draw().unwrap());
        assert_eq!(Token::parse(one.as_str()), Some(one.clone()));
        assert_eq!(one.as_str().len(), 43);
        assert_ne!(one.digest(), other.digest());
    }

    #[test]
    fn a_token_does_not_show_itself() {
        let token = Token::draw().unwrap();
        assert!(!format!("{token:?}").contains(token.as_str()));
    }

    #[test]
    fn there_is_one_way_to_write_a_token() {
        // The last letter carries two bits that mean nothing; were they ignored, a token would have four texts.
        let (text, start) = (URL_SAFE_NO_PAD.encode([0; 32]), "A".repeat(42));
        assert_eq!(text, format!("{start}A"));
        assert!(Token::parse(&text).is_some());
        for last in ["B", "C", "D"] {
            assert_eq!(Token::parse(&format!("{start}{last}")), None, "{last}");
        }
        assert_eq!(Token::parse(&format!("{text}=")), None);
        assert_eq!(Token::parse(&format!("{text}A")), None);
        assert_eq!(Token::parse(""), None);
    }

    proptest! {
        #[test]
        fn whatever_is_presented_is_read_or_refused(text in ".{0,64}") {
            if let Some(token) = Token::parse(&text) {
                prop_assert_eq!(token.as_str(), text);
            }
        }
    }
}
