//! The keys that sign session tokens: Ed25519, sealed in the database, rotating with overlap.
//!
//! A new key is published some time before it signs, so that whoever verifies knows it by then, and an old one stays
//! published until the last token it signed is over. What is known here is asked for again when it is older than
//! [`Turns::fresh`], and when somebody presents a key that is not known.

mod key;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{Clock, Ids, TenantId};
use ed25519_dalek::SigningKey as Ed25519;
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeroize::Zeroizing;

pub use self::key::{Jwk, SigningKey, key_id};
use crate::vault::{Purpose, Vault, VaultError};

/// How long the keys are used without asking for them again, at the most: so long a key that got out is believed on.
pub const FRESH: Duration = Duration::from_secs(1);
/// The shortest time between two questions because of keys that are not known.
const UNKNOWN: Duration = Duration::from_secs(1);
/// How much longer than its last token a key stays published: clocks differ.
pub const LEEWAY: TimeDelta = TimeDelta::minutes(2);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The database failed or could not be reached.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A key cannot be sealed or revealed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// What is stored is no key, or not the one it is called.
    #[error("signing key {0} in the database is damaged")]
    Damaged(String),
    /// No key signs at present.
    #[error("there is no key that signs at present")]
    NoKey,
    /// The operating system gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// A time is too far away.
    #[error("the times of a signing key are out of range")]
    Time,
}

/// When keys take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turns {
    /// How long a key is published before it signs. Longer than others keep the key set.
    pub overlap: TimeDelta,
    /// How long a token is valid: so long an old key stays published after it signed last.
    pub token_lifetime: TimeDelta,
}

impl Turns {
    /// How long the keys are used without asking for them again: so much less than the overlap that every program knows
    /// a key before any of them signs by it.
    #[must_use]
    pub fn fresh(&self) -> Duration {
        self.overlap.to_std().map_or(Duration::ZERO, |overlap| FRESH.min(overlap / 4))
    }
}

/// How a rotation ends the present keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The new key signs after the overlap, and old ones stay published until their last token is over.
    Overlapping,
    /// The new key signs at once, and nothing that old ones signed is believed any more: for a key that got out.
    AtOnce,
}

/// The signing keys. Cheap to clone; all clones share what they know.
#[derive(Clone)]
pub struct SigningKeys(Arc<Inner>);

struct Inner {
    pool: PgPool,
    vault: Vault,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    turns: Turns,
    known: ArcSwap<Known>,
    asking: Mutex<()>,
}

struct Known {
    keys: Vec<Arc<SigningKey>>,
    at: Instant,
}

impl SigningKeys {
    /// Opens the keys; the first one is made and signs at once. `pool` acts as [`journal::Role::Identity`].
    ///
    /// # Errors
    /// The database, or a key that cannot be revealed.
    pub async fn open(
        pool: PgPool,
        vault: Vault,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        turns: Turns,
    ) -> Result<Self, SigningError> {
        let known = ArcSwap::from_pointee(Known { keys: Vec::new(), at: Instant::now() });
        let keys = Self(Arc::new(Inner { pool, vault, clock, ids, turns, known, asking: Mutex::default() }));
        keys.ask().await?;
        if keys.signing().is_none() {
            keys.make(Turn::AtOnce, true).await?;
            keys.ask().await?;
        }
        Ok(keys)
    }

    /// When they take turns.
    pub fn turns(&self) -> &Turns {
        &self.0.turns
    }

    /// The key that signs at present.
    ///
    /// # Errors
    /// There is none, or what is known is too old and the database cannot be asked.
    pub async fn current(&self) -> Result<Arc<SigningKey>, SigningError> {
        self.refresh(self.0.turns.fresh()).await?;
        self.signing().ok_or(SigningError::NoKey)
    }

    /// The keys to publish, those that will sign included; the newest first.
    ///
    /// # Errors
    /// What is known is too old and the database cannot be asked.
    pub async fn all(&self) -> Result<Vec<Arc<SigningKey>>, SigningError> {
        self.refresh(self.0.turns.fresh()).await?;
        let now = self.0.clock.now();
        Ok(self.0.known.load().keys.iter().filter(|key| key.is_published(now)).cloned().collect())
    }

    /// The published key that a token names. A name that is not known is asked for, at most once a second.
    ///
    /// # Errors
    /// The database would have to be asked and does not answer.
    pub async fn named(&self, id: &str) -> Result<Option<Arc<SigningKey>>, SigningError> {
        let find = |keys: Vec<Arc<SigningKey>>| keys.into_iter().find(|key| key.id == id);
        if let Some(key) = find(self.all().await?) {
            return Ok(Some(key));
        }
        self.refresh(UNKNOWN).await?;
        Ok(find(self.all().await?))
    }

