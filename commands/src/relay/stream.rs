//! What the relay asks of JetStream: the stream itself, how far it has a partition, and whether it is whole.

use std::future::Future;
use std::time::Duration;

use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, LastRawMessageErrorKind, StorageType, Stream};
use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use domain::Partition;
use futures_util::TryStreamExt as _;
use journal::{Store, cloudevent};

use super::{Lane, RelayError, STREAM};

/// How long the server remembers the ids of messages: as short as it allows, for after a purge they are sent again.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

/// NATS failed or could not be reached.
#[derive(Debug, Clone, thiserror::Error)]
#[error("NATS: {0}")]
pub struct BrokerError(
    /// What is wrong, in words.
    pub String,
);

fn nats(error: impl std::fmt::Display) -> BrokerError {
    BrokerError(error.to_string())
}

/// The stream as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// What tells one stream from another of the same name: when it was made, in nanoseconds.
    pub made: i128,
    /// What it was made with; ours says which database it belongs to.
    pub description: String,
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

/// The stream that the relay fills. [`JetStream`] is the one of nats-server; the simulation has one in memory.
///
/// The contract that every broker keeps:
/// - The stream has messages in the order in which it took them. A partition's are those whose subject begins with
///   `journal.<partition>.`.
/// - A message that is sent may be lost, and may be taken later than ones that were sent after it: order holds only
///   while nothing fails. The same for its acknowledgement, which is given after the message was taken.
/// - A message whose id was taken a moment ago is not taken again; its acknowledgement says so.
/// - The stream may be gone, or be another one, whenever it is asked.
pub trait Broker: Clone + Send + Sync + 'static {
    /// A message that was sent and not yet acknowledged.
    type Sent: Send;

    /// Describes the stream, and makes it with `description` where it is not there.
    fn stream(&self, description: &str) -> impl Future<Output = Result<Described, BrokerError>> + Send;

    /// The id of the partition's last message, empty if it has no id; `None` where there is no message.
    fn last(&self, partition: Partition) -> impl Future<Output = Result<Option<String>, BrokerError>> + Send;

    /// How many messages the partition has.
    fn count(&self, partition: Partition) -> impl Future<Output = Result<usize, BrokerError>> + Send;

    /// Takes all messages of the partition out.
    fn purge(&self, partition: Partition) -> impl Future<Output = Result<(), BrokerError>> + Send;

    /// Sends a message behind those sent before.
    fn publish(&self, message: Message) -> impl Future<Output = Result<Self::Sent, BrokerError>> + Send;

    /// Waits for the acknowledgement; true where the message is a duplicate. It may never come.
    fn acknowledged(&self, sent: Self::Sent) -> impl Future<Output = Result<bool, BrokerError>> + Send;
}

/// The stream [`STREAM`] of a nats-server.
#[derive(Debug, Clone)]
pub struct JetStream {
    context: Context,
}

impl JetStream {
    /// The stream over `client`.
    pub fn new(client: async_nats::Client) -> Self {
        Self { context: jetstream::new(client) }
    }

    async fn handle(&self) -> Result<Stream<()>, BrokerError> {
        self.context.get_stream_no_info(STREAM).await.map_err(nats)
    }
}

fn subjects(partition: Partition) -> String {
    format!("journal.{partition}.>")
}

impl Broker for JetStream {
    type Sent = PublishAckFuture;

    async fn stream(&self, description: &str) -> Result<Described, BrokerError> {
        let config = Config {
            name: STREAM.to_owned(),
            description: Some(description.to_owned()),
            subjects: vec!["journal.>".to_owned()],
            storage: StorageType::File,
            duplicate_window: DUPLICATE_WINDOW,
            ..Config::default()
        };
        let stream = self.context.get_or_create_stream(config).await.map_err(nats)?;
        let info = stream.cached_info();
        let description = info.config.description.clone().unwrap_or_default();
        Ok(Described { made: info.created.unix_timestamp_nanos(), description })
    }

    async fn last(&self, partition: Partition) -> Result<Option<String>, BrokerError> {
        match self.handle().await?.get_last_raw_message_by_subject(&subjects(partition)).await {
            Ok(message) => {
                Ok(Some(message.headers.get("Nats-Msg-Id").map(ToString::to_string).unwrap_or_default()))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(nats(error)),
        }
    }

    async fn count(&self, partition: Partition) -> Result<usize, BrokerError> {
        let stream = self.handle().await?;
        let mut counts = stream.info_with_subjects(subjects(partition)).await.map_err(nats)?;
        let mut messages = 0_usize;
        while let Some((_, count)) = counts.try_next().await.map_err(nats)? {
            messages = messages.saturating_add(count);
        }
        Ok(messages)
    }

    async fn purge(&self, partition: Partition) -> Result<(), BrokerError> {
        self.handle().await?.purge().filter(subjects(partition)).await.map_err(nats)?;
        Ok(())
    }

    async fn publish(&self, message: Message) -> Result<PublishAckFuture, BrokerError> {
        let Message { subject, id, payload } = message;
        let message = PublishMessage::build()
            .payload(payload)
            .message_id(id)
            .header("Content-Type", cloudevent::CONTENT_TYPE);
        self.context.send_publish(subject, message).await.map_err(nats)
    }

    async fn acknowledged(&self, sent: PublishAckFuture) -> Result<bool, BrokerError> {
        Ok(sent.into_future().await.map_err(nats)?.duplicate)
    }
}

impl<S: Store, B: Broker> Lane<S, B> {
    /// How far JetStream has this partition, which is then whole up to there; and when the stream was made.
    pub(super) async fn resume(&self) -> Result<(i64, i128), RelayError> {
        let made = self.stream().await?;
        let mut at = self.last().await?;
        if !self.whole(at).await? {
            tracing::warn!(partition = %self.partition, last = at, "the stream is not whole; filling it again");
            self.broker.purge(self.partition).await?;
            // Until the server has forgotten the ids of what was there.
            tokio::time::sleep(DUPLICATE_WINDOW * 3).await;
            at = 0;
        }
        let head = self.journal.head(self.partition).await?.position;
        if at > head {
            return Err(RelayError::Ahead { partition: self.partition, stream: at, journal: head });
        }
        Ok((at, made))
    }

    /// The position of the partition's last message; 0 where there is none.
    async fn last(&self) -> Result<i64, RelayError> {
        let Some(id) = self.broker.last(self.partition).await? else {
            return Ok(0);
        };
        let own = id.strip_prefix(&format!("{}-", self.partition));
        own.and_then(|position| position.parse().ok()).ok_or(RelayError::Message(id))
    }

    /// Whether the stream has as many messages as there are events up to `at`.
    pub(super) async fn whole(&self, at: i64) -> Result<bool, RelayError> {
        let messages = self.broker.count(self.partition).await?;
        Ok(i64::try_from(messages).unwrap_or(i64::MAX) == at)
    }

    /// Whether the stream is the one we began with, and still ends where we left it.
    pub(super) async fn unchanged(&self, at: i64, began: i128) -> Result<bool, RelayError> {
        Ok(self.stream().await? == began && self.last().await? == at)
    }

    /// When the stream was made; it is, where it is not there.
    async fn stream(&self) -> Result<i128, RelayError> {
        let own = format!("counterfoil {}", self.journal.database_id());
        let Described { made, description } = self.broker.stream(&own).await?;
        if description == own { Ok(made) } else { Err(RelayError::Foreign { found: description, own }) }
    }
}
