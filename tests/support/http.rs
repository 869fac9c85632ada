//! The product as its users meet it: the program itself, serving over HTTP on servers of its own.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot get its server fails")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use api::credential::{Grant, Role, Signer};
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil::system::SystemIds;
use domain::{Clock, Ids as _, Slug};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::support::{Database, Guardian, private_nats};

/// The codes of problems are listed here.
const GUIDE: &str = include_str!("../../docs/API.md");

/// A clock that stands at the beginning of 2020.
struct LongAgo;

impl Clock for LongAgo {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(1_577_836_800_000_000_000)
    }
}

/// A server of one test, with a database, a nats-server and a signing key of its own. All of them end with it.
pub struct Server {
    /// Where it keeps its events.
    pub database: Database,
    /// Its nats-server.
    pub nats: Guardian,
    /// Where it keeps its keys and, without a mail server, its mail.
    pub data_dir: PathBuf,
    settings: Vec<(String, String)>,
    program: Program,
    http: reqwest::Client,
}

/// The running program.
struct Program {
    child: Child,
    /// Kept open, so that the program can always write to it.
    lines: BufReader<ChildStdout>,
    base: String,
}

/// Another program on the servers, the database and the keys of a [`Server`]. It ends when this is dropped.
pub struct Another {
    program: Program,
    http: reqwest::Client,
}

impl Another {
    /// A client with this token.
    pub fn client(&self, token: &str) -> Client {
        Client { http: self.http.clone(), base: self.program.base.clone(), token: token.to_owned() }
    }
}

impl Program {
    fn start(database: &Database, nats: &Guardian, data_dir: &Path, settings: &[(String, String)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_counterfoil"))
            .args(["serve", "--listen", "127.0.0.1:0", "--database-url", database.url()])
            .args(["--nats-url", &nats.nats_url()])
            .arg("--data-dir")
            .arg(data_dir)
            .env("COUNTERFOIL_LOG__FILTER", "error")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the counterfoil binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("its output can be read");
        let address =
            line.split_whitespace().find(|word| word.starts_with("http://") || word.starts_with("https://"));
        let base = address.unwrap_or_else(|| panic!("it says where it serves (its error is above): {line}"));
        Self { child, base: base.to_owned(), lines }
    }
}

impl Drop for Program {
    /// SIGKILL: what was answered must be safe by then.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.program.child.kill();
        let _ = self.program.child.wait();
        let _ = std::fs::remove_dir_all(&self.data_dir);
    }
}

impl Server {
    /// Starts one on an empty ledger.
    pub async fn start() -> Self {
        Self::on(Database::fresh().await)
    }

    /// Starts one on a database.
    pub fn on(database: Database) -> Self {
        Self::with(database, &[])
    }

    /// Starts one on an empty ledger, with these settings in its environment.
    pub async fn configured(settings: &[(&str, &str)]) -> Self {
        Self::with(Database::fresh().await, settings)
    }

    /// Starts one on a database, with these environment variables.
    pub fn with(database: Database, settings: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let settings: Vec<_> = settings.iter().map(own).collect();
        let data_dir = std::env::temp_dir().join(format!("counterfoil-http-{}", SystemIds.next().simple()));
        let nats = tokio::task::block_in_place(private_nats);
        let program = tokio::task::block_in_place(|| Program::start(&database, &nats, &data_dir, &settings));
        // Another part of the process may have chosen already; there is one choice, and it is this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        Self { database, nats, data_dir, settings, program, http: http.expect("a client can be built") }
    }

    /// Kills the program (SIGKILL) and starts it again on the same servers.
    pub fn kill_and_start(&mut self) {
        tokio::task::block_in_place(|| {
            let _ = self.program.child.kill();
            let _ = self.program.child.wait();
            self.program = Program::start(&self.database, &self.nats, &self.data_dir, &self.settings);
        });
    }

    /// Starts another program beside the one that runs.
    pub fn another(&self) -> Another {
        let start = || Program::start(&self.database, &self.nats, &self.data_dir, &self.settings);
        Another { program: tokio::task::block_in_place(start), http: self.http.clone() }
    }

    /// Where it listens: `127.0.0.1:<port>`.
    pub fn address(&self) -> &str {
        self.program.base.split_once("://").map_or("", |(_, address)| address)
    }

    /// The file of the key that signs the tokens of operators.
    pub fn signing_key(&self) -> PathBuf {
        self.data_dir.join("signing-key.pem")
    }

