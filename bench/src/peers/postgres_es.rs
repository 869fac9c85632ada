//! postgres-es: a transfer is two commands on two account aggregates, first the debit and then the credit, each with
//! an event of its own in the documentation's `events` table. Two events where we write three, no idempotency key, no
//! projection (it is given no queries), and no atomicity: what fails between the two commands leaves money nowhere.
//!
//! Two commands on one account at the same time conflict; the loser loads the account again and decides again, as
//! often as it takes. Attempts are counted.
//!
//! Two stores of its documentation are measured:
//! - the **event store** (`postgres_cqrs`) loads all events of an account for every command, so it slows down with
//!   the length of the stream. Each case therefore has accounts of its own that begin empty, and the longest stream
//!   is noted.
//! - the **snapshot store** (`postgres_snapshot_cqrs`) with a snapshot every hundred events. In 0.5 it applies the
//!   events of a command twice when it makes a snapshot: once as they are written to the sink, once as they are
//!   committed. The account below therefore lets the sink apply them to a copy, which makes its snapshots right.

mod account;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cqrs_es::AggregateError;
use postgres_es::{PostgresCqrs, postgres_cqrs, postgres_snapshot_cqrs};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use self::account::{Account, Command};
use super::{CONNECTIONS, callers, pair};
use crate::measure::{Case, Failure, closed_loop, real};
use crate::report::Report;
use crate::world::World;

/// The table of events and that of snapshots, as in the crate's `db/init.sql`.
const SCHEMA: &str = "
    CREATE TABLE events (
        aggregate_type text                         NOT NULL,
        aggregate_id   text                         NOT NULL,
        sequence       bigint CHECK (sequence >= 0) NOT NULL,
        event_type     text                         NOT NULL,
        event_version  text                         NOT NULL,
        payload        json                         NOT NULL,
        metadata       json                         NOT NULL,
        PRIMARY KEY (aggregate_type, aggregate_id, sequence)
    );
    CREATE TABLE snapshots (
        aggregate_type   text                                 NOT NULL,
        aggregate_id     text                                 NOT NULL,
        last_sequence    bigint CHECK (last_sequence >= 0)    NOT NULL,
        current_snapshot bigint CHECK (current_snapshot >= 0) NOT NULL,
        payload          json                                 NOT NULL,
        PRIMARY KEY (aggregate_type, aggregate_id, last_sequence)
    );";
/// Events between two snapshots.
const SNAPSHOT: usize = 100;
/// A transfer moves 1.00, in minor units.
const AMOUNT: i64 = 100;

/// One round.
///
/// # Errors
/// What the database says, or that the peer did not do its work.
pub async fn round(world: &World, number: usize, report: &mut Report) -> Result<(), Failure> {
    let database = world.empty_database(&format!("postgres_es_{number}")).await?;
    let pool =
        PgPoolOptions::new().max_connections(CONNECTIONS).connect_with(database.options.clone()).await?;
    sqlx::raw_sql(SCHEMA).execute(&pool).await?;
    for &callers in callers(world.extent) {
        for hot in [false, true] {
            for snapshots in [false, true] {
                let bank = Bank::open(&pool, &format!("{callers}-{hot}-{snapshots}"), hot, snapshots);
                bank.measure(world, callers, snapshots, report).await?;
            }
        }
    }
    pool.close().await;
    world.discard(database).await
}

/// The accounts of one case.
#[derive(Clone)]
struct Bank {
    cqrs: Arc<PostgresCqrs<Account>>,
    pool: PgPool,
    /// Begins the ids of the accounts.
    prefix: String,
    hot: bool,
    transfers: Arc<AtomicU64>,
    attempts: Arc<AtomicU64>,
}

impl Bank {
    fn open(pool: &PgPool, prefix: &str, hot: bool, snapshots: bool) -> Self {
        let cqrs = if snapshots {
            postgres_snapshot_cqrs(pool.clone(), vec![], SNAPSHOT, ())
        } else {
            postgres_cqrs(pool.clone(), vec![], ())
        };
        Self {
            cqrs: Arc::new(cqrs),
            pool: pool.clone(),
            prefix: prefix.to_owned(),
            hot,
            transfers: Arc::default(),
            attempts: Arc::default(),
        }
    }

    async fn measure(
        &self,
        world: &World,
        callers: usize,
        snapshots: bool,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let wallets = if self.hot { "one hot wallet" } else { "1,000 wallets" };
        let store = if snapshots { ", snapshots" } else { "" };
        let case = Case::new("postgres-es", format!("transfers, {wallets}{store}"), callers);
        let bank = self.clone();
        let sample = closed_loop(case.clone(), "transfers", world.spans(), move |caller, turn| {
            let bank = bank.clone();
            async move { bank.transfer(caller, turn).await }
        });
        report.add(sample.await?);
        let (attempts, longest) = self.verify().await?;
        let fact = |what: &str| Case::new(case.part, format!("{}: {what}", case.name), callers);
        report.fact(fact("attempts per command"), "attempts", attempts);
        report.fact(fact("longest stream"), "events", longest);
        Ok(())
    }

    async fn transfer(&self, caller: usize, turn: u64) -> Result<u64, Failure> {
        let (from, to) = pair(caller, turn, self.hot);
        self.execute(from, Command::Debit(AMOUNT)).await?;
        self.execute(to, Command::Credit(AMOUNT)).await?;
        self.transfers.fetch_add(1, Ordering::Relaxed);
        Ok(1)
    }

    /// As often as others get in between.
    async fn execute(&self, account: u64, command: Command) -> Result<(), Failure> {
        let id = format!("{}-{account}", self.prefix);
        loop {
            self.attempts.fetch_add(1, Ordering::Relaxed);
            match self.cqrs.execute(&id, command).await {
                Ok(()) => return Ok(()),
                Err(AggregateError::AggregateConflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Fails unless there is a debit and a credit for each transfer and the balances in the last events are what
    /// the events come to. Returns the attempts for each command, and the length of the longest stream.
    async fn verify(&self) -> Result<(f64, f64), Failure> {
        let transfers = i64::try_from(self.transfers.load(Ordering::Relaxed))?;
        let (debits, credits, longest, wrong): (i64, i64, i64, i64) = sqlx::query_as(
            "WITH own AS (
                SELECT *, coalesce(payload->'Debited'->>'balance', payload->'Credited'->>'balance')::bigint AS balance
                FROM events WHERE aggregate_type = 'account' AND starts_with(aggregate_id, $1 || '-')
             ), folded AS (
                SELECT sum(CASE event_type WHEN 'Debited' THEN -1 ELSE 1 END) AS moved, max(sequence) AS length,
                    (array_agg(balance ORDER BY sequence DESC))[1] AS balance
                FROM own GROUP BY aggregate_id
             )
             SELECT (SELECT count(*) FROM own WHERE event_type = 'Debited'),
                (SELECT count(*) FROM own WHERE event_type = 'Credited'),
                (SELECT coalesce(max(length), 0) FROM folded),
                (SELECT count(*) FROM folded WHERE balance <> moved * $2)",
        )
        .bind(&self.prefix)
        .bind(AMOUNT)
        .fetch_one(&self.pool)
        .await?;
        if (debits, credits, wrong) != (transfers, transfers, 0) {
            let found = format!("{debits} debits, {credits} credits and {wrong} wrong balances");
            return Err(format!("postgres-es: {transfers} transfers, but {found}").into());
        }
        let attempts =
            real(self.attempts.load(Ordering::Relaxed)) / real(2 * self.transfers.load(Ordering::Relaxed));
        Ok((attempts, real(u64::try_from(longest)?)))
    }
}
