//! One read model in one partition.

use std::sync::Arc;
use std::time::Duration;

use domain::Partition;
use journal::Store;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::feed::Batch;
use super::{Runtime, Source, Views, labels, measured};
use crate::decoded::{Decoded, decode_all, whole_commands};
use crate::models::Fault;
use crate::{Kind, State};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(super) struct Projector<S, V, F> {
    pub runtime: Runtime<S, V, F>,
    pub kind: Kind,
    pub partition: Partition,
    pub batches: broadcast::Receiver<Batch>,
    /// The head of the partition at each tick.
    pub head: watch::Receiver<i64>,
}

impl<S: Store, V: Views, F: Source> Projector<S, V, F> {
    /// Runs until told to stop. Faults of the database are waited out; an event that cannot be applied ends the
    /// work on this read model in this partition, for the life of the program.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let labels = labels(self.kind, self.partition);
        metrics::gauge!("counterfoil_projection_stopped", &labels).set(0);
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            let fault = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                fault = self.work() => fault,
            };
            if stop.is_cancelled() {
                return;
            }
            match fault {
                Fault::Poison { at, reason } => {
                    let (kind, partition) = (self.kind.name(), self.partition.0);
                    tracing::error!(projection = kind, partition, position = at, reason, "stopped: {reason}");
                    metrics::gauge!("counterfoil_projection_stopped", &labels).set(1);
                    let state = State::Stopped { at, reason };
                    self.runtime.progress.set_state(self.kind, self.partition, state);
                    stop.cancelled().await;
                    return;
                }
                // Another process, or a rebuild: begin again from where it is now.
                Fault::Moved => {
                    tracing::info!(projection = self.kind.name(), "its checkpoint was moved");
                }
                Fault::Database(error) => {
                    tracing::warn!(projection = self.kind.name(), partition = self.partition.0, %error, "waits");
                }
            }
            pause =
                if began.elapsed() > LONGEST_PAUSE { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Works until something is wrong, and says what.
    async fn work(&mut self) -> Fault {
        match self.follow().await {
            Ok(never) => match never {},
            Err(fault) => fault,
        }
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible, Fault> {
        let mut position = self.runtime.views.checkpoint(self.kind, self.partition).await?;
        self.at(position);
        self.runtime.progress.set_state(self.kind, self.partition, State::Running);
        position = self.catch_up(position).await?;
        // The beginning of a command whose end is still to come.
        let mut begun = Vec::new();
        let mut patience = Patience::default();
        loop {
            let missing = tokio::select! {
                // Ticks are rare, so they come first: the feed would keep them waiting.
                biased;
                ticked = self.head.changed() => {
                    if ticked.is_err() {
                        return Err(sqlx::Error::WorkerCrashed.into());
                    }
                    let head = *self.head.borrow();
                    patience.behind(position, head)
                }
                batch = self.batches.recv() => {
                    patience.brought |= self.near(&batch, position);
                    let whole = self.adjoining(batch, position, &mut begun);
                    let ready: Vec<_> = begun.drain(..whole_commands(&begun)).collect();
                    if whole {
                        position = self.apply(position, &ready).await?;
                    }
                    !whole
                }
            };
            if missing {
                begun.clear();
                position = self.catch_up(position).await?;
            }
        }
    }

    /// Whether the feed is where this read model is, or so little behind that it gets there in a moment.
    fn near(&self, batch: &Result<Batch, RecvError>, position: i64) -> bool {
        let moment = i64::try_from(self.runtime.settings.batch * Patience::BATCHES).unwrap_or(i64::MAX);
        let last = batch.as_ref().ok().and_then(|batch| batch.last());
        last.is_some_and(|last| last.event.position.saturating_add(moment) > position)
    }

    /// Adds to `events`, which adjoin `position`, what the feed brought that is new, together with all that waits
    /// behind it. Says false where something is missing: then the journal has it.
    fn adjoining(
        &mut self,
        batch: Result<Batch, RecvError>,
        position: i64,
        events: &mut Vec<Arc<Decoded>>,
    ) -> bool {
        let Ok(batch) = batch else {
            return false;
        };
        let mut next = events.last().map_or(position, |event| event.event.position) + 1;
        let mut take = |batch: &Batch| {
            for event in batch.iter() {
                if event.event.position > next {
                    return false;
                }
                if event.event.position == next {
                    events.push(Arc::clone(event));
                    next += 1;
                }
            }
            true
        };
        let mut taken = batch.len();
        let mut whole = take(&batch);
        while whole && taken < self.runtime.settings.batch {
            match self.batches.try_recv() {
                Ok(batch) => {
                    taken += batch.len();
                    whole = take(&batch);
                }
                Err(TryRecvError::Lagged(_)) => whole = false,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        whole
    }

    /// Applies from the journal until there is no more.
    async fn catch_up(&self, mut position: i64) -> Result<i64, Fault> {
        let usual = i64::try_from(self.runtime.settings.batch).unwrap_or(i64::MAX);
        let mut limit = usual;
        loop {
            let events = self.runtime.journal.read(self.partition, position, limit).await?;
            let mut events = decode_all(events);
            // Less than asked for is all there is, and that ends with a command: they are appended whole.
            let all = i64::try_from(events.len()).unwrap_or(i64::MAX) < limit;
            if !all {
                events.truncate(whole_commands(&events));
                if events.is_empty() {
                    limit = limit.saturating_mul(2);
                    continue;
                }
            }
            position = self.apply(position, &events).await?;
            limit = usual;
            if all {
                return Ok(position);
            }
        }
    }

    async fn apply(&self, position: i64, events: &[Arc<Decoded>]) -> Result<i64, Fault> {
        if events.is_empty() {
            return Ok(position);
        }
        let began = Instant::now();
        let views = &self.runtime.views;
        let applied = match views.write(self.kind, self.partition, position, events).await {
            Err(Fault::Database(error)) if refused(&error) => self.one_by_one(position, events).await,
            applied => applied,
        };
        if let Err(Fault::Poison { at, .. }) = &applied {
            // All commands before it are as good as ever.
            let good = events.partition_point(|event| event.event.position < *at);
            let good = events.get(..good).map_or(0, whole_commands);
            if let Some(good @ [_, ..]) = events.get(..good) {
                let reached = views.write(self.kind, self.partition, position, good).await?;
                self.at(reached);
            }
        }
        let position = applied?;
        self.at(position);
        let labels = labels(self.kind, self.partition);
        metrics::histogram!("counterfoil_projection_apply_seconds", &labels).record(began.elapsed());
        metrics::histogram!("counterfoil_projection_batch_events", &labels).record(measured(events.len()));
        Ok(position)
    }

    /// Applies what the database refused, command by command, so that only the culprit stops the work.
    async fn one_by_one(&self, mut position: i64, events: &[Arc<Decoded>]) -> Result<i64, Fault> {
        let mut rest = events;
        while let Some(first) = rest.first() {
            let (command, more) = rest.split_at(first.adjoining.clamp(1, rest.len()));
            match self.runtime.views.write(self.kind, self.partition, position, command).await {
                Err(Fault::Database(error)) if refused(&error) => {
                    return Err(Fault::Poison { at: first.event.position, reason: error.to_string() });
                }
                written => position = written?,
            }
            self.at(position);
            rest = more;
        }
        Ok(position)
    }

    fn at(&self, position: i64) {
        self.runtime.progress.set_position(self.kind, self.partition, position);
        let labels = labels(self.kind, self.partition);
        metrics::counter!("counterfoil_projection_position", &labels).absolute(position.unsigned_abs());
    }
}

/// How long the feed is trusted to bring what the journal has. Reading the journal puts a read model ahead of a feed
/// that lags a little, which then never brings anything new: every event would be read by every read model.
#[derive(Default)]
struct Patience {
    /// Whether the feed was at work since the last tick.
    brought: bool,
    /// The head that the feed is waited for to reach, and since how many ticks.
    wanted: i64,
    ticks: u32,
}

impl Patience {
    /// How many ticks a feed that is at work may lag.
    const TICKS: u32 = 8;
    /// How many full batches behind a feed is worth waiting for.
    const BATCHES: usize = 10;

    /// Whether the journal has to be read, at a tick at which its head is `head`.
    fn behind(&mut self, position: i64, head: i64) -> bool {
        let brought = std::mem::take(&mut self.brought);
        if position >= self.wanted {
            (self.wanted, self.ticks) = (head, 0);
        }
        self.ticks += 1;
        position < head && (!brought || self.ticks > Self::TICKS)
    }
}

/// Whether the database will never take what it was given: data exceptions, constraints, limits.
fn refused(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.starts_with(class)))
}
