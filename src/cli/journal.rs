//! `counterfoil journal`: for the auditor.

use std::process::ExitCode;
use std::str::FromStr as _;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use journal::{Journal, Role};
use projections::VerifyError;
use sqlx::postgres::PgConnectOptions;

use super::reach::{Needs, Reached};
use super::{Failure, say};
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::serve;

/// Look into the journal
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Fold the whole journal again and compare it with every read model and the trial balance
    ///
    /// Ends with status 1 at the first difference, and says where it is. May run beside a running ledger.
    #[command(after_help = "Examples:
  counterfoil journal verify --data-dir ./.counterfoil
  counterfoil journal verify --database-url postgres://ledger@db/ledger")]
    Verify,
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: Config) -> Result<ExitCode, Failure> {
    let Arguments::Verify = arguments;
    let lifecycle = Lifecycle::watch_signals()?;
    let reached = Reached::beside(Needs { postgres: true, nats: false }, &config, &lifecycle).await?;
    let result = tokio::select! {
        result = verify(&config, &reached) => result,
        () = lifecycle.soft().cancelled() => Err("interrupted".into()),
    };
    reached.close(&lifecycle).await;
    result
}

async fn verify(config: &Config, reached: &Reached) -> Result<ExitCode, Failure> {
    let pool = writer(config, reached).await?;
    let journal = Journal::open(pool.clone()).await?;
    let bar = bar("events");
    let result = projections::verify(&pool, &journal, |at| {
        bar.set_length(at.total.unsigned_abs());
        bar.set_position(at.done.unsigned_abs());
    })
    .await;
    bar.finish_and_clear();
    match result {
        Ok(report) => {
            say(&format!(
                "verified: {} events in {} partitions, {} tenants, {} wallets, {} transactions, {} users, {} applications, \
                 {} catalogues, {} allowances, {} executions, {} snapshots; every read model equals the journal, and every trial balance is zero",
                report.events,
                report.partitions,
                report.tenants,
                report.wallets,
                report.transactions,
                report.users,
                report.applications,
                report.catalogues,
                report.allowances,
                report.executions,
                report.snapshots
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(VerifyError::Difference(difference)) => {
            say(&format!("NOT verified: {difference}"))?;
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.into()),
    }
}

/// A pool that sees all tenants, on a migrated database.
pub(super) async fn writer(config: &Config, reached: &Reached) -> Result<sqlx::PgPool, Failure> {
    serve::migrate(config, &reached.addresses).await?;
    Ok(journal::connect(database(reached)?, Role::Writer, "views", 4).await?)
}

/// Where the database is.
pub(super) fn database(reached: &Reached) -> Result<PgConnectOptions, Failure> {
    let url = reached.addresses.database_url.as_deref().ok_or("the address of the database is not known")?;
    Ok(PgConnectOptions::from_str(url)?)
}

/// A progress bar with an estimate; nothing where nobody watches.
pub(super) fn bar(unit: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    let form = format!("{{bar:40}} {{human_pos}} of {{human_len}} {unit}, {{per_sec}}, {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&form) {
        bar.set_style(style);
    }
    bar
}
