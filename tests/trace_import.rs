//! A usage trace through the whole product: imported over real HTTP, with everything killed on the way, and the
//! totals computed here, independently of the product's code.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use counterfoil::system::SystemIds;
use domain::Ids as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_counterfoil");
/// 10^-9 USD.
const FUNDS: u128 = 100_000_000_000;

/// `counterfoil up` on a directory of its own, stopped and removed at the end.
struct Product {
    up: Child,
    directory: PathBuf,
    listen: String,
}

impl Product {
    fn start() -> Self {
        let name = format!("counterfoil-trace-{}", SystemIds.next().simple());
        let directory = std::env::temp_dir().join(name);
        // Free until we let go of it; nobody else asks for this very port in between.
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let up = Self::launch(&directory, &listen);
        Self { up, directory, listen }
    }

    fn launch(directory: &Path, listen: &str) -> Child {
        let mut up = Command::new(PROGRAM)
            .args(["up", "--listen", listen, "--data-dir"])
            .arg(directory)
            .env("COUNTERFOIL_LOG__FILTER", "error")
            .env_remove("DATABASE_URL")
            .env_remove("NATS_URL")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(up.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().starts_with("ctrl-C stops")), "the product starts");
        up
    }

    /// Kills the server and starts it again.
    fn restart(&mut self) {
        self.up.kill().unwrap();
        self.up.wait().unwrap();
        self.up = Self::launch(&self.directory, &self.listen);
    }

    /// Kills one of its servers, which it restarts by itself.
    fn kill_server(&self, pid_file: &str) {
        let text = fs::read_to_string(self.directory.join(pid_file)).unwrap();
        let pid = text.lines().next().unwrap().trim().parse().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }

    fn token(&self) -> String {
        let output = Command::new(PROGRAM)
            .args(["token", "--tenant", "demo", "--role", "admin", "--data-dir"])
            .arg(&self.directory)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    async fn post(&self, path: &str, body: &Value) {
        let request = client().post(format!("http://{}{path}", self.listen)).bearer_auth(self.token());
        let answer = request.json(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    }

    async fn get(&self, path: &str) -> Value {
        let request = client().get(format!("http://{}{path}", self.listen)).bearer_auth(self.token());
        request.send().await.unwrap().json().await.unwrap()
    }

    /// A wallet's posted balance once its read model has caught up with the journal, in 10^-9 USD.
    async fn posted(&self, wallet: &str, expected: i128) -> i128 {
        let mut found = i128::MIN;
        for _ in 0..200 {
            let balance = self.get(&format!("/v1/wallets/{wallet}/balance")).await;
            let text = balance["posted"].as_str().unwrap().to_owned();
            let (whole, digits) = text.split_once('.').unwrap();
            assert_eq!(digits.len(), 9);
            found = format!("{whole}{digits}").parse().unwrap();
            if found == expected && balance["held"] == "0.000000000" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        found
    }

    async fn fund(&self) {
        self.post("/v1/assets", &json!({"code": "USD", "scale": 9})).await;
        self.post("/v1/wallets", &json!({"path": "customers:trace", "asset": "USD"})).await;
        let posting = json!({"from": "@world", "to": "customers:trace", "amount": "100", "asset": "USD"});
        self.post("/v1/transactions", &json!({ "postings": [posting] })).await;
    }

    fn import(&self, file: &Path) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["import", "llm-trace"]).arg(file).args(["--url", &format!("http://{}", self.listen)]);
        command.args(["--wallet", "customers:trace", "--revenue", "@revenue", "--asset", "USD"]);
        command.args(["--input-price", "0.50", "--output-price", "1.50", "--concurrency", "16"]);
        command.env("COUNTERFOIL_TOKEN", self.token()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn command(&self, arguments: &[&str]) -> ExitStatus {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).arg("--data-dir").arg(&self.directory);
        command.env("COUNTERFOIL_LOG__FILTER", "error").stdout(Stdio::null()).status().unwrap()
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.up.id().cast_signed()), Signal::SIGINT);
        let _ = self.up.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A client for plain HTTP; it needs a TLS library all the same.
fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().tls_certs_only(std::iter::empty()).no_proxy().build().unwrap()
}

/// What the requests of a trace cost, in 10^-9 USD: 0.50 and 1.50 USD per million tokens are 500 and 1,500 each.
fn cost(trace: &str) -> (usize, u128) {
    let rows = trace.lines().skip(1).filter_map(|line| {
        let mut fields = line.trim().split(',').skip(1);
        let input: u128 = fields.next()?.parse().ok()?;
        let output: u128 = fields.next()?.parse().ok()?;
        Some(input * 500 + output * 1_500)
    });
    rows.fold((0, 0), |(count, sum), cost| (count + 1, sum + cost))
}

