//! Rounds: load with faults, then recovery without anyone's hand, then the judgement.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use domain::Partition;
use journal::{Journal, Position, Recorded, Role};
use reqwest::Client;
use serde_json::Value;
use sqlx::PgPool;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::checker::{self, Summary};
use crate::fault::Fault;
use crate::load::{Load, WALLETS, client};
use crate::model::{Ledger, Wallet};
use crate::reader::{Seen, follow};
use crate::record::text;
use crate::seed::Seed;
use crate::world::{Arrangement, World};

const PARTITIONS: Partition = Partition(2);
const WORKERS: u64 = 8;

/// How soon after the last fault everything works again, and all views and readers have caught up. `FAULT_RECOVERY`
/// gives a machine that is busy with other things more seconds. The short form is always that: a debug build, whose worlds
/// share the cores with each other and with the compiler's and other tests' work.
fn recovery() -> Duration {
    let usual = if crate::number("FAULT_KILLS").is_some() { 10 } else { 40 };
    Duration::from_secs(crate::number("FAULT_RECOVERY").unwrap_or(usual))
}

/// Time-outs that a fault can outlast.
const SETTINGS: &[(&str, &str)] = &[
    ("COUNTERFOIL_JOURNAL__PARTITIONS", "2"),
    ("COUNTERFOIL_PIPELINE__PATIENCE_MS", "1000"),
    ("COUNTERFOIL_PIPELINE__CACHE_AGGREGATES", "50"),
    ("COUNTERFOIL_API__REQUEST_TIMEOUT_MS", "3000"),
    ("COUNTERFOIL_API__WAIT_MS_MAX", "1000"),
    ("COUNTERFOIL_SWEEP__INTERVAL_MS", "200"),
];

/// How often each kind of fault took effect, and how often it came to nothing.
#[derive(Debug, Default, Clone)]
pub struct Tally(BTreeMap<Fault, (usize, usize)>);

impl Tally {
    fn note(&mut self, fault: Fault, took_effect: bool) {
        let (done, vain) = self.0.entry(fault).or_default();
        *(if took_effect { done } else { vain }) += 1;
    }

    fn add(&mut self, other: Self) {
        for (fault, (done, vain)) in other.0 {
            let own = self.0.entry(fault).or_default();
            *own = (own.0 + done, own.1 + vain);
        }
    }

    /// How many faults took effect.
    pub fn done(&self) -> usize {
        self.0.values().map(|(done, _)| done).sum()
    }

    fn vain(&self) -> usize {
        self.0.values().map(|(_, vain)| vain).sum()
    }
}

/// What some worlds came to.
#[derive(Debug, Default, Clone)]
pub struct Totals {
    pub faults: Tally,
    pub rounds: usize,
    pub summary: Summary,
    pub slowest: Duration,
    /// How often a reader found a hole in the stream and read it again.
    pub holes: u64,
}

impl Totals {
    pub fn add(&mut self, other: Self) {
        let (own, more) = (&mut self.summary, other.summary);
        own.events += more.events;
        own.acknowledged += more.acknowledged;
        own.refused += more.refused;
        own.open += more.open;
        own.open_done += more.open_done;
        own.resolved += more.resolved;
        self.faults.add(other.faults);
        self.rounds += other.rounds;
        self.holes += other.holes;
        self.slowest = self.slowest.max(other.slowest);
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { events, acknowledged, refused, open, open_done, resolved } = self.summary;
        write!(
            f,
            "{} faults that took effect in {} rounds, {} tried in vain: {events} events; {acknowledged} commands acknowledged ({resolved} when asked \
             again), {refused} refused, {open} never answered ({open_done} of them done); slowest recovery {:?}; \
             {} holes seen in the stream and filled",
            self.faults.done(),
            self.rounds,
            self.faults.vain(),
            self.slowest,
            self.holes
        )?;
        for (fault, (done, vain)) in &self.faults.0 {
            write!(f, "\n  {fault:?}: {done}")?;
            if *vain > 0 {
                write!(f, ", in vain {vain}")?;
            }
        }
        Ok(())
    }
}

