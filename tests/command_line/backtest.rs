//! `counterfoil policies backtest`.

use reqwest::Method;
use serde_json::json;

use crate::server::{Client, Server, send};
use crate::{Done, assert_tells_who_cannot_be_served, run};

/// Two wallets that have money, a price of one dollar a token, and calls that were made at these times: wallet, tokens.
const CALLS: [(&str, &str, u64); 5] = [
    ("2024-01-15T00:00:00Z", "one", 6),
    ("2024-01-31T22:59:59Z", "one", 5),
    ("2024-01-31T23:00:00Z", "one", 4),
    ("2024-02-10T00:00:00Z", "two", 9),
    ("2024-02-11T00:00:00Z", "two", 3),
];

async fn put(owner: &Client, path: &str, body: serde_json::Value) -> String {
    let answer = send(owner.request(Method::PUT, path).json(&body)).await;
    assert!(matches!(answer.status, 200 | 201), "{path}: {answer:?}");
    answer.position().to_owned()
}

async fn world() -> (Server, Client) {
    let server = Server::start().await;
    let owner = server.tenant("acme").await;
    put(&owner, "/v1/metering", json!({"time_zone": "Europe/Berlin"})).await;
    let rates = json!({"input": "1000000", "output": "1000000"});
    let price = json!({"provider": "elsewhere", "model": "m", "asset": "USD", "rates": rates});
    put(&owner, "/v1/prices", price).await;
    for wallet in ["one", "two"] {
        owner.made("/v1/wallets", json!({"path": wallet, "asset": "USD"})).await;
        let posting = json!({"from": "@world", "to": wallet, "amount": "1000", "asset": "USD"});
        owner.made("/v1/transactions", json!({"postings": [posting]})).await;
    }
    put(&owner, "/v1/levels/pro", json!({"tier": 1})).await;
    let assigned = put(&owner, "/v1/allowances/two", json!({"level": "pro"})).await;
    // Not in the order in which they were made.
    for (at, wallet, tokens) in CALLS.into_iter().rev() {
        let call = json!({"wallet": wallet, "user": format!("user-of-{wallet}"), "provider": "elsewhere", "model": "m",
            "requested_at": at, "usage": {"input": tokens}});
        let made = owner.made("/v1/executions/import", call).await;
        owner.after(&made, "/v1/executions").await;
    }
    assert_eq!(owner.get(&format!("/v1/allowances?after={assigned}")).await.status, 200);
    (server, owner)
}

async fn backtest(server: &Server, owner: &Client, arguments: &[&str]) -> Done {
    run(server.base(), &owner.token, &[&["policies", "backtest"], arguments].concat()).await
}

