//! A tenant with calls of all kinds, made through the pipeline in batches, and its projectors.

use std::time::Duration;

use chrono::TimeDelta;
use commands::{AllowanceChange, Command, FinishedCall, NewCall, Tried};
use domain::catalogue::{CatalogueCommand, Enforcement, Governed, Level, Mode, Policy, Rollover};
use domain::execution::{Attempt, AttemptOutcome, End, FailureReason, Operation, Quoted};
use domain::{
    ApplicationId, AssetCode, Digest, ExecutionId, LevelName, ModelName, Price, ProviderName, Rates, Usage,
    UsageSource, UserRef, WalletPath, ZoneName,
};
use journal::Role;
use projections::{Progress, Projectors, Reader, Settings};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::ledger::{Ledger, amount, transfer};

pub const WALLETS: [&str; 4] = ["customers:1", "customers:2", "customers:3", "customers:4"];
pub const MODELS: [&str; 3] = ["fast", "good", "dear"];
pub const PROVIDERS: [&str; 2] = ["north", "south"];
pub const ZONE: &str = "Asia/Kathmandu";

/// Projectors at work.
pub struct Running {
    pub reader: Reader,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn start(ledger: &Ledger) -> Self {
        let progress = Progress::new(ledger.journal.partition_count());
        let projectors = Projectors {
            database: ledger.database.options(),
            pool: ledger.database.pool(Role::Projector, 8).await,
            journal: ledger.journal.clone(),
            nats: None,
            progress: progress.clone(),
            settings: Settings { tick: Duration::from_millis(20), batch: 50 },
        };
        let cancel = CancellationToken::new();
        let task = tokio::spawn(projectors.run(cancel.clone()));
        let pool = ledger.database.pool(Role::Reader, 4).await;
        Self { reader: Reader::new(pool, ledger.journal.partition_count(), progress), cancel, task }
    }

    pub async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }
}

