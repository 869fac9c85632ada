//! A ledger in memory behind real HTTP, just enough of the contract to see what an importer does to it: holds,
//! settlements, idempotency with fingerprints, funds, and faults on demand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};
use tokio::sync::mpsc;

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
    server: ServerHandle,
}

impl Ledger {
    pub fn start(funds: i128) -> Self {
        let state: Shared = Arc::new(Mutex::new(State { funds, ..State::default() }));
        let data = web::Data::new(state.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .route("/base/v1/assets", web::get().to(assets))
                .route("/base/v1/wallets/{path}", web::get().to(wallet))
                .route("/base/v1/transactions", web::post().to(hold))
                .route("/base/v1/transactions/{id}/settle", web::post().to(settle))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .expect("a free port");
        let url = format!("http://{}/base/", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { url, state, server: handle }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// What `@revenue` has been paid, and in how many settlements.
    pub fn charged(&self) -> (i128, u64) {
        let state = self.state();
        (state.revenue, state.settled)
    }

    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

fn problem(status: u16, code: &str) -> HttpResponse {
    HttpResponse::build(StatusCode::from_u16(status).expect("a status"))
        .insert_header(("Retry-After", "0"))
        .content_type("application/problem+json")
        .body(json!({ "code": code, "title": "No", "detail": format!("{code} it is") }).to_string())
}

fn authorized(request: &HttpRequest) -> bool {
    request.headers().get("Authorization").is_some_and(|value| value == "Bearer good-token")
}

async fn assets(request: HttpRequest) -> HttpResponse {
    if !authorized(&request) {
        return problem(401, "unauthenticated");
    }
    HttpResponse::Ok().json(json!({"items": [
        {"code": "USD", "scale": SCALE}, {"code": "EUR", "scale": 2}
    ]}))
}

async fn wallet(path: web::Path<String>) -> HttpResponse {
    match path.as_str() {
        "customers:42" => {
            HttpResponse::Ok().json(json!({"path": "customers:42", "asset": "USD", "status": "open"}))
        }
        "customers:eur" => HttpResponse::Ok().json(json!({"path": "customers:eur", "asset": "EUR"})),
        _ => problem(404, "wallet_not_found"),
    }
}

/// Minor units of a decimal that has exactly [`SCALE`] digits after the point.
fn units(amount: &Value) -> i128 {
    let (whole, fraction) = amount.as_str().expect("a string").split_once('.').expect("a point");
    assert_eq!(fraction.len(), SCALE as usize);
    format!("{whole}{fraction}").parse().expect("digits")
}

async fn hold(request: HttpRequest, body: String, state: web::Data<Shared>) -> HttpResponse {
    write(&request, &body, &state, |state, body| {
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
    })
}

async fn settle(request: HttpRequest, body: String, state: web::Data<Shared>) -> HttpResponse {
    let id = request.match_info().get("id").expect("an id").to_owned();
    write(&request, &body, &state, |state, body| {
        let amount = units(&body["amounts"][0]);
        let Some(held) = state.pending.remove(&id) else {
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
    })
}

fn write(
    request: &HttpRequest,
    body: &str,
    state: &Shared,
    carry_out: impl FnOnce(&mut State, &Value) -> Result<(u16, Value), (u16, &'static str)>,
) -> HttpResponse {
    if !authorized(request) {
        return problem(401, "unauthenticated");
    }
    let mut state = state.lock().expect("not poisoned");
    state.writes += 1;
    let writes = state.writes;
    let fault = state.fault.as_ref().and_then(|fault| fault(writes));
    if let Some(Fault::Refuse(status)) = fault {
        return problem(status, "away");
    }
    let key = request.headers().get("Idempotency-Key").expect("a key").to_str().expect("text").to_owned();
    let fingerprint = format!("{} {body}", request.path());
    let (status, answer, replayed) = match state.answers.get(&key) {
        Some((before, ..)) if *before != fingerprint => {
            return problem(409, "idempotency_key_reused");
        }
        Some((_, status, answer)) => (*status, answer.clone(), true),
        None => match carry_out(&mut state, &serde_json::from_str(body).expect("JSON")) {
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
    let mut response = HttpResponse::build(StatusCode::from_u16(status).expect("a status"));
    if replayed {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    response.json(answer)
}
