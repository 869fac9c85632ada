//! What keeps the read models up to date.
//!
//! Per partition one feed pulls events from JetStream, reads them once and hands them to one task per read
//! model. Such a task takes from the journal what the feed does not bring: after a start, a gap, a fault, or
//! while NATS is away. NATS only makes it faster: a tick compares each read model with the journal's head.
//!
//! One process at a time does this for a database: it holds an advisory lock on a connection of its own, and
//! stands by where another one has it. Two at once would do no harm but waste: checkpoints see to that.

mod feed;
mod heads;
mod projector;
mod source;
mod views;

use std::time::Duration;

use async_nats::jetstream;
use journal::{Journal, Store};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use source::{Arrived, Feeding, Source, SourceError, Subscription};
use views::Tables;
pub use views::Views;

use crate::{Kind, Progress, State};

/// How often a standby asks for the lock, and its holder whether it still has it.
const WATCH: Duration = Duration::from_secs(1);
/// How long the holder waits for the answer before it gives up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Batches that a read model may be behind the feed before it has to read from the journal.
const BACKLOG: usize = 64;

/// How the projectors work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How often the read models are compared with the journal's heads.
    pub tick: Duration,
    /// The most events that are applied in one transaction.
    pub batch: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { tick: Duration::from_millis(250), batch: 2_000 }
    }
}

/// The projectors of all read models in all partitions.
#[derive(Debug, Clone)]
pub struct Projectors {
    /// Where the database is; one connection of its own holds the lock.
    pub database: PgConnectOptions,
    /// Acts as [`journal::Role::Projector`] and finds the read models through its search path.
    pub pool: PgPool,
    /// The journal.
    pub journal: Journal,
    /// JetStream; without it the journal is read at each tick.
    pub nats: Option<jetstream::Context>,
    /// What is told to readers in this process.
    pub progress: Progress,
    /// How they work.
    pub settings: Settings,
}

impl Projectors {
    /// Runs until cancelled. Faults of the database and of NATS are waited out.
    pub async fn run(self, cancel: CancellationToken) {
        let Self { database, pool, journal, nats, progress, settings } = self;
        let source = nats.map(Feeding::new);
        Runtime { journal, views: Tables { database, pool }, source, progress, settings }.run(cancel).await;
    }
}

/// The same over any journal, read models and source of events.
#[derive(Debug, Clone)]
pub struct Runtime<S, V, F> {
    /// The journal.
    pub journal: S,
    /// The read models.
    pub views: V,
    /// What brings new events quickly; without it the journal is read at each tick.
    pub source: Option<F>,
    /// What is told to readers in this process.
    pub progress: Progress,
    /// How the projectors work.
    pub settings: Settings,
}

impl<S: Store, V: Views, F: Source> Runtime<S, V, F> {
    /// See [`Projectors::run`].
    pub async fn run(self, cancel: CancellationToken) {
        while !cancel.is_cancelled() {
            let lock = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                lock = self.views.lock() => lock,
            };
            match lock {
                Ok(Some(lock)) => {
                    tracing::info!("running the projectors");
                    self.session(lock, &cancel).await;
                }
                Ok(None) => tracing::debug!("another process runs the projectors"),
                Err(error) => tracing::warn!(%error, "cannot ask for the projectors' lock"),
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = sleep(WATCH) => {}
            }
        }
    }

    /// Runs the projectors for as long as the lock is held.
    async fn session(&self, mut lock: V::Lock, cancel: &CancellationToken) {
        let stop = cancel.child_token();
        let mut tasks = self.spawn(&stop);
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                ended = tasks.join_next() => {
                    // They end when told to; before that only by a fault of the program.
                    tracing::error!(?ended, "a projector's task ended");
                    break;
                }
                () = sleep(WATCH) => {
                    if !matches!(timeout(PATIENCE, V::held(&mut lock)).await, Ok(true)) {
                        tracing::warn!("the projectors' lock is lost");
                        break;
                    }
                }
            }
        }
        stop.cancel();
        while tasks.join_next().await.is_some() {}
        for partition in self.journal.partitions() {
            for kind in Kind::ALL {
                self.progress.set_state(kind, partition, State::Elsewhere);
            }
        }
        // One that cannot be given back goes with its connection.
        let _ = timeout(PATIENCE, V::release(lock)).await;
    }

    fn spawn(&self, stop: &CancellationToken) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let mut ticks = Vec::new();
        for partition in self.journal.partitions() {
            let (sender, _) = broadcast::channel(BACKLOG);
            for kind in Kind::ALL {
                // One each: those who wait on the same one are woken in no certain order.
                let (tick, head) = watch::channel(0);
                ticks.push((partition, tick));
                let projector = projector::Projector {
                    runtime: self.clone(),
                    kind,
                    partition,
                    batches: sender.subscribe(),
                    head,
                };
                tasks.spawn(projector.run(stop.clone()));
            }
            tasks.spawn(feed::run(self.clone(), partition, sender, stop.clone()));
        }
        tasks.spawn(heads::follow(self.clone(), ticks, stop.clone()));
        tasks
    }
}

/// The labels of a projector's metrics.
fn labels(kind: Kind, partition: domain::Partition) -> [(&'static str, String); 2] {
    [("projection", kind.name().to_owned()), ("partition", partition.to_string())]
}

/// A number as gauges and histograms take it. Beyond four billion it no longer matters.
fn measured(number: impl TryInto<u32>) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}
