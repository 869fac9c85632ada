//! A ledger in process, and what its callers ask of it.

use std::sync::Arc;

use commands::{
    Announcer, Command, Context, IdempotencyKey, Outcome, Pipeline, PipelineOptions, Request, Resource,
    TransactionRequest,
};
use counterfoil::system::{SystemClock, SystemIds};
use domain::transaction::Posting;
use domain::{
    Amount, AssetCode, Clock, Ids, Metadata, Scale, Slug, TenantId, TenantName, TransactionId, WalletPath,
};
use journal::Journal;
use tokio_util::task::TaskTracker;

use crate::measure::Failure;

/// The tenant of all benchmarks.
pub const TENANT: &str = "bench";
/// How many wallets are opened at a time.
const OPENING: usize = 1_000;

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
    pub async fn open(
        journal: &Journal,
        options: &PipelineOptions,
        announcer: &Announcer,
        wallets: u64,
    ) -> Result<Self, Failure> {
        let bank = Self::resume(journal, options, announcer, wallets)?;
        let (slug, name) = (Slug::new(TENANT)?, TenantName::new("Benchmark")?);
        bank.must(Command::CreateTenant { slug, name, owner: None }).await?;
        bank.must(Command::RegisterAsset { code: usd()?, scale: Scale::new(2)? }).await?;
        let mut opening = Vec::new();
        for wallet in 0..wallets {
            let opened = Command::OpenWallet {
                path: path(wallet)?,
                asset: usd()?,
                minimum: Some("-1000000000".parse()?),
                metadata: Metadata::default(),
            };
            opening.push(bank.request(opened, None));
            if opening.len() == OPENING || wallet + 1 == wallets {
                bank.all(std::mem::take(&mut opening)).await?;
            }
        }
        Ok(bank)
    }

    /// A new pipeline, with nothing in its cache, over what [`Bank::open`] made in an earlier one.
    ///
    /// # Errors
    /// None: the tenant's name is well formed.
    pub fn resume(
        journal: &Journal,
        options: &PipelineOptions,
        announcer: &Announcer,
        wallets: u64,
    ) -> Result<Self, Failure> {
        let (clock, ids): (Arc<dyn Clock>, Arc<dyn Ids>) = (Arc::new(SystemClock), Arc::new(SystemIds));
        let pipeline = Pipeline::start(journal, &clock, &ids, options, announcer, &TaskTracker::new());
        Ok(Self { pipeline, tenant: TenantId::of(&Slug::new(TENANT)?), wallets, ids })
    }

    fn request(&self, command: Command, key: Option<IdempotencyKey>) -> Request {
        Request { tenant: self.tenant, command, context: Context::system("bench"), key }
    }

    fn keyed(&self, command: Command) -> Request {
        let key = IdempotencyKey { key: self.ids.next().to_string(), fingerprint: vec![7; 32] };
        self.request(command, Some(key))
    }

    async fn must(&self, command: Command) -> Result<(), Failure> {
        self.pipeline.submit(self.request(command, None)).await?;
        Ok(())
    }

    /// Has all of them done, together.
    ///
    /// # Errors
    /// The first that fails.
    pub async fn all(&self, requests: Vec<Request>) -> Result<(), Failure> {
        for answer in self.pipeline.submit_all(requests).await {
            answer?;
        }
        Ok(())
    }

    /// A transfer of 1.00 between two wallets, under a key of its own.
    ///
    /// # Errors
    /// None: the paths are well formed.
    pub fn transfer(&self, (from, to): (u64, u64)) -> Result<Request, Failure> {
        Ok(self.keyed(Command::Transact(posting(from, to)?)))
    }

    /// Transfers that stand or fall together, under one key.
    ///
    /// # Errors
    /// None: the paths are well formed.
    pub fn batch(&self, pairs: impl Iterator<Item = (u64, u64)>) -> Result<Request, Failure> {
        let transfers = pairs.map(|(from, to)| posting(from, to)).collect::<Result<_, _>>()?;
        Ok(self.keyed(Command::Batch(transfers)))
    }

    /// Holds 1.00 and settles it, each under a key of its own.
    ///
    /// # Errors
    /// What the pipeline says.
    pub async fn hold_and_settle(&self, (from, to): (u64, u64)) -> Result<Outcome, Failure> {
        let hold = TransactionRequest { pending: true, ..posting(from, to)? };
        let held = self.pipeline.submit(self.keyed(Command::Transact(hold))).await?;
        let settle = Command::Settle { id: transaction(&held)?, amounts: None };
        Ok(self.pipeline.submit(self.keyed(settle)).await?)
    }

    /// Two different wallets, by chance but the same in every run; with `hot` the first is always the same one.
    pub fn pair(&self, caller: usize, turn: u64, hot: bool) -> (u64, u64) {
        let seed = scattered((caller as u64) << 40 | turn);
        let from = if hot { 0 } else { seed % self.wallets };
        (from, (from + 1 + (seed >> 32) % (self.wallets - 1)) % self.wallets)
    }
}

fn posting(from: u64, to: u64) -> Result<TransactionRequest, Failure> {
    let posting = Posting { from: path(from)?, to: path(to)?, asset: usd()?, amount: "1".parse::<Amount>()? };
    Ok(TransactionRequest { postings: vec![posting], ..TransactionRequest::default() })
}

fn transaction(outcome: &Outcome) -> Result<TransactionId, Failure> {
    match &outcome.resource {
        Resource::Transactions(made) => Ok(made.first().ok_or("no transaction was made")?.0),
        other => Err(format!("not a transaction: {other:?}").into()),
    }
}

/// The asset of all wallets.
///
/// # Errors
/// None: the code is well formed.
pub fn usd() -> Result<AssetCode, Failure> {
    Ok(AssetCode::new("USD")?)
}

/// The path of a wallet.
///
/// # Errors
/// None: the path is well formed.
pub fn path(wallet: u64) -> Result<WalletPath, Failure> {
    Ok(WalletPath::new(&format!("customers:{wallet}"))?)
}

/// A number that looks random and is the same in every run (the finalizer of `SplitMix64`).
pub fn scattered(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
