//! The simulated journal: the contract of [`journal::Store`] in memory, and all that can happen on the way to it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::Partition;
use journal::{
    AppendError, DatabaseError, Head, NewEvent, Prefetched, Recorded, Snapshot, Store, StreamStart,
};
use tokio::time::sleep;
use uuid::Uuid;

use crate::world::{Part, Process, World};

/// The events of one partition, with the indexes that Postgres keeps.
pub struct Log {
    pub head: Head,
    pub events: Vec<Recorded>,
    streams: HashMap<Uuid, BTreeMap<i64, usize>>,
    keys: HashMap<(Uuid, String), usize>,
}

impl Log {
    pub fn new(partition: Partition) -> Self {
        let head = Head { partition, position: 0, epoch: 0, recorded_at: None };
        Self { head, events: Vec::new(), streams: HashMap::new(), keys: HashMap::new() }
    }

    /// The one statement: compare-and-set of the head, then the rows and their unique indexes.
    pub fn append(
        &mut self,
        head: Head,
        recorded_at: DateTime<Utc>,
        events: &[NewEvent],
    ) -> Result<Head, AppendError> {
        let present = self.head;
        if present.position != head.position
            || present.epoch != head.epoch
            || present.recorded_at.is_some_and(|last| last > recorded_at)
        {
            return Err(AppendError::HeadMoved);
        }
        for (index, event) in events.iter().enumerate() {
            let before = &events[..index];
            let place = (event.text.aggregate_id, event.text.sequence);
            let taken = self.streams.get(&place.0).is_some_and(|stream| stream.contains_key(&place.1));
            if taken || before.iter().any(|other| (other.text.aggregate_id, other.text.sequence) == place) {
                return Err(AppendError::StreamTaken);
            }
            let Some(key) = key_of(event) else { continue };
            if self.keys.contains_key(&key) || before.iter().filter_map(key_of).any(|other| other == key) {
                return Err(AppendError::KeyTaken);
            }
        }
        for event in events {
            let index = self.events.len();
            self.streams.entry(event.text.aggregate_id).or_default().insert(event.text.sequence, index);
            if let Some(key) = key_of(event) {
                self.keys.insert(key, index);
            }
            self.events.push(Recorded {
                partition: head.partition,
                position: i64::try_from(index).unwrap() + 1,
                recorded_at,
                text: event.text.clone(),
                lead: event.lead.clone(),
            });
        }
        let position = i64::try_from(self.events.len()).unwrap();
        self.head = Head { position, recorded_at: Some(recorded_at), ..present };
        Ok(self.head)
    }

    pub fn read(&self, after: i64, limit: i64) -> Vec<Recorded> {
        let from = usize::try_from(after).unwrap().min(self.events.len());
        let to = usize::try_from(after.saturating_add(limit)).unwrap().min(self.events.len());
        self.events[from..to].to_vec()
    }

    pub fn stream(&self, id: Uuid, sequence: i64) -> Vec<Recorded> {
        self.streams.get(&id).into_iter().flat_map(|stream| self.at(stream.range(..=sequence))).collect()
    }

    fn at<'a>(
        &'a self,
        places: impl Iterator<Item = (&'a i64, &'a usize)>,
    ) -> impl Iterator<Item = Recorded> {
        places.map(|(_, index)| self.events[*index].clone())
    }

    /// Row for row what the query would find, names that are asked for twice included.
    pub fn leads(&self, keys: &[(Uuid, &str)]) -> Vec<Recorded> {
        let found = keys.iter().filter_map(|(tenant, key)| self.keys.get(&(*tenant, (*key).to_owned())));
        found.map(|index| self.events[*index].clone()).collect()
    }

    /// The same for streams.
    pub fn prefetch(&self, streams: &[Uuid], snapshots: impl Fn(Uuid) -> Option<Snapshot>) -> Prefetched {
        let mut found = Prefetched::default();
        for id in streams {
            let snapshot = snapshots(*id);
            let after = snapshot.as_ref().map_or(0, |snapshot| snapshot.sequence);
            found.snapshots.extend(snapshot);
            if let Some(stream) = self.streams.get(id) {
                found.events.extend(self.at(stream.range(after + 1..)));
            }
        }
        found.snapshots.sort_by_key(|snapshot| (snapshot.aggregate_id, snapshot.sequence));
        found.events.sort_by_key(|event| (event.text.aggregate_id, event.text.sequence));
        found
    }
}

fn key_of(event: &NewEvent) -> Option<(Uuid, String)> {
    let (key, _) = event.lead.as_ref()?.key.as_ref()?;
    Some((event.text.tenant_id, key.clone()))
}

pub fn broken() -> DatabaseError {
    DatabaseError::Io(std::io::ErrorKind::ConnectionReset.into())
}

/// The way of one process to the journal.
#[derive(Clone)]
pub struct SimStore {
    pub world: Arc<World>,
    pub process: Arc<Process>,
}

impl SimStore {
    /// The way there.
    async fn reach(&self) -> Result<(), DatabaseError> {
        self.process.live().await;
        self.world.travel().await;
        self.process.live().await;
        if self.world.is_away(Part::Database).await {
            self.process.live().await;
            return Err(broken());
        }
        if self.world.unlucky(self.world.profile.database_fault) {
            self.world.fault("a read fails");
            return Err(broken());
        }
        Ok(())
    }

    /// The way back.
    async fn back<T>(&self, answer: T) -> Result<T, DatabaseError> {
        self.world.travel().await;
        self.process.live().await;
        Ok(answer)
    }

    fn with<T>(&self, partition: Partition, look: impl FnOnce(&mut Log) -> T) -> T {
        look(&mut self.world.logs()[usize::try_from(partition.0).unwrap()])
    }

