//! What the feed asks of JetStream.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::{Context, Message};
use bytes::Bytes;
use domain::Partition;
use futures_util::{Stream, StreamExt as _};

/// The stream that the relay fills. It is the relay that creates it.
const STREAM: &str = "JOURNAL";

/// How long a request for messages waits for some.
const EXPIRES: Duration = Duration::from_secs(15);
/// When the server forgets a consumer that nobody asks for messages. Two requests may be missed.
const FORGOTTEN: Duration = Duration::from_secs(45);

/// What brings events cannot be reached, or has ended.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(
    /// What is wrong, in words.
    pub String,
);

fn failed(error: impl std::fmt::Display) -> SourceError {
    SourceError(error.to_string())
}

/// What has come since the last time, and what came after it if that was a failure.
#[derive(Debug, Default)]
pub struct Arrived {
    /// The payloads, in the order in which they came.
    pub messages: Vec<Bytes>,
    /// Why no more will come.
    pub failure: Option<SourceError>,
}

/// Where events come from quickly. [`Feeding`] is nats-server; the simulation has a stream in memory.
///
/// The contract is weak, as the journal has everything: messages may be missing, come twice or out of order, and be
/// anything at all. Nothing is acknowledged: what a subscription has missed does not come again, to it or the next.
pub trait Source: Clone + Send + Sync + 'static {
    /// A partition's messages from now on.
    type Subscription: Subscription;

    /// Subscribes to a partition, for at most `size` messages at a time.
    fn subscribe(
        &self,
        partition: Partition,
        size: usize,
    ) -> impl Future<Output = Result<Self::Subscription, SourceError>> + Send;
}

/// See [`Source::subscribe`].
pub trait Subscription: Send {
    /// Waits for messages; all that are there already come at once. `None` when there will be no more.
    fn next(&mut self) -> impl Future<Output = Option<Arrived>> + Send;
}

/// A nats-server, with a consumer for each partition. How far a read model is, its checkpoint says; so the server
/// keeps nothing about a consumer, and forgets it when nobody has asked for a while.
#[derive(Debug, Clone)]
pub struct Feeding {
    context: Context,
}

impl Feeding {
    /// Over `context`.
    pub fn new(context: Context) -> Self {
        Self { context }
    }

    async fn consumer(&self, partition: Partition) -> Result<PullConsumer, SourceError> {
        let stream = self.context.get_stream_no_info(STREAM).await.map_err(failed)?;
        let config = pull::Config {
            name: Some(format!("feed-{partition}")),
            description: Some("feeds the read models".to_owned()),
            filter_subject: format!("journal.{partition}.>"),
            ack_policy: AckPolicy::None,
            memory_storage: true,
            inactive_threshold: FORGOTTEN,
            // What is older the projectors take from the journal, in larger bites.
            deliver_policy: DeliverPolicy::New,
            ..pull::Config::default()
        };
        stream.create_consumer(config).await.map_err(failed)
    }
}

impl Source for Feeding {
    type Subscription = Pulled;

    async fn subscribe(&self, partition: Partition, size: usize) -> Result<Pulled, SourceError> {
        let messages = self
            .consumer(partition)
            .await?
            .stream()
            .max_messages_per_batch(size)
            .heartbeat(Duration::from_secs(5))
            .expires(EXPIRES)
            .messages()
            .await
            .map_err(failed)?;
        // Whatever is there already makes one batch; nothing waits for more.
        let chunks = messages.map(|message| message.map_err(failed)).ready_chunks(size);
        Ok(Pulled { chunks: Box::pin(chunks) })
    }
}

type Chunk = Vec<Result<Message, SourceError>>;

/// The messages of a consumer that is pulled.
pub struct Pulled {
    chunks: Pin<Box<dyn Stream<Item = Chunk> + Send>>,
}

impl Subscription for Pulled {
    async fn next(&mut self) -> Option<Arrived> {
        let mut arrived = Arrived::default();
        // Without this tokio ends a chunk after 128 messages, for the sake of other tasks.
        for item in tokio::task::unconstrained(self.chunks.next()).await? {
            match item {
                Ok(message) => arrived.messages.push(message.message.payload),
                Err(failure) => {
                    arrived.failure = Some(failure);
                    break;
                }
            }
        }
        Some(arrived)
    }
}
