//! Whose tokens are believed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use domain::{Clock, Slug, TenantId};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use quick_cache::sync::Cache;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use super::{Claims, CredentialError, KeyError, SessionClaims, SessionKeys, Signer};

/// The most bytes of a token that is looked at.
const LONGEST: usize = 8 * 1024;
/// By how many seconds the clocks of two machines may differ.
const LEEWAY: i64 = 30;
/// The fewest bytes of a public RSA key: those of a modulus of 2048 bits.
const SHORTEST_RSA: usize = 256;

/// How many tokens are remembered whose signatures were right. Others cannot push them out.
const REMEMBERED: usize = 10_000;

/// What a verified token says. The key that signed it decides of which kind it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Believed {
    /// An operator of the installation, or a service that they trust.
    Operator(Arc<Operator>),
    /// A user's session.
    Session(Arc<SessionClaims>),
}

/// The token of an operator.
#[derive(Debug, PartialEq, Eq)]
pub struct Operator {
    /// What it says.
    pub claims: Claims,
    /// Who.
    pub subject: Arc<str>,
    /// In whose ledger.
    pub tenant: TenantId,
    /// That tenant's short name.
    pub slug: Slug,
}

/// A token whose signature was right.
#[derive(Clone)]
struct Remembered {
    believed: Believed,
    /// The key of sessions that signed it: believed only as long as the key is.
    session_key: Option<Arc<str>>,
}

/// Verifies tokens. A signature takes longer to check than all the rest of a request, so the digests of tokens whose
/// signatures were right are remembered; everything else about them is checked each time.
pub struct Verifier {
    keys: HashMap<String, (Algorithm, DecodingKey)>,
    sessions: SessionKeys,
    issuer: String,
    audience: String,
    clock: Arc<dyn Clock>,
    signed: Cache<[u8; 32], Remembered>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.keys.keys().collect();
        f.debug_struct("Verifier").field("keys", &keys).field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Verifier {
    /// Believes nobody yet. Tokens must be from `issuer` and for `audience`.
    pub fn new(issuer: &str, audience: &str, clock: Arc<dyn Clock>) -> Self {
        let sessions = SessionKeys::new(issuer, audience);
        let (issuer, audience) = (issuer.to_owned(), audience.to_owned());
        Self { keys: HashMap::new(), sessions, issuer, audience, clock, signed: Cache::new(REMEMBERED) }
    }

    /// Believes our own key.
    ///
    /// # Errors
    /// There is a key with its id already.
    pub fn trust(&mut self, signer: &Signer) -> Result<(), KeyError> {
        self.add(signer.id(), Algorithm::EdDSA, DecodingKey::from_ed_der(signer.public()))
    }

    /// Believes the holder of the private half of `pem`: a public key, Ed25519 (`EdDSA`) or RSA of at least 2048 bits
    /// (RS256). Tokens name it by `id`.
    ///
    /// # Errors
    /// It is no such key, or there is a key with this id already.
    pub fn trust_pem(&mut self, id: &str, pem: &str) -> Result<(), KeyError> {
        let form = |reason: &str| KeyError::Form(format!("`{id}`: {reason}"));
        if !pem.contains("-----BEGIN PUBLIC KEY-----") && !pem.contains("-----BEGIN RSA PUBLIC KEY-----") {
            return Err(form("a public key in PEM is wanted (-----BEGIN PUBLIC KEY-----)"));
        }
        let long_enough =
            |key: &DecodingKey, least| key.try_get_as_bytes().is_ok_and(|bytes| bytes.len() >= least);
        if let Ok(key) = DecodingKey::from_ed_pem(pem.as_bytes()) {
            if !long_enough(&key, 32) {
                return Err(form("the Ed25519 key is too short"));
            }
            return self.add(id, Algorithm::EdDSA, key);
        }
        match DecodingKey::from_rsa_pem(pem.as_bytes()) {
            Ok(key) if long_enough(&key, SHORTEST_RSA) => self.add(id, Algorithm::RS256, key),
            Ok(_) => Err(form("the RSA key has fewer than 2048 bits")),
            Err(_) => Err(form("neither an Ed25519 nor an RSA key")),
        }
    }

    /// Believes these keys of sessions, which somebody else keeps up to date.
    pub fn adopt(&mut self, sessions: SessionKeys) {
        self.sessions = sessions;
    }

    /// The keys of sessions, which change while the program runs.
    pub fn sessions(&self) -> &SessionKeys {
        &self.sessions
    }

    fn add(&mut self, id: &str, algorithm: Algorithm, key: DecodingKey) -> Result<(), KeyError> {
        match self.keys.insert(id.to_owned(), (algorithm, key)) {
            None => Ok(()),
            Some(_) => Err(KeyError::Duplicate(id.to_owned())),
        }
    }

    /// What the token says, if all of it is to be believed. Checked in the order of [`CredentialError`]; the form of
    /// the claims after the signature.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn verify(&self, token: &str) -> Result<Believed, CredentialError> {
        if token.len() > LONGEST {
            return Err(CredentialError::Malformed);
        }
        let digest = Sha256::digest(token.as_bytes()).into();
        let known = match self.signed.get(&digest) {
            Some(known) => known,
            None => {
                let known = self.signed(token)?;
                self.signed.insert(digest, known.clone());
                known
            }
        };
        if known.session_key.is_some_and(|id| !self.sessions.believes(&id)) {
            return Err(CredentialError::UnknownKey);
        }
        match &known.believed {
            Believed::Operator(operator) => {
                let Claims { iss, aud, iat, nbf, exp, .. } = &operator.claims;
                self.check(iss, aud, (*iat).max(nbf.unwrap_or(i64::MIN)), *exp)?;
            }
            Believed::Session(claims) => {
                let SessionClaims { iss, aud, iat, exp, .. } = claims.as_ref();
                self.check(iss, aud, *iat, *exp)?;
            }
        }
        Ok(known.believed)
    }

