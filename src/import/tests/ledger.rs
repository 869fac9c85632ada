//! A ledger in memory behind real HTTP, just enough of the contract to see what an importer does to it: holds,
//! settlements, idempotency with fingerprints, funds, and faults on demand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::wire::{Request, Response, serve};

/// Digits after the point of every amount.
pub const SCALE: u32 = 9;

/// What the server does instead of what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done; the status, and a Retry-After of no time.
    Refuse(u16),
    /// It is done, and the answer is a 500.
    LoseAnswer,
}

#[derive(Default)]
pub struct State {
    /// What can still be held, in minor units.
    pub funds: i128,
    /// What `@revenue` has been paid.
    pub revenue: i128,
    /// Effective times and amounts of the holds made, in order.
    pub holds: Vec<(String, i128)>,
    /// Settlements carried out.
    pub settled: u64,
    /// Writes seen, repeated ones included.
    pub writes: u64,
    /// Answers the nth write, from 1.
    pub fault: Option<Box<dyn Fn(u64) -> Option<Fault> + Send>>,
    /// Told of every settlement.
    pub on_settled: Option<mpsc::UnboundedSender<()>>,
    pending: HashMap<String, i128>,
    answers: HashMap<String, (String, u16, Value)>,
}

type Shared = Arc<Mutex<State>>;

pub struct Ledger {
    pub url: String,
    state: Shared,
    server: JoinHandle<()>,
}

impl Ledger {
    pub async fn start(funds: i128) -> Self {
        let state: Shared = Arc::new(Mutex::new(State { funds, ..State::default() }));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}/base/", listener.local_addr().expect("an address"));
        let shared = state.clone();
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let shared = shared.clone();
                connections.spawn(serve(stream, move |request| answer(&shared, &request)));
            }
        });
        Self { url, state, server }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// What `@revenue` has been paid, and in how many settlements.
    pub fn charged(&self) -> (i128, u64) {
        let state = self.state();
        (state.revenue, state.settled)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn problem(status: u16, code: &str) -> Response {
    let body = json!({ "code": code, "title": "No", "detail": format!("{code} it is") });
    Response { status, headers: "Retry-After: 0\r\n", body: body.to_string() }
}

fn answer(state: &Shared, request: &Request) -> Response {
    if request.header("authorization") != Some("Bearer good-token") {
        return problem(401, "unauthenticated");
    }
    let path = request.path.strip_prefix("/base/v1/").expect("the base path");
    let parts: Vec<&str> = path.split('/').collect();
    match (request.method.as_str(), &parts[..]) {
        ("GET", ["assets"]) => ok(&json!({"items": [
            {"code": "USD", "scale": SCALE}, {"code": "EUR", "scale": 2}
        ]})),
        ("GET", ["wallets", "customers:42"]) => ok(&json!({"path": "customers:42", "asset": "USD"})),
        ("GET", ["wallets", "customers:eur"]) => ok(&json!({"path": "customers:eur", "asset": "EUR"})),
        ("GET", ["wallets", _]) => problem(404, "wallet_not_found"),
        ("POST", ["transactions"]) => write(request, state, hold),
        ("POST", ["transactions", id, "settle"]) => {
            write(request, state, |state, body| settle(state, body, id))
        }
        _ => problem(404, "not_found"),
    }
}

fn ok(body: &Value) -> Response {
    Response { status: 200, headers: "", body: body.to_string() }
}

/// Minor units of a decimal that has exactly [`SCALE`] digits after the point.
fn units(amount: &Value) -> i128 {
    let (whole, fraction) = amount.as_str().expect("a string").split_once('.').expect("a point");
    assert_eq!(fraction.len(), SCALE as usize);
    format!("{whole}{fraction}").parse().expect("digits")
}

type Carried = Result<(u16, Value), (u16, &'static str)>;

fn hold(state: &mut State, body: &Value) -> Carried {
    let posting = &body["postings"][0];
    assert_eq!((&body["pending"], &body["open_wallets"]), (&json!(true), &json!(true)));
    assert_eq!((&posting["from"], &posting["to"]), (&json!("customers:42"), &json!("@revenue")));
    assert_eq!(posting["asset"], "USD");
    let amount = units(&posting["amount"]);
    assert!(amount > 0);
    if amount > state.funds {
        return Err((422, "insufficient_funds"));
    }
    state.funds -= amount;
    state.holds.push((body["effective_at"].as_str().expect("a time").to_owned(), amount));
    let id = format!("0190a000-0000-7000-8000-{:012}", state.holds.len());
    state.pending.insert(id.clone(), amount);
    Ok((201, json!({ "id": id, "status": "pending" })))
}

fn settle(state: &mut State, body: &Value, id: &str) -> Carried {
    let amount = units(&body["amounts"][0]);
    let Some(held) = state.pending.remove(id) else {
        return Err((409, "transaction_not_pending"));
    };
    assert!(amount <= held, "{amount} of {held}");
    state.funds += held - amount;
    state.revenue += amount;
    state.settled += 1;
    if let Some(told) = &state.on_settled {
        let _ = told.send(());
    }
    Ok((200, json!({ "id": id, "status": "settled" })))
}

fn write(
    request: &Request,
    state: &Shared,
    carry_out: impl FnOnce(&mut State, &Value) -> Carried,
) -> Response {
    let mut state = state.lock().expect("not poisoned");
    state.writes += 1;
    let writes = state.writes;
    let fault = state.fault.as_ref().and_then(|fault| fault(writes));
    if let Some(Fault::Refuse(status)) = fault {
        return problem(status, "away");
    }
    let key = request.header("idempotency-key").expect("a key").to_owned();
    let fingerprint = format!("{} {}", request.path, request.body);
    let (status, answer, replayed) = match state.answers.get(&key) {
        Some((before, ..)) if *before != fingerprint => return problem(409, "idempotency_key_reused"),
        Some((_, status, answer)) => (*status, answer.clone(), true),
        None => match carry_out(&mut state, &serde_json::from_str(&request.body).expect("JSON")) {
            Err((status, code)) => return problem(status, code),
            Ok((status, answer)) => {
                state.answers.insert(key, (fingerprint, status, answer.clone()));
                (status, answer, false)
            }
        },
    };
    if fault == Some(Fault::LoseAnswer) {
        return problem(500, "internal");
    }
    let headers = if replayed { "Idempotency-Replayed: true\r\n" } else { "" };
    Response { status, headers, body: answer.to_string() }
}
