//! The recording client: several connections that move money over HTTP as fast as they are answered, and keep every
//! answer.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use counterfoil::system::SystemClock;
use domain::{Clock as _, Partition, Slug, TenantId};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::record::{Answer, Attempt, Call, Cents, NewTransaction, Op, Posting, Ticks, batch, padded};
use crate::seed::Seed;
use crate::world::World;

/// The user wallets of each tenant. The first one is hot: it is in most transactions, and often empty.
pub const WALLETS: [&str; 5] = ["hot", "a", "b", "c", "d"];
/// How the key of a request for several commands begins.
const BULK: &str = "bulk-";
/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct Tenant {
    pub slug: String,
    pub id: TenantId,
    pub token: String,
}

/// Transactions that later calls may refer to: their ids and amounts.
type Known = Mutex<Vec<(Uuid, Vec<Cents>)>>;

/// The client and its memory.
pub struct Load {
    pub tenants: Vec<Tenant>,
    pub base: String,
    ticks: Ticks,
    calls: Mutex<Vec<Call>>,
    known: Vec<Known>,
}

/// Two tenants in one partition and one in another.
pub fn slugs(partitions: Partition) -> Vec<String> {
    let of = |slug: &String| TenantId::of(&Slug::new(slug).unwrap()).partition(partitions).0;
    let all: Vec<String> = (0..100).map(|number| format!("tenant-{number}")).collect();
    let first = all.iter().filter(|slug| of(slug) == 0).take(2);
    let second = all.iter().filter(|slug| of(slug) == partitions.0 - 1).take(1);
    let mut chosen: Vec<String> = first.chain(second).cloned().collect();
    chosen.dedup();
    chosen
}

pub fn client() -> Client {
    Client::builder().no_proxy().timeout(PATIENCE).tls_certs_only(std::iter::empty()).build().unwrap()
}

impl Load {
    /// Makes the tenants with their asset and wallets, trying until it is done.
    pub async fn prepare(world: &World, partitions: Partition) -> Arc<Self> {
        let http = client();
        let tenants: Vec<Tenant> = slugs(partitions)
            .into_iter()
            .map(|slug| {
                let id = TenantId::of(&Slug::new(&slug).unwrap());
                let token = world.token(&slug, api::credential::Role::Owner, "load");
                Tenant { slug, id, token }
            })
            .collect();
        let platform = world.token("platform", api::credential::Role::Superadmin, "setup");
        for tenant in &tenants {
            let token = world.token(&tenant.slug, api::credential::Role::Owner, "setup");
            let body = json!({"slug": tenant.slug, "name": tenant.slug});
            until_made(&http, &world.base, &platform, "/v1/tenants", &body).await;
            until_made(&http, &world.base, &token, "/v1/assets", &json!({"code": "USD", "scale": 2})).await;
            for path in WALLETS {
                let body = json!({"path": path, "asset": "USD"});
                until_made(&http, &world.base, &token, "/v1/wallets", &body).await;
            }
        }
        let known = tenants.iter().map(|_| Known::default()).collect();
        let (base, ticks, calls) = (world.base.clone(), Ticks::default(), Mutex::default());
        Arc::new(Self { tenants, base, ticks, calls, known })
    }

