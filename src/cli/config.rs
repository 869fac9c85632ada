//! `counterfoil config`: every setting there is.

use std::io::Write as _;
use std::process::ExitCode;

use super::Failure;
use crate::config::DEFAULTS;

/// Print the configuration file with every setting, its default and what it means
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  counterfoil config > counterfoil.toml")]
pub struct Arguments {}

/// Runs the command.
pub fn run(_: &Arguments) -> Result<ExitCode, Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(DEFAULTS.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
