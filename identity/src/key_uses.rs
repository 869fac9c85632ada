//! When each API key was last used.
//!
//! A use is noted in memory, and what was noted is written from time to time: the newest use of each key, however many
//! there were. A crash loses the last few seconds of it, which the next use makes good.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use domain::{Clock, KeyId, Partition, TenantId};
use sqlx::PgPool;

/// Why uses were not written or read.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct KeyUseError(#[from] sqlx::Error);

/// The newest use of each key that is not written yet.
type Noted = HashMap<(TenantId, KeyId), DateTime<Utc>>;

/// The last uses of all keys. Cheap to clone.
#[derive(Clone)]
pub struct KeyUses {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    partitions: Partition,
    noted: Arc<Mutex<Noted>>,
}

impl KeyUses {
    /// `pool` acts as [`journal::Role::Identity`].
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>, partitions: Partition) -> Self {
        Self { pool, clock, partitions, noted: Arc::default() }
    }

    /// Notes that a key was used now. Only keys that there are may be noted: there is no other bound.
    pub fn note(&self, tenant: TenantId, key: KeyId) {
        let now = self.clock.now();
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert((tenant, key), now);
    }

    /// Writes what was noted. What cannot be written is noted again.
    ///
    /// # Errors
    /// The database.
    pub async fn write(&self) -> Result<(), KeyUseError> {
        let noted = std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner));
        if noted.is_empty() {
            return Ok(());
        }
        let written = self.upsert(&noted).await;
        if written.is_err() {
            let mut since = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, at) in noted {
                since.entry(key).or_insert(at);
            }
        }
        written
    }

    async fn upsert(&self, noted: &HashMap<(TenantId, KeyId), DateTime<Utc>>) -> Result<(), KeyUseError> {
        // In one order, so that two programs that write the same keys do not wait for each other.
        let noted: BTreeMap<_, _> = noted.iter().collect();
        let partitions: Vec<i32> =
            noted.keys().map(|(tenant, _)| tenant.partition(self.partitions).0).collect();
        let tenants: Vec<_> = noted.keys().map(|(tenant, _)| tenant.0).collect();
        let keys: Vec<_> = noted.keys().map(|(_, key)| key.0).collect();
        let times: Vec<_> = noted.values().map(|at| **at).collect();
        sqlx::query!(
            "INSERT INTO identity.key_uses (partition, tenant_id, key_id, used_at)
             SELECT * FROM UNNEST($1::integer[], $2::uuid[], $3::uuid[], $4::timestamptz[])
             ON CONFLICT (tenant_id, key_id, partition)
             DO UPDATE SET used_at = greatest(key_uses.used_at, excluded.used_at)",
            &partitions,
            &tenants,
            &keys,
            &times,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// When each of these keys of the tenant was last used; those that never were are not in it.
    ///
    /// # Errors
    /// The database.
    pub async fn of(
        &self,
        tenant: TenantId,
        keys: &[KeyId],
    ) -> Result<BTreeMap<KeyId, DateTime<Utc>>, KeyUseError> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let rows = sqlx::query!(
            "SELECT key_id, used_at FROM identity.key_uses
             WHERE tenant_id = $1 AND partition = $2 AND key_id = ANY($3)",
            tenant.0,
            tenant.partition(self.partitions).0,
            &ids,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (KeyId(row.key_id), row.used_at)).collect())
    }
}

impl std::fmt::Debug for KeyUses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyUses").finish_non_exhaustive()
    }
}