    /// Works with so many connections until told to stop.
    pub fn start(self: &Arc<Self>, seed: &Seed, workers: u64, stop: &CancellationToken) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for worker in 0..workers {
            let (load, seed, stop) = (Arc::clone(self), seed.fork(worker + 1), stop.clone());
            tasks.spawn(async move { load.work(seed, worker, &stop).await });
        }
        tasks
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many calls are like this.
    pub fn count(&self, like: impl Fn(&Call) -> bool) -> usize {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|call| like(call)).count()
    }

    /// A command of ours, with a key, asked for until it is answered; the position it reached.
    pub async fn probe(&self, http: &Client, tenant: usize, key: String) -> journal::Position {
        let new = NewTransaction {
            postings: vec![Posting { from: "@world".into(), to: "a".into(), amount: 1 }],
            pending: false,
            expires_at: None,
            padding: 0,
        };
        let mut call = Call { tenant, key: Some(key), op: Op::Transact(new), attempts: Vec::new() };
        loop {
            self.attempt(http, &mut call).await;
            match call.last().clone() {
                Answer::Made { position, .. } => {
                    self.remember(vec![call]);
                    return position.unwrap();
                }
                Answer::Refused { code, .. } if code != "overloaded" => panic!("a probe is refused: {code}"),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Repeats every keyed call without an answer until there is one; where it was part of a request for several, that
    /// request. How many were open.
    pub async fn resolve(&self, http: &Client) -> usize {
        let open: Vec<Range<usize>> = {
            let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let together = |one: &Call, next: &Call| in_one_request(one, next);
            let mut first = 0;
            let requests = calls.chunk_by(together).map(|calls| {
                first += calls.len();
                (first - calls.len()..first, calls)
            });
            requests.filter(|(_, calls)| calls.iter().any(is_open)).map(|(range, _)| range).collect()
        };
        let mut count = 0;
        for range in open {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner)[range.clone()].to_vec();
            count += calls.iter().filter(|call| is_open(call)).count();
            while calls.iter().any(is_open) {
                if is_bulk(&calls[0]) {
                    self.attempt_bulk(http, &mut calls).await;
                } else {
                    self.attempt(http, &mut calls[0]).await;
                }
            }
            self.calls.lock().unwrap_or_else(PoisonError::into_inner)[range].clone_from_slice(&calls);
        }
        count
    }

    async fn work(&self, mut seed: Seed, worker: u64, stop: &CancellationToken) {
        let http = client();
        let mut number = 0;
        while !stop.is_cancelled() {
            number += 1;
            let unique = seed.next();
            let tenant = usize::try_from(seed.between(0, self.tenants.len() as u64)).unwrap();
            if seed.chance(6) {
                self.bulk(&http, &mut seed, tenant, format!("{BULK}{worker}-{number}-{unique:x}")).await;
                continue;
            }
            let op = self.choose(&mut seed, tenant);
            let key = seed.chance(90).then(|| format!("{worker}-{number}-{unique:x}"));
            let mut call = Call { tenant, key, op, attempts: Vec::new() };
            self.attempt(&http, &mut call).await;
            for _ in 0..3 {
                if call.key.is_none() || !matches!(call.last(), Answer::Nothing(_)) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(seed.between(5, 150))).await;
                self.attempt(&http, &mut call).await;
            }
            if matches!(call.last(), Answer::Refused { code, .. } if code == "overloaded") {
                // Not as long as it is told: this is a flood.
                tokio::time::sleep(Duration::from_millis(seed.between(10, 100))).await;
            }
            // Now and then a caller that knows its answer asks all the same.
            if call.key.is_some() && call.made().is_some() && seed.chance(5) {
                self.attempt(&http, &mut call).await;
            }
            self.remember(vec![call]);
        }
    }

    fn remember(&self, calls: Vec<Call>) {
        for call in &calls {
            let Some(Answer::Made { ids, .. }) = call.made().map(|attempt| &attempt.answer) else { continue };
            let made: Vec<&NewTransaction> = match &call.op {
                Op::Transact(new) => vec![new],
                Op::Batch(all) => all.iter().collect(),
                _ => continue,
            };
            let mut known = self.known[call.tenant].lock().unwrap_or_else(PoisonError::into_inner);
            for (id, new) in ids.iter().zip(made) {
                known.push((*id, new.postings.iter().map(|posting| posting.amount).collect()));
            }
            // Recent ones are the ones that others are working on too.
            let old = known.len().saturating_sub(40);
            known.drain(..old);
        }
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).extend(calls);
    }

    fn choose(&self, seed: &mut Seed, tenant: usize) -> Op {
        let known = self.known[tenant].lock().unwrap_or_else(PoisonError::into_inner).clone();
        if known.is_empty() || seed.chance(55) {
            return Op::Transact(new_transaction(seed));
        }
        if seed.chance(15) {
            let count = seed.between(2, 5);
            return Op::Batch((0..count).map(|_| new_transaction(seed)).collect());
        }
        let (id, whole) = seed.pick(&known).clone();
        let part = |seed: &mut Seed| {
            let some = |amount: &Cents| amount * Cents::from(seed.next() % 4) / 3;
            Some(whole.iter().map(some).collect())
        };
        let amounts = if seed.chance(40) { part(seed) } else { None };
        match seed.between(0, 4) {
            0 | 1 => Op::Settle { id, amounts },
            2 => Op::Release { id },
            _ => Op::Reverse { id, amounts },
        }
    }

    /// One attempt at a call, recorded.
    pub async fn attempt(&self, http: &Client, call: &mut Call) {
        let (path, body) = call.op.request();
        let tenant = &self.tenants[call.tenant];
        let (mut attempt, answer) =
            self.send(http, tenant, &path, padded(&body, call.op.padding()), call.key.as_deref()).await;
        attempt.answer = match answer {
            Sent::Made { position, body } => {
                let ids = match &call.op {
                    Op::Batch(_) => body["results"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|one| id(&one["transaction"]))
                        .collect(),
                    _ => vec![id(&body)],
                };
                Answer::Made { position: Some(position), ids }
            }
            Sent::Refused { code, index } => Answer::Refused { code, index },
            Sent::Nothing(why) => Answer::Nothing(why),
        };
        call.attempts.push(attempt);
    }

    /// Several transactions in one request, each standing for itself; each is a call of its own in the record.
    async fn bulk(&self, http: &Client, seed: &mut Seed, tenant: usize, key: String) {
        let count = seed.between(2, 6);
        let all: Vec<NewTransaction> = (0..count).map(|_| new_transaction(seed)).collect();
        let mut calls: Vec<Call> = (0..)
            .zip(all)
            .map(|(index, new)| {
                let key = if index == 0 { key.clone() } else { format!("{key}/{index}") };
                Call { tenant, key: Some(key), op: Op::Transact(new), attempts: Vec::new() }
            })
            .collect();
        for _ in 0..40 {
            self.attempt_bulk(http, &mut calls).await;
            if !calls.iter().any(is_open) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(seed.between(20, 300))).await;
        }
        self.remember(calls);
    }

    /// One attempt at all calls of one request, recorded with each.
    async fn attempt_bulk(&self, http: &Client, calls: &mut [Call]) {
        let of = |call: &Call| match &call.op {
            Op::Transact(new) => new.clone(),
            _ => unreachable!("it is made of transactions"),
        };
        let all: Vec<NewTransaction> = calls.iter().map(of).collect();
        let body = padded(&batch(&all, false), all.iter().map(|new| new.padding).sum());
        let (tenant, key) = (&self.tenants[calls[0].tenant], calls[0].key.as_deref());
        let (attempt, answer) = self.send(http, tenant, "/v1/transactions/batch", body, key).await;
        let answers: Vec<Answer> = match answer {
            Sent::Made { body, .. } => body["results"].as_array().unwrap().iter().map(item).collect(),
            Sent::Refused { code, index } => {
                calls.iter().map(|_| Answer::Refused { code: code.clone(), index }).collect()
            }
            Sent::Nothing(why) => calls.iter().map(|_| Answer::Nothing(why.clone())).collect(),
        };
        assert_eq!(answers.len(), calls.len(), "one result for each");
        for (call, answer) in calls.iter_mut().zip(answers) {
            call.attempts.push(Attempt { answer, ..attempt.clone() });
        }
    }

    async fn send(
        &self,
        http: &Client,
        tenant: &Tenant,
        path: &str,
        body: String,
        key: Option<&str>,
    ) -> (Attempt, Sent) {
        let invoked = self.ticks.next();
        let request_id = format!("r{invoked}");
        let mut request = http.post(format!("{}{path}", self.base)).bearer_auth(&tenant.token).body(body);
        request = request.header("Content-Type", "application/json").header("X-Request-Id", &request_id);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let sent = read(request).await;
        let returned = if matches!(sent, Sent::Nothing(_)) { u64::MAX } else { self.ticks.next() };
        let answer = Answer::Nothing(String::new());
        (Attempt { request_id, invoked, returned, returned_at: SystemClock.now(), answer }, sent)
    }
}

