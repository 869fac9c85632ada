//! Closed loops: callers that each do one thing after another for a while, and how long each took.

use std::future::Future;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
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
                // What was under way at either edge counts on neither side, or on both: it evens out.
                if now >= begin && now < end {
                    units += done;
                    taken.saturating_record(u64::try_from((now - start).as_micros())?.max(1));
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

/// So many in so long, in a second.
pub fn rate(units: u64, span: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^53")]
    let units = units as f64;
    units / span.as_secs_f64()
}