/// A world with its client and its readers.
struct Scene {
    world: World,
    load: Arc<Load>,
    seen: Arc<Seen>,
    http: Client,
    pool: PgPool,
    journal: Journal,
}

/// Goes through the rounds of one world; panics at the first that the checker does not accept.
pub async fn assert_nothing_is_lost(arrangement: Arrangement, seed: &Seed, plan: Vec<Vec<Fault>>) -> Totals {
    let world = World::start(arrangement, SETTINGS).await;
    world.say_what_is_skipped();
    let load = Load::prepare(&world, PARTITIONS).await;
    let options = world.database_url().parse().unwrap();
    let pool = journal::connect(options, Role::Owner, "views", 2).await.unwrap();
    let journal = Journal::open(pool.clone()).await.unwrap();
    let seen = Seen::new(load.tenants.len(), PARTITIONS);
    let scene = Scene { world, load, seen, http: client(), pool, journal };
    let reading = CancellationToken::new();
    let nats_url = scene.world.nats_url();
    let mut readers = follow(&scene.seen, &scene.world.base, &scene.load.tenants, &nats_url, &reading);
    let mut totals = Totals::default();
    for (number, faults) in plan.iter().enumerate() {
        let mut seed = seed.fork(1_000 + number as u64);
        let done = scene.round(number, faults, &mut seed).await;
        let (summary, took, tally) = match done {
            Ok(done) => done,
            Err(why) => {
                reading.cancel();
                panic!(
                    "round {number} {faults:?}: {why}\n{}\nkept: {}",
                    scene.world.last_words(),
                    scene.world.directory.display()
                );
            }
        };
        let count = tally.done();
        totals.faults.add(tally);
        totals.rounds += 1;
        totals.summary = summary;
        totals.slowest = totals.slowest.max(took);
        println!(
            "  round {number}: {count} of {} faults, recovered in {took:?}, {} events",
            faults.len(),
            summary.events
        );
    }
    totals.holes = scene.seen.holes.load(Ordering::SeqCst);
    reading.cancel();
    while readers.join_next().await.is_some() {}
    scene.end().await;
    totals
}

impl Scene {
    async fn round(
        &self,
        number: usize,
        faults: &[Fault],
        seed: &mut Seed,
    ) -> Result<(Summary, Duration, Tally), String> {
        let stop = CancellationToken::new();
        let mut workers = self.load.start(seed, WORKERS, &stop);
        sleep(Duration::from_millis(400)).await;
        let (last, tally) = self.torment(faults, seed).await;
        let recovered = timeout_at(last + recovery(), self.recovered(number, last)).await;
        stop.cancel();
        if recovered.is_err() {
            return Err(format!("not recovered within {:?}: {}", recovery(), self.state().await));
        }
        let took = last.elapsed();
        while let Some(ended) = workers.join_next().await {
            ended.map_err(|error| error.to_string())?;
        }
        let resolving = timeout(recovery(), self.load.resolve(&self.http)).await;
        resolving.map_err(|_| "calls are not answered".to_owned())?;
        timeout(recovery(), self.caught_up()).await.map_err(|_| "readers do not catch up".to_owned())?;
        Ok((self.judge().await?, took, tally))
    }

    /// One fault after the other, sometimes two at a time. Returns when the last one was over, and what took effect.
    async fn torment(&self, faults: &[Fault], seed: &mut Seed) -> (Instant, Tally) {
        let (mut over, mut tally) = (Instant::now(), Tally::default());
        let mut faults = faults.iter();
        while let Some(fault) = faults.next() {
            let mut second = seed.fork(7);
            if seed.chance(20)
                && let Some(other) = faults.next()
            {
                let (first, second) = tokio::join!(fault.inject(&self.world, seed), async {
                    sleep(Duration::from_millis(second.between(0, 100))).await;
                    other.inject(&self.world, &mut second).await
                });
                self.insist(*fault, first, seed, &mut tally).await;
                self.insist(*other, second, seed, &mut tally).await;
            } else {
                let done = fault.inject(&self.world, seed).await;
                self.insist(*fault, done, seed, &mut tally).await;
            }
            over = Instant::now();
            sleep(Duration::from_millis(seed.between(20, 500))).await;
        }
        (over, tally)
    }

