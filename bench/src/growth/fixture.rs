//! Ledgers of a given size, made once and measured in every round.

use commands::{Announcer, PipelineOptions};
use journal::{Journal, Role};
use projections::{Kind, Progress, Reader};
use tokio::sync::OnceCell;

use crate::bank::Bank;
use crate::measure::{Failure, real};
use crate::report::Report;
use crate::world::{Database, Extent, World};

/// How many transfers are made at a time while a ledger is filled.
const TOGETHER: u64 = 1_000;
/// Of so many wallets one makes a transfer, so that there are transactions to list.
const WALLETS_PER_TRANSFER: u64 = 10;

/// The ledgers of a run.
#[derive(Default)]
pub struct Fixtures {
    sizes: OnceCell<Vec<Fixture>>,
    busy: OnceCell<Fixture>,
}

/// A ledger.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// Its database.
    pub database: Database,
    /// Its wallets.
    pub wallets: u64,
    /// How many transfers were made.
    pub transfers: u64,
}

impl Fixture {
    /// Its journal, and a reader of its read models.
    ///
    /// # Errors
    /// What the database says.
    pub async fn open(&self) -> Result<(Journal, Reader), Failure> {
        let journal = self.database.journal(4).await?;
        let pool = self.database.pool(Role::Reader, 4).await?;
        let progress = Progress::new(journal.partition_count());
        let reader = Reader::new(pool, journal.partition_count(), progress);
        Ok((journal, reader))
    }
}

impl Fixtures {
    /// Ledgers of more and more wallets.
    ///
    /// # Errors
    /// What the servers say.
    pub async fn sizes(&self, world: &World, report: &mut Report) -> Result<&[Fixture], Failure> {
        let made = self.sizes.get_or_try_init(async || {
            let mut made = vec![fresh(world, 1_000).await?];
            if world.extent != Extent::Quick {
                made.push(fresh(world, 100_000).await?);
            }
            let large = world.large_set(report).await?;
            made.push(fill(large.database, large.wallets).await?);
            if world.extent == Extent::Long {
                made.push(fresh(world, 10_000_000).await?);
            }
            Ok::<_, Failure>(made)
        });
        made.await.map(Vec::as_slice)
    }

    /// A ledger in which one wallet has paid very often: as often as the largest one has wallets.
    ///
    /// # Errors
    /// What the servers say.
    pub async fn busy(&self, world: &World) -> Result<&Fixture, Failure> {
        let made = self.busy.get_or_try_init(async || {
            let transfers = if world.extent == Extent::Quick { 20_000 } else { 1_000_000 };
            let database = world.database("growth_busy", 1).await?;
            let journal = database.journal(4).await?;
            let options = PipelineOptions::default();
            let bank = Bank::open(&journal, &options, &Announcer::silent(), 1_000).await?;
            pay(&bank, transfers, true).await?;
            drop(bank);
            // Its statement comes from the journal; a list of all its transactions is not asked for.
            rebuild(&database, &journal, &[Kind::Tenants, Kind::Balances, Kind::Snapshots]).await?;
            Ok::<_, Failure>(Fixture { database, wallets: 1_000, transfers })
        });
        made.await
    }
}

async fn fresh(world: &World, wallets: u64) -> Result<Fixture, Failure> {
    let database = world.database(&format!("growth_{wallets}"), 1).await?;
    let journal = database.journal(2).await?;
    let options = PipelineOptions::default();
    drop(Bank::open(&journal, &options, &Announcer::silent(), wallets).await?);
    journal.pool().close().await;
    fill(database, wallets).await
}

/// Makes transfers between the wallets, and the read models of it all.
async fn fill(database: Database, wallets: u64) -> Result<Fixture, Failure> {
    let journal = database.journal(4).await?;
    let bank = Bank::resume(&journal, &PipelineOptions::default(), &Announcer::silent(), wallets)?;
    let transfers = wallets / WALLETS_PER_TRANSFER;
    pay(&bank, transfers, false).await?;
    drop(bank);
    rebuild(&database, &journal, &Kind::ALL).await?;
    journal.pool().close().await;
    Ok(Fixture { database, wallets, transfers })
}

async fn pay(bank: &Bank, transfers: u64, hot: bool) -> Result<(), Failure> {
    for first in (0..transfers).step_by(usize::try_from(TOGETHER)?) {
        let turns = first..transfers.min(first + TOGETHER);
        // A caller's number that no measurement uses.
        let batch = bank.batch(turns.map(|turn| bank.pair(0xffff, turn, hot)))?;
        bank.pipeline.submit(batch).await?;
    }
    Ok(())
}

async fn rebuild(database: &Database, journal: &Journal, kinds: &[Kind]) -> Result<(), Failure> {
    for kind in kinds {
        projections::rebuild(*kind, database.options.clone(), journal, |_| {}).await?;
    }
    // As the housekeeping of a server that runs for long would have done.
    let owner = database.pool(Role::Owner, 1).await?;
    sqlx::query("VACUUM ANALYZE").execute(&owner).await?;
    owner.close().await;
    Ok(())
}

/// A number of wallets or entries as it stands in the names of cases.
pub fn size(count: u64) -> String {
    match count {
        1_000_000.. => format!("{} M", real(count) / 1e6),
        1_000.. => format!("{} k", real(count) / 1e3),
        _ => count.to_string(),
    }
}
