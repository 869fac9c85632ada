//! What the rest of the program asks of the event store, so that it runs over a simulated one as well.

use std::future::Future;

use chrono::{DateTime, Utc};
use domain::Partition;
use uuid::Uuid;

use crate::{AppendError, DatabaseError, Head, Journal, Lease, NewEvent, Prefetched, Recorded, StreamStart};

/// An event store. [`Journal`] is the one on Postgres; the simulation has one in memory.
///
/// The contract that every store keeps:
/// - An append is seen whole or not at all, by every reader at the same moment, and never goes away.
/// - It happens only where the head's position and epoch are as given and `recorded_at` is not before the head's;
///   a sequence of a stream and an idempotency key of a tenant are taken once per partition.
/// - An error may hide an append that happened, or that is still on its way and happens later. The same holds for an
///   append that its caller stopped waiting for.
/// - What is read is what was committed when it was read: all of it, in order.
pub trait Store: Clone + Send + Sync + 'static {
    /// A job that only one program may do, for as long as this is kept.
    type Lease: Send;

    /// The id that this store was given when it was created.
    fn database_id(&self) -> Uuid;

    /// How many partitions there are.
    fn partition_count(&self) -> Partition;

    /// Every partition, in order.
    fn partitions(&self) -> impl Iterator<Item = Partition> + use<Self> {
        (0..self.partition_count().0).map(Partition)
    }

    /// See [`Journal::heads`].
    fn heads(&self) -> impl Future<Output = Result<Vec<Head>, DatabaseError>> + Send;

    /// See [`Journal::head`].
    fn head(&self, partition: Partition) -> impl Future<Output = Result<Head, DatabaseError>> + Send;

    /// See [`Journal::claim`].
    fn claim(&self, partition: Partition) -> impl Future<Output = Result<Head, DatabaseError>> + Send;

    /// See [`Journal::append`].
    fn append(
        &self,
        head: Head,
        recorded_at: DateTime<Utc>,
        events: &[NewEvent],
    ) -> impl Future<Output = Result<Head, AppendError>> + Send;

    /// See [`Journal::leads`].
    fn leads(
        &self,
        partition: Partition,
        keys: &[(Uuid, &str)],
    ) -> impl Future<Output = Result<Vec<Recorded>, DatabaseError>> + Send;

    /// See [`Journal::prefetch`].
    fn prefetch(
        &self,
        partition: Partition,
        streams: &[Uuid],
        start: StreamStart,
    ) -> impl Future<Output = Result<Prefetched, DatabaseError>> + Send;

    /// See [`Journal::read`].
    fn read(
        &self,
        partition: Partition,
        after: i64,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<Recorded>, DatabaseError>> + Send;

    /// See [`Journal::stream`].
    fn stream(
        &self,
        partition: Partition,
        aggregate_id: Uuid,
        sequence: i64,
    ) -> impl Future<Output = Result<Vec<Recorded>, DatabaseError>> + Send;

    /// See [`Journal::set_relayed`].
    fn set_relayed(
        &self,
        partition: Partition,
        position: i64,
    ) -> impl Future<Output = Result<(), DatabaseError>> + Send;

    /// See [`Lease::take`].
    fn lease(&self, name: &str) -> impl Future<Output = Result<Option<Self::Lease>, DatabaseError>> + Send;

    /// See [`Lease::held`].
    fn held(lease: &mut Self::Lease) -> impl Future<Output = bool> + Send;
}

impl Store for Journal {
    type Lease = Lease;

    fn database_id(&self) -> Uuid {
        Self::database_id(self)
    }

    fn partition_count(&self) -> Partition {
        Self::partition_count(self)
    }

    async fn heads(&self) -> Result<Vec<Head>, DatabaseError> {
        Self::heads(self).await
    }

    async fn head(&self, partition: Partition) -> Result<Head, DatabaseError> {
        Self::head(self, partition).await
    }

    async fn claim(&self, partition: Partition) -> Result<Head, DatabaseError> {
        Self::claim(self, partition).await
    }

    async fn append(
        &self,
        head: Head,
        recorded_at: DateTime<Utc>,
        events: &[NewEvent],
    ) -> Result<Head, AppendError> {
        Self::append(self, head, recorded_at, events).await
    }

    async fn leads(
        &self,
        partition: Partition,
        keys: &[(Uuid, &str)],
    ) -> Result<Vec<Recorded>, DatabaseError> {
        Self::leads(self, partition, keys).await
    }

    async fn prefetch(
        &self,
        partition: Partition,
        streams: &[Uuid],
        start: StreamStart,
    ) -> Result<Prefetched, DatabaseError> {
        Self::prefetch(self, partition, streams, start).await
    }

    async fn read(
        &self,
        partition: Partition,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Recorded>, DatabaseError> {
        Self::read(self, partition, after, limit).await
    }

    async fn stream(
        &self,
        partition: Partition,
        aggregate_id: Uuid,
        sequence: i64,
    ) -> Result<Vec<Recorded>, DatabaseError> {
        Self::stream(self, partition, aggregate_id, sequence).await
    }

    async fn set_relayed(&self, partition: Partition, position: i64) -> Result<(), DatabaseError> {
        Self::set_relayed(self, partition, position).await
    }

    async fn lease(&self, name: &str) -> Result<Option<Lease>, DatabaseError> {
        Lease::take(self.pool(), name).await
    }

    async fn held(lease: &mut Lease) -> bool {
        lease.held().await
    }
}
