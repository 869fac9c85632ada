//! The benchmark: how fast the ledger is, as ratios to what the database could do at best and to other ledgers on
//! the same servers, in one run. `make bench` runs it; docs/PERFORMANCE.md explains it.

#![expect(clippy::float_arithmetic, reason = "rates and ratios are what a benchmark is about")]

mod append;
mod bank;
mod ceiling;
mod environment;
mod measure;
mod options;
mod pipeline;
mod report;
mod rows;
mod targets;
mod world;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;
use counterfoil::lifecycle::Lifecycle;
use tokio::time::Instant;

use measure::Failure;
use options::{Options, Part};
use report::Report;
use world::World;

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let options = Options::parse();
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
    let text = format!("{}\n{}", report::markdown(&report), report::targets_markdown(&verdicts));
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
        }
    }
}
