//! A minute of HTTP load from 64 connections, with the relay and all projectors at work: whether they keep up, and
//! whether the server's memory stays flat.
//!
//! Twenty times a second the journal's heads are compared with what the relay and every read model have. The lag at
//! such a moment is the time since the head was last at or below that position: never less than the true one, and at
//! most one look more.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::stream::Stream;
use async_nats::{ConnectOptions, jetstream};
use commands::STREAM;
use counterfoil::servers::connect_nats;
use journal::{Journal, Role};
use projections::Kind;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::http::Server;
use crate::load::{self, Plan, What};
use crate::measure::{Case, Failure, real};
use crate::pipeline::WALLETS;
use crate::report::Report;
use crate::world::{Extent, World};

/// The connections.
pub const CONNECTIONS: usize = 64;
/// What is sent.
pub const LOADS: [(What, &str); 2] =
    [(What::Transfers, "transfers, 1,000 wallets"), (What::HotTransfers, "transfers, one hot wallet")];
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// How many seconds of the same load come before the minute: caches and pools fill once, whatever comes after.
const WARM: u64 = 20;
/// How long the server rests before its memory is looked at again.
const REST: Duration = Duration::from_secs(3);

/// A fact about a load.
pub fn fact(load: &str, what: &str) -> Case {
    Case::new("minute", format!("{load}: {what}"), CONNECTIONS)
}

/// One round; a minute is long enough to need no others.
///
/// # Errors
/// What the servers say.
pub async fn round(world: &World, number: usize, report: &mut Report) -> Result<(), Failure> {
    if number > 0 {
        return Ok(());
    }
    let seconds = if world.extent == Extent::Quick { 5 } else { 60 };
    for (index, (what, name)) in LOADS.into_iter().enumerate() {
        let server = Server::start(world, &format!("minute_{index}"), WALLETS).await?;
        let warm = Plan { what, connections: CONNECTIONS, seconds: seconds.min(WARM), rate: None };
        let warmed =
            load::run(&server.target, Case::new("minute", "before the minute", CONNECTIONS), warm).await?;
        server.catch_up().await?;
        world.settle().await?;
        let looks = Looks::start(world, &server).await?;
        let plan = Plan { what, connections: CONNECTIONS, seconds, rate: None };
        let outcome = load::run(&server.target, Case::new("minute", name, CONNECTIONS), plan).await?;
        let looks = looks.stop().await?;
        report.add(outcome.sample);
        report.fact(fact(name, "the load generator"), "cores", outcome.cores);
        for (follower, lag) in largest(&looks) {
            report.fact(fact(name, &format!("largest lag of {follower}")), "ms", lag.as_secs_f64() * 1e3);
        }
        let memory = |look: Option<&Look>| look.map_or(0.0, |look| real(look.memory_kib) / 1_024.0);
        report.fact(fact(name, "memory after a third"), "MiB", memory(looks.get(looks.len() / 3)));
        report.fact(fact(name, "memory at the end"), "MiB", memory(looks.last()));
        server.catch_up().await?;
        sleep(REST).await;
        let rested = resident(server.pid())?;
        report.fact(fact(name, "memory after a rest"), "MiB", real(rested) / 1_024.0);
        server.stop_and_verify(world, warmed.acknowledged + outcome.acknowledged).await?;
    }
    Ok(())
}

/// How everything stood at one moment. Everything happens in one partition, so sums stand for it.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    head: i64,
    relay: i64,
    views: [i64; Kind::ALL.len()],
    memory_kib: u64,
}

/// Looks again and again.
struct Looks {
    task: JoinHandle<Result<(), Failure>>,
    looks: Arc<Mutex<Vec<Look>>>,
    pool: PgPool,
}

impl Looks {
    async fn start(world: &World, server: &Server) -> Result<Self, Failure> {
        let client = connect_nats(world.nats()?, ConnectOptions::new()).await?;
        let mut stream = jetstream::new(client).get_stream(STREAM).await?;
        let pool = server.database.pool(Role::Writer, 1).await?;
        let journal = Journal::open(pool.clone()).await?;
        let looks = Arc::new(Mutex::new(Vec::new()));
        let (taken, pid) = (Arc::clone(&looks), server.pid());
        let task = tokio::spawn(async move {
            loop {
                let look = look(&mut stream, &journal, pid).await?;
                taken.lock().unwrap_or_else(PoisonError::into_inner).push(look);
                sleep(PAUSE).await;
            }
        });
        Ok(Self { task, looks, pool })
    }

    async fn stop(self) -> Result<Vec<Look>, Failure> {
        let Self { task, looks, pool } = self;
        if task.is_finished() {
            task.await??;
        } else {
            task.abort();
        }
        pool.close().await;
        Ok(std::mem::take(&mut *looks.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What follows is asked before what it follows, so that it is never ahead.
async fn look(stream: &mut Stream, journal: &Journal, pid: Option<u32>) -> Result<Look, Failure> {
    let at = Instant::now();
    // The stream has every event once, from the first on.
    let relay = i64::try_from(stream.info().await?.state.messages)?;
    let status = projections::status(journal.pool(), journal, None).await?;
    let of = |kind: Kind| status.iter().filter(move |one| one.projection == kind);
    let head = of(Kind::Balances).map(|one| one.head).sum();
    let views = Kind::ALL.map(|kind| of(kind).map(|one| one.position).sum());
    Ok(Look { at, head, relay, views, memory_kib: resident(pid)? })
}

/// The largest lag of everything that follows the journal.
fn largest(looks: &[Look]) -> Vec<(&'static str, Duration)> {
    let views = Kind::ALL.into_iter().enumerate();
    let mut all: Vec<_> = views
        .map(|(index, kind)| (kind.name(), lag(looks, |look| look.views.get(index).copied().unwrap_or(0))))
        .collect();
    all.push(("the relay", lag(looks, |look| look.relay)));
    all
}

fn lag(looks: &[Look], position: impl Fn(&Look) -> i64) -> Duration {
    let of = |look: &Look| {
        let position = position(look);
        if position >= look.head {
            return Duration::ZERO;
        }
        // Heads only grow.
        let later = looks.partition_point(|earlier| earlier.head <= position);
        let since = later.checked_sub(1).and_then(|index| looks.get(index)).or(looks.first());
        since.map_or(Duration::ZERO, |since| look.at.saturating_duration_since(since.at))
    };
    looks.iter().map(of).max().unwrap_or_default()
}

/// The memory that a process has, in KiB.
fn resident(pid: Option<u32>) -> Result<u64, Failure> {
    let pid = pid.ok_or("the server has ended")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