    /// The statement runs in the database.
    fn execute(&self, head: Head, at: DateTime<Utc>, events: &[NewEvent]) -> Result<Head, AppendError> {
        let appended = self.with(head.partition, |log| log.append(head, at, events));
        self.world.trace(("append", head.partition, head.position, events.len(), appended.is_ok()));
        appended
    }
}

impl Store for SimStore {
    type Lease = Held;

    fn database_id(&self) -> Uuid {
        Uuid::from_u128(7)
    }

    fn partition_count(&self) -> Partition {
        Partition(self.world.profile.partitions)
    }

    async fn heads(&self) -> Result<Vec<Head>, DatabaseError> {
        self.reach().await?;
        let heads = self.world.logs().iter().map(|log| log.head).collect();
        self.back(heads).await
    }

    async fn head(&self, partition: Partition) -> Result<Head, DatabaseError> {
        self.reach().await?;
        let head = self.with(partition, |log| log.head);
        self.back(head).await
    }

    async fn claim(&self, partition: Partition) -> Result<Head, DatabaseError> {
        self.reach().await?;
        let head = self.with(partition, |log| {
            log.head.epoch += 1;
            log.head
        });
        self.back(head).await
    }

    async fn append(
        &self,
        head: Head,
        recorded_at: DateTime<Utc>,
        events: &[NewEvent],
    ) -> Result<Head, AppendError> {
        self.process.live().await;
        let rate = self.world.profile.database_fault;
        if self.world.is_away(Part::Database).await || self.world.unlucky(rate * 2) {
            self.process.live().await;
            self.world.fault("an append fails before it is sent");
            return Err(AppendError::Database(broken()));
        }
        if self.world.unlucky(rate * 2) {
            // Sent, and on its way for whoever waits or does not wait for it.
            self.world.fault("an append arrives late");
            let (store, events) = (self.clone(), events.to_vec());
            let (late, lost) = {
                let mut chance = self.world.chance();
                (Duration::from_millis(chance.between(1, 8_000)), chance.one_in(2))
            };
            let arriving = tokio::spawn(async move {
                sleep(late).await;
                store.execute(head, recorded_at, &events)
            });
            if lost {
                self.world.travel().await;
                self.process.live().await;
                return Err(AppendError::Database(broken()));
            }
            let appended = arriving.await.map_err(|_| AppendError::Database(broken()))?;
            self.process.live().await;
            return appended;
        }
        self.world.travel().await;
        // What was sent runs, whatever became of the sender.
        let appended = self.execute(head, recorded_at, events);
        self.world.travel().await;
        self.process.live().await;
        if self.world.unlucky(rate * 2) {
            self.world.fault("the answer to an append is lost");
            return Err(AppendError::Database(broken()));
        }
        appended
    }

    async fn leads(
        &self,
        partition: Partition,
        keys: &[(Uuid, &str)],
    ) -> Result<Vec<Recorded>, DatabaseError> {
        self.reach().await?;
        let leads = self.with(partition, |log| log.leads(keys));
        self.back(leads).await
    }

    async fn prefetch(
        &self,
        partition: Partition,
        streams: &[Uuid],
        start: StreamStart,
    ) -> Result<Prefetched, DatabaseError> {
        self.reach().await?;
        let found = {
            let model = self.world.model();
            let form = match start {
                StreamStart::Snapshot { form } => Some(form),
                StreamStart::First => None,
            };
            let snapshot = |id| form.and_then(|form| model.snapshot(partition, form, id));
            self.with(partition, |log| log.prefetch(streams, snapshot))
        };
        self.back(found).await
    }

    async fn read(
        &self,
        partition: Partition,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Recorded>, DatabaseError> {
        self.reach().await?;
        let events = self.with(partition, |log| log.read(after, limit));
        self.back(events).await
    }

    async fn stream(
        &self,
        partition: Partition,
        aggregate_id: Uuid,
        sequence: i64,
    ) -> Result<Vec<Recorded>, DatabaseError> {
        self.reach().await?;
        let events = self.with(partition, |log| log.stream(aggregate_id, sequence));
        self.back(events).await
    }

    async fn set_relayed(&self, _: Partition, _: i64) -> Result<(), DatabaseError> {
        self.reach().await
    }

    async fn lease(&self, name: &str) -> Result<Option<Held>, DatabaseError> {
        self.reach().await?;
        self.back(Held::take(&self.world, &self.process, name)).await
    }

    async fn held(lease: &mut Held) -> bool {
        lease.still().await
    }
}

/// An advisory lock on a connection of its own.
pub struct Held {
    world: Arc<World>,
    process: Arc<Process>,
    name: String,
}

impl Held {
    pub fn take(world: &Arc<World>, process: &Arc<Process>, name: &str) -> Option<Self> {
        let mut locks = world.locks();
        if locks.contains_key(name) {
            return None;
        }
        locks.insert(name.to_owned(), process.number);
        Some(Self { world: Arc::clone(world), process: Arc::clone(process), name: name.to_owned() })
    }

    /// Whether it is still ours; a connection breaks now and then, and the lock goes with it.
    pub async fn still(&mut self) -> bool {
        self.process.live().await;
        self.world.travel().await;
        self.process.live().await;
        if self.world.is_away(Part::Database).await || self.world.unlucky(self.world.profile.database_fault) {
            self.world.fault("a lock is lost");
            self.give_back();
            return false;
        }
        self.world.locks().get(&self.name) == Some(&self.process.number)
    }

    fn give_back(&self) {
        let mut locks = self.world.locks();
        if locks.get(&self.name) == Some(&self.process.number) {
            locks.remove(&self.name);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back();
    }
}
