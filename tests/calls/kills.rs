//! The program is killed while hundreds of calls stream, again and again: no wallet goes beyond its grant, every hold
//! comes to its end by itself, and no key is billed twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::server::Client;
use crate::world::{Shape, World, units};

/// How many wallets of each kind have calls before each kill, and how many calls each has at a time.
const RICH: usize = 24;
const POOR: usize = 8;
const CALLS: usize = 10;
/// How often the program is killed.
const KILLS: usize = 4;
/// How many calls stream at the least when it is killed.
const STREAMING: usize = 100;
/// What is granted to wallets that have enough, and to those whose limit is met: some six calls with their first tranche.
const ENOUGH: &str = "1";
const SCARCE: &str = "0.005";

/// The calls before one kill.
struct Load {
    client: Client,
    model: String,
    over: AtomicBool,
    /// Calls of which a part has come and the end has not.
    streaming: AtomicUsize,
    /// Calls that got an answer.
    answered: AtomicUsize,
    /// Calls that a hard limit refused or ended.
    limited: AtomicUsize,
    /// Calls that broke off after a part of them had come.
    cut: AtomicUsize,
}

/// A call with a key, which can be made again. It is for a user of its own, by whom its executions are found.
struct Keyed {
    wallet: String,
    key: String,
    words: usize,
}

/// Calls with keys, and how many of them were answered with each status when they were made again.
type Repeated = (Vec<Keyed>, BTreeMap<u16, usize>);

/// The request of a call.
fn request(client: &Client, model: &str, wallet: &str, words: usize) -> RequestBuilder {
    let text = format!("go on [[words {words}]] [[delay 80]]");
    let body = json!({"model": model, "stream": true, "messages": [{"role": "user", "content": text}]});
    let request = client.request(Method::POST, "/openai/v1/chat/completions");
    request.header("Counterfoil-Wallet", wallet).json(&body)
}

impl Keyed {
    fn request(&self, client: &Client, model: &str) -> RequestBuilder {
        let request = request(client, model, &self.wallet, self.words);
        request.header("Idempotency-Key", &self.key).header("Counterfoil-User", &self.key)
    }
}

impl Load {
    /// One call, read as far as it comes. Whether the program is still there.
    async fn call(&self, request: RequestBuilder) -> bool {
        let Ok(mut response) = request.send().await else { return false };
        if response.status() == 402 {
            self.limited.fetch_add(1, Ordering::SeqCst);
            // Others of the wallet end meanwhile, and give back what they held.
            tokio::time::sleep(Duration::from_millis(500)).await;
            return true;
        }
        let streams = response.status() == 200;
        if streams {
            self.answered.fetch_add(1, Ordering::SeqCst);
        }
        let mut began = false;
        let there = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    if streams && !began {
                        began = true;
                        self.streaming.fetch_add(1, Ordering::SeqCst);
                    }
                    if String::from_utf8_lossy(&chunk).contains("budget_exhausted") {
                        self.limited.fetch_add(1, Ordering::SeqCst);
                    }
                }
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        if began {
            self.streaming.fetch_sub(1, Ordering::SeqCst);
            self.cut.fetch_add(usize::from(!there), Ordering::SeqCst);
        }
        there
    }

    /// Calls one after another, every fifth caller with keys, until the program is gone. Gives the calls with keys.
    async fn caller(&self, wallet: String, number: usize) -> Vec<Keyed> {
        let mut keyed = Vec::new();
        // The shortest are over before the program is killed, and are asked for again all the same.
        let words = if number == 0 { 10 } else { 30 + 10 * number };
        while !self.over.load(Ordering::SeqCst) {
            let request = if number.is_multiple_of(5) {
                let key = format!("{}-{number}-{}", wallet.replace(':', "-"), keyed.len());
                keyed.push(Keyed { wallet: wallet.clone(), key, words });
                keyed.last().unwrap().request(&self.client, &self.model)
            } else {
                request(&self.client, &self.model, &wallet, words)
            };
            if !self.call(request).await {
                break;
            }
        }
        keyed
    }
}

