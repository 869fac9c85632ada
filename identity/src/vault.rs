//! The vault: personal fields and secrets, sealed so that they can be forgotten.
//!
//! A master key, which is not in the database, wraps one data key per tenant; a tenant's data key wraps one key per
//! subject and seals the tenant's secrets; a subject's key seals the subject's personal fields. Destroying a subject's
//! key makes every ciphertext under it worthless: in events, views, snapshots and streams, on copies, for good.
//!
//! Costs: sealing and revealing take some microseconds, and at most one query in half a second for each subject, because
//! only the database knows whether a key was destroyed. Data keys are kept unwrapped in memory, bounded.

mod erase;
mod keys;
mod master;
mod rotate;
mod seal;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::{Clock, Partition, Sealed, SubjectId, TenantId};
use quick_cache::sync::Cache;
use sqlx::PgPool;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;
use uuid::Uuid;
use zeroize::Zeroizing;

pub use self::erase::Erased;
use self::keys::Seen;
pub use self::master::{MasterKeys, MasterSource};
pub use self::rotate::{MasterUse, Rotation};
use self::seal::{Bound, Key};
pub use self::seal::{MOST_BYTES, Purpose};

/// Within this time of an erasure, every instance refuses to reveal.
pub const FORGOTTEN_WITHIN: Duration = Duration::from_secs(1);

/// How many tenants' data keys are kept unwrapped.
const DATA_KEYS: usize = 10_000;
/// How many subjects' keys are kept unwrapped.
const SUBJECT_KEYS: usize = 50_000;

/// Why the vault did not do it.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The database failed or could not be reached.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The source of the master keys gives none.
    #[error("the master keys cannot be had from {origin}: {reason}")]
    Source {
        /// The source.
        origin: String,
        /// Why not.
        reason: String,
    },
    /// The key of this version is not the one that the database knows under it.
    #[error(
        "master key {version} is not the one this database was sealed with: give the key it was, or a new version"
    )]
    WrongMaster {
        /// The version.
        version: i32,
    },
    /// Something is wrapped by a version that the source does not give.
    #[error("master key {version} is needed and not there")]
    UnknownMaster {
        /// The version.
        version: i32,
    },
    /// There never was a key of this version.
    #[error("there is no master key {version}")]
    NoMaster {
        /// The version.
        version: i32,
    },
    /// The version was retired.
    #[error("master key {version} is retired and must not wrap anything: a higher version is needed")]
    Retired {
        /// The version.
        version: i32,
    },
    /// The version still wraps keys.
    #[error(
        "master key {version} still wraps {keys} keys: `counterfoil keys rotate` wraps them by a newer one"
    )]
    InUse {
        /// The version.
        version: i32,
        /// How many keys.
        keys: i64,
    },
    /// The version is the one that wraps.
    #[error("master key {version} is the newest, the one that wraps: it can be retired after a rotation")]
    Current {
        /// The version.
        version: i32,
    },
    /// The ciphertext does not open here: it was changed, or it belongs elsewhere.
    #[error("a sealed {what} does not open: it was changed, or it was not sealed for this place")]
    Refused {
        /// What it was taken for.
        what: &'static str,
    },
    /// The subject was erased, and nothing is sealed for it any more.
    #[error("the subject is erased")]
    Erased,
    /// The subject never had a key, though something is said to be sealed under it.
    #[error("there is no key of subject {0}")]
    NoKey(SubjectId),
    /// The text is longer than [`MOST_BYTES`].
    #[error("what is to be sealed is longer than {MOST_BYTES} bytes")]
    TooLong,
    /// The operating system gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}

/// Something sealed, and what it is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// Whose it is.
    pub subject: SubjectId,
    /// What it is.
    pub purpose: Purpose,
    /// The ciphertext.
    pub sealed: &'a Sealed,
}

/// Seals and reveals. Cheap to clone; all clones share what they remember.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    pool: PgPool,
    partitions: Partition,
    clock: Arc<dyn Clock>,
    masters: ArcSwap<MasterKeys>,
    reloaded: Mutex<Option<Instant>>,
    data_keys: Cache<TenantId, Arc<Key>>,
    subject_keys: Cache<(TenantId, SubjectId), Seen>,
    index_key: OnceCell<Arc<Key>>,
}

