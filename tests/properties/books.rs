//! One sequence of commands run through the real pipeline in a ledger of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use commands::{
    Announcer, Command, Context, Failure, IdempotencyKey, Outcome, Pipeline, PipelineOptions, Resource,
    TransactionRequest,
};
use counterfoil::system::SystemIds;
use cqrs_es::Aggregate;
use domain::transaction::Posting;
use domain::wallet::Balance;
use domain::{
    Amount, AssetCode, Clock, Event, Ids, Metadata, Partition, Reason, Reference, Scale, Slug, Tenant,
    TenantId, TenantName, Transaction, TransactionId, Wallet, WalletId, WalletPath, event,
};
use journal::{Journal, Recorded, Role, SNAPSHOT_FORM};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::model::{Answer, paths};
use crate::sequence::{Asset, Do, Make, Request, Segment};
use crate::support::Database;

/// When every run begins.
const BEGINNING: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
/// So many runs fit into a database, each in a partition of its own.
const PARTITIONS: i32 = 48;

struct TurnedClock(Mutex<DateTime<Utc>>);

impl Clock for TurnedClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a run treats the sequence.
#[derive(Debug, Clone)]
pub struct Shape {
    pub name: &'static str,
    /// How many jobs are decided in one batch, over and over.
    pub batches: Vec<usize>,
    /// How many streams the writer remembers.
    pub cache: usize,
    /// Whether the writer has met so many unused keys that it does not expect used ones any more.
    pub trusting: bool,
    /// Where snapshots are taken of the streams before the program is started anew for each segment.
    pub snapshots: Option<Vec<usize>>,
}

/// What a run came to.
pub struct Run {
    /// One answer for each request, as the model says it, and with all its details.
    pub answers: Vec<(Answer, String)>,
    /// The events, their random ids replaced by numbers.
    pub events: Vec<String>,
    pub wallets: BTreeMap<&'static str, Wallet>,
}

/// Databases with room for runs.
#[derive(Default)]
pub struct Rooms {
    room: Option<(Database, Journal, BTreeSet<i32>)>,
    tenants: u32,
}

impl Rooms {
    /// A tenant in a partition where nothing has happened yet.
    async fn fresh(&mut self) -> (Journal, Slug) {
        if self
            .room
            .as_ref()
            .is_none_or(|(_, _, used)| used.len() + 1 >= usize::try_from(PARTITIONS).unwrap())
        {
            let database = Database::with_partitions(PARTITIONS).await;
            let journal = Journal::open(database.pool(Role::Writer, 2).await).await.unwrap();
            self.room = Some((database, journal, BTreeSet::new()));
        }
        let (_, journal, used) = self.room.as_mut().unwrap();
        loop {
            self.tenants += 1;
            let slug = Slug::new(&format!("tenant-{}", self.tenants)).unwrap();
            if used.insert(TenantId::of(&slug).partition(Partition(PARTITIONS)).0) {
                return (journal.clone(), slug);
            }
        }
    }

    /// Runs a sequence.
    pub async fn run(&mut self, shape: &Shape, sequence: &[Segment]) -> Run {
        let (journal, slug) = self.fresh().await;
        let clock = Arc::new(TurnedClock(Mutex::new(BEGINNING)));
        let mut books = Books { pipeline: pipeline(&journal, &clock, shape), journal, slug, clock };
        books.found(shape.trusting).await;
        let mut given = Vec::new();
        for segment in sequence {
            if let Some(cuts) = &shape.snapshots {
                books.take_snapshots(cuts).await;
                books.pipeline = pipeline(&books.journal, &books.clock, shape);
            }
            let now = {
                let mut now = books.clock.0.lock().unwrap_or_else(PoisonError::into_inner);
                *now += TimeDelta::seconds(segment.clock);
                *now
            };
            let mut jobs = segment.jobs.iter();
            for count in shape.batches.iter().cycle() {
                let batch: Vec<&Vec<Request>> = jobs.by_ref().take(*count).collect();
                if batch.is_empty() {
                    break;
                }
                given.extend(books.batch(&batch, now).await);
            }
        }
        books.closed(given).await
    }
}

fn pipeline(journal: &Journal, clock: &Arc<TurnedClock>, shape: &Shape) -> Pipeline {
    let options = PipelineOptions {
        cache_aggregates: shape.cache,
        patience: Duration::from_secs(5),
        ..PipelineOptions::default()
    };
    let clock: Arc<dyn Clock> = Arc::<TurnedClock>::clone(clock);
    let ids: Arc<dyn Ids> = Arc::new(SystemIds);
    Pipeline::start(journal, &clock, &ids, &options, &Announcer::silent(), &TaskTracker::new())
}

/// A ledger while a sequence is run.
struct Books {
    journal: Journal,
    pipeline: Pipeline,
    clock: Arc<TurnedClock>,
    slug: Slug,
}

impl Books {
    fn tenant(&self) -> TenantId {
        TenantId::of(&self.slug)
    }

