//! The relay: publishes every committed event to JetStream, in the order of its partition, once.
//!
//! The writer hands committed batches over in memory; whatever does not arrive that way (at start, when the
//! relay lags, after a fault) is read from the journal. Where to continue is asked of the stream itself: the
//! last message of the partition says which events JetStream has. What JetStream has of a partition is
//! always its beginning, for messages are published in order on one connection and a failed one ends the
//! session. So nothing is published twice and nothing is left out, with or without duplicate detection.
//!
//! NATS is never the truth: a wiped stream is made again and filled from position 1.

use std::time::Duration;

use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, LastRawMessageErrorKind, StorageType, Stream};
use async_nats::jetstream::{self, Context};
use domain::Partition;
use journal::{Journal, Recorded, cloudevent};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The name of the JetStream stream.
pub const STREAM: &str = "JOURNAL";

/// How many batches may wait in memory; what does not fit is read from the journal later.
const WAITING_BATCHES: usize = 256;
/// How many events are read from the journal, or published before their acknowledgements are awaited.
const READ_EVENTS: i64 = 1_000;
/// How often the journal is asked whether something was missed.
const LOOK: Duration = Duration::from_secs(1);
/// How long an acknowledgement may take.
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What the writers use to hand over committed batches.
#[derive(Debug, Clone)]
pub struct Announcer {
    partitions: Vec<mpsc::Sender<Vec<Recorded>>>,
}

impl Announcer {
    /// To nobody: for a program without a relay, which another one on the same database makes up for.
    pub const fn silent() -> Self {
        Self { partitions: Vec::new() }
    }

    pub(crate) fn of(&self, partition: Partition) -> Announce {
        let index = usize::try_from(partition.0).unwrap_or(usize::MAX);
        Announce { queue: self.partitions.get(index).cloned() }
    }
}

/// One partition's way to the relay.
#[derive(Debug)]
pub(crate) struct Announce {
    queue: Option<mpsc::Sender<Vec<Recorded>>>,
}

impl Announce {
    /// Hands a batch over. Never waits: a relay that lags reads the journal instead.
    pub(crate) fn send(&self, batch: Vec<Recorded>) {
        if let Some(queue) = &self.queue {
            let _ = queue.try_send(batch);
        }
    }
}

