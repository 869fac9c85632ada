//! Balance reads through row-level security, beside `pgbench -S` on the same cluster at the same number of clients,
//! one after another so that drift cancels.
//!
//! What is judged is the `Reader` in process, on as many connections as the server gives it by default: pgbench has no
//! HTTP between itself and its rows either. What the whole server answers over HTTP is measured in the same minute
//! and stands beside it (part `http`, `balances`).

use std::time::Duration;

use domain::{TenantId, WalletPath};
use journal::Role;
use projections::{PointInTime, Progress, Reader};

use crate::bank::{TENANT, scattered};
use crate::http::Server;
use crate::load::{self, Plan, What};
use crate::measure::{Case, Failure, Sample, closed_loop};
use crate::pgbench::Pgbench;
use crate::report::Report;
use crate::world::{Extent, World};

/// How many wallets there are.
const WALLETS: u64 = 1_000;
/// `database.reader_connections`, by default.
const CONNECTIONS: u32 = 16;

/// One round.
///
/// # Errors
/// What the servers say, or a balance that is not there.
pub async fn round(world: &World, number: usize, report: &mut Report) -> Result<(), Failure> {
    let pgbench = Pgbench::fill(world, &format!("pgbench_{number}")).await?;
    let server = Server::start(world, &format!("reads_{number}"), WALLETS).await?;
    let seconds = if world.extent == Extent::Quick { 1 } else { 3 };
    let moved = Plan { what: What::Transfers, connections: 16, seconds: 1, rate: None };
    let moved = load::run(&server.target, Case::new("http", "before the reads", 16), moved).await?;
    server.catch_up().await?;
    let pool = server.database.pool(Role::Reader, CONNECTIONS).await?;
    let reader = Reader::new(pool.clone(), server.partitions(), Progress::new(server.partitions()));
    let callers: &[usize] = if world.extent == Extent::Quick { &[64] } else { &[1, 16, 64] };
    for &callers in callers {
        report.add(pgbench.select(callers, seconds).await?);
        report.add(in_process(&reader, callers, world.spans()).await?);
        let plan = Plan { what: What::Balances, connections: callers, seconds, rate: None };
        let case = Case::new("http", "balances", callers);
        let outcome = load::run(&server.target, case, plan).await?;
        let generator = Case::new("http", "balances: the load generator", callers);
        report.fact(generator, "cores", outcome.cores);
        report.add(outcome.sample);
    }
    pool.close().await;
    pgbench.discard(world).await?;
    server.stop_and_verify(world, moved.acknowledged).await
}

async fn in_process(reader: &Reader, callers: usize, spans: (Duration, Duration)) -> Result<Sample, Failure> {
    let case = Case::new("reads", "balances", callers);
    let tenant = TenantId::of(&domain::Slug::new(TENANT)?);
    let reader = reader.clone();
    closed_loop(case, "reads", spans, move |caller, turn| {
        let reader = reader.clone();
        async move {
            let wallet = scattered((caller as u64) << 40 | turn) % WALLETS;
            let path = WalletPath::new(&format!("customers:{wallet}"))?;
            let found = reader.tenant(tenant).balance(&path, PointInTime::default()).await?;
            found.value.ok_or_else(|| format!("{path} is not there"))?;
            Ok(1)
        }
    })
    .await
}