impl Vault {
    /// Opens the vault of a migrated database. `pool` acts as [`journal::Role::Identity`]; its user owns the tables.
    ///
    /// # Errors
    /// The database, or master keys that are not those which the database was sealed with.
    pub async fn open(
        pool: PgPool,
        master: MasterKeys,
        partitions: Partition,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, VaultError> {
        let vault = Self(Arc::new(Inner {
            pool,
            partitions,
            clock,
            masters: ArcSwap::from_pointee(master),
            reloaded: Mutex::default(),
            data_keys: Cache::new(DATA_KEYS),
            subject_keys: Cache::new(SUBJECT_KEYS),
            index_key: OnceCell::new(),
        }));
        let masters = vault.0.masters.load_full();
        vault.0.check(&masters).await?;
        let used = sqlx::query_scalar!("SELECT DISTINCT master_version FROM identity.data_keys")
            .fetch_all(&vault.0.pool)
            .await?;
        match used.into_iter().find(|version| masters.get(*version).is_none()) {
            Some(version) => Err(VaultError::UnknownMaster { version }),
            None => Ok(vault),
        }
    }

    /// Seals a personal field under its subject's key, which is made if there is none.
    ///
    /// # Errors
    /// The subject is erased, the text is too long, the database, or a master key that is not there.
    pub async fn seal(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        purpose: Purpose,
        plain: &str,
    ) -> Result<Sealed, VaultError> {
        if plain.len() > MOST_BYTES {
            return Err(VaultError::TooLong);
        }
        let key = self.0.subject_key(tenant, subject).await?.ok_or(VaultError::Erased)?;
        seal::to_text(&key.seal(bound(tenant, subject, purpose), plain.as_bytes())?)
    }

    /// Reveals a personal field; `None` when its subject is erased.
    ///
    /// # Errors
    /// It was not sealed for this tenant, subject and purpose; the database, or a master key that is not there.
    pub async fn reveal(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        purpose: Purpose,
        sealed: &Sealed,
    ) -> Result<Option<String>, VaultError> {
        let revealed = self.reveal_all(tenant, &[Field { subject, purpose, sealed }]).await?;
        Ok(revealed.into_iter().next().flatten())
    }

    /// Reveals many fields, in their order, with one query for all their keys; `None` for those of erased subjects.
    ///
    /// # Errors
    /// As [`Vault::reveal`], for the first that fails.
    pub async fn reveal_all(
        &self,
        tenant: TenantId,
        fields: &[Field<'_>],
    ) -> Result<Vec<Option<String>>, VaultError> {
        let mut subjects: Vec<_> = fields.iter().map(|field| field.subject).collect();
        subjects.sort_unstable();
        subjects.dedup();
        let keys = self.0.subject_keys(tenant, &subjects).await?;
        let reveal = |field: &Field<'_>| {
            let what = field.purpose.as_str();
            let Some(key) = keys.get(&field.subject).ok_or(VaultError::NoKey(field.subject))? else {
                return Ok(None);
            };
            let bytes = seal::from_text(field.sealed).ok_or(VaultError::Refused { what })?;
            let plain = key.open(bound(tenant, field.subject, field.purpose), &bytes)?;
            let plain = std::str::from_utf8(&plain).map_err(|_| VaultError::Refused { what })?;
            Ok(Some(plain.to_owned()))
        };
        fields.iter().map(reveal).collect()
    }

    /// Seals a secret under the tenant's data key, for one record.
    ///
    /// # Errors
    /// The database, or a master key that is not there.
    pub async fn seal_secret(
        &self,
        tenant: TenantId,
        purpose: Purpose,
        record: Uuid,
        plain: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        let key = self.0.data_key(tenant).await?;
        key.seal(Bound { tenant, purpose: purpose.as_str(), record }, plain)
    }

    /// Reveals a secret.
    ///
    /// # Errors
    /// It was not sealed for this tenant, purpose and record; the database, or a master key that is not there.
    pub async fn reveal_secret(
        &self,
        tenant: TenantId,
        purpose: Purpose,
        record: Uuid,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let key = self.0.data_key(tenant).await?;
        key.open(Bound { tenant, purpose: purpose.as_str(), record }, sealed)
    }

    /// A keyed digest by which a text can be found without being stored: equal texts have equal digests, and nobody
    /// without the key can tell which text it is. The caller normalises.
    ///
    /// # Errors
    /// The database, or a master key that is not there.
    pub async fn blind(&self, purpose: Purpose, text: &str) -> Result<[u8; 32], VaultError> {
        self.0.index_key().await?.digest(&[purpose.as_str().as_bytes(), text.as_bytes()])
    }
}

fn bound(tenant: TenantId, subject: SubjectId, purpose: Purpose) -> Bound {
    Bound { tenant, purpose: purpose.as_str(), record: subject.0 }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}
