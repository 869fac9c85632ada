//! The command line.

mod servers;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a command reports when it fails; said to the user in one line per cause.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A multi-tenant, event-sourced, double-entry ledger.
#[derive(Debug, Parser)]
#[command(name = "counterfoil", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Servers(servers::Arguments),
}

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = runtime.block_on(run(arguments));
    // A hard end does not wait for what still runs.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => fail(error.as_ref()),
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Servers(arguments) => servers::run(arguments).await,
    }
}

fn log() {
    tracing_subscriber::fmt().with_env_filter("info,async_nats=warn").with_writer(std::io::stderr).init();
}

/// Says what went wrong, with its causes.
fn fail(error: &dyn Error) -> ExitCode {
    let mut text = format!("error: {error}\n");
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some errors repeat their cause in their own text.
        if !text.contains(&said) {
            text.push_str(&format!("  because: {said}\n"));
        }
        cause = error.source();
    }
    // If stderr is closed there is nobody to tell.
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::FAILURE
}
