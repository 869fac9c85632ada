//! Access tokens: who is asking, for which tenant, in which role.
//!
//! A token is a JWT signed by our own Ed25519 key, or by one of the Ed25519 or RSA keys that were configured. The
//! header names a key (`kid`), and the key alone decides the algorithm: what the header says about it must agree, so
//! neither `none` nor an HMAC with a public key as its secret is ever tried. Times are compared with the injected
//! clock. Nothing in here knows HTTP.

pub mod api_key;
mod session;
mod signer;
mod verifier;

use serde::{Deserialize, Serialize};

pub use api_key::ApiKey;
pub use domain::Role;
pub use session::{PublicKey, SessionClaims, SessionKey, SessionKeys};
pub use signer::{Grant, Signer};
pub use verifier::{Believed, Operator, Verifier};

/// What a token says, once it was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who: a user or a program.
    pub sub: String,
    /// The slug of the tenant.
    pub tenant: String,
    /// In which role.
    pub role: Role,
    /// Who signed it.
    pub iss: String,
    /// For whom it was signed.
    #[serde(deserialize_with = "verifier::one_or_many")]
    pub aud: Vec<String>,
    /// When it was signed, in seconds since 1970.
    pub iat: i64,
    /// From when on it is not valid any more, in seconds since 1970.
    pub exp: i64,
    /// Before when it is not yet valid, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// The token's own id.
    pub jti: String,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// It is not a JWT, or a claim is missing or of the wrong form.
    #[error("the access token is malformed")]
    Malformed,
    /// The key it names is not known, or it names none.
    #[error("the access token is signed by an unknown key")]
    UnknownKey,
    /// The signature does not fit, or the algorithm is not the key's.
    #[error("the signature of the access token is wrong")]
    Signature,
    /// Somebody else issued it.
    #[error("the access token is from another issuer")]
    WrongIssuer,
    /// It was issued for somebody else.
    #[error("the access token is for another audience")]
    WrongAudience,
    /// Its time has not come.
    #[error("the access token is not yet valid")]
    NotYetValid,
    /// Its time is over.
    #[error("the access token has expired")]
    Expired,
}

impl CredentialError {
    /// A stable word for it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
        }
    }
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("cannot {what} the key {}: {source}", .path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Others may read the private key.
    #[error("the private key {} can be read by others; run: chmod 600 {}", .0.display(), .0.display())]
    Exposed(std::path::PathBuf),
    /// It is not a key of a kind that is understood.
    #[error("not a usable key: {0}")]
    Form(String),
    /// Two keys have one id.
    #[error("there are two keys with the id `{0}`")]
    Duplicate(String),
}

#[cfg(test)]
mod tests;