/// The relay of all partitions.
#[derive(Debug)]
pub struct Relay {
    journal: Journal,
    context: Context,
    queues: Vec<mpsc::Receiver<Vec<Recorded>>>,
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(
        "the stream {STREAM} belongs to the database {found:?}, not to {own:?}; give this database a NATS account of its own, or delete the stream"
    )]
    Foreign { found: String, own: String },
    #[error(
        "the stream has partition {partition} up to {stream}, the journal only up to {journal}: the database is older than the stream; delete the stream to have it filled again"
    )]
    Ahead { partition: Partition, stream: i64, journal: i64 },
    #[error("message {0:?} is not one of ours")]
    Message(String),
    #[error("NATS: {0}")]
    Nats(String),
    #[error("NATS had message {0} already, which it should not")]
    Duplicate(String),
    #[error(transparent)]
    Event(#[from] cloudevent::CloudEventError),
    #[error("the journal: {0}")]
    Journal(#[from] journal::DatabaseError),
}

fn nats(error: impl std::fmt::Display) -> RelayError {
    RelayError::Nats(error.to_string())
}

impl Relay {
    /// A relay for `journal` over `client`, and the way to it.
    pub fn new(journal: Journal, client: async_nats::Client) -> (Self, Announcer) {
        let (partitions, queues) = journal.partitions().map(|_| mpsc::channel(WAITING_BATCHES)).unzip();
        (Self { journal, context: jetstream::new(client), queues }, Announcer { partitions })
    }

    /// Relays all partitions until `stop`, whatever NATS and Postgres do. Returns with nothing lost: what was
    /// not published is found in the journal next time.
    pub async fn run(self, stop: CancellationToken) {
        let partitions = self.journal.partitions().zip(self.queues).map(|(partition, queue)| {
            let lane = Lane {
                journal: self.journal.clone(),
                context: self.context.clone(),
                partition,
                queue,
                stop: stop.clone(),
            };
            lane.run()
        });
        futures_util::future::join_all(partitions).await;
    }
}

/// The relay of one partition.
struct Lane {
    journal: Journal,
    context: Context,
    partition: Partition,
    queue: mpsc::Receiver<Vec<Recorded>>,
    stop: CancellationToken,
}

impl Lane {
    async fn run(mut self) {
        let mut pause = Duration::from_millis(50);
        while !self.stop.is_cancelled() {
            match self.session(&mut pause).await {
                Ok(()) => return,
                Err(error) => {
                    metrics::counter!("counterfoil_relay_failures_total").increment(1);
                    tracing::warn!(partition = %self.partition, %error, "the relay starts over");
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }

    /// Publishes from where the stream stands, until `stop` or a fault.
    async fn session(&mut self, pause: &mut Duration) -> Result<(), RelayError> {
        let mut at = self.resume().await?;
        let mut noted = at;
        loop {
            // All that was not handed over, or not in time.
            loop {
                let events = self.journal.read(self.partition, at, READ_EVENTS).await?;
                if events.is_empty() {
                    break;
                }
                at = self.publish(at, &events).await?;
            }
            *pause = Duration::from_millis(50);
            loop {
                if at != noted {
                    self.journal.set_relayed(self.partition, at).await?;
                    noted = at;
                }
                let batch = tokio::select! {
                    () = self.stop.cancelled() => return Ok(()),
                    batch = self.queue.recv() => batch,
                    () = tokio::time::sleep(LOOK) => None,
                };
                let Some(batch) = batch else { break };
                match batch.first() {
                    Some(first) if first.position > at + 1 => break,
                    _ => at = self.publish(at, &batch).await?,
                }
            }
            if self.queue.is_closed() && self.queue.is_empty() {
                // The writers are gone; one look at the journal a second is enough until we are told to stop.
                tokio::select! {
                    () = self.stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        }
    }

    /// Publishes those of `events` that come after `at`, and returns how far the stream has got.
    async fn publish(&self, at: i64, events: &[Recorded]) -> Result<i64, RelayError> {
        let mut waiting: Vec<(i64, PublishAckFuture)> = Vec::with_capacity(events.len());
        for event in events.iter().filter(|event| event.position > at) {
            let message = PublishMessage::build()
                .payload(cloudevent::encode(event)?.into())
                .message_id(cloudevent::message_id(event))
                .header("Content-Type", cloudevent::CONTENT_TYPE);
            let sent = self.context.send_publish(cloudevent::subject(event), message).await.map_err(nats)?;
            waiting.push((event.position, sent));
        }
        let mut at = at;
        for (position, sent) in waiting {
            let acknowledged = tokio::time::timeout(ACKNOWLEDGEMENT, sent.into_future())
                .await
                .map_err(nats)?
                .map_err(nats)?;
            if acknowledged.duplicate {
                return Err(RelayError::Duplicate(format!("{}-{position}", self.partition)));
            }
            at = position;
        }
        metrics::counter!("counterfoil_relay_position", "partition" => self.partition.to_string())
            .absolute(at.unsigned_abs());
        Ok(at)
    }

    /// How far JetStream has this partition.
    async fn resume(&self) -> Result<i64, RelayError> {
        let mut stream = self.stream().await?;
        let subject = format!("journal.{}.>", self.partition);
        let at = match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => {
                let id = message.headers.get("Nats-Msg-Id").map(ToString::to_string).unwrap_or_default();
                let own = id.strip_prefix(&format!("{}-", self.partition));
                own.and_then(|position| position.parse().ok()).ok_or(RelayError::Message(id))?
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                // Nothing was ever removed from the stream: then it never had any of this partition.
                if stream.info().await.map_err(nats)?.state.first_sequence <= 1 {
                    0
                } else {
                    self.journal.relayed(self.partition).await?
                }
            }
            Err(error) => return Err(nats(error)),
        };
        let head = self.journal.head(self.partition).await?.position;
        if at > head {
            return Err(RelayError::Ahead { partition: self.partition, stream: at, journal: head });
        }
        Ok(at)
    }

    /// The stream, made where it is not there.
    async fn stream(&self) -> Result<Stream, RelayError> {
        let own = format!("counterfoil {}", self.journal.database_id());
        let config = Config {
            name: STREAM.to_owned(),
            description: Some(own.clone()),
            subjects: vec!["journal.>".to_owned()],
            storage: StorageType::File,
            ..Config::default()
        };
        let stream = self.context.get_or_create_stream(config).await.map_err(nats)?;
        let found = stream.cached_info().config.description.clone().unwrap_or_default();
        if found == own { Ok(stream) } else { Err(RelayError::Foreign { found, own }) }
    }
}
