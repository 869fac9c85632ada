//! The benchmark: how fast the ledger is, as ratios to what the database could do at best and to other ledgers on
//! the same servers, in one run. `make bench` runs it; docs/PERFORMANCE.md explains it.

#![expect(clippy::float_arithmetic, reason = "rates and ratios are what a benchmark is about")]

mod measure;
mod pipeline;
mod report;
mod world;

use std::path::PathBuf;

use clap::Parser;

use measure::Failure;
use report::Report;
use world::{Extent, World};

/// Measures Counterfoil beside the database's own limits and other ledgers.
#[derive(Debug, Parser)]
struct Options {
    /// Where the servers of the run keep their data; must not exist, and is removed at the end.
    #[arg(long)]
    data: PathBuf,
    /// Every part in under three minutes: few cases, one round.
    #[arg(long)]
    quick: bool,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let extent = if options.quick { Extent::Quick } else { Extent::Full };
    let world = World::start(options.data, extent).await?;
    let mut report = Report::default();
    pipeline::round(&world, 0, &mut report).await?;
    report.print()?;
    world.stop().await;
    Ok(())
}
