//! What the product is for: money comes in, is held, moved, given back, and read exactly.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::json;

use crate::server::{Answer, Client, Server};
use crate::{fund, transfer, with};

/// What a wallet has right after `write`: posted, held, incoming, available.
async fn expect_balance(client: &Client, write: &Answer, path: &str, balance: [&str; 4]) {
    for address in [format!("/v1/wallets/{path}"), format!("/v1/wallets/{path}/balance")] {
        let found = client.after(write, &address).await;
        let has = ["/posted", "/held", "/incoming", "/available"].map(|field| found.text(field));
        assert_eq!(has, balance, "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_settled_in_part_or_released_and_a_reversal_never_gives_back_more_than_was_taken() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    let funded = fund(&acme, "customers:1", "100").await;
    assert_eq!(funded.text("/status"), "posted");
    assert_eq!(funded.text("/postings/0/amount"), "100.00");
    expect_balance(&acme, &funded, "customers:1", ["100.00", "0.00", "0.00", "100.00"]).await;

    let hold = || with(transfer("customers:1", "@revenue", "12.5"), json!({"pending": true}));
    let held = acme.made("/v1/transactions", hold()).await;
    assert_eq!((held.status, held.text("/status")), (201, "pending"));
    expect_balance(&acme, &held, "customers:1", ["100.00", "12.50", "0.00", "87.50"]).await;
    expect_balance(&acme, &held, "@revenue", ["0.00", "0.00", "12.50", "0.00"]).await;
    let step = |answer: &Answer, name: &str| format!("/v1/transactions/{}/{name}", answer.text("/id"));
    let settled = acme.made(&step(&held, "settle"), json!({"amounts": ["10.00"]})).await;
    assert_eq!((settled.text("/status"), settled.text("/postings/0/settled")), ("settled", "10.00"));
    expect_balance(&acme, &settled, "customers:1", ["90.00", "0.00", "0.00", "90.00"]).await;
    expect_balance(&acme, &settled, "@revenue", ["10.00", "0.00", "0.00", "10.00"]).await;

    let other = acme.made("/v1/transactions", hold()).await;
    let released = acme.made(&step(&other, "release"), json!({})).await;
    assert_eq!(released.text("/status"), "released");
    expect_balance(&acme, &released, "customers:1", ["90.00", "0.00", "0.00", "90.00"]).await;
    let late = acme.post(&step(&other, "settle"), json!({})).await;
    assert_eq!((late.status, late.text("/code")), (409, "transaction_not_pending"));

    let reverse = step(&held, "reverse");
    let first = acme.made(&reverse, json!({"amounts": ["4"]})).await;
    assert_eq!(first.text("/postings/0/reversed"), "4.00");
    let before = acme.state().await;
    let beyond = acme.post(&reverse, json!({"amounts": ["6.01"]})).await;
    assert_eq!((beyond.status, beyond.text("/code")), (422, "reversal_exceeds_original"));
    assert_eq!(acme.state().await, before);
    let rest = acme.made(&reverse, json!({})).await;
    assert_eq!((rest.text("/status"), rest.text("/postings/0/reversed")), ("reversed", "10.00"));
    expect_balance(&acme, &rest, "customers:1", ["100.00", "0.00", "0.00", "100.00"]).await;
    let again = acme.post(&reverse, json!({})).await;
    assert_eq!(again.status, 409, "{again:?}");

    let shown = acme.after(&rest, &format!("/v1/transactions/{}", held.text("/id"))).await;
    assert_eq!(shown.body, rest.body);
    let entries = acme.after(&rest, "/v1/wallets/customers:1/entries").await;
    assert_eq!(entries.each("/amount"), ["6.00", "4.00", "-10.00", "100.00"]);
    assert_eq!(entries.each("/posted_after"), ["100.00", "94.00", "90.00", "100.00"]);
    assert_eq!(entries.each("/kind"), ["reversed", "reversed", "settled", "posted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_and_closed_wallets_take_what_they_may_and_an_adjustment_needs_a_reason() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    fund(&acme, "a", "5.00").await;
    let change = |name: &str| format!("/v1/wallets/a/{name}");
    let frozen = acme.made(&change("freeze"), json!({})).await;
    assert_eq!(acme.after(&frozen, "/v1/wallets/a").await.text("/status"), "frozen");
    let before = acme.state().await;
    let refused = |path: String, body, status: u16, code: &'static str| {
        let acme = acme.clone();
        async move {
            let answer = acme.post(&path, body).await;
            assert_eq!((answer.status, answer.text("/code")), (status, code), "{path}");
        }
    };
    refused("/v1/transactions".into(), transfer("a", "@revenue", "1"), 409, "wallet_frozen").await;
    refused(change("freeze"), json!({}), 409, "wallet_frozen").await;
    refused(change("close"), json!({}), 409, "wallet_not_empty").await;
    refused(change("adjust"), json!({"amount": "1"}), 422, "missing_field").await;
    refused(change("adjust"), json!({"amount": "1", "reason": " "}), 422, "invalid_reason").await;
    refused(change("adjust"), json!({"amount": "0", "reason": "x"}), 422, "amount_not_positive").await;
    assert_eq!(acme.state().await, before);
    let up = acme.made(&change("adjust"), json!({"amount": "0.5", "reason": "goodwill"})).await;
    assert_eq!((up.text("/kind"), up.text("/reason")), ("adjustment", "goodwill"));
    expect_balance(&acme, &up, "a", ["5.50", "0.00", "0.00", "5.50"]).await;
    let down = acme.made(&change("adjust"), json!({"amount": "-5.50", "reason": "refunded"})).await;
    expect_balance(&acme, &down, "a", ["0.00", "0.00", "0.00", "0.00"]).await;
    let open = acme.made(&change("unfreeze"), json!({})).await;
    assert_eq!(acme.after(&open, "/v1/wallets?status=open&prefix=a").await.each("/path"), ["a"]);
    refused(change("unfreeze"), json!({}), 409, "wallet_not_frozen").await;
    let closed = acme.made(&change("close"), json!({})).await;
    assert_eq!(acme.after(&closed, "/v1/wallets?status=closed").await.each("/path"), ["a"]);
    let before = acme.state().await;
    refused("/v1/transactions".into(), transfer("@world", "a", "1"), 409, "wallet_closed").await;
    refused("/v1/wallets".into(), json!({"path": "a", "asset": "USD"}), 409, "wallet_exists").await;
    assert_eq!(acme.state().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_atomic_batch_is_all_or_nothing_and_the_other_is_each_for_itself() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    fund(&acme, "a", "10.00").await;
    let batch = |atomic: bool, second: &str| {
        let two = [transfer("a", "@revenue", "1.00"), transfer("a", "@revenue", second)];
        json!({"atomic": atomic, "transactions": two})
    };
    let before = acme.state().await;
    let refused = acme.post("/v1/transactions/batch", batch(true, "9.01")).await;
    assert_eq!((refused.status, refused.text("/code")), (422, "insufficient_funds"));
    assert_eq!(refused.body["index"], 1);
    assert_eq!(acme.state().await, before);
    let whole = acme.made("/v1/transactions/batch", batch(true, "2.00")).await;
    expect_balance(&acme, &whole, "a", ["7.00", "0.00", "0.00", "7.00"]).await;
    let partly = acme.made("/v1/transactions/batch", batch(false, "6.01")).await;
    assert_eq!(partly.body["results"][0]["status"], 201);
    assert_eq!(partly.body["results"][1]["status"], 422);
    assert_eq!(partly.text("/results/1/problem/code"), "insufficient_funds");
    expect_balance(&acme, &partly, "a", ["6.00", "0.00", "0.00", "6.00"]).await;
    let empty = acme.post("/v1/transactions/batch", json!({"atomic": true, "transactions": []})).await;
    assert_eq!((empty.status, empty.text("/code")), (422, "batch_too_large"));
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_found_by_every_filter_and_the_sums_are_right() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    let funded = fund(&acme, "customers:1", "10.00").await;
    fund(&acme, "customers:2", "20.00").await;
    let marked = json!({"reference": "invoice 7", "effective_at": "2026-01-31T12:00:00+01:00",
        "metadata": {"order": "42", "a&b": "ü"}});
    let marked = acme.made("/v1/transactions", with(transfer("customers:1", "@revenue", "3"), marked)).await;
    let hold = with(transfer("customers:2", "@revenue", "1"), json!({"pending": true}));
    let last = acme.made("/v1/transactions", hold).await;
    let id = marked.text("/id");
    let recorded = marked.text("/recorded_at");
    for filter in [
        "reference=invoice%207".to_owned(),
        "metadata[order]=42".to_owned(),
        "metadata%5Ba%26b%5D=%C3%BC&metadata[order]=42".to_owned(),
        "wallet=customers:1&status=posted&limit=1".to_owned(),
        "effective_from=2026-01-31T11:00:00Z&effective_to=2026-01-31T11:00:00.000001Z".to_owned(),
        format!("recorded_from={recorded}&wallet=customers:1"),
    ] {
        let found = acme.after(&last, &format!("/v1/transactions?{filter}")).await;
        assert_eq!(found.each("/id"), [id], "{filter}");
    }
    for filter in [
        "reference=invoice",
        "metadata[order]=4",
        "metadata[order]=42&status=pending",
        "wallet=customers",
        "effective_to=2026-01-31T11:00:00Z",
        "recorded_to=2020-01-01T00:00:00Z",
        "status=expired",
    ] {
        let found = acme.after(&last, &format!("/v1/transactions?{filter}")).await;
        assert!(found.items().is_empty(), "{filter}: {found:?}");
    }
    let before =
        acme.after(&last, &format!("/v1/transactions?recorded_to={recorded}&wallet=customers:1")).await;
    assert_eq!(before.each("/id"), [funded.text("/id")], "to is exclusive");

    let sums = acme.after(&last, "/v1/balances?prefix=customers:").await;
    let line = json!({"asset": "USD", "posted": "27.00", "held": "1.00", "incoming": "0.00", "wallets": 2});
    assert_eq!(sums.items(), [line]);
    let trial = acme.after(&last, "/v1/trial-balance").await;
    let line =
        json!({"asset": "USD", "debits": "30.00", "credits": "30.00", "difference": "0.00", "wallets": 4});
    assert_eq!(trial.items(), [line]);
    let audit = acme.after(&last, "/v1/audit?limit=2").await;
    assert_eq!(audit.text("/items/0/last_position"), last.position());
    assert_eq!(audit.text("/items/0/command/role"), "owner");
    assert_eq!(audit.items().len(), 2);
    let (_, events) = acme.state().await;
    assert_eq!(events[0]["type"], "tenant.created");
    assert!(events.iter().all(|event| event["specversion"] == "1.0"));
    let next = acme.after(&last, "/v1/transactions?limit=1").await;
    let rest = acme.get(&format!("/v1/transactions?limit=100&cursor={}", next.text("/next"))).await;
    assert_eq!((next.each("/id"), rest.items().len()), (vec![last.text("/id")], 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_at_a_point_in_time_is_exact_to_the_microsecond() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    let at = |amount: &str, time: &str| with(transfer("@world", "a", amount), json!({"effective_at": time}));
    acme.made("/v1/wallets", json!({"path": "a", "asset": "USD"})).await;
    let first = acme.made("/v1/transactions", at("1.00", "2026-03-01T00:00:00Z")).await;
    let second = acme.made("/v1/transactions", at("2.00", "2026-02-01T00:00:00Z")).await;
    let (one, two) = (first.text("/recorded_at"), second.text("/recorded_at"));
    for (query, posted) in [
        (format!("as_of={one}"), "1.00"),
        (format!("as_of={two}"), "3.00"),
        ("effective_at=2026-01-31T23:59:59.999999Z".to_owned(), "0.00"),
        ("effective_at=2026-02-01T00:00:00Z".to_owned(), "2.00"),
        ("effective_at=2026-02-28T23:59:59.999999Z".to_owned(), "2.00"),
        ("effective_at=2026-03-01T01:00:00%2B01:00".to_owned(), "3.00"),
        (format!("effective_at=2026-02-01T00:00:00Z&as_of={one}"), "0.00"),
        (format!("effective_at=2026-03-01T00:00:00Z&as_of={one}"), "1.00"),
    ] {
        let found = acme.after(&second, &format!("/v1/wallets/a/balance?{query}")).await;
        assert_eq!(found.text("/posted"), posted, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_gives_back_what_it_held_when_its_time_is_over() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    let funded = fund(&acme, "a", "10.00").await;
    let end: DateTime<Utc> = funded.text("/recorded_at").parse().unwrap();
    let end = (end + TimeDelta::seconds(2)).to_rfc3339_opts(SecondsFormat::Micros, true);
    let hold = with(transfer("a", "@revenue", "10.00"), json!({"pending": true, "expires_at": end}));
    let held = acme.made("/v1/transactions", hold).await;
    assert_eq!(held.text("/expires_at"), end);
    let shown = format!("/v1/transactions/{}", held.text("/id"));
    let expired = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let found = acme.get(&shown).await;
            if found.status == 200 && found.text("/status") != "pending" {
                break found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let expired = expired.await.unwrap();
    assert_eq!(expired.text("/status"), "expired");
    expect_balance(&acme, &expired, "a", ["10.00", "0.00", "0.00", "10.00"]).await;
    for (step, code) in
        [("settle", "hold_expired"), ("release", "hold_expired"), ("reverse", "transaction_not_reversible")]
    {
        let late = acme.post(&format!("{shown}/{step}"), json!({})).await;
        assert_eq!((late.status, late.text("/code")), (409, code), "{step}");
    }
}