    /// Notes a fault, and tries it up to three times more where it came to nothing: what it needs may be there by then.
    async fn insist(&self, fault: Fault, mut done: bool, seed: &mut Seed, tally: &mut Tally) {
        tally.note(fault, done);
        for _ in 0..3 {
            if done {
                break;
            }
            sleep(Duration::from_millis(400)).await;
            done = fault.inject(&self.world, seed).await;
            tally.note(fault, done);
        }
    }

    /// Until everything works: ready, a command of each tenant acknowledged, its effect in every read model and in the
    /// stream. `began` is when the last fault was over.
    async fn recovered(&self, round: usize, began: Instant) {
        let mut steps = Vec::new();
        for tenant in 0..self.load.tenants.len() {
            let position = self.load.probe(&self.http, tenant, format!("probe-{round}")).await;
            let own = &self.load.tenants[tenant];
            steps.push(("a command of", tenant, began.elapsed()));
            for path in ["/v1/wallets/a/balance", "/v1/transactions?limit=1", "/v1/assets"] {
                let sign = if path.contains('?') { '&' } else { '?' };
                let url = format!("{}{path}{sign}after={position}&wait_ms=500", self.load.base);
                while self.get(&url, &own.token).await.is_none() {
                    sleep(Duration::from_millis(20)).await;
                }
            }
            while !self.in_every_read_model(position).await {
                sleep(Duration::from_millis(10)).await;
            }
            steps.push(("the views of", tenant, began.elapsed()));
            while self.seen.at(position.partition) < position.position
                || self.seen.tenant_at(tenant) < position.position
            {
                sleep(Duration::from_millis(10)).await;
            }
            steps.push(("the readers of", tenant, began.elapsed()));
        }
        let url = format!("{}/readyz", self.load.base);
        while self.get(&url, "").await.is_none_or(|ready| ready["state"] != "ok") {
            sleep(Duration::from_millis(20)).await;
        }
        if began.elapsed() > recovery() / 3 {
            println!("  slow: {steps:?}");
        }
    }

    /// Whether all read models, also those that no request of ours asks, have got to this position.
    async fn in_every_read_model(&self, position: Position) -> bool {
        let Ok(all) = projections::status(&self.pool, &self.journal, None).await else { return false };
        let mut own = all.iter().filter(|status| status.partition == position.partition);
        own.all(|status| status.position >= position.position)
    }

