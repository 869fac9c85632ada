//! The pipeline in process: transfers per second from callers that wait for their answers.

use std::sync::Arc;
use std::time::Duration;

use commands::{
    Announcer, Command, Context, IdempotencyKey, Pipeline, PipelineOptions, Request, TransactionRequest,
};
use counterfoil::system::{SystemClock, SystemIds};
use domain::transaction::Posting;
use domain::{Amount, AssetCode, Clock, Ids, Metadata, Scale, Slug, TenantId, TenantName, WalletPath};
use journal::Journal;
use tokio_util::task::TaskTracker;

use crate::measure::{Case, Failure, closed_loop};
use crate::report::Report;
use crate::world::World;

/// A ledger with one tenant, and wallets that may owe.
#[derive(Clone)]
pub struct Bank {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// The tenant.
    pub tenant: TenantId,
    /// How many wallets there are.
    pub wallets: u64,
    ids: Arc<dyn Ids>,
}

impl Bank {
    /// Makes the tenant and the wallets.
    ///
    /// # Errors
    /// What the pipeline says.
    pub async fn open(journal: &Journal, options: &PipelineOptions, wallets: u64) -> Result<Self, Failure> {
        let (clock, ids): (Arc<dyn Clock>, Arc<dyn Ids>) = (Arc::new(SystemClock), Arc::new(SystemIds));
        let tasks = TaskTracker::new();
        let pipeline = Pipeline::start(journal, &clock, &ids, options, &Announcer::silent(), &tasks);
        let slug = Slug::new("bench")?;
        let bank = Self { pipeline, tenant: TenantId::of(&slug), wallets, ids };
        let name = TenantName::new("Benchmark")?;
        bank.must(Command::CreateTenant { slug, name }).await?;
        bank.must(Command::RegisterAsset { code: usd()?, scale: Scale::new(2)? }).await?;
        let mut opening = Vec::new();
        for wallet in 0..wallets {
            opening.push(Command::OpenWallet {
                path: path(wallet)?,
                asset: usd()?,
                minimum: Some("-1000000000".parse()?),
                metadata: Metadata::default(),
            });
            if opening.len() == 1_000 || wallet + 1 == wallets {
                let requests = opening.drain(..).map(|command| bank.request(command, None)).collect();
                for answer in bank.pipeline.submit_all(requests).await {
                    answer?;
                }
            }
        }
        Ok(bank)
    }

    fn request(&self, command: Command, key: Option<IdempotencyKey>) -> Request {
        Request { tenant: self.tenant, command, context: Context::system("bench"), key }
    }

    async fn must(&self, command: Command) -> Result<(), Failure> {
        self.pipeline.submit(self.request(command, None)).await?;
        Ok(())
    }

    /// A transfer of 1.00 between two wallets, under a key of its own.
    ///
    /// # Errors
    /// None: the paths are well formed.
    pub fn transfer(&self, from: u64, to: u64) -> Result<Request, Failure> {
        let posting = Posting { from: path(from)?, to: path(to)?, asset: usd()?, amount: "1".parse::<Amount>()? };
        let transfer = TransactionRequest { postings: vec![posting], ..TransactionRequest::default() };
        let key = IdempotencyKey { key: self.ids.next().to_string(), fingerprint: vec![7; 32] };
        Ok(self.request(Command::Transact(transfer), Some(key)))
    }
}

fn usd() -> Result<AssetCode, Failure> {
    Ok(AssetCode::new("USD")?)
}

fn path(wallet: u64) -> Result<WalletPath, Failure> {
    Ok(WalletPath::new(&format!("customers:{wallet}"))?)
}

/// A number that looks random and is the same in every run (the finalizer of SplitMix64).
pub fn scattered(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One round.
///
/// # Errors
/// What the database or the pipeline says.
pub async fn round(world: &World, number: usize, report: &mut Report) -> Result<(), Failure> {
    let database = world.database(&format!("pipeline_{number}"), 1).await?;
    let journal = database.journal(8).await?;
    let bank = Bank::open(&journal, &PipelineOptions::default(), 1_000).await?;
    for callers in [1, 16, 64, 256, 1_024] {
        for hot in [false, true] {
            let bank = bank.clone();
            let name = if hot { "transfers, one hot wallet" } else { "transfers, 1,000 wallets" };
            let case = Case::new("pipeline", name, callers);
            let spans = (Duration::from_millis(500), Duration::from_secs(2));
            let sample = closed_loop(case, "transfers", spans, move |caller, turn| {
                let bank = bank.clone();
                async move {
                    let seed = scattered((caller as u64) << 40 | turn);
                    let from = if hot { 0 } else { seed % bank.wallets };
                    let to = (from + 1 + (seed >> 32) % (bank.wallets - 1)) % bank.wallets;
                    bank.pipeline.submit(bank.transfer(from, to)?).await?;
                    Ok(1)
                }
            });
            report.add(sample.await?);
        }
    }
    Ok(())
}
