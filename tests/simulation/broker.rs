//! The simulated JetStream: one stream, its consumers, and connections that break.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use commands::{Acknowledged, Broker, BrokerError, Described, Message, Taken};
use domain::Partition;
use projections::{Arrived, Source, SourceError, Subscription};
use tokio::time::{Instant, sleep};

use crate::world::{Part, Process, World};

/// How long the server knows the ids of messages.
const DUPLICATES: Duration = Duration::from_millis(100);

/// What the stream's last message has to be for one to be taken.
#[derive(Debug, Clone, Hash)]
enum Behind {
    Place(u64),
    Message(String),
}

/// A message that the stream has.
pub struct Stored {
    sequence: u64,
    pub id: String,
    pub payload: Bytes,
}

/// The stream, from its making to its end.
pub struct Stream {
    made: i128,
    description: String,
    /// By partition, in order.
    pub messages: Vec<Vec<Stored>>,
    last_sequence: u64,
    last_id: String,
    recent: HashMap<String, Instant>,
}

/// A nats-server.
pub struct Server {
    partitions: i32,
    made: i128,
    pub stream: Option<Stream>,
}

fn index(partition: Partition) -> usize {
    usize::try_from(partition.0).unwrap()
}

impl Server {
    pub fn new(partitions: i32) -> Self {
        Self { partitions, made: 0, stream: None }
    }

    fn open(&mut self, description: &str) -> &Stream {
        let count = usize::try_from(self.partitions).unwrap();
        self.stream.get_or_insert_with(|| {
            self.made += 1;
            Stream {
                made: self.made,
                description: description.to_owned(),
                messages: (0..count).map(|_| Vec::new()).collect(),
                last_sequence: 0,
                last_id: String::new(),
                recent: HashMap::new(),
            }
        })
    }

    /// Takes a message in behind another, where it is not known already.
    fn take(&mut self, message: &Message, behind: &Behind) -> Result<Acknowledged, BrokerError> {
        let now = Instant::now();
        let stream = self.stream.as_mut().ok_or_else(|| BrokerError("stream not found".into()))?;
        if stream.recent.len() > 10_000 {
            stream.recent.retain(|_, taken| *taken + DUPLICATES > now);
        }
        if stream.recent.get(&message.id).is_some_and(|taken| *taken + DUPLICATES > now) {
            return Ok(Acknowledged { sequence: stream.last_sequence, duplicate: true });
        }
        let fits = match behind {
            Behind::Place(last) => stream.last_sequence == *last,
            Behind::Message(id) => stream.last_id == *id,
        };
        if !fits {
            return Err(BrokerError(format!(
                "wrong last message: {} {}",
                stream.last_sequence, stream.last_id
            )));
        }
        stream.last_id.clone_from(&message.id);
        stream.recent.insert(message.id.clone(), now);
        stream.last_sequence += 1;
        let partition: usize = message.subject.split('.').nth(1).unwrap().parse().unwrap();
        let (id, payload) = (message.id.clone(), message.payload.clone());
        stream.messages[partition].push(Stored { sequence: stream.last_sequence, id, payload });
        Ok(Acknowledged { sequence: stream.last_sequence, duplicate: false })
    }

    /// Loses a message, as a server does that was killed or whose disk has a bad place.
    fn lose(&mut self, partition: usize, which: impl FnOnce(usize) -> usize) -> Option<String> {
        let messages = &mut self.stream.as_mut()?.messages[partition];
        if messages.is_empty() {
            return None;
        }
        let which = which(messages.len());
        Some(messages.remove(which).id)
    }
}

/// The way of one process to JetStream.
#[derive(Clone)]
pub struct SimBroker {
    pub world: Arc<World>,
    pub process: Arc<Process>,
    /// How many of the next messages are caught in a connection that breaks.
    pub caught: Arc<Mutex<u64>>,
}

/// What is heard of a message that was sent.
enum Heard {
    Answer(Result<Acknowledged, BrokerError>),
    Broken,
    Nothing,
}

impl SimBroker {
    async fn reach(&self) -> Result<(), BrokerError> {
        self.process.live().await;
        self.world.travel().await;
        self.process.live().await;
        if self.world.is_away(Part::Broker).await || self.world.unlucky(self.world.profile.broker_fault) {
            self.process.live().await;
            self.world.fault("a request to JetStream fails");
            return Err(BrokerError("no answer".into()));
        }
        Ok(())
    }