/// Whether it can be asked for again, and has to be.
fn is_open(call: &Call) -> bool {
    call.key.is_some() && matches!(call.last(), Answer::Nothing(_))
}

fn is_bulk(call: &Call) -> bool {
    call.key.as_ref().is_some_and(|key| key.starts_with(BULK))
}

/// Whether both were items of one request: such calls are remembered together, and have its key.
fn in_one_request(one: &Call, next: &Call) -> bool {
    let (Some(one), Some(next)) = (&one.key, &next.key) else { return false };
    let whole = |key: &str| key.split('/').next() == one.split('/').next();
    one.starts_with(BULK) && next.contains('/') && whole(next)
}

/// What came back.
enum Sent {
    Made { position: journal::Position, body: Value },
    Refused { code: String, index: Option<u64> },
    Nothing(String),
}

async fn read(request: reqwest::RequestBuilder) -> Sent {
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Sent::Nothing(error.to_string()),
    };
    let status = response.status();
    let position =
        response.headers().get("Counterfoil-Position").and_then(|text| text.to_str().ok()?.parse().ok());
    let retry = response.headers().get("Retry-After").is_some();
    let body: Value = match response.json().await {
        Ok(body) => body,
        Err(error) => return Sent::Nothing(error.to_string()),
    };
    if status.is_success() {
        // A batch of which nothing was made has none.
        let none = journal::Position { partition: Partition(0), position: 0 };
        return Sent::Made { position: position.unwrap_or(none), body };
    }
    match refused(&body) {
        (code, _) if matches!(code.as_str(), "unavailable" | "timeout") => Sent::Nothing(code),
        (code, index) => {
            assert!(status != 503 || retry, "{code} does not say when to come again");
            assert!(code != "overloaded" || status == 503, "{code} with {status}");
            Sent::Refused { code, index }
        }
    }
}

