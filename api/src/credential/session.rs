//! Tokens of sessions: short-lived, signed by keys that rotate while the program runs.
//!
//! They are kept apart from the tokens of operators by their keys: a key that signs for sessions signs nothing else,
//! so a token of one kind is never read as one of the other.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use domain::{Clock, Ids, SessionId, UserId};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::KeyError;

/// A key of sessions, as it is kept.
#[derive(Clone)]
pub struct SessionKey {
    /// The id that tokens name it by.
    pub id: String,
    /// The Ed25519 seed.
    pub seed: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What the token of a session says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionClaims {
    /// Whose session.
    pub sub: UserId,
    /// Which session.
    pub sid: SessionId,
    /// Who signed it.
    pub iss: String,
    /// For whom it was signed.
    #[serde(deserialize_with = "super::verifier::one_or_many")]
    pub aud: Vec<String>,
    /// When it was signed, in seconds since 1970.
    pub iat: i64,
    /// From when on it is not valid any more, in seconds since 1970.
    pub exp: i64,
    /// The token's own id.
    pub jti: String,
}

/// The public half of a key, as `/.well-known/jwks.json` lists it (RFC 8037).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PublicKey {
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
    /// The key.
    pub x: String,
}

/// The keys of sessions at present. Cheap to clone; all clones see a rotation at once.
#[derive(Clone)]
pub struct SessionKeys {
    known: Arc<ArcSwap<Known>>,
    issuer: Arc<str>,
    audience: Arc<str>,
}

#[derive(Default)]
struct Known {
    signing: Option<(String, EncodingKey)>,
    verifying: HashMap<String, DecodingKey>,
    public: Vec<PublicKey>,
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.load();
        f.debug_struct("SessionKeys").field("keys", &known.public).finish_non_exhaustive()
    }
}

impl SessionKeys {
    /// No keys yet: nothing is signed and nothing believed. Tokens are from `issuer` and for `audience`.
    pub fn new(issuer: &str, audience: &str) -> Self {
        Self { known: Arc::default(), issuer: issuer.into(), audience: audience.into() }
    }

    /// From now on, all of `keys` are believed and published, and the one called `signing` signs.
    ///
    /// # Errors
    /// A key cannot be used, or there is none called `signing`. What was so before stays so.
    pub fn take_up(&self, keys: &[SessionKey], signing: &str) -> Result<(), KeyError> {
        let mut known = Known::default();
        for SessionKey { id, seed } in keys {
            let key = SigningKey::from_bytes(seed);
            let public = key.verifying_key().to_bytes();
            if known.verifying.insert(id.clone(), DecodingKey::from_ed_der(&public)).is_some() {
                return Err(KeyError::Duplicate(id.clone()));
            }
            known.public.push(PublicKey {
                kty: "OKP",
                crv: "Ed25519",
                alg: "EdDSA",
                r#use: "sig",
                kid: id.clone(),
                x: URL_SAFE_NO_PAD.encode(public),
            });
            if id == signing {
                let der = key.to_pkcs8_der().map_err(|error| KeyError::Form(error.to_string()))?;
                known.signing = Some((id.clone(), EncodingKey::from_ed_der(der.as_bytes())));
            }
        }
        if known.signing.is_none() {
            return Err(KeyError::Form(format!("there is no key `{signing}` to sign with")));
        }
        self.known.store(Arc::new(known));
        Ok(())
    }

    /// The public keys whose tokens are believed.
    pub fn published(&self) -> Vec<PublicKey> {
        self.known.load().public.clone()
    }

    /// Signs a token of a session, valid from now.
    ///
    /// # Errors
    /// There is no key yet, the signature cannot be made, or the lifetime ends after the end of all time.
    pub fn issue(
        &self,
        user: UserId,
        session: SessionId,
        lifetime: TimeDelta,
        clock: &dyn Clock,
        ids: &dyn Ids,
    ) -> Result<String, KeyError> {
        let now = clock.now();
        let too_long = || KeyError::Form("the lifetime is too long".to_owned());
        let end = now.checked_add_signed(lifetime).ok_or_else(too_long)?;
        let known = self.known.load();
        let none = || KeyError::Form("there is no key to sign with yet".to_owned());
        let (id, key) = known.signing.as_ref().ok_or_else(none)?;
        let claims = SessionClaims {
            sub: user,
            sid: session,
            iss: self.issuer.to_string(),
            aud: vec![self.audience.to_string()],
            iat: now.timestamp(),
            exp: end.timestamp(),
            jti: ids.next().to_string(),
        };
        let header = Header { kid: Some(id.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &claims, key).map_err(|error| KeyError::Form(error.to_string()))
    }

    /// Gives the key called `id` to `with`, where there is one at present.
    pub(super) fn with_key<T>(&self, id: &str, with: impl FnOnce(&DecodingKey) -> T) -> Option<T> {
        self.known.load().verifying.get(id).map(with)
    }

    /// Whether tokens of the key called `id` are believed at present.
    pub(super) fn believes(&self, id: &str) -> bool {
        self.known.load().verifying.contains_key(id)
    }
}
