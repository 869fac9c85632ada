//! Speculative state: what the commands of a batch see while none of them is committed.
//!
//! Three layers, the upper hiding the lower: what the present command changed, what the batch changed before
//! it, and the cache. A rejected command drops the upper layer; a failed commit drops the middle one.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::{Event, TenantId, TransactionId, event};
use journal::EventText;
use uuid::Uuid;

use crate::request::Rejection;
use crate::state::{Cache, Kept, Stream};

/// Why the present command cannot be decided now.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It is refused.
    Rejected(Rejection),
    /// It needs streams that are not in memory; [`Workspace::missing`] says which.
    Missing,
    /// It touches a wallet with holds that are due; they expire first, each a command of its own.
    Due(Vec<TransactionId>),
    /// An event could not be written as JSON: never expected.
    Broken(String),
}

impl<R: Into<Rejection>> From<R> for Stop {
    fn from(rejection: R) -> Self {
        Self::Rejected(rejection.into())
    }
}

/// The layers over a partition's cache while a batch is decided.
pub(crate) struct Workspace<'a> {
    cache: &'a mut Cache,
    batch: HashMap<Uuid, Stream>,
    command: HashMap<Uuid, Stream>,
    events: Vec<EventText>,
    /// The streams that the present command turned out to need.
    pub(crate) missing: Vec<Uuid>,
    /// The moment in which the batch is decided, and at which it will be recorded.
    pub(crate) now: DateTime<Utc>,
}

impl<'a> Workspace<'a> {
    pub(crate) fn new(cache: &'a mut Cache, now: DateTime<Utc>) -> Self {
        Self {
            cache,
            batch: HashMap::new(),
            command: HashMap::new(),
            events: Vec::new(),
            missing: Vec::new(),
            now,
        }
    }

    fn stream(&self, id: Uuid) -> Option<&Stream> {
        self.command.get(&id).or_else(|| self.batch.get(&id)).or_else(|| self.cache.get(id))
    }

    /// Makes sure that all of `ids` are in memory.
    pub(crate) fn require(&mut self, ids: impl IntoIterator<Item = Uuid>) -> Result<(), Stop> {
        let missing: Vec<Uuid> = ids.into_iter().filter(|id| self.stream(*id).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.missing.extend(missing);
        Err(Stop::Missing)
    }

    /// The aggregate of a stream as the present command sees it; nothing where the stream is empty.
    pub(crate) fn look<A: Kept>(&mut self, id: Uuid) -> Result<Option<&A>, Stop> {
        self.require([id])?;
        Ok(self.stream(id).and_then(|stream| stream.state.as_ref()).and_then(A::from_state))
    }

    /// A copy of it; its default where the stream is empty.
    pub(crate) fn get<A: Kept>(&mut self, id: Uuid) -> Result<A, Stop> {
        Ok(self.look(id)?.cloned().unwrap_or_default())
    }

    /// Whether a stream has events and they are the tenant's. Callers name transactions by their ids, so a partition's
    /// other tenants can name them too.
    pub(crate) fn belongs(&self, id: Uuid, tenant: TenantId) -> bool {
        self.stream(id).is_some_and(|stream| stream.tenant == Some(tenant.0))
    }

    /// Notes that a stream is new, so that nothing needs to be loaded.
    pub(crate) fn fresh(&mut self, id: Uuid) {
        if self.stream(id).is_none() {
            self.command.insert(id, Stream::default());
        }
    }

    /// Adds an event to a stream.
    pub(crate) fn emit<A: Kept>(
        &mut self,
        tenant_id: Uuid,
        command_id: Uuid,
        id: Uuid,
        happened: A::Event,
    ) -> Result<(), Stop> {
        let mut aggregate: A = self.get(id)?;
        if self.stream(id).and_then(|stream| stream.tenant).is_some_and(|owner| owner != tenant_id) {
            return Err(Stop::Broken(format!("stream {id} is another tenant's")));
        }
        let state = self.stream(id).and_then(|stream| stream.state.as_ref());
        if state.is_some_and(|state| A::from_state(state).is_none()) {
            return Err(Stop::Broken(format!("stream {id} is no {}", A::TYPE)));
        }
        let sequence = self.stream(id).map_or(0, |stream| stream.sequence) + 1;
        self.events.push(EventText {
            tenant_id,
            aggregate_type: A::TYPE.to_owned(),
            aggregate_id: id,
            sequence,
            event_type: happened.kind().to_owned(),
            event_version: <A::Event as Event>::VERSION,
            payload: event::encode(&happened).map_err(|error| Stop::Broken(error.to_string()))?,
            effective_at: happened.effective_at(),
            command_id,
        });
        aggregate.apply(happened);
        let state = Some(aggregate.into_state());
        self.command.insert(id, Stream { tenant: Some(tenant_id), state, sequence });
        Ok(())
    }

    /// The command stands: its changes become part of the batch, its events are handed out.
    pub(crate) fn accept(&mut self) -> Vec<EventText> {
        self.batch.extend(self.command.drain());
        std::mem::take(&mut self.events)
    }

    /// The command leaves no trace.
    pub(crate) fn discard(&mut self) {
        self.command.clear();
        self.events.clear();
    }

    /// The cache below, for loading what was missing.
    pub(crate) fn cache(&mut self) -> &mut Cache {
        self.cache
    }

    /// What the batch changed, to be committed to the cache.
    pub(crate) fn into_changes(self) -> HashMap<Uuid, Stream> {
        self.batch
    }
}
