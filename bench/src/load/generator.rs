//! The process that makes the load.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use hdrhistogram::Histogram;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::connection::Connection;
use super::requests::Requests;
use super::{Findings, Job, WARM_UP};
use crate::measure::{Failure, latencies, record};

/// Reads a job from standard input, does it, and writes its findings to standard output.
///
/// # Errors
/// The job cannot be read, or the server does not do what it is asked.
pub fn generate() -> Result<(), Failure> {
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text)?;
    let job: Job = serde_json::from_slice(&text)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let findings = runtime.block_on(work(job))?;
    std::io::stdout().write_all(&serde_json::to_vec(&findings)?)?;
    Ok(())
}

/// When what counts begins and ends.
#[derive(Clone, Copy)]
struct Window {
    start: Instant,
    begin: Instant,
    end: Instant,
}

async fn work(job: Job) -> Result<Findings, Failure> {
    let mut connections = Vec::with_capacity(job.plan.connections);
    for _ in 0..job.plan.connections {
        connections.push(Connection::open(job.target.address).await?);
    }
    let start = Instant::now();
    let begin = start + WARM_UP;
    let window = Window { start, begin, end: begin + Duration::from_secs(job.plan.seconds) };
    let mut tasks = JoinSet::new();
    for (number, connection) in connections.into_iter().enumerate() {
        let requests = Requests::new(&job, number as u64);
        let pace = job.plan.rate.map(|rate| Pace::of(number, job.plan.connections, rate));
        tasks.spawn(converse(connection, requests, window, pace));
    }
    let mut findings = Findings::default();
    let mut taken = Taken::new()?;
    while let Some(ended) = tasks.join_next().await {
        let (acknowledged, units, own) = ended??;
        findings.acknowledged += acknowledged;
        findings.units += units;
        taken.whole.add(own.whole)?;
        taken.first.add(own.first)?;
    }
    findings.latencies = counted(&taken.whole);
    findings.first = counted(&taken.first);
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let busy = usage.user_time() + usage.system_time();
    findings.busy_micros = u64::try_from(busy.num_microseconds())?;
    Ok(findings)
}

/// When the requests of a connection are due.
#[derive(Clone, Copy)]
struct Pace {
    first: Duration,
    interval: Duration,
}

impl Pace {
    /// The connections take turns.
    fn of(number: usize, connections: usize, rate: u64) -> Self {
        let gap = 1_000_000_000 / rate.max(1);
        Self {
            first: Duration::from_nanos(gap * number as u64),
            interval: Duration::from_nanos(gap * connections as u64),
        }
    }
}

/// How long things took within the window.
struct Taken {
    whole: Histogram<u64>,
    first: Histogram<u64>,
}

impl Taken {
    fn new() -> Result<Self, Failure> {
        Ok(Self { whole: latencies()?, first: latencies()? })
    }
}

/// How often each value occurred.
fn counted(taken: &Histogram<u64>) -> Vec<(u64, u64)> {
    taken.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
}

/// Acknowledged transactions, units within the window, and latencies within the window.
type Tally = (u64, u64, Taken);

async fn converse(
    mut connection: Connection,
    mut requests: Requests,
    window: Window,
    pace: Option<Pace>,
) -> Result<Tally, Failure> {
    let (mut acknowledged, mut units, mut taken) = (0, 0, Taken::new()?);
    let mut due = window.start + pace.map_or(Duration::ZERO, |pace| pace.first);
    loop {
        let from;
        if let Some(pace) = pace {
            sleep_until(due).await;
            from = due;
            due += pace.interval;
        } else {
            from = Instant::now();
        }
        if from >= window.end || Instant::now() >= window.end {
            return Ok((acknowledged, units, taken));
        }
        let (sent, text) = requests.write_next()?;
        let answer = connection.exchange(text).await?;
        let now = Instant::now();
        sent.check(&answer)?;
        acknowledged += sent.acknowledged();
        if now >= window.begin && now < window.end {
            units += sent.units();
            record(&mut taken.whole, now - from);
            if sent.begins() {
                record(&mut taken.first, answer.first - from);
            }
        }
    }
}