fn refused(problem: &Value) -> (String, Option<u64>) {
    (problem["code"].as_str().unwrap().to_owned(), problem["index"].as_u64())
}

/// What became of one transaction of a batch.
fn item(result: &Value) -> Answer {
    if result["status"] == 201 {
        return Answer::Made { position: None, ids: vec![id(&result["transaction"])] };
    }
    match refused(&result["problem"]) {
        (code, _) if matches!(code.as_str(), "unavailable" | "timeout") => Answer::Nothing(code),
        (code, index) => Answer::Refused { code, index },
    }
}

fn id(transaction: &Value) -> Uuid {
    transaction["id"].as_str().unwrap().parse().unwrap()
}

fn new_transaction(seed: &mut Seed) -> NewTransaction {
    let count = if seed.chance(80) { 1 } else { seed.between(2, 4) };
    let mut postings = Vec::new();
    for _ in 0..count {
        let mut from = (*seed.pick(&WALLETS)).to_owned();
        let mut to = if seed.chance(50) { WALLETS[0].to_owned() } else { (*seed.pick(&WALLETS)).to_owned() };
        if seed.chance(35) {
            "@world".clone_into(&mut from);
        } else if from == to {
            "@world".clone_into(&mut to);
        }
        if seed.chance(25) {
            std::mem::swap(&mut from, &mut to);
        }
        postings.push(Posting { from, to, amount: Cents::from(seed.between(1, 3_000)) });
    }
    let pending = seed.chance(40);
    let expires = pending && seed.chance(30);
    let lifetime = TimeDelta::milliseconds(seed.between(100, 1_500).cast_signed());
    let padding = if seed.chance(2) { usize::try_from(seed.between(1_000, 400_000)).unwrap() } else { 0 };
    NewTransaction { postings, pending, expires_at: expires.then(|| SystemClock.now() + lifetime), padding }
}

/// Sends until it is done, now or by an earlier attempt.
async fn until_made(http: &Client, base: &str, token: &str, path: &str, body: &Value) {
    let mut said = String::new();
    for _ in 0..600 {
        match http.post(format!("{base}{path}")).bearer_auth(token).json(body).send().await {
            Ok(answer) if answer.status().is_success() || answer.status() == 409 => return,
            Ok(answer) => said = answer.text().await.unwrap_or_default(),
            Err(error) => said = error.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path}: {said}");
}