    /// Makes a new key, which signs after the overlap or at once; says which key. Keys that are over are deleted.
    ///
    /// # Errors
    /// The database, or the key cannot be sealed.
    pub async fn rotate(&self, turn: Turn) -> Result<Arc<SigningKey>, SigningError> {
        let id = self.make(turn, false).await?;
        self.ask().await?;
        let known = self.0.known.load();
        known.keys.iter().find(|key| key.id == id).cloned().ok_or(SigningError::NoKey)
    }

    fn signing(&self) -> Option<Arc<SigningKey>> {
        let now = self.0.clock.now();
        let known = self.0.known.load();
        known.keys.iter().find(|key| key.signs_from <= now && key.is_published(now)).cloned()
    }

    /// Asks the database if what is known is older than `age`. Callers that come meanwhile wait for the one answer.
    async fn refresh(&self, age: Duration) -> Result<(), SigningError> {
        if self.0.known.load().at.elapsed() < age {
            return Ok(());
        }
        let _asking = self.0.asking.lock().await;
        if self.0.known.load().at.elapsed() < age {
            return Ok(());
        }
        self.ask().await
    }

    async fn ask(&self) -> Result<(), SigningError> {
        let at = Instant::now();
        let rows = sqlx::query!(
            "SELECT key_id, record, public, sealed, created_at, signs_from, published_until
             FROM identity.signing_keys WHERE published_until IS NULL OR published_until > $1
             ORDER BY signs_from DESC, key_id",
            self.0.clock.now(),
        )
        .fetch_all(&self.0.pool)
        .await?;
        let mut keys = Vec::with_capacity(rows.len());
        for row in rows {
            let purpose = Purpose::SigningKey;
            let seed =
                self.0.vault.reveal_secret(TenantId::PLATFORM, purpose, row.record, &row.sealed).await?;
            let damaged = || SigningError::Damaged(row.key_id.clone());
            let seed = Zeroizing::new(<[u8; 32]>::try_from(seed.as_slice()).map_err(|_| damaged())?);
            let public = Ed25519::from_bytes(&seed).verifying_key().to_bytes();
            if public[..] != row.public || key_id(&public) != row.key_id {
                return Err(damaged());
            }
            keys.push(Arc::new(SigningKey {
                id: row.key_id,
                public,
                created_at: row.created_at,
                signs_from: row.signs_from,
                published_until: row.published_until,
                seed,
            }));
        }
        self.0.known.store(Arc::new(Known { keys, at }));
        Ok(())
    }

    /// Makes a key and ends the others, in one transaction. With `first` only if there is none.
    async fn make(&self, turn: Turn, first: bool) -> Result<String, SigningError> {
        let inner = &self.0;
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(SigningError::Random)?;
        let public = Ed25519::from_bytes(&seed).verifying_key().to_bytes();
        let (id, record) = (key_id(&public), inner.ids.next());
        let sealed =
            inner.vault.seal_secret(TenantId::PLATFORM, Purpose::SigningKey, record, seed.as_slice()).await?;
        let now = inner.clock.now();
        let (signs_from, ends) = self.times(turn, now).ok_or(SigningError::Time)?;
        let mut tx = journal::begin(&inner.pool, None).await?;
        // One rotation at a time; readers go on.
        sqlx::query!("LOCK TABLE identity.signing_keys IN SHARE ROW EXCLUSIVE MODE")
            .execute(&mut *tx)
            .await?;
        let made = sqlx::query!(
            "INSERT INTO identity.signing_keys (key_id, record, public, sealed, created_at, signs_from)
             SELECT $1, $2, $3, $4, $5, $6
             WHERE NOT $7 OR NOT EXISTS (SELECT FROM identity.signing_keys WHERE published_until IS NULL)",
            id,
            record,
            &public[..],
            sealed,
            now,
            signs_from,
            first,
        )
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() > 0 {
            sqlx::query!(
                "UPDATE identity.signing_keys SET published_until = least(published_until, $2) WHERE key_id <> $1",
                id,
                ends,
            )
            .execute(&mut *tx)
            .await?;
            sqlx::query!("DELETE FROM identity.signing_keys WHERE published_until <= $1", now)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(id)
    }

    /// When a new key signs, and until when the others are published.
    fn times(&self, turn: Turn, now: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        match turn {
            Turn::AtOnce => Some((now, now)),
            Turn::Overlapping => {
                let signs_from = now.checked_add_signed(self.0.turns.overlap)?;
                let over = signs_from.checked_add_signed(self.0.turns.token_lifetime)?;
                Some((signs_from, over.checked_add_signed(LEEWAY)?))
            }
        }
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys").field("keys", &self.0.known.load().keys).finish_non_exhaustive()
    }
}
