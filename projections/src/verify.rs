//! Proves the journal and the read models: folds every event again and compares.
//!
//! One pass per partition, with the states of its tenants and wallets in memory, and transactions a batch at a
//! time. Each read model is compared at its own checkpoint, in one snapshot of the database, so the ledger may be
//! written to meanwhile. A rebuild cannot swap tables while a partition is being verified.

mod calls;
mod dated;
mod executions;
mod fold;
mod metering;
mod movement;
mod people;
mod programs;
mod streams;
mod transactions;
mod usage;
mod views;

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use domain::Partition;
use journal::Journal;
use sqlx::{PgPool, Postgres, Transaction};

use self::fold::Fold;
use crate::decoded::decode_all;
use crate::{Kind, models};

/// Events that are read at a time.
const BATCH: i64 = 2000;

/// What was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// Partitions.
    pub partitions: i64,
    /// Events folded.
    pub events: i64,
    /// Tenants in the read model.
    pub tenants: i64,
    /// Wallets in the read model.
    pub wallets: i64,
    /// Transactions in the read model.
    pub transactions: i64,
    /// Users in the read model.
    pub users: i64,
    /// Applications in the read model.
    pub applications: i64,
    /// Catalogues in the read model.
    pub catalogues: i64,
    /// Allowances in the read model.
    pub allowances: i64,
    /// Executions in the read model.
    pub executions: i64,
    /// Snapshots compared.
    pub snapshots: i64,
}

/// How far the verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Events folded.
    pub done: i64,
    /// Events in the journal.
    pub total: i64,
}

/// Something is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: expected {expected}, found {found}")]
pub struct Difference {
    /// Where: `p3:1841`, or a row of a read model.
    pub place: String,
    /// What the rules, or the fold of the journal, say.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// Why a verification did not come to a good end.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The first difference.
    #[error(transparent)]
    Difference(#[from] Difference),
    /// The database failed or could not be reached.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The difference between what must be and what is, if there is one.
fn same<T: PartialEq + std::fmt::Debug>(
    place: impl FnOnce() -> String,
    expected: &T,
    found: &T,
) -> Result<(), Difference> {
    if expected == found {
        return Ok(());
    }
    Err(Difference { place: place(), expected: format!("{expected:?}"), found: format!("{found:?}") })
}

/// Verifies everything. `pool` acts as [`journal::Role::Writer`], so that it sees all tenants, and finds the read
/// models through its search path; `observer` hears how far it is after each batch.
///
/// # Errors
/// [`VerifyError`] with the first difference.
pub async fn verify(
    pool: &PgPool,
    journal: &Journal,
    mut observer: impl FnMut(VerifyProgress),
) -> Result<VerifyReport, VerifyError> {
    let mut report = VerifyReport::default();
    let total = journal.heads().await?.iter().map(|head| head.position).sum();
    for partition in journal.partitions() {
        let tables = Kind::ALL.map(|kind| kind.tables().join(", ")).join(", ");
        let begin = format!(
            "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ; LOCK TABLE {tables} IN ACCESS SHARE MODE"
        );
        let tx = journal::begin(pool, Cow::Owned(begin)).await?;
        let pass = Pass { partition, journal, tx };
        pass.run(&mut report, &mut |done| observer(VerifyProgress { done, total: done.max(total) })).await?;
    }
    Ok(report)
}

/// The verification of one partition.
struct Pass<'a> {
    partition: Partition,
    journal: &'a Journal,
    tx: Transaction<'static, Postgres>,
}

impl Pass<'_> {
    async fn run(
        mut self,
        report: &mut VerifyReport,
        observer: &mut impl FnMut(i64),
    ) -> Result<(), VerifyError> {
        let partition = self.partition;
        let (head, recorded_at) = self.head().await?;
        let reached = self.reached(head).await?;
        let at = |kind| reached.iter().find(|(of, _)| *of == kind).map_or(0, |(_, position)| *position);
        let (transactions, executions) = (at(Kind::Transactions), at(Kind::Executions));

        let snapshots = views::snapshots(&mut self.tx, partition).await?;
        report.snapshots += i64::try_from(snapshots.len()).unwrap_or(i64::MAX);
        let mut fold = Fold::new(partition, snapshots);
        let (mut made, mut called) = (0, 0);
        loop {
            let here = fold.position;
            for (kind, _) in reached.iter().filter(|(_, position)| *position == here) {
                self.compare(*kind, &mut fold, report).await?;
            }
            if fold.position == head {
                break;
            }
            // Never past a position at which something is compared.
            let stops = reached.iter().map(|(_, position)| *position).chain([head]);
            let limit = stops.filter(|stop| *stop > fold.position).min();
            let limit = limit.map_or(BATCH, |stop| (stop - fold.position).min(BATCH));
            let batch = decode_all(self.journal.read(partition, fold.position, limit).await?);
            if batch.is_empty() {
                let place = format!("p{partition}:{}", fold.position + 1);
                let (expected, found) = ("an event".to_owned(), "none".to_owned());
                return Err(Difference { place, expected, found }.into());
            }
            for event in &batch {
                fold.apply(event)?;
            }
            made += transactions::check(&mut self.tx, partition, &batch, transactions).await?;
            called += executions::check(&mut self.tx, partition, &batch, executions).await?;
            report.events += i64::try_from(batch.len()).unwrap_or(i64::MAX);
            observer(report.events);
        }
        same(|| format!("the head of partition {partition}"), &fold.recorded_at, &recorded_at)?;
        fold.finish()?;
        transactions::none_more(&mut self.tx, partition, made).await?;
        executions::none_more(&mut self.tx, partition, called).await?;
        report.transactions += made;
        report.executions += called;
        report.partitions += 1;
        self.tx.commit().await?;
        Ok(())
    }

