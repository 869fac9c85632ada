//! What the relay asks of JetStream, and what it may rely on.

use std::future::Future;

use bytes::Bytes;
use domain::Partition;

/// NATS failed or could not be reached.
#[derive(Debug, Clone, thiserror::Error)]
#[error("NATS: {0}")]
pub struct BrokerError(
    /// What is wrong, in words.
    pub String,
);

/// The stream as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// What tells one stream from another of the same name: when it was made, in nanoseconds.
    pub made: i128,
    /// What it was made with; ours says which database it belongs to.
    pub description: String,
    /// The place of the last message that it took; 0 where it has taken none. Taking messages out leaves it as it is.
    pub last: u64,
}

/// An event on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where to.
    pub subject: String,
    /// What the server knows duplicates by: `<partition>-<position>`.
    pub id: String,
    /// The event as a `CloudEvent`.
    pub payload: Bytes,
}

/// A message as the stream has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its place in the stream.
    pub sequence: u64,
    /// Its id; empty if it has none.
    pub id: String,
}

/// What the server says of a message that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// Its place in the stream.
    pub sequence: u64,
    /// Whether it was there already.
    pub duplicate: bool,
}

/// The stream that the relay fills. [`JetStream`](super::JetStream) is the one of nats-server; the simulation has one in memory.
///
/// The contract that every broker keeps:
/// - The stream has messages in the order in which it took them. A partition's are those whose subject begins with
///   `journal.<partition>.`.
/// - Of a run the first message is taken at the place that it is sent for, directly behind the message that was then
///   the stream's last, and each other directly behind the message before it in the run; or they are refused. So where
///   the last one is acknowledged at the place that is its by the length of the run, the stream has the run: all of it,
///   once, in order, and with nothing between.
/// - A message that is sent may be lost, and may arrive later than ones that were sent after it; then it finds its
///   place, or is refused. The same for the acknowledgement, which is given after the last message was taken. So of a
///   run that is not acknowledged the stream may have nothing, a beginning or all, and get more of it a while later.
/// - A message whose id was taken a moment ago is not taken again; its acknowledgement says so.
/// - The stream may be gone, have lost messages, or be another one, whenever it is asked.
pub trait Broker: Clone + Send + Sync + 'static {
    /// Describes the stream, and makes it with `description` where it is not there.
    fn stream(&self, description: &str) -> impl Future<Output = Result<Described, BrokerError>> + Send;

    /// The partition's last message.
    fn last(&self, partition: Partition) -> impl Future<Output = Result<Option<Taken>, BrokerError>> + Send;

    /// The partition's first message from this place in the stream on.
    fn first(
        &self,
        partition: Partition,
        sequence: u64,
    ) -> impl Future<Output = Result<Option<Taken>, BrokerError>> + Send;

    /// How many messages the partition has.
    fn count(&self, partition: Partition) -> impl Future<Output = Result<usize, BrokerError>> + Send;

    /// Takes all messages of the partition out.
    fn purge(&self, partition: Partition) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Sends the messages of a run, of one partition, for the places behind `last`, and waits for the acknowledgement
    /// of the last one of them. It may never come.
    fn publish(
        &self,
        last: u64,
        run: Vec<Message>,
    ) -> impl Future<Output = Result<Acknowledged, BrokerError>> + Send;
}
