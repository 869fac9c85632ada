//! `counterfoil projections`: the read models.

use std::process::ExitCode;

use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use journal::Journal;
use projections::{Kind, ProjectionStatus, State};

use super::journal::{bar, writer};
use super::reach::{Needs, Reached};
use super::{Failure, say};
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::serve;

/// Look at the read models, or rebuild one
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Show how far each read model is in each partition
    Status,
    /// Build a read model anew from the journal beside the served one, prove it, and swap the two
    ///
    /// Readers notice nothing. May be interrupted at any time.
    #[command(after_help = "Examples:
  counterfoil projections rebuild balances --data-dir ./.counterfoil")]
    Rebuild {
        /// Which one
        #[arg(value_parser = kind())]
        name: Kind,
    },
}

/// The names of the read models, which the help lists.
fn kind() -> impl TypedValueParser<Value = Kind> {
    let known = |name: String| Kind::named(&name).ok_or("there is no such read model");
    PossibleValuesParser::new(Kind::ALL.map(Kind::name)).try_map(known)
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: Config) -> Result<ExitCode, Failure> {
    let lifecycle = Lifecycle::watch_signals()?;
    let reached = Reached::ledger(Needs { postgres: true, nats: false }, &config, &lifecycle).await?;
    let work = async {
        match arguments {
            Arguments::Status => status(&config, &reached).await,
            Arguments::Rebuild { name } => rebuild(name, &config, &reached).await,
        }
    };
    let result = tokio::select! {
        result = work => result,
        () = lifecycle.soft().cancelled() => Err("interrupted; the read model is served as it was".into()),
    };
    reached.close(&lifecycle).await;
    result.map(|()| ExitCode::SUCCESS)
}

async fn status(config: &Config, reached: &Reached) -> Result<(), Failure> {
    let pool = writer(config, reached).await?;
    let journal = Journal::open(pool.clone()).await?;
    say(&format!("{:<14}{:>9}{:>14}{:>14}{:>10}", "projection", "partition", "position", "head", "behind"))?;
    for ProjectionStatus { projection, partition, position, head, lag, state } in
        projections::status(&pool, &journal, None).await?
    {
        let note = match state {
            State::Stopped { at, reason } => format!("  stopped at {at}: {reason}"),
            State::Running | State::Elsewhere => String::new(),
        };
        let name = projection.name();
        say(&format!("{name:<14}{:>9}{position:>14}{head:>14}{lag:>10}{note}", partition.0))?;
    }
    Ok(())
}

async fn rebuild(kind: Kind, config: &Config, reached: &Reached) -> Result<(), Failure> {
    let journal = Journal::open(writer(config, reached).await?).await?;
    let bar = bar("events");
    let result = projections::rebuild(kind, serve::database(&reached.addresses)?, &journal, |at| {
        bar.set_length(at.total.unsigned_abs());
        bar.set_position(at.done.unsigned_abs());
    })
    .await;
    bar.finish_and_clear();
    let report = result?;
    let rows: Vec<String> = report.rows.iter().map(|(table, rows)| format!("{rows} {table}")).collect();
    say(&format!("rebuilt {} from {} events: {}", kind.name(), report.events, rows.join(", ")))?;
    if report.differences.is_empty() {
        say("it equals the one that was served until now")?;
    }
    for difference in &report.differences {
        say(&format!("the one that was served until now differed: {difference}"))?;
    }
    Ok(())
}