    /// What the token says, if one of our keys signed it.
    fn signed(&self, token: &str) -> Result<Remembered, CredentialError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| CredentialError::Malformed)?;
        // An extension that must be understood is one that we do not.
        if header.crit.is_some() {
            return Err(CredentialError::Malformed);
        }
        let id = header.kid.ok_or(CredentialError::UnknownKey)?;
        if let Some((algorithm, key)) = self.keys.get(&id) {
            let operator = self.operator(decode(token, key, *algorithm)?)?;
            return Ok(Remembered { believed: Believed::Operator(Arc::new(operator)), session_key: None });
        }
        let claims = self
            .sessions
            .with_key(&id, |key| decode::<SessionClaims>(token, key, Algorithm::EdDSA))
            .ok_or(CredentialError::UnknownKey)??;
        Ok(Remembered { believed: Believed::Session(Arc::new(claims)), session_key: Some(id.into()) })
    }

    /// What is worked out once and not for every request. The order is that of [`CredentialError`].
    fn operator(&self, claims: Claims) -> Result<Operator, CredentialError> {
        self.check_names(&claims.iss, &claims.aud)?;
        let slug = Slug::new(&claims.tenant).map_err(|_| CredentialError::Malformed)?;
        if claims.sub.is_empty() {
            return Err(CredentialError::Malformed);
        }
        let tenant = TenantId::of(&slug);
        Ok(Operator { subject: claims.sub.as_str().into(), tenant, slug, claims })
    }

    fn check_names(&self, issuer: &str, audience: &[String]) -> Result<(), CredentialError> {
        if issuer != self.issuer {
            return Err(CredentialError::WrongIssuer);
        }
        if !audience.contains(&self.audience) {
            return Err(CredentialError::WrongAudience);
        }
        Ok(())
    }

    /// Checks all that is not the form: `from` and `until` are seconds since 1970.
    fn check(&self, issuer: &str, audience: &[String], from: i64, until: i64) -> Result<(), CredentialError> {
        self.check_names(issuer, audience)?;
        let now = self.clock.now().timestamp();
        if from > now.saturating_add(LEEWAY) {
            return Err(CredentialError::NotYetValid);
        }
        if until <= now.saturating_sub(LEEWAY) {
            return Err(CredentialError::Expired);
        }
        Ok(())
    }
}

/// The claims of a token that `key` signed.
fn decode<T: DeserializeOwned + Clone>(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
) -> Result<T, CredentialError> {
    let mut validation = Validation::new(algorithm);
    // The library would compare times with the machine's clock. All claims are checked by the verifier.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let decoded = jsonwebtoken::decode::<T>(token, key, &validation);
    decoded.map(|token| token.claims).map_err(|error| match error.kind() {
        ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => CredentialError::Signature,
        _ => CredentialError::Malformed,
    })
}

/// An audience is a text or a list of texts.
pub(super) fn one_or_many<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(input)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}
