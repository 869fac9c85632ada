//! The program is killed while hundreds of calls stream, again and again: no wallet goes beyond its grant, and every hold
//! comes to its end by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use reqwest::Method;
use serde_json::json;

use crate::world::{Shape, World, units};

/// How many wallets have calls, and how many calls each has at a time.
const WALLETS: usize = 20;
const CALLS: usize = 10;
/// How often the program is killed.
const KILLS: usize = 4;
/// What each wallet is granted.
const GRANT: &str = "0.02";

#[tokio::test(flavor = "multi_thread")]
async fn no_wallet_goes_beyond_its_grant_and_no_hold_stays_whatever_is_killed() {
    let settings = [
        // Calls that were cut off expire soon after, so that the test sees it.
        ("COUNTERFOIL_GATEWAY__TOTAL_MS", "8000"),
        ("COUNTERFOIL_GATEWAY__GRACE_MS", "4000"),
        ("COUNTERFOIL_GATEWAY__TRANCHE_TOKENS", "100"),
        ("COUNTERFOIL_SWEEP__INTERVAL_MS", "300"),
        ("COUNTERFOIL_GATEWAY__BREAKER_FAILURES", "1000000"),
    ];
    let Some(mut world) = World::start(&settings).await else { return };
    let model = world.fault(Shape::Chat, "").await;
    let wallets: Vec<String> = (0..WALLETS).map(|number| format!("killed:{number}")).collect();
    for wallet in &wallets {
        world.owner.made("/v1/wallets", json!({"path": wallet, "asset": "USD"})).await;
        world.put(&format!("/v1/allowances/{wallet}"), json!({"user": "somebody"})).await;
        let grant = json!({"amount": GRANT});
        world.owner.made(&format!("/v1/allowances/{wallet}/grants"), grant).await;
    }
    let seed = std::env::var("GATEWAY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut made = 0;
    for kill in 0..KILLS {
        let over = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = wallets
            .iter()
            .flat_map(|wallet| (0..CALLS).map(move |number| (wallet.clone(), number)))
            .map(|(wallet, number)| {
                let (client, over, model) = (world.server.client(&world.caller.token), Arc::clone(&over), model.clone());
                let words = 40 + 60 * number;
                tokio::spawn(async move {
                    let mut calls = 0;
                    while !over.load(Ordering::Relaxed) {
                        let text = format!("go on [[words {words}]] [[delay 2]]");
                        let body = json!({"model": model, "stream": true, "messages": [{"role": "user", "content": text}]});
                        let request = client.request(Method::POST, "/openai/v1/chat/completions");
                        let request = request.header("Counterfoil-Wallet", &wallet).json(&body);
                        let Ok(mut response) = request.send().await else { return calls };
                        calls += 1;
                        if response.status() == 402 {
                            return calls;
                        }
                        while let Ok(Some(_)) = response.chunk().await {}
                    }
                    calls
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(chance.random_range(300..2_500))).await;
        over.store(true, Ordering::Relaxed);
        world.server.kill_and_start();
        for caller in callers {
            made += caller.await.unwrap();
        }
        println!("kill {kill}: {made} calls so far");
        // A restart has the fakes' connections closed; the tenant's owner talks to the new program.
        world.owner = world.server.client(&world.owner.token);
        world.caller = world.server.client(&world.caller.token);
    }
    assert!(made > WALLETS * CALLS, "{made} calls were made");

    // Whatever was cut off ends by itself, when its time is over.
    let mut running = usize::MAX;
    for _ in 0..600 {
        running = world.owner.get("/v1/executions?status=running&limit=100").await.items().len();
        if running == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(running, 0, "calls are still running");
    let mut expired = 0;
    for wallet in &wallets {
        let executions = world.executions(wallet, 0).await;
        let spent: i128 = executions.iter().map(|one| units(one["cost"].as_str().unwrap_or("0"))).sum();
        let owed: i128 = executions.iter().map(|one| units(one["debt"].as_str().unwrap_or("0"))).sum();
        expired += executions.iter().filter(|one| one["status"] == "expired").count();
        let (posted, held) = world.balance(wallet).await;
        assert_eq!(held, 0, "{wallet} still holds something");
        assert_eq!(posted, units(GRANT) - (spent - owed), "{wallet}");
        assert!(spent - owed <= units(GRANT) && posted >= 0, "{wallet} went beyond its grant: {spent}");
        assert_eq!(owed, 0, "{wallet} was let through without a hold that covers it");
    }
    assert!(expired > 0, "no call was cut off: the kills were too gentle");
    world.verify();
}
