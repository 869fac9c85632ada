//! A world: what outlives the processes in it, what may go wrong, and the record of what happened.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{Clock, Ids, Partition};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::broker::Server;
use crate::chance::Chance;
use crate::store::Log;
use crate::views::Model;

/// What a seed decides about a world before anything happens in it.
#[derive(Debug, Clone)]
pub struct Profile {
    pub partitions: i32,
    pub tenants: usize,
    pub wallets: usize,
    pub clients: usize,
    pub cache: usize,
    pub batch_events: usize,
    pub queue: usize,
    pub patience: Duration,
    pub projector_batch: usize,
    /// One in so many operations goes wrong; 0 for none.
    pub database_fault: u64,
    pub broker_fault: u64,
    pub view_fault: u64,
    /// One in so many operations takes long.
    pub slow: u64,
    /// The longest time between two blows to the whole, in milliseconds; 0 for none.
    pub blows: u64,
}

impl Profile {
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::new(seed, 1);
        let rough = *chance.pick(&[0, 1, 1, 2, 2, 2, 3]);
        let rates = [
            [0, 0, 0, 400, 0],
            [400, 800, 400, 400, 10_000],
            [60, 300, 60, 100, 3_000],
            [12, 60, 12, 40, 800],
        ];
        let [database_fault, broker_fault, view_fault, slow, blows] = rates[rough];
        Self {
            partitions: *chance.pick(&[1, 1, 2, 3]),
            tenants: chance.size(1, 5),
            wallets: chance.size(3, 14),
            clients: *chance.pick(&[2, 16, 48, 128, 256]),
            cache: *chance.pick(&[4, 16, 64, 1_000]),
            batch_events: *chance.pick(&[1, 30, 300, 2_000]),
            queue: *chance.pick(&[24, 200, 8_192]),
            patience: Duration::from_millis(chance.between(200, 3_000)),
            projector_batch: *chance.pick(&[3, 50, 1_000]),
            database_fault,
            broker_fault,
            view_fault,
            slow,
            blows,
        }
    }
}

/// A kind of server that can be away for a while.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    Database,
    Broker,
}

#[derive(Default)]
struct Record {
    hasher: DefaultHasher,
    faults: BTreeMap<&'static str, u64>,
    violations: Vec<String>,
}

/// All state that no process owns.
pub struct World {
    pub seed: u64,
    pub profile: Profile,
    chance: Mutex<Chance>,
    record: Mutex<Record>,
    calm: AtomicBool,
    logs: Mutex<Vec<Log>>,
    server: Mutex<Server>,
    model: Mutex<Model>,
    locks: Mutex<BTreeMap<String, u64>>,
    away: Mutex<[Option<Instant>; 2]>,
    began: Instant,
    skew: AtomicI64,
    /// How often the clock was turned.
    pub turns: AtomicU64,
    next_id: AtomicU64,
    /// Told whenever JetStream takes a message, or changes.
    pub news: Notify,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub fn new(seed: u64) -> Arc<Self> {
        let profile = Profile::of(seed);
        let logs = (0..profile.partitions).map(|partition| Log::new(Partition(partition))).collect();
        Arc::new(Self {
            seed,
            chance: Mutex::new(Chance::new(seed, 2)),
            record: Mutex::default(),
            calm: AtomicBool::new(false),
            logs: Mutex::new(logs),
            server: Mutex::new(Server::new(profile.partitions)),
            model: Mutex::new(Model::new(profile.partitions)),
            locks: Mutex::default(),
            away: Mutex::new([None; 2]),
            began: Instant::now(),
            skew: AtomicI64::new(0),
            turns: AtomicU64::new(0),
            next_id: AtomicU64::new(1),
            news: Notify::new(),
            profile,
        })
    }

