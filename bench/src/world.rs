//! The private servers of a run, fresh databases on them, and what is made once for the whole run.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use commands::{Announcer, PipelineOptions};
use counterfoil::servers::{Options, Servers};
use counterfoil::system::SystemIds;
use domain::Ids as _;
use journal::{Journal, Role};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bank::Bank;
use crate::measure::{Case, Failure};
use crate::report::Report;
use crate::rows::Originals;

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Under three minutes: every part, few cases, one round.
    Quick,
    /// About half an hour: all cases, three rounds.
    Full,
    /// The full extent with ten million events.
    Long,
}

impl Extent {
    /// How often every case is measured.
    pub fn rounds(self) -> usize {
        if self == Self::Quick { 1 } else { 3 }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
            Self::Long => "long",
        }
    }
}

/// The servers of the run: durable, as `counterfoil up` starts them.
pub struct World {
    servers: Servers,
    /// How much is done.
    pub extent: Extent,
    originals: OnceCell<Originals>,
    large_set: OnceCell<LargeSet>,
}

/// More wallets than the cache has room for.
#[derive(Debug, Clone)]
pub struct LargeSet {
    /// Where they are.
    pub database: Database,
    /// How many.
    pub wallets: u64,
    /// The room of the cache.
    pub cache: usize,
}

impl World {
    /// Starts the servers in `directory`, which is made.
    ///
    /// # Errors
    /// What starting them says, or that `interrupt` was cancelled.
    pub async fn start(
        directory: PathBuf,
        extent: Extent,
        interrupt: &CancellationToken,
    ) -> Result<Self, Failure> {
        let servers = Servers::start(Options::in_directory(directory), interrupt).await?;
        Ok(Self { servers, extent, originals: OnceCell::new(), large_set: OnceCell::new() })
    }

    /// Where PostgreSQL is.
    ///
    /// # Errors
    /// It was not started.
    pub fn postgres(&self) -> Result<PgConnectOptions, Failure> {
        Ok(PgConnectOptions::from_str(self.servers.database_url().ok_or("no PostgreSQL")?)?)
    }

    /// The address of nats-server.
    ///
    /// # Errors
    /// It was not started.
    pub fn nats(&self) -> Result<&str, Failure> {
        Ok(self.servers.nats_url().ok_or("no nats-server")?)
    }

    /// Makes a database of this name and migrates it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn database(&self, name: &str, partitions: i32) -> Result<Database, Failure> {
        self.administer(&format!("CREATE DATABASE {name}")).await?;
        let options = self.postgres()?.database(name);
        let owner = journal::connect(options.clone(), Role::Owner, "public", 1).await?;
        journal::migrate(&owner, partitions, SystemIds.next()).await?;
        owner.close().await;
        Ok(Database { name: name.to_owned(), options })
    }

    /// Drops a database, so that it neither fills the disk nor the caches.
    ///
    /// # Errors
    /// What the database says.
    pub async fn discard(&self, database: Database) -> Result<(), Failure> {
        self.administer(&format!("DROP DATABASE {} WITH (FORCE)", database.name)).await
    }

    /// Writes out what earlier cases left to be written, so that no case pays for another.
    ///
    /// # Errors
    /// What the database says.
    pub async fn settle(&self) -> Result<(), Failure> {
        self.administer("CHECKPOINT").await
    }

    async fn administer(&self, statement: &str) -> Result<(), Failure> {
        let mut connection = PgConnection::connect_with(&self.postgres()?).await?;
        connection.execute(statement).await?;
        Ok(connection.close().await?)
    }

    /// How long a closed loop warms up, and how long it is measured.
    pub fn spans(&self) -> (Duration, Duration) {
        match self.extent {
            Extent::Quick => (Duration::from_millis(300), Duration::from_secs(1)),
            _ => (Duration::from_millis(500), Duration::from_millis(2_500)),
        }
    }

    /// All of `values`, and the first of them alone where there is little time.
    pub fn choose(&self, values: &[usize]) -> Vec<usize> {
        let count = if self.extent == Extent::Quick { 1 } else { values.len() };
        values.iter().copied().take(count).collect()
    }

    /// Transfers to copy rows from, made by a pipeline at the first call.
    ///
    /// # Errors
    /// What making them says.
    pub async fn originals(&self) -> Result<Originals, Failure> {
        self.originals.get_or_try_init(|| Originals::make(self)).await.cloned()
    }

    /// More wallets than the cache has room for, opened at the first call, which reports how long that took.
    ///
    /// # Errors
    /// What opening them says.
    pub async fn large_set(&self, report: &mut Report) -> Result<LargeSet, Failure> {
        self.large_set.get_or_try_init(|| self.open_large_set(report)).await.cloned()
    }

    async fn open_large_set(&self, report: &mut Report) -> Result<LargeSet, Failure> {
        let (wallets, cache) = match self.extent {
            Extent::Quick => (50_000, 5_000),
            _ => (1_000_000, 100_000),
        };
        let database = self.database("large_set", 1).await?;
        let journal: Journal = database.journal(2).await?;
        let options = PipelineOptions { cache_aggregates: cache, ..PipelineOptions::default() };
        let start = Instant::now();
        drop(Bank::open(&journal, &options, &Announcer::silent(), wallets).await?);
        let case = Case::new("pipeline", format!("opening {wallets} wallets"), 1);
        report.fact(case, "s", start.elapsed().as_secs_f64());
        journal.pool().close().await;
        Ok(LargeSet { database, wallets, cache })
    }

    /// Stops the servers.
    pub async fn stop(self) {
        self.servers.stop().await;
    }
}

/// A migrated database.
#[derive(Debug, Clone)]
pub struct Database {
    name: String,
    /// Where it is.
    pub options: PgConnectOptions,
}

impl Database {
    /// Connections that act as `role`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn pool(&self, role: Role, connections: u32) -> Result<PgPool, Failure> {
        Ok(journal::connect(self.options.clone(), role, "views", connections).await?)
    }

    /// Its journal, with connections of its own.
    ///
    /// # Errors
    /// What the database says.
    pub async fn journal(&self, connections: u32) -> Result<Journal, Failure> {
        Ok(Journal::open(self.pool(Role::Writer, connections).await?).await?)
    }
}
