//! The pipeline in process: transfers per second from callers that wait for their answers. Nothing follows it: no
//! relay and no projections.

use std::sync::Arc;

use commands::{Announcer, PipelineOptions};
use journal::Journal;

use crate::bank::Bank;
use crate::measure::{Case, Failure, Sample, closed_loop};
use crate::report::Report;
use crate::world::{Extent, World};

/// The wallets of all cases but those that say otherwise.
pub const WALLETS: u64 = 1_000;
/// Connections of the journal's pool; one writer is at work.
const CONNECTIONS: u32 = 4;

/// What the callers of a case do.
#[derive(Debug, Clone, Copy)]
enum Work {
    Uniform,
    Hot,
    HoldAndSettle,
    /// So many transfers in one call, each standing or falling on its own.
    Each(u64),
    /// So many transfers in one call, all or none.
    Batch(u64),
}

impl Work {
    fn name(self) -> String {
        match self {
            Self::Uniform => "transfers, 1,000 wallets".to_owned(),
            Self::Hot => "transfers, one hot wallet".to_owned(),
            Self::HoldAndSettle => "hold + settle".to_owned(),
            Self::Each(size) => format!("{size} transfers a call"),
            Self::Batch(size) => format!("{size} transfers a call, all or none"),
        }
    }

    fn unit(self) -> &'static str {
        if matches!(self, Self::HoldAndSettle) { "pairs" } else { "transfers" }
    }

    async fn once(self, bank: &Bank, caller: usize, turn: u64) -> Result<u64, Failure> {
        let pairs = |size: u64| (0..size).map(move |one| bank.pair(caller, turn * size + one, false));
        match self {
            Self::Uniform | Self::Hot => {
                let pair = bank.pair(caller, turn, matches!(self, Self::Hot));
                bank.pipeline.submit(bank.transfer(pair)?).await?;
                Ok(1)
            }
            Self::HoldAndSettle => {
                bank.hold_and_settle(bank.pair(caller, turn, false)).await?;
                Ok(1)
            }
            Self::Each(size) => {
                let requests = pairs(size).map(|pair| bank.transfer(pair)).collect::<Result<_, _>>()?;
                bank.all(requests).await?;
                Ok(size)
            }
            Self::Batch(size) => {
                bank.pipeline.submit(bank.batch(pairs(size))?).await?;
                Ok(size)
            }
        }
    }
}

/// One round: every case on a fresh database, so that none works on larger tables than another.
///
/// # Errors
/// What the database or the pipeline says.
pub async fn round(world: &World, number: usize, report: &mut Report) -> Result<(), Failure> {
    for (callers, work) in cases(world.extent) {
        let database = world.database(&format!("pipeline_{number}"), 1).await?;
        let journal = database.journal(CONNECTIONS).await?;
        let options = PipelineOptions::default();
        let bank = Bank::open(&journal, &options, &Announcer::silent(), WALLETS).await?;
        world.settle().await?;
        report.add(measure(world, bank, Case::new("pipeline", work.name(), callers), work).await?);
        journal.pool().close().await;
        world.discard(database).await?;
    }
    large_set(world, report).await
}

fn cases(extent: Extent) -> Vec<(usize, Work)> {
    let mut cases = Vec::new();
    let (all, some): (&[usize], &[usize]) = match extent {
        Extent::Quick => (&[1, 64, 256, 1_024], &[64]),
        _ => (&[1, 16, 64, 256, 1_024], &[1, 16, 64, 256, 1_024]),
    };
    cases.extend(all.iter().map(|callers| (*callers, Work::Uniform)));
    cases.extend(some.iter().map(|callers| (*callers, Work::Hot)));
    cases.extend(some.iter().map(|callers| (*callers, Work::HoldAndSettle)));
    let together: &[usize] = if extent == Extent::Quick { &[4] } else { &[1, 4] };
    for callers in together {
        for size in [100, 1_000] {
            cases.push((*callers, Work::Each(size)));
            cases.push((*callers, Work::Batch(size)));
        }
    }
    cases
}

/// More wallets than the cache has room for: a new pipeline in each round, over wallets that were opened once.
async fn large_set(world: &World, report: &mut Report) -> Result<(), Failure> {
    let large = world.large_set(report).await?;
    let journal: Journal = large.database.journal(CONNECTIONS).await?;
    let options = PipelineOptions { cache_aggregates: large.cache, ..PipelineOptions::default() };
    let bank = Bank::resume(&journal, &options, &Announcer::silent(), large.wallets)?;
    let callers: &[usize] = if world.extent == Extent::Quick { &[64] } else { &[1, 16, 64, 256, 1_024] };
    world.settle().await?;
    for callers in callers {
        let case = Case::new("pipeline", "transfers, more wallets than the cache holds", *callers);
        report.add(measure(world, bank.clone(), case, Work::Uniform).await?);
    }
    drop(bank);
    journal.pool().close().await;
    Ok(())
}

async fn measure(world: &World, bank: Bank, case: Case, work: Work) -> Result<Sample, Failure> {
    let bank = Arc::new(bank);
    closed_loop(case, work.unit(), world.spans(), move |caller, turn| {
        let bank = Arc::clone(&bank);
        async move { work.once(&bank, caller, turn).await }
    })
    .await
}