    /// A token by `counterfoil token`.
    pub fn token(&self, tenant: &str, role: &str) -> String {
        let made = tokio::task::block_in_place(|| {
            Command::new(env!("CARGO_BIN_EXE_counterfoil"))
                .args(["token", "--tenant", tenant, "--role", role])
                .arg("--data-dir")
                .arg(&self.data_dir)
                .output()
                .expect("the counterfoil binary starts")
        });
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).expect("a token is text").trim().to_owned()
    }

    /// An owner's token that this server's own key signed for one second, long ago.
    pub fn expired_token(&self, tenant: &str) -> String {
        let key = self.data_dir.join("signing-key.pem");
        let signer = Signer::open(&key, "counterfoil", "counterfoil").expect("the server has a key");
        let tenant = Slug::new(tenant).expect("a tenant has a slug");
        let lifetime = TimeDelta::seconds(1);
        let grant = Grant { subject: "late", tenant: &tenant, role: Role::Owner, lifetime };
        signer.issue(&grant, &LongAgo, &SystemIds).expect("a token can be signed")
    }

    /// Creates a tenant with `USD` of two digits, and answers as its owner.
    pub async fn tenant(&self, slug: &str) -> Client {
        let platform = self.client(&self.token("platform", "superadmin"));
        let name = format!("Tenant {slug}");
        let created = platform.post("/v1/tenants", serde_json::json!({"slug": slug, "name": name})).await;
        assert_eq!(created.status, 201, "{}", created.body);
        let owner = self.client(&self.token(slug, "owner"));
        let asset = owner.post("/v1/assets", serde_json::json!({"code": "USD", "scale": 2})).await;
        assert_eq!(asset.status, 201, "{}", asset.body);
        owner
    }

    /// A command of the program, on this server's database and data directory.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_counterfoil"));
        command
            .args(arguments)
            .args(["--database-url", self.database.url(), "--nats-url", &self.nats.nats_url()])
            .arg("--data-dir")
            .arg(&self.data_dir)
            .env("COUNTERFOIL_LOG__FILTER", "error")
            .envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// What came of a command of the program, while the test goes on.
    pub async fn beside(&self, arguments: &[&str]) -> Output {
        let mut command = tokio::process::Command::from(self.command(arguments));
        command.stdin(Stdio::null()).output().await.expect("the counterfoil binary starts")
    }

    /// What a command of the program prints.
    pub fn run(&self, arguments: &[&str]) -> String {
        let done = tokio::task::block_in_place(|| {
            self.command(arguments).output().expect("the counterfoil binary starts")
        });
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).expect("output is text")
    }

    /// The next line that the program prints which has `word` in it.
    pub fn said(&mut self, word: &str) -> String {
        tokio::task::block_in_place(|| {
            let mut line = String::new();
            while !line.contains(word) {
                line.clear();
                let read = self.program.lines.read_line(&mut line).expect("its output can be read");
                assert!(read > 0, "the program has ended without saying {word}");
            }
            line
        })
    }

    /// Where it serves.
    pub fn base(&self) -> &str {
        &self.program.base
    }

    /// A client with this token.
    pub fn client(&self, token: &str) -> Client {
        Client { http: self.http.clone(), base: self.program.base.clone(), token: token.to_owned() }
    }
}

/// Somebody who has a token.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    pub token: String,
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub position: Option<String>,
    pub replayed: bool,
}

impl Answer {
    /// Of a write or read that went well.
    pub fn position(&self) -> &str {
        self.position.as_deref().unwrap_or_else(|| panic!("no position: {self:?}"))
    }

    /// The text at a JSON pointer.
    pub fn text(&self, pointer: &str) -> &str {
        let found = self.body.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {pointer}: {}", self.body))
    }

    /// The items of a list.
    pub fn items(&self) -> &[Value] {
        self.body["items"].as_array().unwrap_or_else(|| panic!("no list: {self:?}"))
    }

    /// The texts at `pointer` of the items of a list.
    pub fn each(&self, pointer: &str) -> Vec<&str> {
        let text = |item| Value::pointer(item, pointer).and_then(Value::as_str).unwrap_or_default();
        self.items().iter().map(text).collect()
    }
}

impl Client {
    /// What it shows to be let in.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A request, authorized, to be finished.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// The same without a token.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::POST, path).json(&body)).await
    }

    /// A write with an idempotency key.
    pub async fn post_once(&self, path: &str, key: &str, body: Value) -> Answer {
        send(self.request(Method::POST, path).header("Idempotency-Key", key).json(&body)).await
    }

    /// A write that goes well.
    pub async fn made(&self, path: &str, body: Value) -> Answer {
        let answer = self.post(path, body).await;
        assert!(matches!(answer.status, 200 | 201), "{path}: {answer:?}");
        answer
    }

    /// A read of what `write` made, right after it.
    pub async fn after(&self, write: &Answer, path: &str) -> Answer {
        let sign = if path.contains('?') { '&' } else { '?' };
        let answer = self.get(&format!("{path}{sign}after={}", write.position())).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer
    }

    /// Everything that a refused request must not change: the sums and the events.
    pub async fn state(&self) -> (Value, Vec<Value>) {
        let mut events = Vec::new();
        let mut next = String::new();
        loop {
            let page = self.get(&format!("/v1/events?limit=100{next}")).await;
            assert_eq!(page.status, 200, "{page:?}");
            events.extend_from_slice(page.items());
            match page.body["next"].as_str() {
                Some(position) => next = format!("&after={position}"),
                None => break,
            }
        }
        let position = events.last().expect("a tenant has events");
        let text = |name: &str| position[name].as_str().expect("an event has its place").to_owned();
        let position = format!("p{}:{}", text("partition"), text("position"));
        let trial = self.get(&format!("/v1/trial-balance?after={position}")).await;
        assert_eq!(trial.status, 200, "{trial:?}");
        (trial.body["items"].clone(), events)
    }
}

/// Sends a request. A problem must have the form of one, and its code must stand in the guide with its status.
pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the server answers");
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        Some(value.to_str().expect("a header is text").to_owned())
    };
    let status = response.status().as_u16();
    let (position, replayed) = (header("Counterfoil-Position"), header("Idempotency-Replayed"));
    let media = header("Content-Type").unwrap_or_default();
    let text = response.text().await.expect("the answer arrives whole");
    let body = if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text) };
    let body = body.unwrap_or_else(|_| panic!("{status} is not JSON: {text:?}"));
    let answer = Answer { status, body, position, replayed: replayed.as_deref() == Some("true") };
    if status >= 400 {
        assert_eq!(media, "application/problem+json", "{answer:?}");
        assert_eq!(answer.body["status"], status, "{answer:?}");
        assert!(answer.position.is_none() && !answer.replayed, "{answer:?}");
        let listed = format!("| `{}` | {status} |", answer.text("/code"));
        assert!(GUIDE.contains(&listed), "not in the guide: {listed}");
    }
    answer
}
