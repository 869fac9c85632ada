//! `counterfoil migrate`: the database schema.

use std::process::ExitCode;

use super::Failure;
use super::reach::{Needs, Reached};
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::serve;

/// Bring the database to the schema of this version. `up` and `serve` do so by themselves.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  counterfoil migrate --database-url postgres://ledger@db/ledger
  counterfoil migrate --data-dir ./.counterfoil")]
pub struct Arguments {}

/// Runs the command.
pub async fn run(_: Arguments, config: Config) -> Result<ExitCode, Failure> {
    let lifecycle = Lifecycle::watch_signals()?;
    let reached = Reached::beside(Needs { postgres: true, nats: false }, &config, &lifecycle).await?;
    let result = serve::migrate(&config, &reached.addresses).await;
    reached.close(&lifecycle).await;
    result.map(|()| ExitCode::SUCCESS)
}
