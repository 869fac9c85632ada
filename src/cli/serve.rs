//! `counterfoil serve`: the ledger on servers that exist.

use std::process::ExitCode;

use super::Failure;
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::serve::{self, Demo};
use crate::servers::Addresses;

/// Run the ledger on an existing PostgreSQL and nats-server.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  counterfoil serve --database-url postgres://ledger@db/ledger --nats-url nats://user:password@nats:4222
  DATABASE_URL=... NATS_URL=... counterfoil serve --listen 0.0.0.0:8080")]
pub struct Arguments {}

/// Runs the command.
pub async fn run(_: Arguments, config: Config) -> Result<ExitCode, Failure> {
    let lifecycle = Lifecycle::watch_signals()?;
    let needed = |value: &Option<String>, flag, variable| {
        value.clone().ok_or_else(|| format!("an address is missing: give {flag} or set {variable}"))
    };
    let addresses = Addresses {
        database_url: Some(needed(&config.database.url, "--database-url", "DATABASE_URL")?),
        nats_url: Some(needed(&config.nats.url, "--nats-url", "NATS_URL")?),
    };
    let listener = serve::listen(config.listen)?;
    serve::serve(&config, &addresses, listener, Demo::None, &lifecycle).await?;
    Ok(ExitCode::SUCCESS)
}
