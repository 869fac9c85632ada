//! Another master key: data keys are wrapped anew, in batches, while everything goes on.
//!
//! A data key itself never changes, so nothing that it sealed has to be touched, and who holds it unwrapped goes on. Each
//! batch is one statement that replaces exactly what was read: a rotation that ends half way has lost nothing, and the
//! next one goes on where it ended. Two at once get in nobody's way.

use domain::TenantId;

use super::keys::{data_key_bound, retired};
use super::{MasterKeys, Vault, VaultError};

/// How many data keys are wrapped anew in one statement.
const BATCH: i64 = 100;

/// How far a rotation is, in data keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// The version that wraps from now on.
    pub version: i32,
    /// Keys that are wrapped by it.
    pub done: i64,
    /// Keys there are.
    pub total: i64,
}

/// How much is wrapped by a version of the master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MasterUse {
    /// The version.
    pub version: i32,
    /// How many data keys are wrapped by it.
    pub keys: i64,
    /// Whether the source still gives it.
    pub given: bool,
    /// Whether it was retired: it wraps nothing, and nothing may be wrapped by it any more.
    pub retired: bool,
}

impl Vault {
    /// Adds a version to the source of the master keys, if it is a file and all data keys are wrapped by the highest
    /// version already; says which. `None`: there is one to rotate to, or somebody else keeps the keys.
    ///
    /// # Errors
    /// The file cannot be written, or the database.
    pub async fn add_master(&self) -> Result<Option<i32>, VaultError> {
        let masters = self.reread().await?;
        if self.outdated(masters.highest()).await? > 0 {
            return Ok(None);
        }
        let registered = sqlx::query_scalar!(
            "SELECT EXISTS (SELECT FROM identity.data_keys WHERE master_version = $1) AS \"used!\"",
            masters.highest(),
        )
        .fetch_one(&self.0.pool)
        .await?;
        // The highest version is new, and there is nothing yet that could be wrapped by it.
        if !registered {
            return Ok(None);
        }
        masters.source().add_version().await
    }

    /// Wraps all data keys by the highest version of the master key. May be dropped at any time, and begun again.
    ///
    /// # Errors
    /// The database, or a master key that is needed and not there.
    pub async fn rotate(&self, progress: impl Fn(Rotation) + Send + Sync) -> Result<Rotation, VaultError> {
        let masters = self.reread().await?;
        self.0.register(&masters).await?;
        loop {
            let found = sqlx::query!(
                "SELECT tenant_id, partition, master_version, wrapped FROM identity.data_keys
                 WHERE master_version < $1 ORDER BY master_version, tenant_id LIMIT $2",
                masters.highest(),
                BATCH,
            )
            .fetch_all(&self.0.pool)
            .await?;
            let mut batch = Batch::default();
            for row in found {
                let tenant = TenantId(row.tenant_id);
                let key = self.0.unwrap_data_key(tenant, row.master_version, &row.wrapped).await?;
                batch.anew.push(masters.wrapping().seal(data_key_bound(tenant), key.bytes())?);
                batch.tenants.push(row.tenant_id);
                batch.partitions.push(row.partition);
                batch.before.push(row.wrapped);
            }
            if !batch.tenants.is_empty() {
                self.replace(&masters, &batch).await?;
            }
            let now = self.progress(masters.highest()).await?;
            progress(now);
            if batch.tenants.is_empty() {
                return Ok(now);
            }
        }
    }

    async fn replace(&self, masters: &MasterKeys, batch: &Batch) -> Result<(), VaultError> {
        sqlx::query!(
            "UPDATE identity.data_keys AS kept
             SET wrapped = new.wrapped, master_version = $5, wrapped_at = $6
             FROM UNNEST($1::uuid[], $2::integer[], $3::bytea[], $4::bytea[])
                 AS new (tenant_id, partition, before, wrapped)
             WHERE kept.tenant_id = new.tenant_id AND kept.partition = new.partition AND kept.wrapped = new.before",
            &batch.tenants,
            &batch.partitions,
            &batch.before,
            &batch.anew,
            masters.highest(),
            self.0.clock.now(),
        )
        .execute(&self.0.pool)
        .await
        .map_err(|error| retired(error, masters.highest()))?;
        Ok(())
    }