    fn take(&self, message: &Message, behind: &Behind) -> Result<Acknowledged, BrokerError> {
        let taken = self.world.server().take(message, behind);
        self.world.trace(("taken", &message.id, behind, taken.as_ref().ok().map(|taken| taken.sequence)));
        self.world.news.notify_waiters();
        taken
    }

    /// Sends one message of a run.
    fn send(&self, message: Message, behind: Behind) -> Heard {
        let fate = if self.is_caught() { self.world.chance().between(1, 6) } else { 0 };
        match fate {
            0 => Heard::Answer(self.take(&message, &behind)),
            // Lost, and noticed or not.
            1 => Heard::Broken,
            2 => Heard::Nothing,
            // Taken, but nobody hears of it.
            3 => {
                let _ = self.take(&message, &behind);
                Heard::Nothing
            }
            // Taken, and it arrives once more.
            4 => {
                let answer = self.take(&message, &behind);
                self.later(message, behind);
                Heard::Answer(answer)
            }
            // Still on the old connection while others overtake it on the new one.
            _ => {
                self.later(message, behind);
                if fate == 5 { Heard::Broken } else { Heard::Nothing }
            }
        }
    }

    fn later(&self, message: Message, behind: Behind) {
        let (broker, late) = (self.clone(), self.world.chance().between(1, 3_000));
        tokio::spawn(async move {
            sleep(Duration::from_millis(late)).await;
            let _ = broker.take(&message, &behind);
        });
    }

    /// The server loses a message that it had acknowledged.
    fn forget(&self) {
        if !self.world.unlucky(self.world.profile.broker_fault * 20) {
            return;
        }
        let partition = self.world.chance().index(usize::try_from(self.world.profile.partitions).unwrap());
        let lost = self.world.server().lose(partition, |count| self.world.chance().index(count));
        if lost.is_some() {
            self.world.fault("JetStream loses a message that it had");
            self.world.trace(("lost", lost));
        }
    }

    async fn find(
        &self,
        partition: Partition,
        which: impl FnOnce(&[Stored]) -> Option<&Stored> + Send,
    ) -> Result<Option<Taken>, BrokerError> {
        self.reach().await?;
        let found = {
            let server = self.world.server();
            let stream = server.stream.as_ref().ok_or_else(|| BrokerError("stream not found".into()))?;
            let found = which(&stream.messages[index(partition)]);
            found.map(|message| Taken { sequence: message.sequence, id: message.id.clone() })
        };
        self.world.travel().await;
        self.process.live().await;
        Ok(found)
    }

    /// Whether the message is caught in a connection that breaks.
    fn is_caught(&self) -> bool {
        let mut caught = self.caught.lock().unwrap_or_else(PoisonError::into_inner);
        if *caught > 0 {
            *caught -= 1;
            return true;
        }
        if self.world.unlucky(self.world.profile.broker_fault * 5) {
            self.world.fault("the connection to JetStream breaks");
            *caught = self.world.chance().between(0, 40);
            return true;
        }
        false
    }
}

impl Broker for SimBroker {
    async fn stream(&self, description: &str) -> Result<Described, BrokerError> {
        self.reach().await?;
        let described = {
            let mut server = self.world.server();
            let stream = server.open(description);
            let (made, last) = (stream.made, stream.last_sequence);
            Described { made, description: stream.description.clone(), last }
        };
        self.world.travel().await;
        self.process.live().await;
        Ok(described)
    }

    async fn last(&self, partition: Partition) -> Result<Option<Taken>, BrokerError> {
        self.find(partition, <[Stored]>::last).await
    }

    async fn first(&self, partition: Partition, sequence: u64) -> Result<Option<Taken>, BrokerError> {
        self.find(partition, |messages| {
            messages.get(messages.partition_point(|message| message.sequence < sequence))
        })
        .await
    }

    async fn count(&self, partition: Partition) -> Result<usize, BrokerError> {
        self.reach().await?;
        let count = {
            let server = self.world.server();
            let stream = server.stream.as_ref().ok_or_else(|| BrokerError("stream not found".into()))?;
            stream.messages[index(partition)].len()
        };
        self.world.travel().await;
        self.process.live().await;
        Ok(count)
    }

    async fn purge(&self, partition: Partition) -> Result<(), BrokerError> {
        self.reach().await?;
        if let Some(stream) = &mut self.world.server().stream {
            stream.messages[index(partition)].clear();
        }
        self.world.trace(("purged", partition));
        self.world.travel().await;
        self.process.live().await;
        Ok(())
    }

