//! The benchmark: how fast the ledger is, as ratios to what the database could do at best and to other ledgers on
//! the same servers, in one run. `make bench` runs it; docs/PERFORMANCE.md explains it.

#![expect(clippy::float_arithmetic, reason = "rates and ratios are what a benchmark is about")]

mod append;
mod bank;
mod bytes;
mod ceiling;
mod environment;
mod following;
mod gateway;
mod growth;
mod http;
mod lag;
mod load;
mod measure;
mod minute;
mod options;
mod peers;
mod pgbench;
mod pipeline;
mod publish;
mod reads;
mod report;
mod rows;
mod startup;
mod targets;
mod world;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;
use counterfoil::lifecycle::Lifecycle;
use mimalloc::MiMalloc;
use tokio::time::Instant;

use measure::Failure;
use options::{Hidden, Options, Part};
use report::Report;
use world::World;

/// The allocator of the program that is measured.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> Result<ExitCode, Failure> {
    let options = Options::parse();
    if let Some(document) = &options.publish {
        publish::publish(&options.out, document)?;
        return Ok(ExitCode::SUCCESS);
    }
    match options.hidden {
        Some(Hidden::Load) => return load::generate().map(|()| ExitCode::SUCCESS),
        Some(Hidden::Provider) => return gateway::provide().map(|()| ExitCode::SUCCESS),
        None => {}
    }
    tokio::runtime::Runtime::new()?.block_on(measure(options))
}

/// Starts the servers, measures, and stops them.
async fn measure(options: Options) -> Result<ExitCode, Failure> {
    let lifecycle = Lifecycle::watch_signals()?;
    let directory = Directory::new(options.data())?;
    let world = World::start(directory.0.clone(), options.extent(), lifecycle.soft()).await?;
    let outcome = tokio::select! {
        outcome = run(&world, &options, &directory.0) => outcome,
        () = lifecycle.soft().cancelled() => Err("interrupted".into()),
    };
    world.stop().await;
    outcome
}

/// The servers' data, removed however the run ends.
struct Directory(PathBuf);

impl Directory {
    /// One that is not there yet: nothing of anybody else's is ever removed.
    fn new(path: PathBuf) -> Result<Self, Failure> {
        if path.exists() { Err(format!("{} exists already", path.display()).into()) } else { Ok(Self(path)) }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// All rounds of all parts, and the report.
async fn run(world: &World, options: &Options, directory: &Path) -> Result<ExitCode, Failure> {
    let environment = environment::observe(world, directory).await?;
    let parts = options.parts();
    let rounds = world.extent.rounds();
    let mut report = Report::new(options.estimate())?;
    let start = Instant::now();
    for number in 0..rounds {
        for part in &parts {
            report.announce(format!("round {} of {rounds}: {}", number + 1, part.name()));
            part.round(world, number, &mut report).await?;
        }
        // Later rounds take about as long as the first one.
        let done = u32::try_from(number + 1)?;
        report.estimate(start.elapsed() / done * u32::try_from(rounds)?);
    }
    report.finish();
    let verdicts = targets::judge(&report);
    std::fs::create_dir_all(&options.out)?;
    report::write_json(&options.out.join("bench.json"), &environment, &report, &verdicts)?;
    report::write_plots(&options.out, &report)?;
    let text = [
        report::environment_markdown(&environment),
        report::targets_markdown(&verdicts),
        report::beside_markdown(&report),
        report::markdown(&report),
    ]
    .join("\n");
    std::fs::write(options.out.join("bench.md"), &text)?;
    writeln!(std::io::stdout(), "{text}")?;
    let missed = options.check && verdicts.iter().any(targets::Verdict::is_missed);
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Part {
    async fn round(self, world: &World, number: usize, report: &mut Report) -> Result<(), Failure> {
        match self {
            Self::Ceiling => ceiling::round(world, number, report).await,
            Self::Journal => append::round(world, number, report).await,
            Self::Pipeline => pipeline::round(world, number, report).await,
            Self::Http => http::round(world, number, report).await,
            Self::Reads => reads::round(world, number, report).await,
            Self::Gateway => gateway::round(world, number, report).await,
            Self::PostgresEs => peers::postgres_es::round(world, number, report).await,
            Self::Cala => peers::cala::round(world, number, report).await,
            Self::Minute => minute::round(world, number, report).await,
            Self::Lag => lag::round(world, number, report).await,
            Self::Growth => growth::round(world, number, report).await,
            Self::Bytes => bytes::round(world, number, report).await,
        }
    }
}
