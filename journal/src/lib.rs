//! What happened: the append-only event store on Postgres.
//!
//! It appends batches, loads streams and reads forward by position. It knows bytes and order, not what a
//! wallet is. Costs: an append is one statement and one flush however many events it has; a stream is read
//! along one index; reading forward follows the primary key.
//!
//! Invariants: the positions of a partition and the sequences of a stream have no gaps; `recorded_at` never
//! runs backwards within a partition; nothing is ever changed or deleted (a trigger refuses it).

mod append;
pub mod cloudevent;
mod contact;
mod event;
mod lease;
mod pool;
mod read;
mod store;

pub use append::{AppendError, Head};
pub use contact::{ConnectError, has_ledger, place};
pub use event::{EventText, Lead, NewEvent, Position, PositionError, Recorded};
pub use lease::Lease;
pub use pool::{Role, begin, connect, migrate};
pub use read::{Prefetched, Snapshot, StreamStart};
/// What the database says when it fails.
pub use sqlx::Error as DatabaseError;
pub use store::Store;

use domain::Partition;
use sqlx::PgPool;
use uuid::Uuid;

/// The form of the aggregates in snapshots. It is raised when one of them changes, and snapshots of other forms
/// are ignored.
pub const SNAPSHOT_FORM: i32 = 2;

/// The event store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Journal {
    pool: PgPool,
    database_id: Uuid,
    partitions: Partition,
}

impl Journal {
    /// Opens the journal of a migrated database. `pool` should act as [`Role::Writer`].
    ///
    /// # Errors
    /// What the database says; also when it was not migrated.
    pub async fn open(pool: PgPool) -> Result<Self, sqlx::Error> {
        let identity =
            sqlx::query!("SELECT database_id, partitions FROM journal.identity").fetch_one(&pool).await?;
        Ok(Self { pool, database_id: identity.database_id, partitions: Partition(identity.partitions) })
    }

    /// The id that this database was given when it was created.
    pub fn database_id(&self) -> Uuid {
        self.database_id
    }

    /// How many partitions there are.
    pub fn partition_count(&self) -> Partition {
        self.partitions
    }

    /// Every partition, in order.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        (0..self.partitions.0).map(Partition)
    }

    /// The pool it works with.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }
}
