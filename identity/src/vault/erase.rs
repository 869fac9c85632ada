//! Erasing: the subject's key goes, and with it everything that was sealed under it, wherever that is kept.
//!
//! The row stays without its key, so that nobody makes a new one for the same subject. What the old row looked like is
//! still in the table's file then, so the part of the table that it lies in is written anew. A transaction that began
//! before the erasure keeps old rows alive; such are waited for, and what is left over is taken up by
//! [`Vault::purge`]. Two places are out of reach: the write-ahead log until its segments are used again, and backups.
//! Both hold the wrapped key alone, which opens by the master key and nothing else.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{SubjectId, TenantId};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};

use super::{Inner, Vault, VaultError};

/// How long older transactions are waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often they are looked for.
const INTERVAL: Duration = Duration::from_millis(50);

/// What became of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// Who was erased.
    pub subject: SubjectId,
    /// When; the first time, if it was asked for more than once.
    pub erased_at: DateTime<Utc>,
}

impl Vault {
    /// Destroys the subject's key. Asked for again, it finishes what was left over and gives the same answer. From
    /// [this](super::FORGOTTEN_WITHIN) time on, nothing of the subject is revealed on any instance.
    ///
    /// # Errors
    /// The database. If it fails after the key was destroyed, the subject is erased all the same, and asking again
    /// takes the old row out of the files.
    pub async fn erase(&self, tenant: TenantId, subject: SubjectId) -> Result<Erased, VaultError> {
        let (erased, left_over) = self.0.destroy(tenant, subject).await?;
        if let Some(part) = left_over {
            self.0.purge(&part).await?;
        }
        Ok(erased)
    }

    /// The same, without waiting until the old row is out of the files: the next [`Vault::purge`] takes it. For what
    /// callers can ask for again and again, because writing a part of the table anew is much work.
    ///
    /// # Errors
    /// The database.
    pub async fn destroy(&self, tenant: TenantId, subject: SubjectId) -> Result<Erased, VaultError> {
        Ok(self.0.destroy(tenant, subject).await?.0)
    }

    /// Takes the rows of erased subjects out of the files, where that was not done with the erasure. Says in how many
    /// parts there were such. Meant to be called now and then.
    ///
    /// # Errors
    /// The database.
    pub async fn purge(&self) -> Result<usize, VaultError> {
        let parts = sqlx::query_scalar!(
            "SELECT DISTINCT tableoid::regclass::text AS \"part!\" FROM identity.subject_keys
             WHERE erased_at IS NOT NULL AND purged_at IS NULL"
        )
        .fetch_all(&self.0.pool)
        .await?;
        for part in &parts {
            self.0.purge(part).await?;
        }
        Ok(parts.len())
    }
}

impl Inner {
    /// Destroys a subject's key, and says which part of the table its old row may still be in.
    async fn destroy(
        &self,
        tenant: TenantId,
        subject: SubjectId,
    ) -> Result<(Erased, Option<String>), VaultError> {
        let erased = sqlx::query!(
            "INSERT INTO identity.subject_keys AS kept (partition, tenant_id, subject_id, created_at, erased_at)
             VALUES ($1, $2, $3, $4, $4)
             ON CONFLICT (subject_id, tenant_id, partition)
             DO UPDATE SET wrapped = NULL, erased_at = coalesce(kept.erased_at, excluded.erased_at)
             RETURNING erased_at AS \"erased_at!\", purged_at, tableoid::regclass::text AS \"part!\"",
            self.partition(tenant),
            tenant.0,
            subject.0,
            self.clock.now(),
        )
        .fetch_one(&self.pool)
        .await?;
        self.subject_keys.remove(&(tenant, subject));
        let left_over = erased.purged_at.is_none().then_some(erased.part);
        Ok((Erased { subject, erased_at: erased.erased_at }, left_over))
    }

    /// Writes a part of the table anew, and notes whose rows are gone from it.
    async fn purge(&self, part: &str) -> Result<(), VaultError> {
        let pending = sqlx::query!(
            "SELECT subject_id, pg_snapshot_xmax(pg_current_snapshot())::text AS \"horizon!\"
             FROM identity.subject_keys
             WHERE erased_at IS NOT NULL AND purged_at IS NULL AND tableoid = $1::text::regclass",
            part,
        )
        .fetch_all(&self.pool)
        .await?;
        let Some(first) = pending.first() else {
            return Ok(());
        };
        let alone = self.outlived(&first.horizon).await?;
        self.write_anew(part).await?;
        if !alone {
            tracing::warn!(
                part,
                "an older transaction keeps the rows of erased subjects in the files for now"
            );
            return Ok(());
        }
        let subjects: Vec<_> = pending.iter().map(|row| row.subject_id).collect();
        sqlx::query!(
            "UPDATE identity.subject_keys SET purged_at = $2
             WHERE subject_id = ANY($1) AND erased_at IS NOT NULL AND purged_at IS NULL
               AND tableoid = $3::text::regclass",
            &subjects,
            self.clock.now(),
            part,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Waits until no transaction is left that could still see what was there before the one with this number; not for
    /// ever.
    async fn outlived(&self, horizon: &str) -> Result<bool, VaultError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let older = sqlx::query_scalar!(
                "SELECT EXISTS (
                     SELECT FROM pg_stat_activity
                     WHERE pid <> pg_backend_pid() AND datname = current_database()
                       AND age(backend_xmin) > age(($1::text::numeric % 4294967296)::text::xid)
                 ) AS \"older!\"",
                horizon,
            )
            .fetch_one(&self.pool)
            .await?;
            if !older || tokio::time::Instant::now() >= deadline {
                return Ok(!older);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Writes a table anew, so that its file holds nothing but its present rows. Only its owner may, so a connection
    /// lays down its role for this; it is given up and not used again.
    pub(super) async fn write_anew(&self, table: &str) -> Result<(), VaultError> {
        let pool = self.pool.clone();
        let statement = format!("VACUUM (FULL) {table}");
        // In a task of its own, so that a caller who leaves leaves no half-done connection behind.
        let work = async move {
            let mut connection: PgConnection = pool.acquire().await?.detach();
            connection.execute("RESET ROLE").await?;
            connection.execute("SET lock_timeout = '10s'").await?;
            connection.execute(sqlx::raw_sql(&statement)).await?;
            connection.close().await
        };
        tokio::spawn(work).await.map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))??;
        Ok(())
    }
}
