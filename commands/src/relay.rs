//! The relay: publishes every committed event to JetStream, in the order of its partition, once.
//!
//! The writer hands committed batches over in memory; whatever does not arrive that way (at start, when the
//! relay lags, after a fault) is read from the journal. Where to continue is asked of the stream itself: the
//! last message of the partition says which events JetStream has, and the number of its messages whether it
//! has all before it: a connection that breaks and comes back may lose some and bring later ones. Where it has
//! not, the partition is taken out of the stream and published anew. So the stream has each event once and in
//! order, without relying on the detection of duplicates, which forgets.
//!
//! Messages are sent in runs, one run of the stream at a time, and only the last of a run is acknowledged. The first
//! names the place in the stream that it is for, each other the message that it follows, and the server takes them
//! nowhere else: so the one acknowledgement says that the whole run is there and in order, and what comes late finds
//! its place or is refused.
//!
//! NATS is never the truth: a wiped stream is made again and filled from position 1.

mod announce;
mod broker;
mod publish;
mod stream;

pub(crate) use announce::Announce;
pub use announce::Announcer;
pub use broker::{Acknowledged, Broker, BrokerError, Described, Message, Taken};
use publish::End;
pub use stream::JetStream;
use stream::Known;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use domain::Partition;
use journal::{Journal, Recorded, Store, cloudevent};
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The name of the JetStream stream.
pub const STREAM: &str = "JOURNAL";

