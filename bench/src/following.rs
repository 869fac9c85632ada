//! A ledger in process with everything that follows it: the relay, and the projectors of all read models.

use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::{self, Context};
use commands::{Announcer, PipelineOptions, Relay};
use counterfoil::servers::connect_nats;
use domain::Partition;
use journal::Journal;
use projections::{Kind, Progress, Projectors, Settings};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bank::Bank;
use crate::measure::Failure;
use crate::world::{Database, World};

/// How many partitions a new database has by default.
const PARTITIONS: i32 = 8;
/// The connections that writers and projectors share, and the events of a projector's transaction, by default.
const CONNECTIONS: u32 = 24;
/// How long the read models may take to catch up before that is an error.
const PATIENCE: Duration = Duration::from_secs(300);

/// The ledger, at work.
pub struct Following {
    /// Its database.
    pub database: Database,
    /// Its journal.
    pub journal: Journal,
    /// Its pipeline.
    pub bank: Bank,
    /// How far the read models are.
    pub progress: Progress,
    /// The partition in which everything happens.
    pub partition: Partition,
    /// Where the relay publishes.
    pub jetstream: Context,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Following {
    /// Starts one on a fresh database and an empty stream, and waits until the read models have its wallets.
    ///
    /// # Errors
    /// What the servers say.
    pub async fn start(world: &World, name: &str, wallets: u64) -> Result<Self, Failure> {
        let database = world.database(name, PARTITIONS).await?;
        let journal = database.journal(CONNECTIONS).await?;
        let client = connect_nats(world.nats()?, ConnectOptions::new()).await?;
        let jetstream = jetstream::new(client.clone());
        forget_stream(&jetstream).await?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (relay, announcer): (Relay, Announcer) = Relay::new(journal.clone(), client);
        tasks.spawn(relay.run(stop.clone()));
        let progress = Progress::new(journal.partition_count());
        let projectors = Projectors {
            database: database.options.clone(),
            pool: journal.pool().clone(),
            journal: journal.clone(),
            nats: Some(jetstream.clone()),
            progress: progress.clone(),
            settings: Settings::default(),
        };
        tasks.spawn(projectors.run(stop.clone()));
        let bank = Bank::open(&journal, &PipelineOptions::default(), &announcer, wallets).await?;
        let partition = bank.tenant.partition(journal.partition_count());
        let this = Self { database, journal, bank, progress, partition, jetstream, tasks, stop };
        this.catch_up().await?;
        Ok(this)
    }

    /// The position of the newest event.
    ///
    /// # Errors
    /// What the database says.
    pub async fn head(&self) -> Result<i64, Failure> {
        Ok(self.journal.head(self.partition).await?.position)
    }

    /// Waits until every read model has every event, and says how long that took.
    ///
    /// # Errors
    /// It takes too long, or what the database says.
    pub async fn catch_up(&self) -> Result<Duration, Failure> {
        let (start, head) = (Instant::now(), self.head().await?);
        for kind in Kind::ALL {
            while self.progress.mark(kind, self.partition).position < head {
                if start.elapsed() > PATIENCE {
                    return Err(format!("{} does not catch up", kind.name()).into());
                }
                sleep(Duration::from_millis(2)).await;
            }
        }
        Ok(start.elapsed())
    }

    /// Stops everything that works, and leaves the database.
    pub async fn stop(self) -> Database {
        let Self { database, journal, bank, tasks, stop, .. } = self;
        drop(bank);
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        journal.pool().close().await;
        database
    }
}

/// Deletes what another ledger of the run has published: a stream belongs to one database.
///
/// # Errors
/// What nats-server says.
pub async fn forget_stream(jetstream: &Context) -> Result<(), Failure> {
    if jetstream.get_stream(commands::STREAM).await.is_ok() {
        jetstream.delete_stream(commands::STREAM).await?;
    }
    Ok(())
}