/// Waits until every read model has every event, for a minute at the most.
pub async fn caught_up(ledger: &Ledger) {
    let pool = ledger.database.pool(Role::Writer, 1).await;
    for _ in 0..1_200 {
        let status = projections::status(&pool, &ledger.journal, None).await.unwrap();
        if status.iter().all(|one| one.lag == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the read models lag");
}

pub async fn assert_verified(ledger: &Ledger) {
    let pool = ledger.database.pool(Role::Writer, 2).await;
    let report = projections::verify(&pool, &ledger.journal, |_| {}).await.unwrap();
    let heads: i64 = ledger.journal.heads().await.unwrap().iter().map(|head| head.position).sum();
    assert_eq!(report.events, heads);
}

pub fn wallet(path: &str) -> WalletPath {
    WalletPath::new(path).unwrap()
}

pub fn user(number: u64) -> UserRef {
    UserRef::new(&format!("user-{number}")).unwrap()
}

pub fn application(number: u64) -> ApplicationId {
    ApplicationId(Uuid::from_u128(0xa0 + u128::from(number)))
}

pub fn model(name: &str) -> ModelName {
    ModelName::new(name).unwrap()
}

pub fn provider(name: &str) -> ProviderName {
    ProviderName::new(name).unwrap()
}

fn usd() -> AssetCode {
    AssetCode::new("USD").unwrap()
}

/// A price of a model; the input costs so many units per million tokens.
pub fn quoted(at: &str, name: &str, input: u64) -> Quoted {
    let rates = Rates {
        input: amount(&format!("{input}.25")),
        output: amount(&format!("{}.5", input * 4)),
        cache_read: Some(amount("0.025")),
        cache_write: None,
        cache_write_long: None,
        reasoning: Some(amount("77")),
    };
    let price = Price { version: 3, asset: usd(), rates };
    Quoted { provider: provider(at), model: model(&format!("{name}-2026")), price }
}

/// A call that is asked for, as tests begin from.
pub fn call(ledger: &Ledger, path: &str) -> NewCall {
    NewCall {
        requested_at: None,
        wallet: wallet(path),
        application: None,
        user: None,
        model: model("fast"),
        operation: Operation::OpenAiChat,
        fingerprint: Digest::new(&"0f".repeat(32)).unwrap(),
        estimate: Usage { input: 1_000, ..Usage::default() },
        basis: None,
        quotes: vec![quoted("north", "fast", 3)],
        expires_at: ledger.clock.get() + TimeDelta::hours(1),
    }
}

/// The end of a call that was answered.
pub fn finished(quoted: Option<Quoted>, usage: Usage) -> FinishedCall {
    let attempt = Attempt {
        number: 1,
        provider: provider("north"),
        model: model("fast-2026"),
        outcome: AttemptOutcome::Answered,
        status: Some(200),
        first_token_ms: Some(210),
        total_ms: 1_900,
        usage: Some(usage),
        usage_source: Some(UsageSource::Reported),
        price_version: Some(3),
        cost: None,
    };
    FinishedCall {
        attempts: vec![Tried { attempt, price: None }],
        end: End::Completed,
        usage,
        usage_source: UsageSource::Reported,
        paid: quoted,
    }
}

/// Runs a command that must be accepted.
pub async fn done(ledger: &Ledger, command: Command) {
    ledger.run(command, None).await.unwrap();
}

/// A tenant east of Greenwich by a quarter of an hour less than six hours, with a level, policies, and money.
pub async fn tenant() -> Ledger {
    let ledger = Ledger::with_cache(1_000).await;
    for path in WALLETS {
        ledger.submit(transfer("@world", path, "40.00")).await.unwrap();
    }
    let level = LevelName::new("gold").unwrap();
    let policy = |enforcement| Policy {
        mode: Mode::Monthly { rollover: Rollover::None },
        amount: amount("5.00"),
        asset: usd(),
        enforcement,
    };
    let watched = Governed::Wallet(wallet("customers:2"));
    for command in [
        CatalogueCommand::SetTimeZone { zone: ZoneName::new(ZONE).unwrap() },
        CatalogueCommand::DefineLevel(Level { name: level.clone(), tier: 3, features: [].into() }),
        CatalogueCommand::SetPolicy {
            governed: Governed::Level(level.clone()),
            policy: policy(Enforcement::Hard),
        },
        CatalogueCommand::SetPolicy { governed: watched, policy: policy(Enforcement::Monitor) },
    ] {
        done(&ledger, Command::Catalogue(command)).await;
    }
    for (path, level) in [("customers:1", Some(level)), ("customers:2", None)] {
        let change = AllowanceChange::Assign { level, user: Some(user(7)) };
        done(&ledger, Command::Allowance { path: wallet(path), change }).await;
    }
    ledger
}

/// Calls of all kinds: `rounds` batches, some time apart, of calls that begin, go on and end.
pub async fn traffic(ledger: &Ledger, seed: u64, rounds: usize) {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut running: Vec<(ExecutionId, NewCall)> = Vec::new();
    for _ in 0..rounds {
        let mut commands = Vec::new();
        let mut begun = Vec::new();
        let mut left = Vec::new();
        for (id, call) in running.drain(..) {
            match chance.random_range(0..10) {
                0 => left.push((id, call)),
                1 => {
                    commands.push(Command::ExtendExecution { id, estimate: usage(&mut chance) });
                    left.push((id, call));
                }
                2 => {}
                _ => {
                    let finished = Box::new(end(&mut chance, &call));
                    commands.push(Command::FinishExecution { id, finished });
                }
            }
        }
        for _ in 0..chance.random_range(1..12) {
            let id = ExecutionId(Uuid::from_u128(chance.random()));
            let call = random_call(&mut chance, ledger);
            commands.push(Command::Execute { id, call: Box::new(call.clone()) });
            begun.push((id, call));
        }
        // Some are refused: because too little is available, or because they have no price.
        let outcomes = ledger.run_all(commands.into_iter().map(|command| (command, None)).collect()).await;
        let accepted = outcomes.into_iter().rev().take(begun.len()).rev().map(|outcome| outcome.is_ok());
        running = left;
        running.extend(begun.into_iter().zip(accepted).filter(|(_, ok)| *ok).map(|(begun, _)| begun));
        ledger.clock.advance(TimeDelta::seconds(chance.random_range(1..9_000)));
    }
    expire(ledger).await;
}

/// Ends what was forgotten and is over by now.
async fn expire(ledger: &Ledger) {
    ledger.clock.advance(TimeDelta::days(2));
    caught_up(ledger).await;
    let due = projections::Due::new(ledger.database.pool(Role::Writer, 1).await);
    let found = due.executions(ledger.partition(), ledger.clock.get(), 1_000).await.unwrap();
    assert!(!found.is_empty(), "some are forgotten");
    for (tenant, id) in found {
        assert_eq!(tenant, ledger.tenant);
        done(ledger, Command::ExpireExecution { id }).await;
    }
}

fn random_call(chance: &mut ChaCha8Rng, ledger: &Ledger) -> NewCall {
    let path = WALLETS[chance.random_range(0..WALLETS.len())];
    let named = chance.random_range(0..MODELS.len());
    let at = PROVIDERS[chance.random_range(0..PROVIDERS.len())];
    NewCall {
        requested_at: None,
        application: chance.random_bool(0.7).then(|| application(chance.random_range(1..3))),
        user: chance.random_bool(0.7).then(|| user(chance.random_range(1..4))),
        model: model(MODELS[named]),
        estimate: usage(chance),
        basis: None,
        quotes: chance
            .random_bool(0.95)
            .then(|| quoted(at, MODELS[named], 2 + 3 * named as u64))
            .into_iter()
            .collect(),
        expires_at: ledger.clock.get() + TimeDelta::hours(30),
        ..call(ledger, path)
    }
}

fn usage(chance: &mut ChaCha8Rng) -> Usage {
    let mut tokens = |most: u64| if chance.random_bool(0.5) { chance.random_range(0..most) } else { 0 };
    Usage {
        input: tokens(60_000),
        cache_read: tokens(40_000),
        cache_write: tokens(9_000),
        cache_write_long: tokens(5_000),
        output: tokens(30_000),
        reasoning: tokens(9_000),
    }
}

fn end(chance: &mut ChaCha8Rng, call: &NewCall) -> FinishedCall {
    let end = match chance.random_range(0..10) {
        0 => End::Cancelled,
        1 => End::Failed(FailureReason::StreamCut),
        2 => End::Failed(FailureReason::ProviderUnreachable),
        _ => End::Completed,
    };
    let tried = chance.random_range(0..4);
    let attempts = (1..=tried).map(|number| Attempt {
        number,
        provider: provider(PROVIDERS[chance.random_range(0..PROVIDERS.len())]),
        model: model("whatever"),
        outcome: if number < tried { AttemptOutcome::RateLimited } else { AttemptOutcome::Answered },
        status: Some(200),
        first_token_ms: chance.random_bool(0.8).then(|| chance.random_range(1..20_000)),
        total_ms: chance.random_range(1..300_000),
        usage: None,
        usage_source: None,
        price_version: None,
        cost: None,
    });
    let attempts = attempts.map(|attempt| Tried { attempt, price: None }).collect();
    let paid =
        call.quotes.first().cloned().filter(|_| end != End::Failed(FailureReason::ProviderUnreachable));
    let usage = if paid.is_some() { usage(chance) } else { Usage::default() };
    FinishedCall { attempts, end, usage, usage_source: UsageSource::Reported, paid }
}
