//! The streams a partition's writer has in memory. Never the truth: it can be forgotten at any time.

use std::collections::HashMap;

use cqrs_es::Aggregate;
use domain::transaction::TransactionStatus;
use domain::{
    Allowance, Application, Catalogue, DecodeError, Event, Execution, Tenant, Transaction, User, Wallet,
    event,
};
use hashlink::LinkedHashMap;
use journal::{Prefetched, Recorded, Snapshot};
use uuid::Uuid;

/// The state of any of the aggregates.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    Tenant(Tenant),
    Wallet(Wallet),
    Transaction(Transaction),
    User(User),
    Application(Application),
    Catalogue(Catalogue),
    Allowance(Allowance),
    Execution(Execution),
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
kept!(User);
kept!(Application);
kept!(Catalogue);
kept!(Allowance);
kept!(Execution);

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
    /// Whether it is a transaction whose postings are no longer pending, or an execution that has ended.
    fn finished(&self) -> bool {
        match &self.state {
            Some(State::Transaction(transaction)) => transaction.status != TransactionStatus::Pending,
            Some(State::Execution(execution)) => execution.status.is_final(),
            _ => false,
        }
    }

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
            User::TYPE => self.folded::<User>(recorded),
            Application::TYPE => self.folded::<Application>(recorded),
            Catalogue::TYPE => self.folded::<Catalogue>(recorded),
            Allowance::TYPE => self.folded::<Allowance>(recorded),
            Execution::TYPE => self.folded::<Execution>(recorded),
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
        let state = match snapshot.aggregate_type.as_str() {
            Tenant::TYPE => Self::kept::<Tenant>(snapshot),
            Wallet::TYPE => Self::kept::<Wallet>(snapshot),
            Transaction::TYPE => Self::kept::<Transaction>(snapshot),
            User::TYPE => Self::kept::<User>(snapshot),
            Application::TYPE => Self::kept::<Application>(snapshot),
            Catalogue::TYPE => Self::kept::<Catalogue>(snapshot),
            Allowance::TYPE => Self::kept::<Allowance>(snapshot),
            Execution::TYPE => Self::kept::<Execution>(snapshot),
            other => return Err(FoldError::Type(id, other.to_owned())),
        };
        let state = Some(state.map_err(|error| FoldError::Snapshot(id, error))?);
        Ok(Self { tenant: Some(snapshot.tenant_id), state, sequence: snapshot.sequence })
    }

    fn kept<A: Kept>(snapshot: &Snapshot) -> Result<State, serde_json::Error> {
        Ok(serde_json::from_str::<A>(&snapshot.state)?.into_state())
    }
}

/// The streams of a partition that are in memory: the `capacity` that were needed last, and what the batch at hand
/// needs beyond that.
#[derive(Debug)]
pub(crate) struct Cache {
    streams: LinkedHashMap<Uuid, Stream>,
    capacity: usize,
}

impl Cache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { streams: LinkedHashMap::new(), capacity }
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<&Stream> {
        self.streams.get(&id)
    }

    /// Whether a stream is in memory. If it is, it is needed now.
    pub(crate) fn need(&mut self, id: Uuid) -> bool {
        self.streams.to_back(&id).is_some()
    }

    pub(crate) fn clear(&mut self) {
        self.streams.clear();
    }

    /// Takes over what a committed batch changed, then makes room. Transactions and executions that are finished are hardly
    /// ever asked for again, so they are not kept.
    pub(crate) fn commit(&mut self, changed: HashMap<Uuid, Stream>) {
        let mut changed: Vec<_> = changed.into_iter().collect();
        // In one order, so that the same commands always leave the same streams behind.
        changed.sort_unstable_by_key(|(id, _)| *id);
        for (id, stream) in changed {
            if stream.finished() {
                self.streams.remove(&id);
            } else {
                self.streams.insert(id, stream);
            }
        }
        while self.streams.len() > self.capacity {
            self.streams.pop_front();
        }
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
        for id in asked {
            if let Some(stream) = streams.remove(id) {
                self.streams.insert(*id, stream);
            }
        }
        Ok(())
    }
}
