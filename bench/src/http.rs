//! The whole server over HTTP: the release binary in a process of its own with relay, projectors and sweeper running,
//! loaded from another process (see [`crate::load`]). All of them, PostgreSQL and nats-server share the machine.
//!
//! Balance reads alone are measured beside other reads, in [`crate::reads`].
//!
//! After every case that writes, the read models catch up before the next one begins, and how long that takes is
//! noted. At the end of the round the journal must hold exactly the transactions that were acknowledged, and every
//! read model must equal its journal: a benchmark that loses data is none.

mod server;

use crate::load::{self, Plan, What};
use crate::measure::{Case, Failure};
use crate::report::Report;
use crate::world::{Extent, World};
pub use server::Server;

/// How many wallets there are.
const WALLETS: u64 = 1_000;

/// The cases: what, its name, and by how many connections.
fn cases(extent: Extent) -> Vec<(What, &'static str, &'static [usize])> {
    let quick = extent == Extent::Quick;
    let choose = |few: &'static [usize], all: &'static [usize]| if quick { few } else { all };
    vec![
        (What::Transfers, "transfers, 1,000 wallets", choose(&[64], &[1, 16, 64, 256])),
        (What::HotTransfers, "transfers, one hot wallet", choose(&[64], &[1, 16, 64, 256])),
        (What::Bulk(100), "100 transfers a call", choose(&[4], &[1, 4, 16])),
        (What::Bulk(1_000), "1000 transfers a call", choose(&[4], &[1, 4])),
        (What::Mixed, "balances and transfers 9:1", choose(&[64], &[1, 16, 64])),
    ]
}

/// One round.
///
/// # Errors
/// What the servers say, an answer that is not the one expected, or a difference afterwards.
pub async fn round(world: &World, number: usize, report: &mut Report) -> Result<(), Failure> {
    let server = Server::start(world, &format!("http_{number}"), WALLETS).await?;
    let seconds = if world.extent == Extent::Quick { 1 } else { 3 };
    let mut acknowledged = 0;
    for (what, name, connections) in cases(world.extent) {
        for &connections in connections {
            let case = Case::new("http", name, connections);
            let plan = Plan { what, connections, seconds, rate: None };
            world.settle().await?;
            let outcome = load::run(&server.target, case, plan).await?;
            acknowledged += outcome.acknowledged;
            let behind = server.catch_up().await?;
            let fact = |what: &str| Case::new("http", format!("{name}: {what}"), connections);
            report.fact(fact("the load generator"), "cores", outcome.cores);
            report.fact(fact("until the read models have caught up"), "s", behind.as_secs_f64());
            report.add(outcome.sample);
        }
    }
    server.stop_and_verify(world, acknowledged).await
}
