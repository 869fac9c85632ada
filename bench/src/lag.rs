//! Projection lag: how long after its commit an event is visible in each read model, and how fast each is rebuilt.
//!
//! The sustained load is what the whole ledger manages on average: everything that 64 callers commit in a closed loop,
//! divided by the time until all of it is visible in every read model. At parts of that load, an open loop makes
//! transfers at fixed times. A transfer counts as committed when its caller has the answer, and as visible when the
//! projector has committed the transaction that holds it, which may even be earlier: that counts as no lag.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use commands::Outcome;
use projections::Kind;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use crate::bank::Bank;
use crate::following::Following;
use crate::measure::{Case, Failure, Sample, closed_loop, latencies, rate, real, record};
use crate::pipeline::WALLETS;
use crate::report::Report;
use crate::world::{Database, Extent, World};

/// The callers of the closed loop.
const CALLERS: usize = 64;
/// The callers of the open loop: more than ever wait at once.
pub const PACED: usize = 256;
/// The events of a transfer.
const EVENTS: f64 = 3.0;
/// Parts of the sustained load, with their names.
const LOADS: [(&str, f64); 3] =
    [("a third of the load", 1.0 / 3.0), ("two thirds of the load", 2.0 / 3.0), ("full load", 1.0)];

/// One round.
///
/// # Errors
/// What the servers say.
pub async fn round(world: &World, number: usize, report: &mut Report) -> Result<(), Failure> {
    let ledger = Following::start(world, &format!("lag_{number}"), WALLETS).await?;
    world.settle().await?;
    let (warm_up, span) = match world.extent {
        Extent::Quick => (Duration::from_millis(500), Duration::from_secs(2)),
        _ => (Duration::from_secs(1), Duration::from_secs(8)),
    };
    let sustained = sustained(&ledger, span, report).await?;
    for (name, part) in LOADS {
        under_load(&ledger, name, sustained * part, (warm_up, span), report).await?;
    }
    let database = ledger.stop().await;
    rebuilds(&database, report).await?;
    world.discard(database).await
}

/// How many transfers a second the whole ledger manages.
async fn sustained(ledger: &Following, span: Duration, report: &mut Report) -> Result<f64, Failure> {
    let before = ledger.head().await?;
    let start = Instant::now();
    let bank = Arc::new(ledger.bank.clone());
    let case = Case::new("lag", "transfers with relay and projections", CALLERS);
    let sample = closed_loop(case, "transfers", (Duration::ZERO, span), move |caller, turn| {
        let bank = Arc::clone(&bank);
        async move {
            bank.pipeline.submit(bank.transfer(bank.pair(caller, turn, false))?).await?;
            Ok(1)
        }
    });
    report.add(sample.await?);
    let behind = ledger.catch_up().await?;
    let events = u64::try_from(ledger.head().await? - before)?;
    let sustained = rate(events, start.elapsed()) / EVENTS;
    report.fact(Case::new("lag", "catching up after that", CALLERS), "s", behind.as_secs_f64());
    report.fact(Case::new("lag", "sustained load", CALLERS), "transfers/s", sustained);
    Ok(sustained)
}

/// Positions with the time at which something was known of them, in their order.
type Times = Vec<(i64, Instant)>;

/// Makes so many transfers a second and compares when each was committed with when each read model had it.
async fn under_load(
    ledger: &Following,
    name: &str,
    per_second: f64,
    (warm_up, span): (Duration, Duration),
    report: &mut Report,
) -> Result<(), Failure> {
    let watchers: Vec<_> = Kind::ALL.into_iter().map(|kind| Watcher::start(ledger, kind)).collect();
    let begin = Instant::now() + warm_up;
    let mut committed = open_loop(&ledger.bank, per_second, begin + span).await?;
    ledger.catch_up().await?;
    committed.sort();
    let counted: Times = committed.into_iter().filter(|(_, at)| *at >= begin).collect();
    let done = real(counted.len() as u64) / span.as_secs_f64();
    let last = counted.last().map_or(0, |(position, _)| *position);
    for (kind, watcher) in Kind::ALL.into_iter().zip(watchers) {
        let seen = watcher.until(last).await;
        let mut taken = latencies()?;
        for (position, at) in &counted {
            let index = seen.partition_point(|(reached, _)| reached < position);
            let (_, visible) = seen.get(index).ok_or("a read model has missed the end")?;
            record(&mut taken, visible.saturating_duration_since(*at));
        }
        let case = Case::new("lag", format!("{} at {name}", kind.name()), PACED);
        report.add(Sample { case, unit: "transfers", per_second: done, latencies: taken });
    }
    Ok(())
}

/// Notes when a read model reached which position.
struct Watcher {
    task: JoinHandle<()>,
    times: Arc<Mutex<Times>>,
}

impl Watcher {
    fn start(ledger: &Following, kind: Kind) -> Self {
        let times = Arc::new(Mutex::new(Times::new()));
        let noted = Arc::clone(&times);
        let marks = ledger.progress.watch(kind, ledger.partition);
        let task = tokio::spawn(async move {
            let Some(mut marks) = marks else { return };
            while marks.changed().await.is_ok() {
                let position = marks.borrow_and_update().position;
                noted.lock().unwrap_or_else(PoisonError::into_inner).push((position, Instant::now()));
            }
        });
        Self { task, times }
    }

    /// Everything up to a position that was reached, but perhaps not noted yet.
    async fn until(self, position: i64) -> Times {
        loop {
            let times = std::mem::take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner));
            if self.task.is_finished() || times.last().is_some_and(|(reached, _)| *reached >= position) {
                self.task.abort();
                return times;
            }
            self.times.lock().unwrap_or_else(PoisonError::into_inner).splice(0..0, times);
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Transfers at fixed times until `end`, with the position of each and the time of its answer.
async fn open_loop(bank: &Bank, per_second: f64, end: Instant) -> Result<Times, Failure> {
    let gap = Duration::from_secs_f64(1.0 / per_second.max(1.0));
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..PACED {
        let bank = bank.clone();
        callers.spawn(async move {
            let mut times = Times::new();
            let mut due = start + gap * u32::try_from(caller)?;
            for turn in 0.. {
                sleep_until(due).await;
                if due >= end || Instant::now() >= end {
                    break;
                }
                due += gap * u32::try_from(PACED)?;
                let pair = bank.pair(caller, turn, false);
                let Outcome { position, .. } = bank.pipeline.submit(bank.transfer(pair)?).await?;
                times.push((position.position, Instant::now()));
            }
            Ok::<_, Failure>(times)
        });
    }
    let mut all = Times::new();
    while let Some(ended) = callers.join_next().await {
        all.extend(ended??);
    }
    Ok(all)
}

/// Builds each read model anew.
async fn rebuilds(database: &Database, report: &mut Report) -> Result<(), Failure> {
    let journal = database.journal(2).await?;
    for kind in Kind::ALL {
        let start = Instant::now();
        let rebuilt = projections::rebuild(kind, database.options.clone(), &journal, |_| {}).await?;
        let per_second = rate(rebuilt.events.unsigned_abs(), start.elapsed());
        let case = Case::new("lag", format!("rebuild of {}", kind.name()), 1);
        report.add(Sample { case, unit: "events", per_second, latencies: latencies()? });
    }
    journal.pool().close().await;
    Ok(())
}