/// Makes calls with keys again, whose answers are read as far as they come. Gives the statuses of those that were answered.
async fn repeated(client: &Client, model: &str, keyed: &[Keyed]) -> BTreeMap<u16, usize> {
    let calls = keyed.iter().map(|one| async {
        let mut response = one.request(client, model).send().await.ok()?;
        let status = response.status().as_u16();
        while let Ok(Some(_)) = response.chunk().await {}
        Some(status)
    });
    let mut statuses = BTreeMap::new();
    for status in join_all(calls).await.into_iter().flatten() {
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

/// Opens a wallet with a hard limit, and grants it so much.
async fn grant(world: &World, wallet: &str, amount: &str) {
    world.owner.made("/v1/wallets", json!({"path": wallet, "asset": "USD"})).await;
    world.put(&format!("/v1/allowances/{wallet}"), json!({"user": "somebody"})).await;
    world.owner.made(&format!("/v1/allowances/{wallet}/grants"), json!({"amount": amount})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_wallet_goes_beyond_its_grant_and_no_hold_stays_whatever_is_killed() {
    let settings = [
        // Calls that were cut off expire soon after, so that the test sees it.
        ("COUNTERFOIL_GATEWAY__TOTAL_MS", "20000"),
        ("COUNTERFOIL_GATEWAY__GRACE_MS", "4000"),
        ("COUNTERFOIL_GATEWAY__TRANCHE_TOKENS", "40"),
        ("COUNTERFOIL_SWEEP__INTERVAL_MS", "300"),
        ("COUNTERFOIL_GATEWAY__BREAKER_FAILURES", "1000000"),
    ];
    let Some(mut world) = World::start(&settings).await else { return };
    // Hundreds of streams out of one program may stumble; that is not what is looked at.
    let timeouts = json!({"connect_ms": 10_000, "first_token_ms": 15_000, "between_tokens_ms": 15_000, "total_ms": 20_000});
    let address = format!("{}/openai/v1", world.providers.base);
    let patient =
        json!({"dialect": "openai", "base_url": address, "credential": "a-key", "timeouts": timeouts});
    world.put("/v1/providers/fake-openai", patient).await;
    let model = world.fault(Shape::Chat, "").await;
    let seed = std::env::var("GATEWAY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut granted = BTreeMap::new();
    let mut keyed = Vec::new();
    let mut repeating: Option<JoinHandle<Repeated>> = None;
    for kill in 0..KILLS {
        let (load, calls) = begun(&world, &model, kill, &mut granted).await;
        tokio::time::sleep(Duration::from_millis(chance.random_range(0..5_000))).await;
        let streaming = load.streaming.load(Ordering::SeqCst);
        load.over.store(true, Ordering::SeqCst);
        world.server.kill_and_start();
        assert!(streaming >= STREAMING, "kill {kill} met {streaming} streams");
        let mut cut: Vec<Keyed> = Vec::new();
        for caller in calls {
            cut.append(&mut caller.await.unwrap());
        }
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        println!(
            "kill {kill}: {streaming} streamed, {} were cut, {} calls had been answered, {} met their limit, {} had keys",
            count(&load.cut),
            count(&load.answered),
            count(&load.limited),
            cut.len()
        );
        assert!(count(&load.cut) >= STREAMING, "the kill cut {} streams", count(&load.cut));
        // A restart has the fakes' connections closed; the tenant's owner talks to the new program.
        world.owner = world.server.client(&world.owner.token);
        world.caller = world.server.client(&world.caller.token);
        if let Some(before) = repeating.take() {
            let (mut before, statuses) = before.await.unwrap();
            println!("  of the calls with keys that were made again before it: {statuses:?}");
            keyed.append(&mut before);
        }
        // They are asked for again at once, and while the next kill comes.
        let (client, model) = (world.caller.clone(), model.clone());
        repeating = Some(tokio::spawn(async move {
            let statuses = repeated(&client, &model, &cut).await;
            (cut, statuses)
        }));
    }
    keyed.append(&mut repeating.unwrap().await.unwrap().0);
    ended(&world).await;
    // Whatever was cut off has ended, and is asked for once more.
    let statuses = repeated(&world.caller, &model, &keyed).await;
    println!("at the end, of {} calls with keys: {statuses:?}", keyed.len());
    assert_eq!(statuses.values().sum::<usize>(), keyed.len(), "each is answered");
    ended(&world).await;
    checked(&world, &granted, &keyed).await;
    world.verify();
}

/// Starts the calls before a kill on wallets of their own, and waits until enough of them stream and a limit is met.
async fn begun(
    world: &World,
    model: &str,
    kill: usize,
    granted: &mut BTreeMap<String, &'static str>,
) -> (Arc<Load>, Vec<JoinHandle<Vec<Keyed>>>) {
    let poor = (0..POOR).map(|number| (format!("killed{kill}:poor{number}"), SCARCE));
    let rich = (0..RICH).map(|number| (format!("killed{kill}:rich{number}"), ENOUGH));
    let wallets: Vec<_> = poor.chain(rich).collect();
    for (wallet, amount) in &wallets {
        grant(world, wallet, amount).await;
    }
    let load = Arc::new(Load {
        client: world.caller.clone(),
        model: model.to_owned(),
        over: AtomicBool::new(false),
        streaming: AtomicUsize::new(0),
        answered: AtomicUsize::new(0),
        limited: AtomicUsize::new(0),
        cut: AtomicUsize::new(0),
    });
    let calls = wallets
        .iter()
        .flat_map(|(wallet, _)| (0..CALLS).map(move |number| (wallet.clone(), number)))
        .map(|(wallet, number)| {
            let load = Arc::clone(&load);
            tokio::spawn(async move { load.caller(wallet, number).await })
        })
        .collect();
    granted.extend(wallets);
    for _ in 0..1_200 {
        let limited = load.limited.load(Ordering::SeqCst);
        if limited > 0 && load.streaming.load(Ordering::SeqCst) >= 2 * STREAMING {
            return (load, calls);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!(
        "{} calls stream, {} were limited",
        load.streaming.load(Ordering::SeqCst),
        load.limited.load(Ordering::SeqCst)
    );
}

/// Waits until no call is running: whatever was cut off ends by itself, when its time is over.
async fn ended(world: &World) {
    let mut running = usize::MAX;
    for _ in 0..600 {
        running = world.owner.get("/v1/executions?status=running&limit=100").await.items().len();
        if running == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{running} calls are still running");
}

/// What is to be true of the wallets and the keys when everything has ended.
async fn checked(world: &World, granted: &BTreeMap<String, &'static str>, keyed: &[Keyed]) {
    // What the wallets show is to reflect all that has happened.
    let (_, events) = world.owner.state().await;
    let last = events.last().unwrap();
    let position = format!("p{}:{}", last["partition"].as_str().unwrap(), last["position"].as_str().unwrap());
    let mut executions = Vec::new();
    for (wallet, grant) in granted {
        let mut found = world.executions(wallet, 0).await;
        let spent: i128 = found.iter().map(|one| units(one["cost"].as_str().unwrap_or("0"))).sum();
        let owed: i128 = found.iter().map(|one| units(one["debt"].as_str().unwrap_or("0"))).sum();
        let balance = world.owner.get(&format!("/v1/wallets/{wallet}/balance?after={position}")).await;
        let (posted, held) = (units(balance.text("/posted")), units(balance.text("/held")));
        assert_eq!(held, 0, "{wallet} still holds something");
        assert_eq!(posted, units(grant) - (spent - owed), "{wallet}");
        assert!(spent - owed <= units(grant) && posted >= 0, "{wallet} went beyond its grant: {spent}");
        assert_eq!(owed, 0, "{wallet} was let through without a hold that covers it");
        executions.append(&mut found);
    }
    let expired = executions.iter().filter(|one| one["status"] == "expired").count();
    assert!(expired >= KILLS * STREAMING, "{expired} calls were cut off: the kills were too gentle");
    let mut billed: BTreeMap<&str, usize> = BTreeMap::new();
    for one in executions.iter().filter(|one| units(one["cost"].as_str().unwrap_or("0")) > 0) {
        if let Some(user) = one["user"].as_str() {
            *billed.entry(user).or_default() += 1;
        }
    }
    println!("{} executions, {expired} of them expired; {} keys were billed", executions.len(), billed.len());
    assert!(!billed.is_empty() && billed.len() <= keyed.len());
    for one in keyed {
        assert!(billed.get(one.key.as_str()).is_none_or(|times| *times == 1), "{} was billed twice", one.key);
    }
}
