//! The keys below the master key: one per tenant, one per subject, one for the blind indexes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::{SubjectId, TenantId};
use tokio::time::Instant;
use uuid::Uuid;

use super::seal::{Bound, Key};
use super::{Inner, MasterKeys, VaultError, master};

/// How long a subject's key is used without asking whether the subject was erased meanwhile.
const TRUSTED: Duration = Duration::from_millis(500);
/// The shortest time between two looks at the source of the master keys.
const RELOAD: Duration = Duration::from_secs(1);

/// What the ciphertext of a data key is for.
pub(super) const DATA_KEY: &str = "data_key";
/// What the ciphertext of a subject's key is for.
const SUBJECT_KEY: &str = "subject_key";
/// What the ciphertext of the key of blind indexes is for, and its name.
const INDEX_KEY: &str = "index_key";

/// A subject's key, or nothing when the subject is erased.
pub(super) type SubjectKey = Option<Arc<Key>>;

/// A subject's key as it was at a moment.
#[derive(Clone)]
pub(super) struct Seen {
    key: SubjectKey,
    at: Instant,
}

impl Inner {
    /// The tenant's data key; made when there is none.
    pub(super) async fn data_key(&self, tenant: TenantId) -> Result<Arc<Key>, VaultError> {
        if let Some(key) = self.data_keys.get(&tenant) {
            return Ok(key);
        }
        loop {
            let row = sqlx::query!(
                "SELECT master_version, wrapped FROM identity.data_keys WHERE tenant_id = $1 AND partition = $2",
                tenant.0,
                self.partition(tenant),
            )
            .fetch_optional(&self.pool)
            .await?;
            if let Some(row) = row {
                let key = Arc::new(self.unwrap_data_key(tenant, row.master_version, &row.wrapped).await?);
                self.data_keys.insert(tenant, Arc::clone(&key));
                return Ok(key);
            }
            self.make_data_key(tenant).await?;
        }
    }

    pub(super) async fn unwrap_data_key(
        &self,
        tenant: TenantId,
        version: i32,
        wrapped: &[u8],
    ) -> Result<Key, VaultError> {
        if self.masters.load().get(version).is_none() {
            self.reload().await?;
        }
        let masters = self.masters.load();
        let master = masters.get(version).ok_or(VaultError::UnknownMaster { version })?;
        open_key(master, data_key_bound(tenant), wrapped)
    }

    /// Makes the tenant's data key, unless somebody else does.
    async fn make_data_key(&self, tenant: TenantId) -> Result<(), VaultError> {
        // Another program may have begun to wrap by a newer version.
        let newest = sqlx::query_scalar!("SELECT max(version) FROM identity.master_keys WHERE live")
            .fetch_one(&self.pool)
            .await?;
        if newest.is_some_and(|newest| newest > self.masters.load().highest()) {
            self.reload().await?;
        }
        let key = Key::draw()?;
        let masters = self.masters.load_full();
        self.register(&masters).await?;
        let wrapped = masters.wrapping().seal(data_key_bound(tenant), key.bytes())?;
        sqlx::query!(
            "INSERT INTO identity.data_keys (partition, tenant_id, master_version, wrapped, created_at, wrapped_at)
             VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (tenant_id, partition) DO NOTHING",
            self.partition(tenant),
            tenant.0,
            masters.highest(),
            wrapped,
            self.clock.now(),
        )
        .execute(&self.pool)
        .await
        .map_err(|error| retired(error, masters.highest()))?;
        Ok(())
    }

    /// Lets the database know the version that wraps, and checks that it is the key that this version is here.
    pub(super) async fn register(&self, masters: &MasterKeys) -> Result<(), VaultError> {
        sqlx::query!(
            "INSERT INTO identity.master_keys (version, proof, known_at) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
            masters.highest(),
            &master::proof(masters.highest(), masters.wrapping())?[..],
            self.clock.now(),
        )
        .execute(&self.pool)
        .await?;
        self.check(masters).await
    }

    /// Refuses keys that are not those which this database knows under their versions.
    pub(super) async fn check(&self, masters: &MasterKeys) -> Result<(), VaultError> {
        let known =
            sqlx::query!("SELECT version, proof FROM identity.master_keys").fetch_all(&self.pool).await?;
        for row in known {
            if let Some(key) = masters.get(row.version)
                && master::proof(row.version, key)?[..] != row.proof
            {
                return Err(VaultError::WrongMaster { version: row.version });
            }
        }
        Ok(())
    }

    /// Looks at the source of the master keys again, unless it was looked at just now.
    pub(super) async fn reload(&self) -> Result<(), VaultError> {
        let mut last = self.reloaded.lock().await;
        if last.is_some_and(|last| last.elapsed() < RELOAD) {
            return Ok(());
        }
        // Also when it fails: a source in trouble is not asked once for every request.
        *last = Some(Instant::now());
        let source = self.masters.load().source().clone();
        let masters = MasterKeys::load(&source).await?;
        self.check(&masters).await?;
        self.masters.store(Arc::new(masters));
        Ok(())
    }

