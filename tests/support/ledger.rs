//! A ledger of one tenant on a database of its own, with a clock that tests can turn.

#![expect(
    clippy::panic,
    clippy::unnecessary_wraps,
    reason = "a test stops at the first surprise; a key is an option"
)]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use commands::{
    Announcer, Command, Context, Failure, IdempotencyKey, Outcome, Pipeline, PipelineOptions, Relay, Request,
    Resource, TransactionRequest,
};
use counterfoil::system::SystemIds;
use domain::transaction::Posting;
use domain::{
    Amount, AssetCode, Clock, Ids, Partition, Scale, Slug, TenantId, TenantName, Transaction, TransactionId,
    Wallet, WalletId, WalletPath, event,
};
use journal::{Journal, Recorded, Role};
use tokio_util::task::TaskTracker;

use super::Database;

/// A clock that stands still until it is turned.
pub struct TestClock(Mutex<DateTime<Utc>>);

impl TestClock {
    pub fn get(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn advance(&self, by: TimeDelta) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        self.get()
    }
}

pub struct Ledger {
    pub database: Database,
    pub journal: Journal,
    pub tenant: TenantId,
    pub clock: Arc<TestClock>,
    pipeline: Pipeline,
}

impl Ledger {
    /// How many commands may wait.
    pub const QUEUE: usize = 200;

    /// A tenant with USD at scale 2 and wallets of 100.00 each.
    pub async fn funded(wallets: &[&str]) -> Self {
        let ledger = Self::with_cache(1_000).await;
        for path in wallets {
            ledger.submit(transfer("@world", path, "100.00")).await.unwrap();
        }
        ledger
    }

    pub async fn with_cache(cache: usize) -> Self {
        Self::created_on(Database::fresh().await, cache).await
    }

    /// A tenant with USD at scale 2, the first one of this database.
    pub async fn created_on(database: Database, cache: usize) -> Self {
        let clock = Arc::new(TestClock(Mutex::new(DateTime::from_timestamp(1_800_000_000, 0).unwrap())));
        let ledger = Self::on(database, clock, cache).await;
        let slug = Slug::new("acme").unwrap();
        ledger
            .run(Command::CreateTenant { slug, name: TenantName::new("Acme").unwrap(), owner: None }, None)
            .await
            .unwrap();
        let code = AssetCode::new("USD").unwrap();
        ledger.run(Command::RegisterAsset { code, scale: Scale::new(2).unwrap() }, None).await.unwrap();
        ledger
    }

    async fn on(database: Database, clock: Arc<TestClock>, cache: usize) -> Self {
        Self::announcing(database, clock, cache, &Announcer::silent()).await
    }

    /// The same ledger in another program, whose writers announce to a relay.
    pub async fn relayed(&self, client: async_nats::Client) -> (Self, Relay) {
        let (relay, announcer) = Relay::new(self.journal.clone(), client);
        let other = Self::announcing(self.database.clone(), Arc::clone(&self.clock), 1_000, &announcer).await;
        (other, relay)
    }

    async fn announcing(
        database: Database,
        clock: Arc<TestClock>,
        cache: usize,
        announcer: &Announcer,
    ) -> Self {
        let journal = Journal::open(database.pool(Role::Writer, 4).await).await.unwrap();
        let options = PipelineOptions {
            queue_commands: Self::QUEUE,
            cache_aggregates: cache,
            patience: Duration::from_secs(20),
            ..PipelineOptions::default()
        };
        let ids: Arc<dyn Ids> = Arc::new(SystemIds);
        let time: Arc<dyn Clock> = Arc::<TestClock>::clone(&clock);
        let tasks = TaskTracker::new();
        let pipeline = Pipeline::start(&journal, &time, &ids, &options, announcer, &tasks);
        Self { database, journal, tenant: TenantId::of(&Slug::new("acme").unwrap()), clock, pipeline }
    }

    /// Another program on the same database, which remembers nothing.
    pub async fn restarted(&self) -> Self {
        Self::on(self.database.clone(), Arc::clone(&self.clock), 1_000).await
    }

    /// Another tenant of the same database, in the same partition.
    pub async fn neighbour(&self) -> Self {
        let slugs = (0..).map(|number| Slug::new(&format!("neighbour-{number}")).unwrap());
        let near =
            |slug: &Slug| TenantId::of(slug).partition(self.journal.partition_count()) == self.partition();
        let slug = slugs.take(100).find(near).unwrap();
        let mut other = self.restarted().await;
        other.tenant = TenantId::of(&slug);
        let name = TenantName::new("Neighbour").unwrap();
        other.run(Command::CreateTenant { slug, name, owner: None }, None).await.unwrap();
        other
    }

    /// The pipeline itself, for what submits by itself.
    pub fn pipeline(&self) -> Pipeline {
        self.pipeline.clone()
    }

    pub fn partition(&self) -> Partition {
        self.tenant.partition(self.journal.partition_count())
    }

    pub async fn run(&self, command: Command, key: Option<IdempotencyKey>) -> Result<Outcome, Failure> {
        self.run_all(vec![(command, key)]).await.pop().unwrap()
    }

    /// Several commands in one batch.
    pub async fn run_all(
        &self,
        commands: Vec<(Command, Option<IdempotencyKey>)>,
    ) -> Vec<Result<Outcome, Failure>> {
        let context = Context { actor: "test".into(), ..Context::default() };
        let requests = commands.into_iter().map(|(command, key)| Request {
            tenant: self.tenant,
            command,
            context: context.clone(),
            key,
        });
        self.pipeline.submit_all(requests.collect()).await
    }

    pub async fn submit(&self, request: TransactionRequest) -> Result<Outcome, Failure> {
        self.run(Command::Transact(request), None).await
    }

    pub async fn transaction(
        &self,
        request: TransactionRequest,
    ) -> Result<(TransactionId, Transaction), Failure> {
        match self.submit(request).await?.resource {
            Resource::Transactions(mut made) => Ok(made.remove(0)),
            other => panic!("{other:?}"),
        }
    }

    pub async fn events(&self) -> Vec<Recorded> {
        self.journal.read(self.partition(), 0, 100_000).await.unwrap()
    }

    /// A wallet folded from the journal alone.
    pub async fn wallet(&self, path: &str) -> Wallet {
        let id = WalletId::of(self.tenant, &WalletPath::new(path).unwrap());
        let events = self.journal.stream(self.partition(), id.0, i64::MAX).await.unwrap();
        events.iter().fold(Wallet::default(), |mut wallet, recorded| {
            let text = &recorded.text;
            let happened = event::decode(&text.event_type, text.event_version, &text.payload).unwrap();
            cqrs_es::Aggregate::apply(&mut wallet, happened);
            wallet
        })
    }
}

pub fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

pub fn posting(from: &str, to: &str, text: &str, asset: &str) -> Posting {
    Posting {
        from: WalletPath::new(from).unwrap(),
        to: WalletPath::new(to).unwrap(),
        amount: amount(text),
        asset: AssetCode::new(asset).unwrap(),
    }
}

/// A posting of USD that opens the wallets it needs.
pub fn transfer(from: &str, to: &str, text: &str) -> TransactionRequest {
    TransactionRequest {
        postings: vec![posting(from, to, text, "USD")],
        open_wallets: true,
        ..TransactionRequest::default()
    }
}

pub fn key(key: &str, fingerprint: &str) -> Option<IdempotencyKey> {
    Some(IdempotencyKey { key: key.to_owned(), fingerprint: fingerprint.as_bytes().to_vec() })
}