/// What is said of a wallet: allowed, what that cost, refused, what that cost.
fn row(done: &Done, wallet: &str) -> Vec<String> {
    let line = done.out.lines().find(|line| line.split_whitespace().next() == Some(wallet));
    let line = line.unwrap_or_else(|| panic!("nothing is said of {wallet}: {done:?}"));
    line.split_whitespace().skip(1).take(4).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn past_calls_are_replayed_under_another_policy() {
    let (server, owner) = world().await;
    let (_, before) = owner.state().await;
    let once = backtest(&server, &owner, &["--mode", "lifetime", "--amount", "10"]).await;
    once.assert_said("2 wallets: 3 calls would have been allowed, 2 refused\n");
    // 6, not 5, and 4; then 9 and not 3.
    assert_eq!(row(&once, "one"), ["2", "10.00", "1", "5.00"]);
    assert_eq!(row(&once, "two"), ["1", "9.00", "1", "3.00"]);
    // The third call falls into February, where the tenant is.
    let monthly = backtest(&server, &owner, &["--mode", "monthly", "--amount", "6"]).await;
    assert_eq!(row(&monthly, "one"), ["2", "10.00", "1", "5.00"]);
    assert_eq!(row(&monthly, "two"), ["1", "3.00", "1", "9.00"]);
    let arguments = ["--mode", "monthly", "--amount", "10", "--rollover", "capped", "--rollover-most", "1"];
    let capped = backtest(&server, &owner, &arguments).await;
    assert_eq!(row(&capped, "one"), ["2", "10.00", "1", "5.00"]);
    let (_, after) = owner.state().await;
    assert_eq!(after, before, "nothing is changed by it");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_calls_that_are_meant_are_replayed() {
    let (server, owner) = world().await;
    let with = |filter: &'static [&'static str]| {
        let arguments = [&["--mode", "lifetime", "--amount", "100"], filter].concat();
        let (server, owner) = (&server, &owner);
        async move { backtest(server, owner, &arguments).await }
    };
    for filter in [&["--wallet", "one"][..], &["--user", "user-of-one"]] {
        with(filter).await.assert_said("1 wallets: 3 calls would have been allowed, 0 refused\n");
    }
    with(&["--level", "pro"]).await.assert_said("1 wallets: 2 calls would have been allowed, 0 refused\n");
    // It goes by when they were recorded, which is now.
    with(&["--from", "2024-01-01T00:00:00Z"]).await.assert_said("5 calls would have been allowed");
    with(&["--to", "2024-12-31T00:00:00Z"]).await.assert_said("0 wallets: 0 calls would have been allowed");
    with(&["--level", "gold"]).await.assert_failed(1, &["level_not_found", "gold"]);
    with(&["--wallet", "three"]).await.assert_failed(1, &["--wallet", "there is no wallet three"]);
    with(&["--asset", "USD"]).await.assert_said("5 calls would have been allowed");
    with(&["--asset", "NOPE"]).await.assert_failed(1, &["--asset: the tenant has no asset NOPE"]);
    with(&["--user", "nobody"]).await.assert_failed(1, &["--user: no call is recorded for the user nobody"]);
    // Somebody who made no calls at the time that is meant is somebody all the same.
    with(&["--user", "user-of-one", "--to", "2024-12-31T00:00:00Z"]).await.assert_said("0 wallets: 0 calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_replayed_is_told_with_what_to_do() {
    let (server, owner) = world().await;
    let lifetime = ["--mode", "lifetime", "--amount", "10"];
    for (arguments, status, said) in [
        (&["--amount", "10"][..], 2, "--mode"),
        (&["--mode", "weekly", "--amount", "10"], 2, "monthly"),
        (&["--mode", "lifetime", "--amount", "ten"], 2, "--amount"),
        (&["--mode", "lifetime", "--amount=-1"], 1, "--amount: a policy allocates no less than nothing"),
        (&["--mode", "lifetime", "--amount", "-5"], 1, "--amount: a policy allocates no less than nothing"),
        (&["--mode", "lifetime", "--amount", "5", "--balance", "-5"], 1, "--balance: a wallet has no less"),
        (&["--mode", "lifetime", "--amount", "5", "--balance=-0.01"], 1, "--balance: a wallet has no less"),
        (
            &["--mode", "monthly", "--amount", "10", "--rollover", "capped", "--rollover-most", "-5"],
            1,
            "--rollover-most: no less than nothing",
        ),
        (
            &[
                "--mode",
                "lifetime",
                "--amount",
                "5",
                "--from",
                "2024-02-01T00:00:00Z",
                "--to",
                "2024-01-01T00:00:00Z",
            ],
            1,
            "--to: there is no time between --from and --to",
        ),
        (
            &[
                "--mode",
                "lifetime",
                "--amount",
                "5",
                "--from",
                "2024-02-01T00:00:00Z",
                "--to",
                "2024-02-01T01:00:00+01:00",
            ],
            1,
            "--to: there is no time between --from and --to",
        ),
        (
            &["--mode", "lifetime", "--amount", "10", "--rollover", "full"],
            1,
            "--rollover goes with --mode monthly",
        ),
        (&["--mode", "monthly", "--amount", "10", "--rollover", "capped"], 1, "needs --rollover-most"),
        (
            &["--mode", "monthly", "--amount", "10", "--rollover", "capped", "--rollover-most=-1"],
            1,
            "--rollover-most: no less than nothing",
        ),
        (&["--mode", "monthly", "--amount", "10", "--from", "yesterday"], 2, "--from"),
        (&["--mode", "lifetime", "--amount", "0.001"], 1, "--amount: the amount has more digits"),
        (
            &["--mode", "lifetime", "--amount", "1", "--balance", "0.001"],
            1,
            "--balance: the amount has more digits",
        ),
        (&["--mode", "lifetime", "--amount", "10", "--wallet", "no such path"], 1, "invalid_path"),
    ] {
        backtest(&server, &owner, arguments).await.assert_failed(status, &[said]);
    }
    let arguments = [&["policies", "backtest"], &lifetime[..]].concat();
    assert_tells_who_cannot_be_served(&server, &arguments, true).await;
}
