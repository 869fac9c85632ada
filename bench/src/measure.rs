//! How things are measured: closed loops of callers that each do one thing after another, and fixed amounts of
//! prepared work.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What goes wrong while measuring ends the run: a number that rests on errors is none.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A case of a part of the benchmark, the same in each round.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Case {
    /// The part of the benchmark: `pipeline`.
    pub part: &'static str,
    /// What is done: `transfers, uniform`.
    pub name: String,
    /// How many callers or connections did it at once.
    pub callers: usize,
}

impl Case {
    /// A case.
    pub fn new(part: &'static str, name: impl Into<String>, callers: usize) -> Self {
        Self { part, name: name.into(), callers }
    }
}

/// What one round of a case came to.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Which case.
    pub case: Case,
    /// What is counted: `transfers`, `rows`, `events`, `reads`.
    pub unit: &'static str,
    /// How many of them in a second.
    pub per_second: f64,
    /// How long each operation took, in microseconds; empty where that was not measured.
    pub latencies: Histogram<u64>,
}

/// An empty histogram of microseconds, up to a minute, with three digits.
///
/// # Errors
/// None with these bounds, says the library's documentation.
pub fn latencies() -> Result<Histogram<u64>, Failure> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

/// Adds a duration to a histogram of microseconds.
pub fn record(latencies: &mut Histogram<u64>, taken: Duration) {
    latencies.saturating_record(u64::try_from(taken.as_micros()).unwrap_or(u64::MAX).max(1));
}

/// Has `callers` tasks run `operation` over and over for `span`, after `warm_up` in which nothing counts. An operation
/// gets the caller's number and its own number within the caller, and returns how many units it did.
///
/// # Errors
/// The first error of any operation.
pub async fn closed_loop<F, Fut>(
    case: Case,
    unit: &'static str,
    (warm_up, span): (Duration, Duration),
    operation: F,
) -> Result<Sample, Failure>
where
    F: Fn(usize, u64) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<u64, Failure>> + Send,
{
    let begin = Instant::now() + warm_up;
    let end = begin + span;
    let mut tasks = JoinSet::new();
    for caller in 0..case.callers {
        let operation = operation.clone();
        tasks.spawn(async move {
            let (mut units, mut taken) = (0, latencies()?);
            for turn in 0.. {
                let start = Instant::now();
                if start >= end {
                    break;
                }
                let done = operation(caller, turn).await?;
                let now = Instant::now();
                // What began before the first edge counts, what ends behind the second does not: it evens out.
                if now >= begin && now < end {
                    units += done;
                    record(&mut taken, now - start);
                }
            }
            Ok::<_, Failure>((units, taken))
        });
    }
    let (mut units, mut taken) = (0, latencies()?);
    while let Some(ended) = tasks.join_next().await {
        let (done, durations) = ended??;
        units += done;
        taken.add(durations)?;
    }
    Ok(Sample { case, unit, per_second: rate(units, span), latencies: taken })
}

/// Somebody with a fixed amount of work, prepared beforehand.
pub trait Worker: Send + 'static {
    /// Does the next piece, and says how many units it was; `None` when nothing is left.
    fn work(&mut self) -> impl Future<Output = Result<Option<u64>, Failure>> + Send;
}

/// Has all workers do their work, each beginning with one piece that does not count (statements are prepared by it).
/// They start at once, and the time ends with the last of them.
///
/// # Errors
/// The first error of any worker.
pub async fn fixed_work<W: Worker>(
    case: Case,
    unit: &'static str,
    workers: Vec<W>,
) -> Result<Sample, Failure> {
    let ready = Arc::new(Barrier::new(workers.len()));
    let mut tasks = JoinSet::new();
    for mut worker in workers {
        let ready = Arc::clone(&ready);
        tasks.spawn(async move {
            let warmed_up = worker.work().await;
            // Whoever fails must not leave the others waiting.
            ready.wait().await;
            warmed_up?;
            let (begin, mut units, mut taken) = (Instant::now(), 0, latencies()?);
            let mut start = begin;
            while let Some(done) = worker.work().await? {
                let now = Instant::now();
                units += done;
                record(&mut taken, now - start);
                start = now;
            }
            Ok::<_, Failure>((units, taken, begin, start))
        });
    }
    let (mut units, mut taken, mut times) = (0, latencies()?, Vec::new());
    while let Some(ended) = tasks.join_next().await {
        let (done, durations, begin, end) = ended??;
        units += done;
        taken.add(durations)?;
        times.push((begin, end));
    }
    let begin = times.iter().map(|(begin, _)| *begin).min().ok_or("no workers")?;
    let end = times.iter().map(|(_, end)| *end).max().ok_or("no workers")?;
    Ok(Sample { case, unit, per_second: rate(units, end - begin), latencies: taken })
}

/// So many in so long, in a second.
pub fn rate(units: u64, span: Duration) -> f64 {
    real(units) / span.as_secs_f64().max(1e-9)
}

/// A count as the numbers of a report are kept.
pub fn real(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^53")]
    let real = count as f64;
    real
}