    async fn events(&self) -> Vec<Recorded> {
        let partition = self.tenant().partition(self.journal.partition_count());
        self.journal.read(partition, 0, 1_000_000).await.unwrap()
    }

    async fn submit(&self, command: Command, key: Option<IdempotencyKey>) -> Result<Outcome, Failure> {
        self.pipeline.submit(self.request(command, key)).await
    }

    fn request(&self, command: Command, key: Option<IdempotencyKey>) -> commands::Request {
        commands::Request { tenant: self.tenant(), command, context: Context::default(), key }
    }

    /// The tenant with its assets.
    async fn found(&self, trusting: bool) {
        let (slug, name) = (self.slug.clone(), TenantName::new("Acme").unwrap());
        self.submit(Command::CreateTenant { slug, name, owner: None }, None).await.unwrap();
        for asset in [Asset::Usd, Asset::Tok] {
            let register = Command::RegisterAsset { code: code(asset), scale: scale(asset) };
            self.submit(register, None).await.unwrap();
        }
        for number in 0..if trusting { 20 } else { 0 } {
            let path = WalletPath::new("nowhere").unwrap();
            let key = IdempotencyKey { key: format!("unused {number}"), fingerprint: Vec::new() };
            assert!(self.submit(Command::FreezeWallet { path }, Some(key)).await.is_err());
        }
    }

    /// Has jobs decided in one batch. There is one thread, and the writer does not get it before all of them wait.
    async fn batch(&self, jobs: &[&Vec<Request>], now: DateTime<Utc>) -> Vec<Result<Outcome, Failure>> {
        let jobs = jobs.iter().map(|job| {
            let requests = job.iter().map(|one| {
                let key = one.key.map(|key| IdempotencyKey {
                    key: format!("key {key}"),
                    fingerprint: format!("{:?}", one.what).into_bytes(),
                });
                self.request(self.command(&one.what, now), key)
            });
            self.pipeline.submit_all(requests.collect())
        });
        futures_util::future::join_all(jobs).await.into_iter().flatten().collect()
    }

    fn command(&self, what: &Do, now: DateTime<Utc>) -> Command {
        let path = |wallet: &crate::sequence::Wallet| WalletPath::new(wallet.path()).unwrap();
        let id = |number: &u8| TransactionId::of(self.tenant(), &reference(*number));
        let amounts = |list: &Option<Vec<i64>>| {
            let hundredths = |minor: &i64| Amount::from_minor((*minor).into(), Scale::new(2).unwrap());
            list.as_ref().map(|list| list.iter().map(hundredths).collect())
        };
        match what {
            Do::Open(wallet, asset, minimum) => Command::OpenWallet {
                path: path(wallet),
                asset: code(*asset),
                minimum: minimum.map(|minor| amount(minor, *asset)),
                metadata: Metadata::default(),
            },
            Do::Freeze(wallet) => Command::FreezeWallet { path: path(wallet) },
            Do::Unfreeze(wallet) => Command::UnfreezeWallet { path: path(wallet) },
            Do::Close(wallet) => Command::CloseWallet { path: path(wallet) },
            Do::Make(make) => Command::Transact(transaction(make, now)),
            Do::Batch(makes) => Command::Batch(makes.iter().map(|make| transaction(make, now)).collect()),
            Do::Settle(reference, list) => Command::Settle { id: id(reference), amounts: amounts(list) },
            Do::Release(reference) => Command::Release { id: id(reference) },
            Do::Expire(reference) => Command::Expire { id: id(reference) },
            Do::Reverse(reference, list) => Command::Reverse { id: id(reference), amounts: amounts(list) },
        }
    }

