//! The command line.

mod admin;
mod config;
mod duration;
mod journal;
mod keys;
mod migrate;
mod openapi;
mod policies;
mod prices;
mod projections;
mod reach;
mod serve;
mod servers;
mod token;
mod up;
mod users;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Flags, Log, LogFormat};
use crate::import;

pub(crate) use duration::duration;

/// What a command reports when it fails; told to the user with its causes.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The status of a command that failed.
const FAILED: u8 = 1;
/// The statuses of commands whose 1 says what they found: nothing was begun,
pub(crate) const NOT_BEGUN: u8 = 2;
/// it was stopped before the end,
pub(crate) const STOPPED: u8 = 3;
/// or interrupted by SIGINT or SIGTERM.
pub(crate) const INTERRUPTED: u8 = 130;

/// A multi-tenant, event-sourced, double-entry ledger.
#[derive(Debug, Parser)]
#[command(
    name = "counterfoil",
    version,
    about,
    after_help = "Examples:
  counterfoil up --demo                     everything on this machine, with some traffic to look at
  counterfoil token --tenant demo --role admin
  counterfoil serve --database-url postgres://... --nats-url nats://...
  counterfoil config > counterfoil.toml     every setting, with its default and what it means"
)]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Arguments),
    Serve(serve::Arguments),
    Migrate(migrate::Arguments),
    Token(token::Arguments),
    Servers(servers::Arguments),
    Config(config::Arguments),
    #[command(subcommand)]
    Journal(journal::Arguments),
    #[command(subcommand)]
    Projections(projections::Arguments),
    #[command(subcommand)]
    Keys(keys::Arguments),
    #[command(subcommand)]
    Admin(admin::Arguments),
    #[command(subcommand)]
    Users(users::Arguments),
    Openapi(openapi::Arguments),
    #[command(subcommand)]
    Prices(prices::Arguments),
    #[command(subcommand)]
    Policies(policies::Arguments),
    /// Import usage that was recorded elsewhere
    #[command(subcommand)]
    Import(import::Import),
}

impl Command {
    /// The status where nothing was begun.
    const fn not_begun(&self) -> u8 {
        match self {
            Self::Journal(_) | Self::Import(_) => NOT_BEGUN,
            _ => FAILED,
        }
    }
}

/// Options of every command; the last layer of the configuration.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Settings")]
struct Settings {
    /// Configuration file; without it ./counterfoil.toml, if it is there
    #[arg(long, global = true, env = "COUNTERFOIL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the private servers and the signing key live
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address and port of the HTTP API
    #[arg(long, global = true, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Use this PostgreSQL
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// Use this nats-server
    #[arg(long, global = true, value_name = "URL")]
    nats_url: Option<String>,
    /// Form of the log
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

impl From<Settings> for Flags {
    fn from(given: Settings) -> Self {
        Self {
            config: given.config,
            listen: given.listen,
            data_dir: given.data_dir,
            database_url: given.database_url,
            nats_url: given.nats_url,
            log_format: given.log_format,
        }
    }
}

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let Arguments { settings, command } = Arguments::parse();
    let not_begun = command.not_begun();
    let config = match Config::load(&settings.into()) {
        Ok(config) => config,
        Err(error) => return fail(&error, not_begun),
    };
    if let Err(error) = log(&config.log) {
        return fail(error.as_ref(), not_begun);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, not_begun),
    };
    let result = runtime.block_on(run(command, config));
    // A hard end does not wait for what still runs.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| fail(error.as_ref(), FAILED))
}

async fn run(command: Command, config: Config) -> Result<ExitCode, Failure> {
    match command {
        Command::Up(arguments) => up::run(arguments, config).await,
        Command::Serve(arguments) => serve::run(arguments, config).await,
        Command::Migrate(arguments) => migrate::run(arguments, config).await,
        Command::Token(arguments) => token::run(&arguments, &config),
        Command::Servers(arguments) => servers::run(arguments, config).await,
        Command::Config(arguments) => config::run(&arguments),
        Command::Journal(arguments) => journal::run(arguments, config).await,
        Command::Projections(arguments) => projections::run(arguments, config).await,
        Command::Keys(arguments) => keys::run(arguments, config).await,
        Command::Admin(arguments) => admin::run(arguments, config).await,
        Command::Users(arguments) => users::run(arguments, config).await,
        Command::Openapi(arguments) => openapi::run(&arguments),
        Command::Prices(arguments) => prices::run(arguments).await,
        Command::Policies(arguments) => policies::run(arguments).await,
        Command::Import(arguments) => Ok(import::run(arguments).await),
    }
}

/// Logs to standard error, so that standard output is what a command was asked for.
fn log(settings: &Log) -> Result<(), Failure> {
    let json = match settings.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let filter = tracing_subscriber::EnvFilter::builder().parse(&settings.filter)?;
    let logger = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json { logger.json().try_init() } else { logger.with_ansi(std::io::stderr().is_terminal()).try_init() }
}

/// Writes one line of output.
pub(crate) fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Says what went wrong, with its causes.
fn fail(error: &(dyn Error + 'static), status: u8) -> ExitCode {
    let mut text = format!("error: {error}\n");
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some errors repeat their cause in their own text.
        if !text.contains(&said) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  because: {said}");
        }
        cause = error.source();
    }
    // If standard error is closed there is nobody to tell.
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(status)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        let command = Arguments::command();
        assert_eq!(command.get_name(), "counterfoil");
        command.debug_assert();
    }
}
