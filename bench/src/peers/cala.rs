//! cala-ledger: a transfer is one transaction of a template with two entries, a debit and a credit, on the settled
//! layer, as in the crate's documentation, posted one by one (`post_transaction`) and by its own batch call
//! (`post_transactions`).
//!
//! It is set up as its documentation says: a pool given by the caller, its own migrations, jobs given to it. The jobs
//! are not polled: all they would do is sum up account sets of eventual consistency, of which there are none. There
//! are no velocity limits and no effective balances, so a posting takes its six round trips and no more. Its outbox is
//! part of a posting and cannot be switched off. Postings that fail for a passing reason are repeated and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cala_ledger::account::NewAccount;
use cala_ledger::job::{JobSvcConfig, Jobs};
use cala_ledger::journal::NewJournal;
use cala_ledger::posting::PostingInput;
use cala_ledger::tx_template::{
    NewParamDefinition, NewTxTemplate, NewTxTemplateEntry, NewTxTemplateTransaction, ParamDataType, Params,
};
use cala_ledger::{AccountId, CalaLedger, CalaLedgerConfig, JournalId, TransactionId, TxTemplateId};
use rust_decimal::Decimal;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use super::{ACCOUNTS, CONNECTIONS, callers, pair};
use crate::measure::{Case, Failure, closed_loop, real};
use crate::report::Report;
use crate::world::{Extent, World};

/// The template's name.
const TEMPLATE: &str = "TRANSFER";

/// One round.
///
/// # Errors
/// What the database says, or that the peer did not do its work.
pub async fn round(world: &World, number: usize, report: &mut Report) -> Result<(), Failure> {
    let database = world.empty_database(&format!("cala_{number}")).await?;
    let pool =
        PgPoolOptions::new().max_connections(CONNECTIONS).connect_with(database.options.clone()).await?;
    let bank = Bank::open(&pool).await?;
    for &callers in callers(world.extent) {
        for hot in [false, true] {
            let wallets = if hot { "one hot wallet" } else { "1,000 wallets" };
            bank.measure(world, format!("transfers, {wallets}"), callers, (1, hot), report).await?;
        }
    }
    let callers: &[usize] = if world.extent == Extent::Quick { &[4] } else { &[1, 4, 16] };
    for &callers in callers {
        for (size, name) in [(100, "batches of 100"), (1_000, "batches of 1,000")] {
            bank.measure(world, name.to_owned(), callers, (size, false), report).await?;
        }
    }
    pool.close().await;
    world.discard(database).await
}

/// A ledger with accounts.
#[derive(Clone)]
struct Bank {
    ledger: CalaLedger,
    /// Kept, as the ledger's rollup is registered with them.
    _jobs: Arc<Jobs>,
    accounts: Arc<[AccountId]>,
    transfers: Arc<AtomicU64>,
    attempts: Arc<AtomicU64>,
}

impl Bank {
    async fn open(pool: &PgPool) -> Result<Self, Failure> {
        // The migrations of the ledger bring the tables of the jobs too.
        let config = JobSvcConfig::builder().pool(pool.clone()).exec_migrations(false);
        let mut jobs = Jobs::init(config.build().map_err(said)?).await.map_err(said)?;
        let config = CalaLedgerConfig::builder().pool(pool.clone()).exec_migrations(true);
        let ledger = CalaLedger::init(config.build().map_err(said)?, &mut jobs).await.map_err(said)?;
        let journal = JournalId::new();
        let new = NewJournal::builder().id(journal).name("Ledger").build();
        ledger.journals().create(new).await.map_err(said)?;
        ledger.tx_templates().create(template(journal)?).await.map_err(said)?;
        let mut accounts = Vec::new();
        for number in 0..ACCOUNTS {
            let id = AccountId::new();
            let path = format!("customers:{number}");
            let new = NewAccount::builder().id(id).name(path.clone()).code(path).build();
            ledger.accounts().create(new).await.map_err(said)?;
            accounts.push(id);
        }
        Ok(Self {
            ledger,
            _jobs: Arc::new(jobs),
            accounts: accounts.into(),
            transfers: Arc::default(),
            attempts: Arc::default(),
        })
    }

    async fn measure(
        &self,
        world: &World,
        name: String,
        callers: usize,
        (size, hot): (u64, bool),
        report: &mut Report,
    ) -> Result<(), Failure> {
        let case = Case::new("cala-ledger", name, callers);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (made, tried) = (count(&self.transfers), count(&self.attempts));
        let bank = self.clone();
        let sample = closed_loop(case.clone(), "transfers", world.spans(), move |caller, turn| {
            let bank = bank.clone();
            async move {
                match size {
                    1 => bank.post(caller, turn, hot).await,
                    size => bank.post_batch(caller, turn, size).await,
                }
            }
        });
        report.add(sample.await?);
        self.verify().await?;
        let (made, tried) = (count(&self.transfers) - made, count(&self.attempts) - tried);
        let attempts = Case::new(case.part, format!("{}: attempts per call", case.name), callers);
        report.fact(attempts, "attempts", real(tried) / real(made / size));
        Ok(())
    }

