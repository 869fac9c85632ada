//! The whole product over real HTTP: the program, its database, its nats-server, and clients that speak JSON.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]
#![expect(clippy::large_futures, reason = "a test is written to be read")]

mod support;

#[path = "http/access.rs"]
mod access;
#[path = "http/attacks.rs"]
mod attacks;
#[path = "http/bad_input.rs"]
mod bad_input;
#[path = "http/flow.rs"]
mod flow;
#[path = "http/idempotency.rs"]
mod idempotency;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "support/injection.rs"]
mod injection;
#[path = "http/isolation.rs"]
mod isolation;
#[path = "support/routes.rs"]
mod routes;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "support/http.rs"]
mod server;
#[path = "http/slow.rs"]
mod slow;
#[path = "http/strangers.rs"]
mod strangers;
#[path = "http/tls.rs"]
mod tls;

use serde_json::{Value, json};
use server::{Answer, Client};

/// The body of a transaction with one posting of USD.
fn transfer(from: &str, to: &str, amount: &str) -> Value {
    json!({"postings": [{"from": from, "to": to, "amount": amount, "asset": "USD"}]})
}

/// `body` with the fields of `more`.
fn with(mut body: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut body, more) {
        fields.extend(more);
    }
    body
}

/// Opens a wallet and puts `amount` into it.
async fn fund(client: &Client, path: &str, amount: &str) -> Answer {
    client.made("/v1/wallets", json!({"path": path, "asset": "USD"})).await;
    client.made("/v1/transactions", transfer("@world", path, amount)).await
}
