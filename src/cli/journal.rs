//! `counterfoil journal`: for the auditor.

use std::process::ExitCode;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use journal::{Journal, Role};
use projections::{Difference, VerifyError, VerifyReport};

use super::reach::{Needs, Reached};
use super::{Failure, INTERRUPTED, NOT_BEGUN, STOPPED, fail, say};
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::serve;

/// Look into the journal
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Fold the whole journal again and compare it with every read model and the trial balance
    ///
    /// May run beside a running ledger. The status is 0 where everything is equal; 1 at the first difference, which is
    /// told; 2 where nothing was begun, because there is no ledger or no answer; 3 where the database failed on the way;
    /// and 130 where it was interrupted.
    #[command(after_help = "Examples:
  counterfoil journal verify --data-dir ./.counterfoil
  counterfoil journal verify --database-url postgres://ledger@db/ledger")]
    Verify,
}

/// How a verification ended.
enum End {
    Verified(VerifyReport),
    Differs(Difference),
    /// Before the first event was looked at.
    NotBegun(Failure),
    /// Before the last one.
    Stopped(Failure),
    Interrupted,
}

/// Runs the command. Nothing but a difference has the status of one.
pub async fn run(arguments: Arguments, config: Config) -> Result<ExitCode, Failure> {
    let Arguments::Verify = arguments;
    let end = match Lifecycle::watch_signals() {
        Ok(lifecycle) => reach_and_verify(&config, &lifecycle).await,
        Err(error) => End::NotBegun(error.into()),
    };
    // The status tells the outcome even where nobody reads the words.
    Ok(match end {
        End::Verified(report) => {
            let _ = say(&summary(&report));
            ExitCode::SUCCESS
        }
        End::Differs(difference) => {
            let _ = say(&format!("NOT verified: {difference}"));
            ExitCode::FAILURE
        }
        End::NotBegun(error) => fail(error.as_ref(), NOT_BEGUN),
        End::Stopped(error) => fail(error.as_ref(), STOPPED),
        End::Interrupted => fail(Failure::from("interrupted; nothing is known").as_ref(), INTERRUPTED),
    })
}

async fn reach_and_verify(config: &Config, lifecycle: &Lifecycle) -> End {
    let needs = Needs { postgres: true, nats: false };
    let reached = match Reached::ledger(needs, config, lifecycle).await {
        Ok(reached) => reached,
        Err(_) if lifecycle.soft().is_cancelled() => return End::Interrupted,
        Err(error) => return End::NotBegun(error),
    };
    let end = tokio::select! {
        end = verify(config, &reached) => end,
        () = lifecycle.soft().cancelled() => End::Interrupted,
    };
    reached.close(lifecycle).await;
    end
}

async fn verify(config: &Config, reached: &Reached) -> End {
    let pool = match writer(config, reached).await {
        Ok(pool) => pool,
        Err(error) => return End::NotBegun(error),
    };
    let journal = match Journal::open(pool.clone()).await {
        Ok(journal) => journal,
        Err(error) => return End::NotBegun(error.into()),
    };
    let bar = bar("events");
    let result = projections::verify(&pool, &journal, |at| {
        bar.set_length(at.total.unsigned_abs());
        bar.set_position(at.done.unsigned_abs());
    })
    .await;
    bar.finish_and_clear();
    match result {
        Ok(report) => End::Verified(report),
        Err(VerifyError::Difference(difference)) => End::Differs(difference),
        Err(VerifyError::Database(error)) => End::Stopped(error.into()),
    }
}

fn summary(report: &VerifyReport) -> String {
    format!(
        "verified: {} events in {} partitions, {} tenants, {} wallets, {} transactions, {} users, {} applications, \
         {} catalogues, {} allowances, {} executions, {} snapshots; every read model equals the journal, and every \
         trial balance is zero",
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
    )
}

/// A pool that sees all tenants, on a migrated database.
pub(super) async fn writer(config: &Config, reached: &Reached) -> Result<sqlx::PgPool, Failure> {
    serve::migrate(config, &reached.addresses).await?;
    Ok(journal::connect(serve::database(&reached.addresses)?, Role::Writer, "views", 4).await?)
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
