//! What the projectors ask of the read models.

use std::future::Future;
use std::sync::Arc;

use domain::Partition;
use journal::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, PgPool};

use crate::Kind;
use crate::decoded::Decoded;
use crate::models::{self, Fault};

/// The advisory lock of the process that runs the projectors: "counterf" in ASCII.
const LOCK: i64 = 0x636f_756e_7465_7266;

/// Where the read models are kept. The program has its tables in Postgres; the simulation has maps.
///
/// The contract that both keep:
/// - A batch is applied whole together with its checkpoint, or not at all.
/// - It is applied only where the checkpoint is just before it ([`Fault::Moved`] otherwise), by however many at once.
/// - [`Fault::Database`] may hide that it was applied. What the database will never take it refuses with an error of
///   its classes 22, 23 or 54.
pub trait Views: Clone + Send + Sync + 'static {
    /// The right to run the projectors, for as long as this is kept.
    type Lock: Send;

    /// Takes the lock; `None` where another process has it.
    fn lock(&self) -> impl Future<Output = Result<Option<Self::Lock>, DatabaseError>> + Send;

    /// Whether the lock is still ours.
    fn held(lock: &mut Self::Lock) -> impl Future<Output = bool> + Send;

    /// Gives the lock back.
    fn release(lock: Self::Lock) -> impl Future<Output = ()> + Send;

    /// The position of the last event in a read model; 0 before the first.
    fn checkpoint(
        &self,
        kind: Kind,
        partition: Partition,
    ) -> impl Future<Output = Result<i64, DatabaseError>> + Send;

    /// Applies adjoining events that begin behind `after`, and returns the position of the last.
    fn write(
        &self,
        kind: Kind,
        partition: Partition,
        after: i64,
        batch: &[Arc<Decoded>],
    ) -> impl Future<Output = Result<i64, Fault>> + Send;
}

/// The tables in Postgres.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    /// One connection of its own holds the lock.
    pub(super) database: PgConnectOptions,
    pub(super) pool: PgPool,
}

impl Views for Tables {
    type Lock = PgConnection;

    async fn lock(&self) -> Result<Option<PgConnection>, DatabaseError> {
        let mut connection = PgConnection::connect_with(&self.database).await?;
        let taken = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "taken!""#, LOCK)
            .fetch_one(&mut connection)
            .await?;
        if taken {
            return Ok(Some(connection));
        }
        connection.close().await?;
        Ok(None)
    }

    async fn held(lock: &mut PgConnection) -> bool {
        lock.ping().await.is_ok()
    }

    async fn release(lock: PgConnection) {
        // A broken connection has lost the lock already.
        let _ = lock.close().await;
    }

    async fn checkpoint(&self, kind: Kind, partition: Partition) -> Result<i64, DatabaseError> {
        let mut connection = self.pool.acquire().await?;
        models::checkpoint(&mut connection, kind, partition).await
    }

    async fn write(
        &self,
        kind: Kind,
        partition: Partition,
        after: i64,
        batch: &[Arc<Decoded>],
    ) -> Result<i64, Fault> {
        models::write(&self.pool, kind, partition, after, batch).await
    }
}
