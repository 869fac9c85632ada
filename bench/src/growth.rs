//! Growth: what commands, balances and pages cost in small and in large ledgers, from one caller that does one after
//! another, so that nothing but the work itself is in the time.

mod fixture;

use std::future::Future;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use commands::{Announcer, PipelineOptions};
use domain::TenantId;
use journal::Journal;
use projections::{PointInTime, Reader, TransactionFilter, WalletFilter};

pub use fixture::{Fixture, Fixtures, size};

use crate::bank::{Bank, path, scattered};
use crate::measure::{Case, Failure, closed_loop};
use crate::report::Report;
use crate::world::World;

/// Lines of a page.
const PAGE: i64 = 50;

/// One round.
///
/// # Errors
/// What the servers say.
pub async fn round(world: &World, number: usize, report: &mut Report) -> Result<(), Failure> {
    for fixture in world.fixtures.sizes(world, report).await? {
        let desk = Desk::open(world, fixture).await?;
        let of = size(fixture.wallets);
        desk.commands(&format!("command, {of} wallets"), false, report).await?;
        desk.forgetful()?
            .commands(&format!("command with nothing cached, {of} wallets"), false, report)
            .await?;
        desk.balances(&format!("balance, {of} wallets"), report).await?;
        desk.wallets(&format!("page of wallets, {of} wallets"), report).await?;
        desk.transactions(&format!("page of transactions, {of} wallets"), report).await?;
        desk.close().await;
    }
    let fixture = world.fixtures.busy(world).await?;
    let desk = Desk::open(world, fixture).await?;
    let of = size(fixture.transfers);
    desk.commands(&format!("command, wallet with {of} entries"), true, report).await?;
    desk.busy(&of, report).await?;
    desk.close().await;
    // A first start publishes the whole journal, so once is enough.
    if number == 0 { crate::startup::round(world, report).await } else { Ok(()) }
}

/// A ledger that is asked.
struct Desk<'a> {
    world: &'a World,
    bank: Bank,
    journal: Journal,
    reader: Arc<Reader>,
    wallets: u64,
}

impl<'a> Desk<'a> {
    async fn open(world: &'a World, fixture: &Fixture) -> Result<Self, Failure> {
        let (journal, reader) = fixture.open().await?;
        let options = PipelineOptions::default();
        let bank = Bank::resume(&journal, &options, &Announcer::silent(), fixture.wallets)?;
        world.settle().await?;
        Ok(Self { world, bank, journal, reader: Arc::new(reader), wallets: fixture.wallets })
    }

    /// The same with a cache that keeps nothing: a ledger of a thousand wallets is soon in memory as a whole, and one of
    /// a million never, which is another difference than that of their sizes on the disk.
    fn forgetful(&self) -> Result<Self, Failure> {
        let options = PipelineOptions { cache_aggregates: 1, ..PipelineOptions::default() };
        let bank = Bank::resume(&self.journal, &options, &Announcer::silent(), self.wallets)?;
        let (journal, reader) = (self.journal.clone(), Arc::clone(&self.reader));
        Ok(Self { world: self.world, bank, journal, reader, wallets: self.wallets })
    }

    async fn close(self) {
        let Self { bank, journal, .. } = self;
        drop(bank);
        journal.pool().close().await;
    }

    async fn commands(&self, name: &str, hot: bool, report: &mut Report) -> Result<(), Failure> {
        let bank = self.bank.clone();
        let case = Case::new("growth", name, 1);
        let sample = closed_loop(case, "commands", self.world.spans(), move |caller, turn| {
            let bank = bank.clone();
            async move {
                bank.pipeline.submit(bank.transfer(bank.pair(caller, turn, hot))?).await?;
                Ok(1)
            }
        });
        report.add(sample.await?);
        Ok(())
    }

    /// Asks `question` over and over, with numbers that look random.
    async fn ask<F, Fut>(&self, name: &str, report: &mut Report, question: F) -> Result<(), Failure>
    where
        F: Fn(Arc<Reader>, TenantId, u64) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send,
    {
        let (reader, tenant) = (Arc::clone(&self.reader), self.bank.tenant);
        let case = Case::new("growth", name, 1);
        let sample = closed_loop(case, "reads", self.world.spans(), move |_, turn| {
            let asked = question(Arc::clone(&reader), tenant, scattered(turn));
            async move {
                asked.await?;
                Ok(1)
            }
        });
        report.add(sample.await?);
        Ok(())
    }

    async fn balances(&self, name: &str, report: &mut Report) -> Result<(), Failure> {
        let wallets = self.wallets;
        self.ask(name, report, move |reader, tenant, number| async move {
            balance(&reader, tenant, number % wallets, PointInTime::default()).await
        })
        .await
    }

    async fn wallets(&self, name: &str, report: &mut Report) -> Result<(), Failure> {
        let wallets = self.wallets;
        self.ask(name, report, move |reader, tenant, number| async move {
            let after = path(number % wallets)?;
            let filter = WalletFilter::default();
            reader.tenant(tenant).wallets(&filter, Some(after.as_str()), PAGE).await?;
            Ok(())
        })
        .await
    }

    async fn transactions(&self, name: &str, report: &mut Report) -> Result<(), Failure> {
        // Transactions were made behind the wallets, three events each.
        let partition = self.bank.tenant.partition(self.journal.partition_count());
        let head = self.journal.head(partition).await?.position.unsigned_abs();
        let first = self.wallets.min(head - 1);
        self.ask(name, report, move |reader, tenant, number| async move {
            let before = i64::try_from(first + number % (head - first))?;
            let filter = TransactionFilter::default();
            reader.tenant(tenant).transactions(&filter, Some(before), PAGE).await?;
            Ok(())
        })
        .await
    }

    /// The wallet that has paid for everything.
    async fn busy(&self, of: &str, report: &mut Report) -> Result<(), Failure> {
        let name = |what: &str| format!("{what}, wallet with {of} entries");
        self.ask(&name("balance"), report, move |reader, tenant, _| async move {
            balance(&reader, tenant, 0, PointInTime::default()).await
        })
        .await?;
        self.ask(&name("first page of the statement"), report, move |reader, tenant, _| async move {
            reader.tenant(tenant).entries(&path(0)?, None, PAGE).await?.value.ok_or("no such wallet")?;
            Ok(())
        })
        .await?;
        let (first, last) = self.times().await?;
        let span = (last - first).num_microseconds().unwrap_or_default().unsigned_abs().max(1);
        self.ask(&name("balance as of any time"), report, move |reader, tenant, number| async move {
            let as_of = first + chrono::TimeDelta::microseconds(i64::try_from(number % span)?);
            let at = PointInTime { as_of: Some(as_of), effective_at: None };
            balance(&reader, tenant, 0, at).await
        })
        .await
    }

    /// When the ledger's wallets were all there, and when its newest event was recorded.
    async fn times(&self) -> Result<(DateTime<Utc>, DateTime<Utc>), Failure> {
        let partition = self.bank.tenant.partition(self.journal.partition_count());
        let opened = i64::try_from(self.wallets)? + 1;
        let first = self.journal.read(partition, opened, 1).await?;
        let first = first.first().ok_or("the ledger is empty")?.recorded_at;
        let last = self.journal.head(partition).await?.recorded_at.ok_or("the ledger is empty")?;
        Ok((first, last))
    }
}

async fn balance(reader: &Reader, tenant: TenantId, wallet: u64, at: PointInTime) -> Result<(), Failure> {
    let found = reader.tenant(tenant).balance(&path(wallet)?, at).await?;
    found.value.ok_or_else(|| format!("wallet {wallet} has no balance"))?;
    Ok(())
}
