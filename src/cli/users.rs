//! `counterfoil users`: people of other systems.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use api::{Email, NewPerson, People};
use clap::Subcommand;
use identity::password::PasswordHash;
use serde::Deserialize;

use super::journal::bar;
use super::reach::{Needs, Reached, expect_master_key};
use super::{Failure, INTERRUPTED, say};
use crate::config::Config;
use crate::import::columns;
use crate::lifecycle::Lifecycle;
use crate::serve::{self, Ledger};

/// Take over users
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Import users with the hashes of their passwords, bcrypt or Argon2
    ///
    /// The file is CSV with the columns email, name and `password_hash`. The addresses count as verified. A user whose
    /// address has an account already stays as it is, so the import can be repeated. A bcrypt hash is replaced by an
    /// Argon2id one at the user's next sign-in.
    #[command(after_help = "Examples:
  counterfoil users import users.csv
  counterfoil users import users.csv --database-url postgres://... --nats-url nats://...")]
    Import {
        /// The CSV file
        file: PathBuf,
    },
}

/// The columns of the file, each of them needed.
const COLUMNS: [&str; 3] = ["email", "name", "password_hash"];

/// A line of the file.
#[derive(Debug, Deserialize)]
struct Line {
    email: String,
    name: String,
    password_hash: String,
}

/// A line with its number, or what is wrong with it.
type Numbered = (u64, Result<Line, String>);

/// What became of the lines.
#[derive(Debug, Default)]
struct Tally {
    imported: u64,
    known: u64,
    refused: Vec<String>,
    /// The line before which it was interrupted.
    interrupted: Option<u64>,
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: Config) -> Result<ExitCode, Failure> {
    let Arguments::Import { file } = arguments;
    let lines = read(&file)?;
    let lifecycle = Lifecycle::watch_signals()?;
    let reached = Reached::ledger(Needs { postgres: true, nats: true }, &config, &lifecycle).await?;
    let result = import(lines, &config, &reached, &lifecycle).await;
    reached.close(&lifecycle).await;
    let tally = result?;
    for reason in &tally.refused {
        say(reason)?;
    }
    let Tally { imported, known, refused, interrupted } = &tally;
    say(&format!("{imported} imported, {known} known already, {} refused", refused.len()))?;
    if let Some(line) = interrupted {
        say(&format!("Interrupted before line {line}. Run the same command again to continue."))?;
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All lines with their numbers, each read or not.
fn read(file: &Path) -> Result<Vec<Numbered>, Failure> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|error| format!("cannot read {name}: {error}"))?;
    let text = text.trim_start_matches('\u{feff}');
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| format!("{name}: {error}"))?.clone();
    columns::check(&header, &COLUMNS, COLUMNS.len()).map_err(|(column, reason)| {
        let column = column.map(|column| format!(", column `{column}`")).unwrap_or_default();
        format!("{name}, line 1{column}: {reason}")
    })?;
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| format!("{name}: {error}"))?;
        // Spreadsheets leave lines of commas behind.
        if record.iter().all(str::is_empty) {
            continue;
        }
        let number = record.position().map_or(0, |position| columns::line(text, position));
        let line = if record.len() == header.len() {
            record.deserialize(Some(&header)).map_err(|error| error.to_string())
        } else {
            Err(format!("it has {} fields, and the header names {}", record.len(), header.len()))
        };
        lines.push((number, line));
    }
    if lines.is_empty() {
        return Err(format!("{name}: there is no user in it").into());
    }
    Ok(lines)
}

async fn import(
    lines: Vec<Numbered>,
    config: &Config,
    reached: &Reached,
    lifecycle: &Lifecycle,
) -> Result<Tally, Failure> {
    expect_master_key(config)?;
    serve::migrate(config, &reached.addresses).await?;
    let ledger = Ledger::start(config, &reached.addresses).await?;
    let bar = bar("users");
    bar.set_length(u64::try_from(lines.len()).unwrap_or(u64::MAX));
    let mut tally = Tally::default();
    for (number, line) in lines {
        if lifecycle.soft().is_cancelled() {
            tally.interrupted = Some(number);
            break;
        }
        match one(ledger.people(), line).await {
            Ok(true) => tally.imported += 1,
            Ok(false) => tally.known += 1,
            Err(reason) => tally.refused.push(format!("line {number}: {reason}")),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    ledger.stop().await;
    Ok(tally)
}

async fn one(people: &People, line: Result<Line, String>) -> Result<bool, String> {
    let Line { email, name, password_hash } = line?;
    let email = Email::new(&email)?;
    let name = domain::Label::new(&name).map_err(|error| error.to_string())?;
    let hash = PasswordHash::parse(&password_hash).map_err(|error| error.to_string())?;
    let person = NewPerson { email: &email, name: name.as_str(), locale: None };
    people.import(&person, &hash).await.map_err(|problem| problem.to_string())
}