    /// The subject's key; made when there is none.
    pub(super) async fn subject_key(
        &self,
        tenant: TenantId,
        subject: SubjectId,
    ) -> Result<SubjectKey, VaultError> {
        loop {
            if let Some(key) = self.subject_keys(tenant, &[subject]).await?.remove(&subject) {
                return Ok(key);
            }
            let wrapped =
                self.data_key(tenant).await?.seal(subject_bound(tenant, subject), Key::draw()?.bytes())?;
            sqlx::query!(
                "INSERT INTO identity.subject_keys (partition, tenant_id, subject_id, wrapped, created_at)
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (subject_id, tenant_id, partition) DO NOTHING",
                self.partition(tenant),
                tenant.0,
                subject.0,
                wrapped,
                self.clock.now(),
            )
            .execute(&self.pool)
            .await?;
        }
    }

    /// The keys of those subjects that ever had one, in one query for all that were not looked at just now.
    pub(super) async fn subject_keys(
        &self,
        tenant: TenantId,
        subjects: &[SubjectId],
    ) -> Result<BTreeMap<SubjectId, SubjectKey>, VaultError> {
        // Before the query is sent: what is found was so at this moment or later.
        let at = Instant::now();
        let mut found = BTreeMap::new();
        let mut missing = Vec::new();
        for subject in subjects {
            match self.subject_keys.get(&(tenant, *subject)) {
                Some(seen) if at.saturating_duration_since(seen.at) < TRUSTED => {
                    found.insert(*subject, seen.key);
                }
                _ => missing.push(subject.0),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let rows = sqlx::query!(
            "SELECT key.subject_id, key.wrapped
             FROM UNNEST($3::uuid[]) AS wanted (subject_id),
                  LATERAL (SELECT subject_id, wrapped FROM identity.subject_keys AS kept
                           WHERE kept.subject_id = wanted.subject_id AND tenant_id = $1 AND partition = $2
                           LIMIT 1) AS key",
            tenant.0,
            self.partition(tenant),
            &missing,
        )
        .fetch_all(&self.pool)
        .await?;
        for row in rows {
            let subject = SubjectId(row.subject_id);
            let key = match row.wrapped {
                Some(wrapped) => {
                    let data_key = self.data_key(tenant).await?;
                    Some(Arc::new(open_key(&data_key, subject_bound(tenant, subject), &wrapped)?))
                }
                None => None,
            };
            self.subject_keys.insert((tenant, subject), Seen { key: key.clone(), at });
            found.insert(subject, key);
        }
        Ok(found)
    }

    /// The key of the blind indexes; made when there is none.
    pub(super) async fn index_key(&self) -> Result<Arc<Key>, VaultError> {
        let bound = Bound { tenant: TenantId::PLATFORM, purpose: INDEX_KEY, record: Uuid::nil() };
        let making = self.index_key.get_or_try_init(|| async {
            let data_key = self.data_key(TenantId::PLATFORM).await?;
            loop {
                let kept =
                    sqlx::query_scalar!("SELECT sealed FROM identity.index_keys WHERE name = $1", INDEX_KEY)
                        .fetch_optional(&self.pool)
                        .await?;
                if let Some(kept) = kept {
                    return Ok::<_, VaultError>(Arc::new(open_key(&data_key, bound, &kept)?));
                }
                let sealed = data_key.seal(bound, Key::draw()?.bytes())?;
                sqlx::query!(
                    "INSERT INTO identity.index_keys (name, sealed, created_at) VALUES ($1, $2, $3)
                     ON CONFLICT (name) DO NOTHING",
                    INDEX_KEY,
                    sealed,
                    self.clock.now(),
                )
                .execute(&self.pool)
                .await?;
            }
        });
        making.await.cloned()
    }

    pub(super) fn partition(&self, tenant: TenantId) -> i32 {
        tenant.partition(self.partitions).0
    }
}

/// What a tenant's data key is bound to.
pub(super) fn data_key_bound(tenant: TenantId) -> Bound {
    Bound { tenant, purpose: DATA_KEY, record: Uuid::nil() }
}

fn subject_bound(tenant: TenantId, subject: SubjectId) -> Bound {
    Bound { tenant, purpose: SUBJECT_KEY, record: subject.0 }
}

fn open_key(by: &Key, bound: Bound, wrapped: &[u8]) -> Result<Key, VaultError> {
    let bytes = by.open(bound, wrapped)?;
    Key::from_bytes(&bytes).ok_or(VaultError::Refused { what: bound.purpose })
}

/// What it means that a data key cannot be wrapped by `version`.
pub(super) fn retired(error: sqlx::Error, version: i32) -> VaultError {
    let violated = error.as_database_error().and_then(|error| error.constraint());
    if violated == Some("data_keys_master_key") { VaultError::Retired { version } } else { error.into() }
}