    /// Snapshots of all streams, each somewhere in its history, in the form in which the projection keeps them.
    async fn take_snapshots(&self, cuts: &[usize]) {
        let mut streams: BTreeMap<Uuid, Vec<Recorded>> = BTreeMap::new();
        for event in self.events().await {
            streams.entry(event.text.aggregate_id).or_default().push(event);
        }
        for ((id, events), cut) in streams.iter().zip(cuts.iter().cycle()) {
            let events = &events[..=cut % events.len()];
            let kind = &events[0].text.aggregate_type;
            let state = match kind.as_str() {
                Tenant::TYPE => serde_json::to_string(&folded::<Tenant>(events)),
                Wallet::TYPE => serde_json::to_string(&folded::<Wallet>(events)),
                _ => serde_json::to_string(&folded::<Transaction>(events)),
            };
            sqlx::query(
                "INSERT INTO views.snapshots
                     (partition, form, tenant_id, aggregate_type, aggregate_id, sequence, state)
                 VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb)
                 ON CONFLICT (aggregate_id, partition) DO UPDATE
                 SET sequence = excluded.sequence, state = excluded.state",
            )
            .bind(events[0].partition.0)
            .bind(SNAPSHOT_FORM)
            .bind(events[0].text.tenant_id)
            .bind(kind)
            .bind(id)
            .bind(i64::try_from(events.len()).unwrap())
            .bind(state.unwrap())
            .execute(self.journal.pool())
            .await
            .unwrap();
        }
    }

    /// What the run came to, according to its answers and the journal.
    async fn closed(&self, given: Vec<Result<Outcome, Failure>>) -> Run {
        let recorded = self.events().await;
        let mut streams: BTreeMap<Uuid, Vec<Recorded>> = BTreeMap::new();
        let mut names = Names { slug: self.slug.clone(), ids: Vec::new() };
        let mut events = Vec::new();
        for (event, position) in recorded.into_iter().zip(1..) {
            assert_eq!(event.position, position, "positions have no gaps");
            let stream = streams.entry(event.text.aggregate_id).or_default();
            assert_eq!(event.text.sequence - 1, i64::try_from(stream.len()).unwrap(), "nor have sequences");
            names.add(event.text.aggregate_id);
            names.add(event.text.command_id);
            events.push(format!("{event:?}"));
            stream.push(event);
        }
        let wallet = |path| {
            let id = WalletId::of(self.tenant(), &WalletPath::new(path).unwrap());
            Some((path, folded::<Wallet>(streams.get(&id.0)?)))
        };
        let partition = format!("{:?}", self.tenant().partition(self.journal.partition_count()));
        let anonymous = |text: String| names.replaced(&text).replace(&partition, "here");
        let answers = given.into_iter().map(|answer| (words(&answer), anonymous(format!("{answer:?}"))));
        Run {
            answers: answers.collect(),
            events: events.into_iter().map(anonymous).collect(),
            wallets: paths().filter_map(wallet).collect(),
        }
    }
}

fn folded<A: Aggregate<Event: Event>>(events: &[Recorded]) -> A {
    events.iter().map(|event| &event.text).fold(A::default(), |mut state, text| {
        state.apply(event::decode(&text.event_type, text.event_version, &text.payload).unwrap());
        state
    })
}

/// What is different in every run, in the order in which the journal names it first.
struct Names {
    slug: Slug,
    ids: Vec<String>,
}

impl Names {
    fn add(&mut self, id: Uuid) {
        let id = id.to_string();
        if !self.ids.contains(&id) {
            self.ids.push(id);
        }
    }

    fn replaced(&self, text: &str) -> String {
        let ids = self.ids.iter().enumerate();
        let text = text.replace(&format!("\"{}\"", self.slug), "\"slug\"");
        let text = text.replace(&format!("\\\"{}\\\"", self.slug), "\\\"slug\\\"");
        ids.fold(text, |text, (number, id)| text.replace(id, &format!("#{number}")))
    }
}

/// An answer as the model says it.
fn words(answer: &Result<Outcome, Failure>) -> Answer {
    let outcome = match answer {
        Ok(outcome) => outcome,
        Err(Failure::Rejected(rejection)) => return Err(rejection.code()),
        Err(Failure::KeyReused) => return Err("key_reused"),
        Err(failure) => panic!("{failure}"),
    };
    let again = if outcome.replayed { "again: " } else { "" };
    let came_to = match &outcome.resource {
        Resource::Transactions(made) => {
            made.iter().map(|(_, one)| one.status.as_str()).collect::<Vec<_>>().join(" ")
        }
        Resource::Wallet(_, wallet) => in_words(wallet),
        other => panic!("{other:?}"),
    };
    Ok(format!("{again}{came_to}"))
}

/// A wallet as the model says it.
pub fn in_words(wallet: &Wallet) -> String {
    let Balance { posted, held, incoming } = wallet.balance;
    let status = format!("{:?}", wallet.status).to_lowercase();
    format!("{status} {} {} {}", posted.minor(), held.minor(), incoming.minor())
}

fn code(asset: Asset) -> AssetCode {
    AssetCode::new(&format!("{asset:?}").to_uppercase()).unwrap()
}

fn scale(asset: Asset) -> Scale {
    Scale::new(if asset == Asset::Tok { 3 } else { 2 }).unwrap()
}

fn amount(minor: i64, asset: Asset) -> Amount {
    Amount::from_minor(minor.into(), scale(asset))
}

fn reference(number: u8) -> Reference {
    Reference::new(&format!("invoice {number}")).unwrap()
}

fn transaction(make: &Make, now: DateTime<Utc>) -> TransactionRequest {
    let postings = make.postings.iter().map(|posting| Posting {
        from: WalletPath::new(posting.from.path()).unwrap(),
        to: WalletPath::new(posting.to.path()).unwrap(),
        amount: amount(posting.amount, posting.asset),
        asset: code(posting.asset),
    });
    TransactionRequest {
        postings: postings.collect(),
        pending: make.hold,
        expires_at: make.expires.map(|seconds| now + TimeDelta::seconds(seconds)),
        reference: make.reference.map(reference),
        adjustment: make.adjustment.then(|| Reason::new("goodwill").unwrap()),
        open_wallets: make.open,
        ..TransactionRequest::default()
    }
}