/// Imports `file` with the importer, the server, PostgreSQL and nats-server killed on the way, until it is through.
async fn assert_billed_once(file: &Path, pause: Duration, last_status: i32) {
    let trace = fs::read_to_string(file).unwrap();
    let (rows, cost) = cost(&trace);
    let mut product = tokio::task::spawn_blocking(Product::start).await.unwrap();
    product.fund().await;
    for fault in 0..4 {
        let mut importer = product.import(file).spawn().unwrap();
        tokio::time::sleep(pause).await;
        match fault {
            0 => importer.kill().unwrap(),
            1 => product.restart(),
            2 => product.kill_server("postgres/postmaster.pid"),
            _ => product.kill_server("nats/nats.pid"),
        }
        importer.wait().unwrap();
    }
    let mut importer = product.import(file).spawn().unwrap();
    for name in ["tenants", "balances", "transactions", "snapshots"] {
        assert!(product.command(&["projections", "rebuild", name]).success(), "{name} is rebuilt meanwhile");
    }
    assert_eq!(importer.wait().unwrap().code(), Some(last_status), "the last run goes through");
    let cost = i128::try_from(cost).unwrap();
    let left = i128::try_from(FUNDS).unwrap() - cost;
    assert_eq!(product.posted("@revenue", cost).await, cost);
    assert_eq!(product.posted("customers:trace", left).await, left);
    assert_eq!(settled(&product).await, rows, "each request is one settled transaction");
    assert!(product.command(&["journal", "verify"]).success());
    assert_relayed(&product).await;
}

/// JetStream has as many messages as the journal has events.
async fn assert_relayed(product: &Product) {
    let addresses = counterfoil::servers::running(&product.directory).unwrap().unwrap();
    let options = async_nats::ConnectOptions::new();
    let nats = counterfoil::servers::connect_nats(&addresses.nats_url.unwrap(), options).await.unwrap();
    let database = addresses.database_url.unwrap().parse().unwrap();
    let pool = journal::connect(database, journal::Role::Writer, "views", 1).await.unwrap();
    let heads = journal::Journal::open(pool).await.unwrap().heads().await.unwrap();
    let events: i64 = heads.iter().map(|head| head.position).sum();
    let mut messages = 0;
    for _ in 0..300 {
        let context = async_nats::jetstream::new(nats.clone());
        let stream = context.get_stream(commands::STREAM).await.unwrap();
        messages = i64::try_from(stream.cached_info().state.messages).unwrap();
        if messages == events {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(messages, events);
}

/// How many settled transactions there are, page by page.
async fn settled(product: &Product) -> usize {
    let (mut count, mut cursor) = (0, String::new());
    loop {
        let page = product.get(&format!("/v1/transactions?status=settled&limit=100{cursor}")).await;
        count += page["items"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return count,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_billed_once_whatever_is_killed_on_the_way() {
    let file = std::env::temp_dir().join(format!("counterfoil-{}.csv", SystemIds.next().simple()));
    let mut trace = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n".to_owned();
    for row in 0..600_u32 {
        let (input, output) = (row * 37 % 1_000, row * 53 % 700);
        write!(trace, "2024-02-29 12:{:02}:{:02}.1234567,{input},{output}\r\n", row / 60 % 60, row % 60)
            .unwrap();
    }
    // Two requests alike, a bad row, and a last line without an end.
    trace.push_str("2024-02-29 13:00:00.0000000,5,5\r\n2024-02-29 13:00:00.0000000,5,5\r\n");
    trace.push_str("2024-02-29 13:00:00.0000000,five,5\r\n2024-02-29 13:00:01.0000000,0,1");
    fs::write(&file, trace).unwrap();
    assert_billed_once(&file, Duration::from_millis(700), 1).await;
    fs::remove_file(&file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_trace_ends_at_exactly_its_cost() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data/azure-llm-inference-2023/AzureLLMInferenceTrace_conv.csv");
    if !file.exists() {
        let why = format!("{} is not there", file.display());
        let _ = writeln!(std::io::stderr(), "\nSKIPPED a test: {why}\n");
        return;
    }
    assert_eq!(cost(&fs::read_to_string(&file).unwrap()), (19_366, 17_313_932_500));
    assert_billed_once(&file, Duration::from_secs(4), 0).await;
}
