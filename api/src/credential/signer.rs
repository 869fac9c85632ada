//! Our own key, and the tokens signed by it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use chrono::TimeDelta;
use domain::{Clock, Ids, Slug};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::spki::der::zeroize::Zeroizing;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use sha2::{Digest as _, Sha256};

use super::{Claims, KeyError, Role};

/// Signs tokens with an Ed25519 key.
#[derive(Clone)]
pub struct Signer {
    id: String,
    public: [u8; 32],
    key: EncodingKey,
    issuer: String,
    audience: String,
}

/// What a new token is to say.
#[derive(Debug, Clone)]
pub struct Grant<'a> {
    /// Who: a user or a program.
    pub subject: &'a str,
    /// The slug of the tenant.
    pub tenant: &'a Slug,
    /// In which role.
    pub role: Role,
    /// For how long.
    pub lifetime: TimeDelta,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads the key file, or makes one with a new key if there is none. Several programs may do so at once: all of
    /// them end up with the same key.
    ///
    /// # Errors
    /// The file cannot be read or written, others may read it, or it holds no Ed25519 key.
    pub fn open(path: &Path, issuer: &str, audience: &str) -> Result<Self, KeyError> {
        let failed = |what| move |source| KeyError::File { what, path: path.to_owned(), source };
        if !path.exists() {
            store(path, &generate()?).map_err(failed("write"))?;
        }
        let mode = fs::metadata(path).map_err(failed("read"))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed(path.to_owned()));
        }
        Self::from_pem(&fs::read_to_string(path).map_err(failed("read"))?, issuer, audience)
    }

    /// Takes an Ed25519 key in PKCS#8 PEM. Its tokens are from `issuer` and for `audience`.
    ///
    /// # Errors
    /// It is something else.
    pub fn from_pem(pem: &str, issuer: &str, audience: &str) -> Result<Self, KeyError> {
        let form = |error: &dyn std::error::Error| {
            KeyError::Form(format!("an Ed25519 key in PKCS#8 PEM is wanted: {error}"))
        };
        let secret = SigningKey::from_pkcs8_pem(pem).map_err(|error| form(&error))?;
        let key = EncodingKey::from_ed_pem(pem.as_bytes()).map_err(|error| form(&error))?;
        let public = secret.verifying_key().to_bytes();
        let id = format!("{:x}", Sha256::digest(public)).chars().take(16).collect();
        Ok(Self { id, public, key, issuer: issuer.to_owned(), audience: audience.to_owned() })
    }

    /// The id that tokens name the key by; it follows from the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public key.
    pub(super) fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Signs a new token, valid from now.
    ///
    /// # Errors
    /// The signature cannot be made, or the lifetime ends after the end of all time.
    pub fn issue(&self, grant: &Grant<'_>, clock: &dyn Clock, ids: &dyn Ids) -> Result<String, KeyError> {
        let now = clock.now();
        let too_long = || KeyError::Form("the lifetime is too long".to_owned());
        let end = now.checked_add_signed(grant.lifetime).ok_or_else(too_long)?;
        self.sign(&Claims {
            sub: grant.subject.to_owned(),
            tenant: grant.tenant.to_string(),
            role: grant.role,
            iss: self.issuer.clone(),
            aud: vec![self.audience.clone()],
            iat: now.timestamp(),
            exp: end.timestamp(),
            nbf: None,
            jti: ids.next().to_string(),
        })
    }

    /// Signs claims as they are.
    ///
    /// # Errors
    /// The signature cannot be made.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &self.key).map_err(|error| KeyError::Form(error.to_string()))
    }
}

/// A new key in PKCS#8 PEM.
pub(super) fn generate() -> Result<Zeroizing<String>, KeyError> {
    let mut seed = Zeroizing::new([0_u8; 32]);
    getrandom::fill(seed.as_mut()).map_err(|error| KeyError::Form(format!("no random bytes: {error}")))?;
    let key = SigningKey::from_bytes(&seed);
    key.to_pkcs8_pem(LineEnding::LF).map_err(|error| KeyError::Form(error.to_string()))
}

/// Writes the key under another name first. Giving it its name fails if somebody else was faster; theirs counts.
fn store(path: &Path, pem: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut name = [0_u8; 8];
    getrandom::fill(&mut name).map_err(io::Error::other)?;
    let draft = path.with_extension(format!("{:016x}.new", u64::from_le_bytes(name)));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(pem.as_bytes())?;
        file.sync_all()?;
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    };
    let result = write();
    let _ = fs::remove_file(&draft);
    result
}
