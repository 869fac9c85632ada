//! What integration tests share: real servers that end with the test process, and a fresh database for each test.
//!
//! The servers belong to a guardian, `counterfoil servers --ephemeral`, whose standard input we hold. However this
//! process ends, that pipe closes, and the guardian stops the servers and removes their files.

#![expect(dead_code, reason = "every test binary uses another part of this")]
#![expect(clippy::expect_used, reason = "a test that cannot get its servers fails")]

pub mod ledger;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use counterfoil::system::SystemIds;
use domain::Ids as _;
use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, PgPool};

/// The partitions of a fresh database. Few, so that tests meet both one partition and several.
pub const PARTITIONS: i32 = 4;

/// The servers shared by the tests of this process.
static SHARED: LazyLock<Guardian> = LazyLock::new(|| Guardian::start(&["--ephemeral"]));

/// One database is made at a time: migrations create roles, which belong to the whole cluster.
static MAKING: LazyLock<tokio::sync::Mutex<()>> = LazyLock::new(Default::default);

/// Says that a test is skipped: past the test runner, which shows what a passing test prints to nobody.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "\nSKIPPED a test: {why}\n");
}

/// What a guardian says about its servers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Addresses {
    pub database_url: Option<String>,
    pub nats_url: Option<String>,
    pub postgres_pid: Option<u32>,
    pub nats_pid: Option<u32>,
    pub data_dir: String,
}

/// Private servers that end with this process, or when this is dropped.
#[derive(Debug)]
pub struct Guardian {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Mutex<BufReader<ChildStdout>>,
    addresses: Mutex<Addresses>,
}

impl Guardian {
    /// Starts `counterfoil servers` with these arguments, for tests that kill servers or need one for themselves.
    pub fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_counterfoil"))
            .arg("servers")
            .args(arguments)
            .env("COUNTERFOIL_LOG__FILTER", "error")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the counterfoil binary starts");
        let stdin = child.stdin.take();
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let addresses = read(&mut lines);
        Self { child, stdin, lines: Mutex::new(lines), addresses: Mutex::new(addresses) }
    }

    /// Addresses and pids, as of the last line that was read.
    pub fn addresses(&self) -> Addresses {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a server that was killed has been restarted. Blocks the thread.
    pub fn restarted(&self) -> Addresses {
        let addresses = read(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner));
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses.clone();
        addresses
    }

    /// The address of the database `counterfoil` in the cluster.
    pub fn database_url(&self) -> String {
        self.addresses().database_url.expect("this guardian runs PostgreSQL")
    }

    /// The address of the nats-server, with its credentials. Connect by `counterfoil::servers::connect_nats`.
    pub fn nats_url(&self) -> String {
        self.addresses().nats_url.expect("this guardian runs nats-server")
    }

    /// The pid of the guardian itself.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

fn read(lines: &mut BufReader<ChildStdout>) -> Addresses {
    let mut line = String::new();
    lines.read_line(&mut line).expect("the guardian's output can be read");
    serde_json::from_str(&line).expect("the guardian started (its error is above) and says its addresses")
}

/// The servers shared by the tests of this process.
pub fn shared() -> &'static Guardian {
    &SHARED
}

/// A nats-server for one test: the name of a stream is taken once per server. Costs about 50 ms.
pub fn private_nats() -> Guardian {
    Guardian::start(&["--ephemeral", "--only", "nats"])
}

/// A migrated database of one's own in the shared cluster. It goes away with the cluster.
#[derive(Debug, Clone)]
pub struct Database {
    url: String,
}

impl Database {
    /// Makes one with [`PARTITIONS`] partitions.
    pub async fn fresh() -> Self {
        Self::with_partitions(PARTITIONS).await
    }

    /// Makes one with so many partitions.
    pub async fn with_partitions(partitions: i32) -> Self {
        let database = Self::empty().await;
        let _making = MAKING.lock().await;
        // The schema of the read models is not there yet.
        let connecting = journal::connect(database.options(), journal::Role::Owner, "public", 1);
        let pool = connecting.await.expect("PostgreSQL answers");
        journal::migrate(&pool, partitions, SystemIds.next()).await.expect("the migrations run");
        pool.close().await;
        database
    }

    /// Makes one without any schema.
    pub async fn empty() -> Self {
        let cluster =
            tokio::task::spawn_blocking(|| shared().database_url()).await.expect("the shared servers start");
        let name = format!("test_{}", SystemIds.next().simple());
        let mut connection = PgConnection::connect(&cluster).await.expect("PostgreSQL answers");
        sqlx::query(&format!("CREATE DATABASE {name}"))
            .execute(&mut connection)
            .await
            .expect("a database is created");
        connection.close().await.expect("the connection closes");
        Self { url: cluster.replace("/counterfoil?", &format!("/{name}?")) }
    }

    /// Its address; acts as the owner of everything.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its address, parsed.
    pub fn options(&self) -> PgConnectOptions {
        self.url.parse().expect("the address is well-formed")
    }

    /// A pool that acts as `role` on the served read models.
    pub async fn pool(&self, role: journal::Role, connections: u32) -> PgPool {
        journal::connect(self.options(), role, "views", connections).await.expect("PostgreSQL answers")
    }
}
