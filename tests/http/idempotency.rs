//! A key makes a repetition harmless, whatever happened between the two.

use serde_json::json;

use crate::server::{Answer, Server};
use crate::{fund, transfer, with};

/// The same answer again, marked as such.
fn expect_replay(first: &Answer, again: &Answer) {
    assert!(!first.replayed, "{first:?}");
    assert_eq!(*again, Answer { replayed: true, ..first.clone() });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_write_gives_the_first_answer_also_after_the_server_was_killed() {
    let mut server = Server::start().await;
    let acme = server.tenant("acme").await;
    fund(&acme, "a", "10.00").await;
    let hold = with(transfer("a", "@revenue", "3.00"), json!({"pending": true}));
    let held = acme.post_once("/v1/transactions", "hold", hold.clone()).await;
    let settle = format!("/v1/transactions/{}/settle", held.text("/id"));
    let batch = json!({"atomic": true, "transactions": [transfer("a", "b", "1"), transfer("a", "c", "1")]});
    let batch = {
        let mut batch = batch;
        for one in batch["transactions"].as_array_mut().unwrap() {
            one["open_wallets"] = json!(true);
        }
        batch
    };
    let requests = [
        ("/v1/assets", "asset", json!({"code": "EUR", "scale": 0})),
        ("/v1/wallets", "wallet", json!({"path": "w", "asset": "EUR", "metadata": {"a": 1}})),
        ("/v1/wallets/w/freeze", "freeze", json!({})),
        ("/v1/transactions", "post", transfer("a", "@revenue", "1.00")),
        (settle.as_str(), "settle", json!({"amounts": ["2.00"]})),
        ("/v1/transactions/batch", "batch", batch),
        ("/v1/wallets/a/adjust", "adjust", json!({"amount": "-1", "reason": "fee"})),
    ];
    let mut firsts = Vec::new();
    for (path, key, body) in &requests {
        let first = acme.post_once(path, key, body.clone()).await;
        assert!(matches!(first.status, 200 | 201), "{path}: {first:?}");
        expect_replay(&first, &acme.post_once(path, key, body.clone()).await);
        firsts.push(first);
    }
    // What the wallet went through since does not change what is answered for the hold.
    expect_replay(&held, &acme.post_once("/v1/transactions", "hold", hold.clone()).await);
    let before = acme.state().await;
    server.kill_and_start();
    let acme = server.client(&acme.token);
    for ((path, key, body), first) in requests.iter().zip(&firsts) {
        expect_replay(first, &acme.post_once(path, key, body.clone()).await);
    }
    expect_replay(&held, &acme.post_once("/v1/transactions", "hold", hold).await);
    assert_eq!(acme.state().await, before, "nothing happened twice, and nothing was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_one_request_of_one_tenant() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    let other = server.tenant("other").await;
    fund(&acme, "a", "10.00").await;
    fund(&other, "a", "10.00").await;
    let one = transfer("a", "@revenue", "1.00");
    let first = acme.post_once("/v1/transactions", "k", one.clone()).await;
    assert_eq!(first.status, 201);
    let before = acme.state().await;
    for (path, body) in [
        ("/v1/transactions", transfer("a", "@revenue", "2.00")),
        ("/v1/transactions", with(one.clone(), json!({"pending": true}))),
        ("/v1/wallets", json!({"path": "b", "asset": "USD"})),
    ] {
        let refused = acme.post_once(path, "k", body).await;
        assert_eq!((refused.status, refused.text("/code")), (409, "idempotency_key_reused"), "{path}");
    }
    let id = first.text("/id");
    let refused = acme.post_once(&format!("/v1/transactions/{id}/reverse"), "k", json!({})).await;
    assert_eq!((refused.status, refused.text("/code")), (409, "idempotency_key_reused"));
    assert_eq!(acme.state().await, before);
    let theirs = other.post_once("/v1/transactions", "k", one).await;
    assert_eq!((theirs.status, theirs.replayed), (201, false), "the key of another tenant is another key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_command_does_not_consume_its_key() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    fund(&acme, "a", "10.00").await;
    let before = acme.state().await;
    for _ in 0..2 {
        let refused = acme.post_once("/v1/transactions", "k", transfer("a", "@revenue", "10.01")).await;
        assert_eq!((refused.status, refused.text("/code")), (422, "insufficient_funds"));
    }
    assert_eq!(acme.state().await, before);
    acme.made("/v1/transactions", transfer("@world", "a", "0.01")).await;
    let made = acme.post_once("/v1/transactions", "k", transfer("a", "@revenue", "10.01")).await;
    assert_eq!((made.status, made.replayed), (201, false));
    let again = acme.post_once("/v1/transactions", "k", transfer("a", "@revenue", "10.01")).await;
    expect_replay(&made, &again);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_requests_with_one_key_at_the_same_time_have_one_effect() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    fund(&acme, "a", "10.00").await;
    let same = || acme.post_once("/v1/transactions", "k", transfer("a", "@revenue", "1.00"));
    let answers = futures_util::future::join_all((0..20).map(|_| same())).await;
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    let first = answers.iter().find(|answer| !answer.replayed).unwrap();
    assert_eq!(first.status, 201);
    for answer in answers.iter().filter(|answer| answer.replayed) {
        expect_replay(first, answer);
    }
    let wallet = acme.after(first, "/v1/wallets/a").await;
    assert_eq!(wallet.text("/posted"), "9.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_batch_replays_what_was_made_and_decides_again_what_was_refused() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    fund(&acme, "a", "10.00").await;
    let two = [transfer("a", "@revenue", "4.00"), transfer("a", "@revenue", "7.00")];
    let batch = json!({"atomic": false, "transactions": two});
    let first = acme.post_once("/v1/transactions/batch", "k", batch.clone()).await;
    assert_eq!(first.body["results"][1]["problem"]["code"], "insufficient_funds");
    let before = acme.state().await;
    let again = acme.post_once("/v1/transactions/batch", "k", batch.clone()).await;
    assert_eq!(again.body["results"][0], first.body["results"][0]);
    assert_eq!(again.body["results"][1]["problem"]["code"], "insufficient_funds");
    assert_eq!(acme.state().await, before);
    acme.made("/v1/transactions", transfer("@world", "a", "1.00")).await;
    let third = acme.post_once("/v1/transactions/batch", "k", batch).await;
    assert_eq!(third.body["results"][0], first.body["results"][0]);
    assert_eq!(third.body["results"][1]["status"], 201);
    assert!(!third.replayed, "one of them is new");
    assert_eq!(acme.after(&third, "/v1/wallets/a").await.text("/posted"), "0.00");
    let other = json!({"atomic": false, "transactions": [transfer("a", "@revenue", "4.01")]});
    let refused = acme.post_once("/v1/transactions/batch", "k", other).await;
    assert_eq!((refused.status, refused.text("/code")), (409, "idempotency_key_reused"));
}