    /// What is not as it should be, for a message.
    async fn state(&self) -> String {
        let answer = self.http.get(format!("{}/readyz", self.load.base)).send().await;
        let ready = match answer {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        let heads: Vec<String> = match timeout(recovery(), self.journal.heads()).await {
            Ok(Ok(heads)) => {
                let seen = |partition| self.seen.at(partition);
                heads
                    .iter()
                    .map(|head| format!("head {}, stream {}", head.position, seen(head.partition)))
                    .collect()
            }
            other => vec![format!("{other:?}")],
        };
        format!("{ready} {heads:?}")
    }

    async fn get(&self, url: &str, token: &str) -> Option<Value> {
        let answer = self.http.get(url).bearer_auth(token).send().await.ok()?;
        answer.error_for_status().ok()?.json().await.ok()
    }

    /// Until the readers have seen all that is in the journal. Holds that are still to expire make it grow.
    async fn caught_up(&self) {
        loop {
            if let Ok(heads) = self.journal.heads().await
                && heads.iter().all(|head| self.seen.at(head.partition) == head.position)
                && self.pending_expiries().await == 0
                && self.tenants_caught_up().await
            {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn tenants_caught_up(&self) -> bool {
        let newest = "SELECT coalesce(max(position), 0) FROM journal.events WHERE tenant_id = $1";
        for (index, tenant) in self.load.tenants.iter().enumerate() {
            let newest: Result<i64, _> =
                sqlx::query_scalar(newest).bind(tenant.id.0).fetch_one(&self.pool).await;
            if newest.ok() != Some(self.seen.tenant_at(index)) {
                return false;
            }
        }
        true
    }

    async fn pending_expiries(&self) -> i64 {
        let waiting = "SELECT count(*) FROM views.transactions WHERE expires_at IS NOT NULL";
        sqlx::query_scalar(waiting).fetch_one(&self.pool).await.unwrap_or(i64::MAX)
    }

    async fn judge(&self) -> Result<Summary, String> {
        let mut partitions = Vec::new();
        for partition in self.journal.partitions() {
            let mut events: Vec<Recorded> = Vec::new();
            loop {
                let after = i64::try_from(events.len()).unwrap();
                let more =
                    self.journal.read(partition, after, 5_000).await.map_err(|error| error.to_string())?;
                if more.is_empty() {
                    break;
                }
                events.extend(more);
            }
            partitions.push(events);
        }
        let calls = self.load.calls();
        let (summary, ledger) = checker::check(&partitions, &calls, &self.load.tenants)?;
        let over_http: Vec<Vec<Value>> = self.seen.over_http.iter().map(copy).collect();
        let in_stream: Vec<Vec<Recorded>> = self.seen.in_stream.iter().map(copy).collect();
        checker::readers(&partitions, &self.load.tenants, &over_http, &in_stream)?;
        self.stream_is_equal(&partitions).await?;
        self.reads(&ledger).await?;
        self.world.command(&["journal", "verify"]).await?;
        self.nothing_lingers().await?;
        Ok(summary)
    }

    /// JetStream has exactly as many messages as the journal has events; the readers compared their contents.
    async fn stream_is_equal(&self, partitions: &[Vec<Recorded>]) -> Result<(), String> {
        let options = async_nats::ConnectOptions::new();
        let url = self.world.nats_url();
        let client =
            counterfoil::servers::connect_nats(&url, options).await.map_err(|error| error.to_string())?;
        let context = async_nats::jetstream::new(client);
        let stream = context.get_stream(commands::STREAM).await.map_err(|error| error.to_string())?;
        let messages = usize::try_from(stream.cached_info().state.messages).unwrap();
        let events: usize = partitions.iter().map(Vec::len).sum();
        if messages == events { Ok(()) } else { Err(format!("{messages} messages for {events} events")) }
    }

    /// Every wallet as it is read over HTTP is as the model has it.
    async fn reads(&self, ledger: &Ledger) -> Result<(), String> {
        for tenant in &self.load.tenants {
            for path in WALLETS {
                let Wallet { posted, held, incoming, .. } = ledger.wallets[&(tenant.id.0, path.to_owned())];
                let url = format!("{}/v1/wallets/{path}/balance", self.load.base);
                let found = self.get(&url, &tenant.token).await.ok_or("a balance cannot be read")?;
                for (name, expected) in [("posted", posted), ("held", held), ("incoming", incoming)] {
                    if found[name] != text(expected) {
                        return Err(format!("{path} is read as {found}, and {name} is {}", text(expected)));
                    }
                }
            }
        }
        Ok(())
    }

    /// No prepared transaction, no lock but the two of the relay and the projectors, no transaction left open.
    async fn nothing_lingers(&self) -> Result<(), String> {
        let count = async |what: &str| -> Result<i64, String> {
            sqlx::query_scalar(what).fetch_one(&self.pool).await.map_err(|error| error.to_string())
        };
        let mut said = String::new();
        for _ in 0..100 {
            let prepared = count("SELECT count(*) FROM pg_prepared_xacts").await?;
            let locks = count("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").await?;
            let idle = count(
                "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'
                 AND state_change < now() - interval '2 seconds'",
            )
            .await?;
            if (prepared, locks, idle) == (0, 2, 0) {
                return Ok(());
            }
            said =
                format!("{prepared} prepared transactions, {locks} advisory locks, {idle} open transactions");
            sleep(Duration::from_millis(50)).await;
        }
        Err(said)
    }

    async fn end(self) {
        let Self { world, pool, .. } = self;
        pool.close().await;
        world.stop().await;
    }
}

fn copy<T: Clone>(list: &std::sync::Mutex<Vec<T>>) -> Vec<T> {
    list.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