    /// Where each read model is.
    async fn reached(&mut self, head: i64) -> Result<Vec<(Kind, i64)>, VerifyError> {
        let mut reached = Vec::with_capacity(Kind::ALL.len());
        for kind in Kind::ALL {
            reached.push((kind, self.checkpoint(kind, head).await?));
        }
        Ok(reached)
    }

    /// Compares a read model with the fold, which is as far as it.
    async fn compare(
        &mut self,
        kind: Kind,
        fold: &mut Fold,
        report: &mut VerifyReport,
    ) -> Result<(), VerifyError> {
        let tx = &mut *self.tx;
        match kind {
            Kind::Tenants => {
                report.tenants += views::tenants(&mut *tx, fold).await?;
                people::members(&mut *tx, fold).await?;
                people::invitations(tx, fold).await?;
            }
            Kind::Balances => report.wallets += views::wallets(tx, fold).await?,
            Kind::Users => report.users += people::users(tx, fold).await?,
            Kind::Applications => {
                report.applications += programs::applications(&mut *tx, fold).await?;
                programs::keys(tx, fold).await?;
            }
            Kind::Catalogues => report.catalogues += metering::catalogues(tx, fold).await?,
            Kind::Allowances => report.allowances += metering::allowances(tx, fold).await?,
            Kind::Executions => {
                // Read models are at the ends of commands.
                fold.end_command()?;
                usage::usage(tx, fold).await?;
            }
            // The rows of transactions and executions are compared batch by batch, and snapshots as they are met.
            Kind::Transactions | Kind::Snapshots => {}
        }
        Ok(())
    }

    /// The position of the last event, and when it was recorded.
    async fn head(&mut self) -> Result<(i64, Option<DateTime<Utc>>), sqlx::Error> {
        let row = sqlx::query!(
            r#"SELECT position, nullif(recorded_at, '-infinity') AS "recorded_at?"
               FROM journal.heads WHERE partition = $1"#,
            self.partition.0
        )
        .fetch_one(&mut *self.tx)
        .await?;
        Ok((row.position, row.recorded_at))
    }

    /// Where a read model is: not ahead of the journal.
    async fn checkpoint(&mut self, kind: Kind, head: i64) -> Result<i64, VerifyError> {
        let position = models::checkpoint(&mut self.tx, kind, self.partition).await?;
        if position > head {
            let place = format!("the checkpoint of {} in partition {}", kind.name(), self.partition);
            let expected = format!("at most {head}");
            return Err(Difference { place, expected, found: position.to_string() }.into());
        }
        Ok(position)
    }
}