/// How many batches may wait in memory; what does not fit is read from the journal later.
const WAITING_BATCHES: usize = 256;
/// How many events are read from the journal at once.
const READ_EVENTS: i64 = 1_000;
/// How many events of a partition are published at once: the longest run.
const IN_FLIGHT: usize = 500;
/// How often the journal is asked whether something was missed.
const LOOK: Duration = Duration::from_secs(1);
/// How often the position is noted for operators.
const NOTE: Duration = Duration::from_millis(200);
/// How often the messages are counted: the server may have lost some that it had acknowledged.
const COUNT: Duration = Duration::from_secs(10);
/// How long a run may take, to its acknowledgement.
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The relay of all partitions.
#[derive(Debug)]
pub struct Relay<S = Journal, B = JetStream> {
    journal: S,
    lanes: Vec<Lane<S, B>>,
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
    #[error("the stream was changed by somebody else")]
    Changed,
    #[error(transparent)]
    Nats(#[from] BrokerError),
    #[error("NATS does not acknowledge message {0}")]
    Unacknowledged(String),
    #[error("NATS has message {0} in another place than where it was sent to")]
    OutOfOrder(String),
    #[error(transparent)]
    Event(#[from] cloudevent::CloudEventError),
    #[error("the journal: {0}")]
    Journal(#[from] journal::DatabaseError),
}

impl Relay {
    /// A relay for `journal` over `client`, and the way to it.
    pub fn new(journal: Journal, client: async_nats::Client) -> (Self, Announcer) {
        Self::over(journal, &JetStream::new(client))
    }
}

impl<S: Store, B: Broker> Relay<S, B> {
    /// A relay for `journal` over `broker`, and the way to it.
    pub fn over(journal: S, broker: &B) -> (Self, Announcer) {
        let (partitions, lanes) = journal
            .partitions()
            .map(|partition| {
                let (sender, queue) = mpsc::channel(WAITING_BATCHES);
                let (journal, broker) = (journal.clone(), broker.clone());
                (sender, Lane { journal, broker, partition, queue, known: None, end: Arc::default() })
            })
            .unzip();
        (Self { journal, lanes }, Announcer { partitions })
    }

    /// Relays all partitions until `stop`, whatever NATS and Postgres do. Of several programs on one database
    /// one relays, the others stand by. Returns with nothing lost: what was not published is found in the
    /// journal next time.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let taken = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                taken = self.journal.lease("relay") => taken,
            };
            match taken {
                Ok(Some(lease)) => self.relay(lease, &stop).await,
                Ok(None) => tracing::debug!("another program relays"),
                Err(error) => tracing::warn!(%error, "the relay cannot ask for its lease"),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Relays for as long as the lease is ours.
    async fn relay(&mut self, mut lease: S::Lease, stop: &CancellationToken) {
        let session = stop.child_token();
        let watch = async {
            while S::held(&mut lease).await {
                tokio::select! {
                    biased;
                    () = session.cancelled() => return,
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
            tracing::warn!("the relay has lost its lease");
            session.cancel();
        };
        // Another program may have relayed meanwhile.
        let end = Arc::default();
        for lane in &mut self.lanes {
            lane.end = Arc::clone(&end);
        }
        let lanes = futures_util::future::join_all(self.lanes.iter_mut().map(|lane| lane.run(&session)));
        tokio::join!(lanes, watch);
    }
}

/// The relay of one partition.
#[derive(Debug)]
struct Lane<S, B> {
    journal: S,
    broker: B,
    partition: Partition,
    queue: mpsc::Receiver<Vec<Recorded>>,
    /// The newest message that was acknowledged, with all before it.
    known: Option<Known>,
    /// Where the stream ends, as far as the lanes know. Whoever holds it may publish.
    end: Arc<Mutex<Option<End>>>,
}

impl<S: Store, B: Broker> Lane<S, B> {
    async fn run(&mut self, stop: &CancellationToken) {
        let mut pause = FIRST_PAUSE;
        while !stop.is_cancelled() {
            let fault = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                fault = self.session(&mut pause) => fault,
            };
            let Err(error) = fault;
            metrics::counter!("counterfoil_relay_failures_total").increment(1);
            tracing::warn!(partition = %self.partition, %error, "the relay starts over");
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }

    /// Publishes from where the stream stands, until a fault. May be dropped at any point: what was sent and
    /// not acknowledged is found in the stream next time.
    async fn session(&mut self, pause: &mut Duration) -> Result<Infallible, RelayError> {
        let began = self.resume().await?;
        let mut at = began.position;
        let mut noted = (at, Instant::now());
        let mut looked = Instant::now();
        let mut counted = Instant::now();
        loop {
            // All that was not handed over, or not in time.
            loop {
                let events = self.journal.read(self.partition, at, READ_EVENTS).await?;
                if events.is_empty() {
                    break;
                }
                at = self.publish(at, &events).await?;
            }
            *pause = FIRST_PAUSE;
            loop {
                if at != noted.0 && noted.1.elapsed() > NOTE {
                    self.journal.set_relayed(self.partition, at).await?;
                    noted = (at, Instant::now());
                }
                if looked.elapsed() > LOOK {
                    // Somebody may have wiped the stream, and another partition's lane made it again.
                    if !self.unchanged(at, began).await? {
                        return Err(RelayError::Changed);
                    }
                    looked = Instant::now();
                    if counted.elapsed() > COUNT {
                        if !self.whole(at).await? {
                            return Err(RelayError::Changed);
                        }
                        counted = Instant::now();
                    }
                }
                let mut handed = Vec::new();
                let handing = self.queue.recv_many(&mut handed, WAITING_BATCHES);
                match tokio::time::timeout(LOOK, handing).await {
                    Err(_) => break,
                    Ok(0) => {
                        // The writers are gone: one look at the journal now and then is enough.
                        tokio::time::sleep(LOOK).await;
                        break;
                    }
                    Ok(_) => {}
                }
                // What waits is published together, as one run.
                let events: Vec<Recorded> = adjoining(at, handed).collect();
                if events.is_empty() {
                    break;
                }
                at = self.publish(at, &events).await?;
            }
        }
    }
}

/// Those of the batches' events that follow `at` without a gap.
fn adjoining(at: i64, batches: Vec<Vec<Recorded>>) -> impl Iterator<Item = Recorded> {
    let mut next = at + 1;
    let new = batches.into_iter().flatten().skip_while(move |event| event.position <= at);
    new.take_while(move |event| {
        let fits = event.position == next;
        next += 1;
        fits
    })
}
