//! The program itself, serving a fresh database of the run.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_nats::{ConnectOptions, jetstream};
use commands::{Announcer, PipelineOptions};
use counterfoil::servers::connect_nats;
use domain::Partition;
use journal::{Journal, Role};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::ConnectOptions as _;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::bank::{Bank, TENANT};
use crate::following::forget_stream;
use crate::load::Target;
use crate::measure::Failure;
use crate::world::{Database, World};

/// How many partitions the database has: what a new one gets by default.
const PARTITIONS: i32 = 8;
/// How long the read models may take to catch up before that is an error.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server with relay, projectors and sweeper, configured as it comes, and its one tenant.
pub struct Server {
    /// Where it is and what it holds.
    pub target: Target,
    /// Its database.
    pub database: Database,
    /// When its process was started.
    pub spawned: Instant,
    journal: Journal,
    child: Child,
    /// Kept open, so that the program can always write to it.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Makes a database with a tenant and its wallets, and serves it. The JetStream store begins empty.
    ///
    /// # Errors
    /// The program is not there, or what the servers say.
    pub async fn start(world: &World, name: &str, wallets: u64) -> Result<Self, Failure> {
        let database = world.database(name, PARTITIONS).await?;
        let journal = database.journal(4).await?;
        drop(Bank::open(&journal, &PipelineOptions::default(), &Announcer::silent(), wallets).await?);
        journal.pool().close().await;
        let server = Self::on(world, database, wallets, true).await?;
        server.catch_up().await?;
        Ok(server)
    }

    /// Serves a database that has a tenant and its wallets. With `fresh` the JetStream store begins empty: what
    /// another ledger has published is of no use to this one.
    ///
    /// # Errors
    /// The program is not there, or what the servers say.
    pub async fn on(world: &World, database: Database, wallets: u64, fresh: bool) -> Result<Self, Failure> {
        if fresh {
            let client = connect_nats(world.nats()?, ConnectOptions::new()).await?;
            forget_stream(&jetstream::new(client)).await?;
        }
        let journal = database.journal(4).await?;
        let directory = world.directory().join("server");
        let token = token(&directory).await?;
        let spawned = Instant::now();
        let mut child = program("serve", &directory)?
            .args(["--listen", "127.0.0.1:0", "--database-url", database.options.to_url_lossy().as_str()])
            .args(["--nats-url", world.nats()?])
            .env("COUNTERFOIL_LOG__FILTER", "warn")
            // One key stands for all callers. Operators are not limited anyway.
            .envs(["COUNTERFOIL_LIMITS__KEY_PER_SECOND", "COUNTERFOIL_LIMITS__KEY_BURST"].map(|name| (name, "0")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("the server has no output")?).lines();
        let line = lines.next_line().await?.ok_or("the server ended; why is said above")?;
        let base = line.split_whitespace().find_map(|word| word.strip_prefix("http://"));
        let address = base.ok_or_else(|| format!("the server does not say where it is: {line}"))?.parse()?;
        let target = Target { address, token, wallets };
        Ok(Self { target, database, spawned, journal, child, _lines: lines })
    }

    /// How many partitions its journal has.
    pub fn partitions(&self) -> Partition {
        self.journal.partition_count()
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until every read model has caught up with the journal, and says how long that took.
    ///
    /// # Errors
    /// What the database says, or that it takes too long.
    pub async fn catch_up(&self) -> Result<Duration, Failure> {
        let start = Instant::now();
        loop {
            let all = projections::status(self.journal.pool(), &self.journal, None).await?;
            let behind: i64 = all.iter().map(|one| one.lag).sum();
            if behind == 0 {
                return Ok(start.elapsed());
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("the read models are still {behind} events behind").into());
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops the process in order, and leaves the database.
    ///
    /// # Errors
    /// It does not end.
    pub async fn stop(&mut self) -> Result<(), Failure> {
        if let Some(pid) = self.child.id() {
            kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
        }
        timeout(Duration::from_secs(30), self.child.wait()).await??;
        Ok(())
    }

    /// Stops the server, discards its database, and fails unless the journal holds exactly the transactions that were
    /// `acknowledged` and every read model equals it.
    ///
    /// # Errors
    /// Something was lost, made twice or differs; or what the database says.
    pub async fn stop_and_verify(mut self, world: &World, acknowledged: u64) -> Result<(), Failure> {
        self.catch_up().await?;
        self.stop().await?;
        let owner = self.database.pool(Role::Owner, 1).await?;
        let held: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM journal.events WHERE aggregate_type = 'transaction' AND event_type = 'posted'",
        )
        .fetch_one(&owner)
        .await?;
        owner.close().await;
        if u64::try_from(held)? != acknowledged {
            return Err(
                format!("{acknowledged} transactions were acknowledged, the journal holds {held}").into()
            );
        }
        self.verify_and_discard(world).await
    }

    /// Discards the database of a server that was stopped, and fails unless every read model equals the journal.
    ///
    /// # Errors
    /// One of them differs; or what the database says.
    pub async fn verify_and_discard(self, world: &World) -> Result<(), Failure> {
        projections::verify(self.journal.pool(), &self.journal, |_| {}).await?;
        self.journal.pool().close().await;
        world.discard(self.database).await
    }
}

/// The program that lies beside this one.
fn program(command: &str, data_directory: &Path) -> Result<Command, Failure> {
    let beside: PathBuf = std::env::current_exe()?.with_file_name("counterfoil");
    if !beside.is_file() {
        return Err(format!("{} is not there; build it with the same profile", beside.display()).into());
    }
    let mut program = Command::new(beside);
    program.arg(command).arg("--data-dir").arg(data_directory).kill_on_drop(true);
    Ok(program)
}

/// An owner's token for the tenant of a [`Bank`].
async fn token(data_directory: &Path) -> Result<String, Failure> {
    let made =
        program("token", data_directory)?.args(["--tenant", TENANT, "--role", "owner"]).output().await?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
    }
    Ok(String::from_utf8(made.stdout)?.trim().to_owned())
}