    /// Every version that the database or the source knows, and how much it wraps.
    ///
    /// # Errors
    /// The database.
    pub async fn versions(&self) -> Result<Vec<MasterUse>, VaultError> {
        let masters = self.reread().await?;
        let rows = sqlx::query!(
            "SELECT version AS \"version!\", NOT coalesce(live, true) AS \"retired!\",
                    (SELECT count(*) FROM identity.data_keys WHERE master_version = version) AS \"keys!\"
             FROM UNNEST($1::integer[]) AS given (version) FULL JOIN identity.master_keys USING (version)
             ORDER BY version",
            &masters.versions().collect::<Vec<_>>(),
        )
        .fetch_all(&self.0.pool)
        .await?;
        let uses = rows.into_iter().map(|row| MasterUse {
            version: row.version,
            keys: row.keys,
            given: masters.get(row.version).is_some(),
            retired: row.retired,
        });
        Ok(uses.collect())
    }

    /// Retires a version: from now on nothing can be wrapped by it, on no instance. What it had wrapped is taken out of
    /// the files of the database first.
    ///
    /// # Errors
    /// It still wraps a key, it is the one that wraps, it is not known, or the database.
    pub async fn retire(&self, version: i32) -> Result<(), VaultError> {
        let masters = self.reread().await?;
        if version == masters.highest() {
            return Err(VaultError::Current { version });
        }
        let retired = sqlx::query!(
            "UPDATE identity.master_keys SET live = false, retired_at = coalesce(retired_at, $2) WHERE version = $1",
            version,
            self.0.clock.now(),
        )
        .execute(&self.0.pool)
        .await;
        match retired {
            Ok(done) if done.rows_affected() == 0 => Err(VaultError::NoMaster { version }),
            Ok(_) => self.0.write_anew("identity.data_keys").await,
            Err(error)
                if error.as_database_error().and_then(|error| error.constraint())
                    == Some("data_keys_master_key") =>
            {
                Err(VaultError::InUse { version, keys: self.wrapped_by(version).await? })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The master keys as their source gives them now.
    async fn reread(&self) -> Result<std::sync::Arc<MasterKeys>, VaultError> {
        let source = self.0.masters.load().source().clone();
        let masters = std::sync::Arc::new(MasterKeys::load(&source).await?);
        self.0.check(&masters).await?;
        self.0.masters.store(std::sync::Arc::clone(&masters));
        Ok(masters)
    }

    async fn outdated(&self, highest: i32) -> Result<i64, VaultError> {
        let count = sqlx::query_scalar!(
            "SELECT count(*) AS \"count!\" FROM identity.data_keys WHERE master_version < $1",
            highest
        );
        Ok(count.fetch_one(&self.0.pool).await?)
    }

    async fn wrapped_by(&self, version: i32) -> Result<i64, VaultError> {
        let count = sqlx::query_scalar!(
            "SELECT count(*) AS \"count!\" FROM identity.data_keys WHERE master_version = $1",
            version
        );
        Ok(count.fetch_one(&self.0.pool).await?)
    }

    async fn progress(&self, version: i32) -> Result<Rotation, VaultError> {
        let count = sqlx::query!(
            "SELECT count(*) AS \"total!\", count(*) FILTER (WHERE master_version >= $1) AS \"done!\"
             FROM identity.data_keys",
            version
        );
        let count = count.fetch_one(&self.0.pool).await?;
        Ok(Rotation { version, done: count.done, total: count.total })
    }
}

/// Data keys before and after, column by column.
#[derive(Default)]
struct Batch {
    tenants: Vec<uuid::Uuid>,
    partitions: Vec<i32>,
    before: Vec<Vec<u8>>,
    anew: Vec<Vec<u8>>,
}