    async fn publish(&self, last: u64, run: Vec<Message>) -> Result<Acknowledged, BrokerError> {
        self.process.live().await;
        if self.world.is_away(Part::Broker).await {
            self.process.live().await;
            return Err(BrokerError("not connected".into()));
        }
        self.forget();
        let (mut heard, mut behind) = (Heard::Nothing, Behind::Place(last));
        for message in run {
            let next = Behind::Message(message.id.clone());
            heard = self.send(message, std::mem::replace(&mut behind, next));
            if !matches!(heard, Heard::Answer(_)) {
                // What is still to be sent waits for a new connection.
                self.world.travel().await;
                self.process.live().await;
            }
        }
        let wait = self.world.chance().between(0, 3);
        sleep(Duration::from_millis(wait)).await;
        self.process.live().await;
        match heard {
            Heard::Answer(answer) => answer,
            Heard::Broken => Err(BrokerError("connection lost".into())),
            Heard::Nothing => std::future::pending().await,
        }
    }
}

/// The way of one process to its consumers.
#[derive(Clone)]
pub struct SimSource {
    pub world: Arc<World>,
    pub process: Arc<Process>,
}

impl Source for SimSource {
    type Subscription = SimSubscription;

    async fn subscribe(&self, partition: Partition, size: usize) -> Result<SimSubscription, SourceError> {
        self.process.live().await;
        self.world.travel().await;
        self.process.live().await;
        if self.world.is_away(Part::Broker).await || self.world.unlucky(self.world.profile.broker_fault) {
            self.process.live().await;
            return Err(SourceError("no answer".into()));
        }
        let server = self.world.server();
        let stream = server.stream.as_ref().ok_or_else(|| SourceError("stream not found".into()))?;
        let (world, process) = (Arc::clone(&self.world), Arc::clone(&self.process));
        let (made, at) = (stream.made, stream.last_sequence);
        Ok(SimSubscription { world, process, partition, size, made, at })
    }
}

/// The messages of a partition from the subscription on.
pub struct SimSubscription {
    world: Arc<World>,
    process: Arc<Process>,
    partition: Partition,
    size: usize,
    made: i128,
    /// The sequence of the last message that was given out.
    at: u64,
}

impl SimSubscription {
    /// What is there; `None` when the stream is not the one that was subscribed to.
    fn there(&mut self) -> Option<Vec<Bytes>> {
        let server = self.world.server();
        let stream = server.stream.as_ref().filter(|stream| stream.made == self.made)?;
        let messages = &stream.messages[index(self.partition)];
        let from = messages.partition_point(|message| message.sequence <= self.at);
        let found = &messages[from..messages.len().min(from + self.size)];
        self.at = found.last().map_or(self.at, |message| message.sequence);
        Some(found.iter().map(|message| message.payload.clone()).collect())
    }

    /// What a bad day makes of messages.
    fn spoil(&self, messages: &mut Vec<Bytes>) {
        let at = self.world.chance().index(messages.len());
        match self.world.chance().between(1, 5) {
            1 => {
                self.world.fault("a message is missing");
                messages.remove(at);
            }
            2 => {
                self.world.fault("a message comes twice");
                messages.insert(at, messages[at].clone());
            }
            3 => {
                self.world.fault("messages come out of order");
                messages.swap(0, at);
            }
            4 => {
                self.world.fault("a message is not an event");
                messages.insert(at, Bytes::from_static(b"{\"hello\":1}"));
            }
            _ => {
                self.world.fault("messages come again");
                let again = messages.clone();
                messages.extend(again);
            }
        }
    }
}

impl Subscription for SimSubscription {
    async fn next(&mut self) -> Option<Arrived> {
        loop {
            self.process.live().await;
            if self.world.is_away(Part::Broker).await {
                self.process.live().await;
                return Some(Arrived {
                    messages: Vec::new(),
                    failure: Some(SourceError("heartbeat".into())),
                });
            }
            let world = Arc::clone(&self.world);
            let news = world.news.notified();
            match self.there() {
                None => {
                    sleep(Duration::from_secs(5)).await;
                    return None;
                }
                Some(messages) if messages.is_empty() => news.await,
                Some(mut messages) => {
                    self.world.travel().await;
                    self.process.live().await;
                    if self.world.unlucky(self.world.profile.broker_fault) {
                        self.spoil(&mut messages);
                    }
                    let failed = self.world.unlucky(self.world.profile.broker_fault);
                    let failure = failed.then(|| SourceError("connection lost".into()));
                    return Some(Arrived { messages, failure });
                }
            }
        }
    }
}
