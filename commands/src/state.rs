//! The streams a partition's writer has in memory. Never the truth: it can be forgotten at any time.

use std::collections::HashMap;

use cqrs_es::Aggregate;
use domain::{DecodeError, Event, Tenant, Transaction, Wallet, event};
use journal::{Prefetched, Recorded, Snapshot};
use uuid::Uuid;

/// The state of any of the aggregates.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    Tenant(Tenant),
    Wallet(Wallet),
    Transaction(Transaction),
}

/// An aggregate that the pipeline keeps.
pub(crate) trait Kept: Aggregate<Event: Event> + Clone {
    fn from_state(state: &State) -> Option<&Self>;
    fn into_state(self) -> State;
}

macro_rules! kept {
    ($aggregate:ident) => {
        impl Kept for $aggregate {
            fn from_state(state: &State) -> Option<&Self> {
                match state {
                    State::$aggregate(aggregate) => Some(aggregate),
                    _ => None,
                }
            }
            fn into_state(self) -> State {
                State::$aggregate(self)
            }
        }
    };
}
kept!(Tenant);
kept!(Wallet);
kept!(Transaction);

/// What is known of a stream: whose it is, and its state after its `sequence`-th event; nothing after none.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Stream {
    pub(crate) tenant: Option<Uuid>,
    pub(crate) state: Option<State>,
    pub(crate) sequence: i64,
}

/// A stream cannot be folded: the program does not know what was recorded, or it has a gap.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FoldError {
    #[error("stream {0}: unknown aggregate type {1:?}")]
    Type(Uuid, String),
    #[error("stream {0}: event {1} follows event {2}")]
    Gap(Uuid, i64, i64),
    #[error("stream {0}: {1}")]
    Event(Uuid, DecodeError),
    #[error("stream {0}: its snapshot cannot be read: {1}")]
    Snapshot(Uuid, serde_json::Error),
}

impl Stream {
    /// Folds the next event of the stream.
    pub(crate) fn fold(&mut self, recorded: &Recorded) -> Result<(), FoldError> {
        let text = &recorded.text;
        if text.sequence != self.sequence + 1 {
            return Err(FoldError::Gap(text.aggregate_id, text.sequence, self.sequence));
        }
        let state = match text.aggregate_type.as_str() {
            Tenant::TYPE => self.folded::<Tenant>(recorded),
            Wallet::TYPE => self.folded::<Wallet>(recorded),
            Transaction::TYPE => self.folded::<Transaction>(recorded),
            other => return Err(FoldError::Type(text.aggregate_id, other.to_owned())),
        };
        self.state = Some(state.map_err(|error| FoldError::Event(text.aggregate_id, error))?);
        self.tenant = Some(text.tenant_id);
        self.sequence = text.sequence;
        Ok(())
    }

    fn folded<A: Kept>(&self, recorded: &Recorded) -> Result<State, DecodeError> {
        let text = &recorded.text;
        let mut aggregate = self.state.as_ref().and_then(A::from_state).cloned().unwrap_or_default();
        aggregate.apply(event::decode(&text.event_type, text.event_version, &text.payload)?);
        Ok(aggregate.into_state())
    }

    fn of_snapshot(snapshot: &Snapshot) -> Result<Self, FoldError> {
        let id = snapshot.aggregate_id;
        let malformed = |error| FoldError::Snapshot(id, error);
        let state = match snapshot.aggregate_type.as_str() {
            Tenant::TYPE => State::Tenant(serde_json::from_str(&snapshot.state).map_err(malformed)?),
            Wallet::TYPE => State::Wallet(serde_json::from_str(&snapshot.state).map_err(malformed)?),
            Transaction::TYPE => {
                State::Transaction(serde_json::from_str(&snapshot.state).map_err(malformed)?)
            }
            other => return Err(FoldError::Type(id, other.to_owned())),
        };
        Ok(Self { tenant: Some(snapshot.tenant_id), state: Some(state), sequence: snapshot.sequence })
    }
}

/// The streams of a partition that are in memory, at most about `capacity` of them.
#[derive(Debug)]
pub(crate) struct Cache {
    streams: HashMap<Uuid, Stream>,
    capacity: usize,
}

impl Cache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { streams: HashMap::new(), capacity }
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<&Stream> {
        self.streams.get(&id)
    }

    pub(crate) fn contains(&self, id: Uuid) -> bool {
        self.streams.contains_key(&id)
    }

    pub(crate) fn clear(&mut self) {
        self.streams.clear();
    }

    /// Takes over what a committed batch changed, then makes room.
    pub(crate) fn commit(&mut self, changed: HashMap<Uuid, Stream>) {
        self.streams.extend(changed);
        self.make_room();
    }

    /// Takes in what was asked for: streams that have no events are known to be empty from then on.
    pub(crate) fn load(&mut self, asked: &[Uuid], found: &Prefetched) -> Result<(), FoldError> {
        let mut streams: HashMap<Uuid, Stream> = asked.iter().map(|id| (*id, Stream::default())).collect();
        for snapshot in &found.snapshots {
            streams.insert(snapshot.aggregate_id, Stream::of_snapshot(snapshot)?);
        }
        for recorded in &found.events {
            streams.entry(recorded.text.aggregate_id).or_default().fold(recorded)?;
        }
        self.streams.extend(streams);
        Ok(())
    }

    /// Finished transactions are hardly ever asked for again, so they go first; then whatever comes.
    fn make_room(&mut self) {
        if self.streams.len() <= self.capacity {
            return;
        }
        self.streams.retain(|_, stream| match &stream.state {
            Some(State::Transaction(transaction)) => {
                transaction.status == domain::transaction::TransactionStatus::Pending
            }
            state => state.is_some(),
        });
        let keep = self.capacity / 2;
        if self.streams.len() > keep {
            // Sorted, so that the same commands always leave the same streams behind.
            let mut ids: Vec<Uuid> = self.streams.keys().copied().collect();
            ids.sort_unstable();
            for id in ids.iter().skip(keep) {
                self.streams.remove(id);
            }
        }
    }
}
