//! `counterfoil up`: everything on this machine.

use std::process::ExitCode;

use super::Failure;
use super::reach::{Needs, Reached};
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::serve::{self, Demo};

/// Run everything on this machine: a private PostgreSQL and nats-server in the data directory, and the ledger on top.
///
/// ctrl-C stops everything that was started. The data stays, and the next start finds it. Servers whose addresses are
/// given (`DATABASE_URL`, `NATS_URL`) are used instead of private ones.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  counterfoil up --demo
  counterfoil up --data-dir ~/ledger --listen 127.0.0.1:9000")]
pub struct Arguments {
    /// Fill the tenant `demo` with a minute of plausible traffic
    #[arg(long)]
    demo: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: Config) -> Result<ExitCode, Failure> {
    let lifecycle = Lifecycle::watch_signals()?;
    // First, because it is what most often goes wrong, and the quickest to find out.
    let listener = serve::listen(config.listen)?;
    let reached = Reached::own(Needs { postgres: true, nats: true }, &config, &lifecycle).await?;
    let demo = if arguments.demo { Demo::Traffic } else { Demo::Tenant };
    let result = serve::serve(&config, &reached.addresses, listener, demo, &lifecycle).await;
    reached.close(&lifecycle).await;
    result.map(|()| ExitCode::SUCCESS)
}