    fn params(&self, caller: usize, turn: u64, hot: bool) -> Result<Params, Failure> {
        let (from, to) = pair(caller, turn, hot);
        let account = |number: u64| -> Result<AccountId, Failure> {
            Ok(*self.accounts.get(usize::try_from(number)?).ok_or("there is no such account")?)
        };
        let mut params = Params::new();
        params.insert("sender", account(from)?);
        params.insert("recipient", account(to)?);
        params.insert("units", Decimal::ONE);
        Ok(params)
    }

    async fn post(&self, caller: usize, turn: u64, hot: bool) -> Result<u64, Failure> {
        let id = TransactionId::new();
        loop {
            self.attempts.fetch_add(1, Ordering::Relaxed);
            let params = self.params(caller, turn, hot)?;
            match self.ledger.post_transaction(id, TEMPLATE, params).await {
                Ok(_) => break,
                Err(error) if error.as_transient().is_some() => {}
                Err(error) => return Err(said(error)),
            }
        }
        self.transfers.fetch_add(1, Ordering::Relaxed);
        Ok(1)
    }

    async fn post_batch(&self, caller: usize, turn: u64, size: u64) -> Result<u64, Failure> {
        let mut batch = Vec::new();
        for number in 0..size {
            let params = self.params(caller, turn * size + number, false)?;
            batch.push(PostingInput::new(TransactionId::new(), TEMPLATE, params));
        }
        loop {
            self.attempts.fetch_add(1, Ordering::Relaxed);
            match self.ledger.post_transactions(batch.clone()).await {
                Ok(_) => break,
                Err(error) if error.as_transient().is_some() => {}
                Err(error) => return Err(said(error)),
            }
        }
        self.transfers.fetch_add(size, Ordering::Relaxed);
        Ok(size)
    }

    /// Fails unless there is a transaction with two entries for each transfer, and the balances come to zero.
    async fn verify(&self) -> Result<(), Failure> {
        let transfers = i64::try_from(self.transfers.load(Ordering::Relaxed))?;
        let (transactions, entries, turnover, difference): (i64, i64, i64, i64) = sqlx::query_as(
            "WITH settled AS (
                SELECT (latest_values->'settled'->>'dr_balance')::numeric AS debits,
                    (latest_values->'settled'->>'cr_balance')::numeric AS credits
                FROM cala_current_balances
             )
             SELECT (SELECT count(*) FROM cala_transactions), (SELECT count(*) FROM cala_entries),
                (SELECT coalesce(sum(debits), 0)::bigint FROM settled),
                (SELECT coalesce(sum(debits - credits), 0)::bigint FROM settled)",
        )
        .fetch_one(self.ledger.pool())
        .await?;
        if (transactions, entries, turnover, difference) == (transfers, 2 * transfers, transfers, 0) {
            return Ok(());
        }
        let found = format!("{transactions} transactions, {entries} entries, a turnover of {turnover}");
        Err(format!("cala-ledger: {transfers} transfers, but {found}, and a difference of {difference}")
            .into())
    }
}

/// A debit of the sender and a credit of the recipient.
fn template(journal: JournalId) -> Result<NewTxTemplate, Failure> {
    let param =
        |name: &str, kind| NewParamDefinition::builder().name(name).r#type(kind).build().map_err(said);
    let entry = |kind: &str, account: &str, direction: &str| {
        NewTxTemplateEntry::builder()
            .entry_type(format!("'{kind}'"))
            .account_id(format!("params.{account}"))
            .layer("SETTLED")
            .direction(direction)
            .units("params.units")
            .currency("'USD'")
            .build()
            .map_err(said)
    };
    let transaction = NewTxTemplateTransaction::builder()
        .effective("date()")
        .journal_id(format!("uuid('{journal}')"))
        .build()
        .map_err(said)?;
    Ok(NewTxTemplate::builder()
        .id(TxTemplateId::new())
        .code(TEMPLATE)
        .params(vec![
            param("sender", ParamDataType::Uuid)?,
            param("recipient", ParamDataType::Uuid)?,
            param("units", ParamDataType::Decimal)?,
        ])
        .transaction(transaction)
        .entries(vec![entry("TRANSFER_DR", "sender", "DEBIT")?, entry("TRANSFER_CR", "recipient", "CREDIT")?])
        .build())
}

/// Its errors are of many types, not all of them errors to the standard library.
fn said(error: impl std::fmt::Debug) -> Failure {
    format!("cala-ledger: {error:?}").into()
}
