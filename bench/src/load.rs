//! Load on a server over HTTP from a process of its own.
//!
//! The benchmark starts itself again with the hidden command `load`, gives it a job on standard input, and reads what
//! came of it from standard output. Server and generator share the cores of the machine, so the generator is lean: one
//! thread, one task for each connection, requests written into a buffer that is used again, answers parsed no further
//! than to be sure of them. What it costs is measured and reported all the same ([`Outcome::cores`]).
//!
//! - A **closed loop** (no rate): each connection sends its next request when the last one is answered.
//! - An **open loop** (a rate): requests are due at fixed times, spread evenly over the connections. A request that
//!   has to wait because its connection is busy is measured from the time at which it was due, so a server that
//!   stalls cannot hide it. The timer has a resolution of a millisecond, which is part of what is measured.
//!
//! Every write has an idempotency key of its own. Every answer is checked: another status than the one expected, or a
//! bulk or a stream that was not made whole, ends the run. Connections end when their last request is answered, so
//! [`Outcome::acknowledged`] is exactly what the ledger must hold afterwards.

mod connection;
mod generator;
mod requests;

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use counterfoil::system::SystemIds;
use domain::Ids as _;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::measure::{Case, Failure, Sample, latencies, rate};
pub use connection::Connection;
pub use generator::generate;
pub use requests::{CREDENTIAL, Chat, Side, WALLET};

/// How long there is load before anything counts.
const WARM_UP: Duration = Duration::from_millis(500);

/// What is asked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// Single transfers of 1.00 between two of the wallets, uniformly.
    Transfers,
    /// The same with the first wallet paying each.
    HotTransfers,
    /// So many transfers in one request, each for itself (`"atomic": false`).
    Bulk(u64),
    /// Balances of the wallets, uniformly, as they are now.
    Balances,
    /// Nine balances to one transfer.
    Mixed,
    /// Calls of a model.
    Calls(Chat),
}

impl What {
    /// What is counted.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Transfers | Self::HotTransfers | Self::Bulk(_) => "transfers",
            Self::Balances => "reads",
            Self::Mixed => "requests",
            Self::Calls(_) => "calls",
        }
    }
}

/// What to do to the server, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What.
    pub what: What,
    /// By how many connections at once, kept alive.
    pub connections: usize,
    /// For how many seconds, after half a second that does not count.
    pub seconds: u64,
    /// How many requests in a second, by all connections together; `None` is as many as there can be.
    pub rate: Option<u64>,
}

/// The server, and what it holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// The token of an owner of the tenant; for calls of a model the key of whoever calls.
    pub token: String,
    /// The tenant has the wallets `customers:0`, `customers:1`, ... up to this number, in `USD`.
    pub wallets: u64,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Throughput and latencies without the warm-up.
    pub sample: Sample,
    /// How long it took until an answer began, in microseconds, without the warm-up; only for calls of a model.
    pub first: Histogram<u64>,
    /// How many transactions the server said it has made, with the warm-up; or how many calls it has answered.
    pub acknowledged: u64,
    /// How many cores the generator kept busy.
    pub cores: f64,
}

/// What the generator reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Job {
    target: Target,
    plan: Plan,
    /// Makes the keys of this run differ from those of all others.
    run: String,
}

/// What the generator writes.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Findings {
    /// Transactions acknowledged, or calls answered, with the warm-up.
    acknowledged: u64,
    /// Units done within the measured time.
    units: u64,
    /// Processor time of the process, in microseconds.
    busy_micros: u64,
    /// How often each latency occurred, in microseconds.
    latencies: Vec<(u64, u64)>,
    /// The same until the answer began.
    first: Vec<(u64, u64)>,
}

/// Has another process do `plan` to `target`, and waits for it.
///
/// # Errors
/// The process cannot be started, or what it says: the server refused something or went away.
pub async fn run(target: &Target, case: Case, plan: Plan) -> Result<Outcome, Failure> {
    let job = Job { target: target.clone(), plan, run: SystemIds.next().simple().to_string() };
    let mut child = Command::new(std::env::current_exe()?)
        .arg("load")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = child.stdin.take().ok_or("the load generator has no input")?;
    input.write_all(&serde_json::to_vec(&job)?).await?;
    drop(input);
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        return Err(format!("the load generator ended with {} in {case:?}", output.status).into());
    }
    let findings: Findings = serde_json::from_slice(&output.stdout)?;
    let per_second = rate(findings.units, Duration::from_secs(plan.seconds));
    let whole = WARM_UP + Duration::from_secs(plan.seconds);
    Ok(Outcome {
        sample: Sample {
            case,
            unit: plan.what.unit(),
            per_second,
            latencies: histogram(&findings.latencies)?,
        },
        first: histogram(&findings.first)?,
        acknowledged: findings.acknowledged,
        cores: rate(findings.busy_micros, whole) / 1e6,
    })
}

/// What was counted, as it was.
fn histogram(counted: &[(u64, u64)]) -> Result<Histogram<u64>, Failure> {
    let mut taken = latencies()?;
    for (micros, count) in counted {
        taken.saturating_record_n(*micros, *count);
    }
    Ok(taken)
}
