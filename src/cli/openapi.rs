//! `counterfoil openapi`: the description of the API.

use std::process::ExitCode;

use super::{Failure, say};

/// Print the `OpenAPI` 3.1 document of the HTTP API, as the server serves it at /openapi.json.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Runs the command.
pub fn run(_: &Arguments) -> Result<ExitCode, Failure> {
    say(&api::openapi().to_pretty_json()?)?;
    Ok(ExitCode::SUCCESS)
}
