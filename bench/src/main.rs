//! The benchmark: how fast the ledger is, as ratios to what the database could do at best and to other ledgers on
//! the same servers, in one run. `make bench` runs it; docs/PERFORMANCE.md explains it.

#![expect(clippy::float_arithmetic, reason = "rates and ratios are what a benchmark is about")]

mod http;
mod load;
mod measure;
mod peers;
mod pgbench;
mod pipeline;
mod reads;
mod report;
mod world;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use measure::Failure;
use report::Report;
use world::{Extent, World};

/// Measures Counterfoil beside the database's own limits and other ledgers.
#[derive(Debug, Parser)]
#[command(subcommand_negates_reqs = true)]
struct Options {
    /// Where the servers of the run keep their data; must not exist, and is removed at the end.
    #[arg(long, required = true)]
    data: Option<PathBuf>,
    /// Every part in under three minutes: few cases, one round.
    #[arg(long)]
    quick: bool,
    /// Only the parts of these names.
    #[arg(long)]
    only: Vec<String>,
    #[command(subcommand)]
    hidden: Option<Hidden>,
}

/// What the benchmark starts itself for.
#[derive(Debug, Subcommand)]
enum Hidden {
    /// Makes load; the job comes on standard input.
    #[command(hide = true)]
    Load,
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    match options.hidden {
        Some(Hidden::Load) => load::generate(),
        None => tokio::runtime::Runtime::new()?.block_on(measure(options)),
    }
}

async fn measure(options: Options) -> Result<(), Failure> {
    let extent = if options.quick { Extent::Quick } else { Extent::Full };
    let data = options.data.ok_or("say where the data is, with --data")?;
    let wanted = |part: &str| options.only.is_empty() || options.only.iter().any(|only| only == part);
    let world = World::start(data, extent).await?;
    let mut report = Report::default();
    if wanted("pipeline") {
        pipeline::round(&world, 0, &mut report).await?;
    }
    if wanted("http") {
        http::round(&world, 0, &mut report).await?;
    }
    if wanted("reads") {
        reads::round(&world, 0, &mut report).await?;
    }
    if wanted("postgres-es") {
        peers::postgres_es::round(&world, 0, &mut report).await?;
    }
    if wanted("cala-ledger") {
        peers::cala::round(&world, 0, &mut report).await?;
    }
    report.print()?;
    world.stop().await;
    Ok(())
}