    pub fn chance(&self) -> MutexGuard<'_, Chance> {
        locked(&self.chance)
    }

    pub fn logs(&self) -> MutexGuard<'_, Vec<Log>> {
        locked(&self.logs)
    }

    pub fn server(&self) -> MutexGuard<'_, Server> {
        locked(&self.server)
    }

    pub fn model(&self) -> MutexGuard<'_, Model> {
        locked(&self.model)
    }

    /// Who holds which lock.
    pub fn locks(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        locked(&self.locks)
    }

    /// The position of a partition's newest event, as nobody within the world can know it.
    pub fn head(&self, partition: Partition) -> i64 {
        self.logs()[usize::try_from(partition.0).unwrap()].head.position
    }

    /// Adds to the trace that two runs of one seed must have in common.
    pub fn trace(&self, what: impl Hash) {
        let at = self.began.elapsed();
        let mut record = locked(&self.record);
        (at, what).hash(&mut record.hasher);
    }

    pub fn trace_hash(&self) -> u64 {
        locked(&self.record).hasher.finish()
    }

    /// Notes that something went wrong on purpose.
    pub fn fault(&self, name: &'static str) {
        self.trace(name);
        *locked(&self.record).faults.entry(name).or_default() += 1;
    }

    pub fn faults(&self) -> BTreeMap<&'static str, u64> {
        locked(&self.record).faults.clone()
    }

    /// Notes that a promise was broken.
    pub fn violation(&self, what: String) {
        locked(&self.record).violations.push(what);
    }

    pub fn violations(&self) -> Vec<String> {
        locked(&self.record).violations.clone()
    }

    /// From now on nothing goes wrong any more.
    pub fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
        *locked(&self.away) = [None; 2];
    }

    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// True once in `times`, unless the world is calm.
    pub fn unlucky(&self, times: u64) -> bool {
        !self.is_calm() && self.chance().one_in(times)
    }

    /// The way to a server or back: usually short, sometimes long.
    pub async fn travel(&self) {
        let calm = self.is_calm();
        let milliseconds = {
            let mut chance = self.chance();
            if !calm && chance.one_in(self.profile.slow) {
                chance.between(20, 4_000)
            } else if chance.one_in(3) {
                chance.between(1, 4)
            } else {
                0
            }
        };
        if milliseconds > 0 {
            sleep(Duration::from_millis(milliseconds)).await;
        } else {
            tokio::task::yield_now().await;
        }
    }

    /// Takes a server away for a while.
    pub fn send_away(&self, part: Part, time: Duration) {
        locked(&self.away)[part as usize] = Some(Instant::now() + time);
    }

    /// Whether a server is away. Whoever asks may have to wait until it is back to learn that it was.
    pub async fn is_away(&self, part: Part) -> bool {
        let until = locked(&self.away)[part as usize];
        let Some(until) = until.filter(|until| *until > Instant::now()) else {
            return false;
        };
        if self.chance().one_in(2) {
            tokio::time::sleep_until(until).await;
        }
        true
    }

    /// Turns the clock.
    pub fn turn_clock(&self, by: TimeDelta) {
        self.skew.fetch_add(by.num_microseconds().unwrap_or_default(), Ordering::Relaxed);
        self.turns.fetch_add(1, Ordering::Relaxed);
    }
}

impl Clock for World {
    fn now(&self) -> DateTime<Utc> {
        let elapsed = i64::try_from(self.began.elapsed().as_micros()).unwrap();
        let micros = 1_800_000_000_000_000 + elapsed + self.skew.load(Ordering::Relaxed);
        DateTime::from_timestamp_micros(micros).unwrap()
    }
}

impl Ids for World {
    fn next(&self) -> Uuid {
        Uuid::from_u128(0x7000_8000 << 64 | u128::from(self.next_id.fetch_add(1, Ordering::Relaxed)))
    }
}

/// One run of the program. Once it is dead nothing that it does has an effect: whatever it waits for never comes.
pub struct Process {
    pub number: u64,
    pub dead: CancellationToken,
}

impl Process {
    pub async fn live(&self) {
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }
}
