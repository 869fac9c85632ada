//! A trace of usage becomes executions, and what the analytics say of them is what the file says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use counterfoil::system::SystemIds;
use domain::Ids as _;
use serde_json::json;

use crate::server::{Client, Server};

/// Calls, tokens of input and of output, and the cost in 10^-9 USD, by hour.
type Hours = BTreeMap<String, (u64, u128, u128, u128)>;

/// What the file says, computed from it alone: 0.50 and 1.50 a million.
fn from_file(trace: &str) -> Hours {
    let mut hours = Hours::new();
    for line in trace.lines().skip(1) {
        let mut fields = line.trim().split(',');
        let (Some(time), Some(input), Some(output)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let (input, output): (u128, u128) = (input.parse().unwrap(), output.parse().unwrap());
        let hour = format!("{}:00:00Z", time.get(..13).unwrap().replace(' ', "T"));
        let sum = hours.entry(hour).or_default();
        *sum = (sum.0 + 1, sum.1 + input, sum.2 + output, sum.3 + input * 500 + output * 1_500);
    }
    hours
}

/// What the analytics say.
async fn told(owner: &Client, from: &str, to: &str) -> Hours {
    let address = format!("/v1/analytics/usage?granularity=hour&from={from}&to={to}");
    let answer = owner.get(&address).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let rows = answer.body["rows"].as_array().unwrap();
    let number = |value: &serde_json::Value| u128::from(value.as_u64().unwrap());
    rows.iter()
        .map(|row| {
            let cost: String = row["cost"].as_str().unwrap().replace('.', "");
            let calls = row["calls"].as_u64().unwrap();
            let sums = (
                calls,
                number(&row["usage"]["input"]),
                number(&row["usage"]["output"]),
                cost.parse().unwrap(),
            );
            // A window begins within an hour; the hour is told by its whole.
            let start = row["start"].as_str().unwrap();
            (format!("{}:00:00Z", start.get(..13).unwrap()), sums)
        })
        .collect()
}

async fn assert_counted(trace: &str, from: &str, to: &str) {
    let file = std::env::temp_dir().join(format!("counterfoil-{}.csv", SystemIds.next().simple()));
    std::fs::write(&file, trace).unwrap();
    let server = Server::start().await;
    let platform = server.client(&server.token("platform", "superadmin"));
    platform.made("/v1/tenants", json!({"slug": "acme", "name": "Acme"})).await;
    let owner = server.client(&server.token("acme", "owner"));
    owner.made("/v1/assets", json!({"code": "USD", "scale": 9})).await;
    owner.made("/v1/wallets", json!({"path": "trace", "asset": "USD"})).await;
    let posting = json!({"from": "@world", "to": "trace", "amount": "1000", "asset": "USD"});
    let funded = owner.made("/v1/transactions", json!({"postings": [posting]})).await;
    owner.after(&funded, "/v1/wallets/trace/balance").await;
    let import = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_counterfoil"));
        command.args(["import", "llm-trace", "--as", "executions"]).arg(&file).args(["--url", server.base()]);
        command.args([
            "--wallet",
            "trace",
            "--revenue",
            "@revenue",
            "--asset",
            "USD",
            "--token",
            &owner.token,
        ]);
        command.args(["--input-price", "0.50", "--output-price", "1.50"]);
        let done = tokio::task::block_in_place(|| command.output().unwrap());
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(done.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&done.stderr));
        said
    };
    let rows = trace.lines().skip(1).count();
    assert!(import().contains(&format!("settled           {rows} (of these already there before: 0)")));
    let again = import();
    assert!(again.contains(&format!("already there before: {rows})")), "{again}");
    std::fs::remove_file(&file).unwrap();

    let expected = from_file(trace);
    let mut found = Hours::new();
    for _ in 0..300 {
        found = told(&owner, from, to).await;
        if found.values().map(|sums| sums.0).sum::<u64>() == u64::try_from(rows).unwrap() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(found, expected);
    // And the ledger says the same.
    let total: u128 = expected.values().map(|sums| sums.3).sum();
    let revenue = owner.get("/v1/wallets/@revenue/balance").await;
    assert_eq!(revenue.text("/posted").replace('.', "").parse::<u128>().unwrap(), total);
    assert!(server.run(&["journal", "verify"]).starts_with("verified: "));
    assert_backtested(&server, &owner, rows, total);
}

/// All of the trace is in one month: half of what it cost is enough for some of it.
fn assert_backtested(server: &Server, owner: &Client, rows: usize, total: u128) {
    let units = |amount: u128| format!("{}.{:09}", amount / 1_000_000_000, amount % 1_000_000_000);
    for (amount, all) in [(total, true), (total / 2, false)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_counterfoil"));
        command.args(["policies", "backtest", "--mode", "monthly", "--rollover", "full"]);
        command.args(["--amount", &units(amount), "--url", server.base(), "--token", &owner.token]);
        let done = tokio::task::block_in_place(|| command.output().unwrap());
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(done.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&done.stderr));
        let last: Vec<&str> = said.lines().next_back().unwrap().split(' ').collect();
        let (allowed, refused): (usize, usize) = (last[2].parse().unwrap(), last[8].parse().unwrap());
        assert_eq!((allowed + refused, refused == 0, allowed > 0), (rows, all, true), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_analytics_of_a_trace_are_what_the_file_says() {
    let mut trace = "TIMESTAMP,ContextTokens,GeneratedTokens\n".to_owned();
    for row in 0..1_500_u32 {
        let (hour, minute, second) = (10 + row / 400, row % 400 * 60 / 400, row % 60);
        let (input, output) = (1 + row * 37 % 4_000, row * 53 % 900);
        writeln!(trace, "2024-02-29 {hour}:{minute:02}:{second:02}.{row:07},{input},{output}").unwrap();
    }
    assert_counted(&trace, "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z").await;
}

/// As many rows as it takes, made of the published ones: `GATEWAY_ROWS`, 50,000 unless given. `GATEWAY_TRACE` is the file.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: run it by `make test-trace`"]
async fn the_analytics_of_the_published_trace_are_what_the_file_says() {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data/azure-llm-inference-2023/AzureLLMInferenceTrace_conv.csv");
    let file = std::env::var_os("GATEWAY_TRACE").map_or(usual, PathBuf::from);
    assert!(
        file.exists(),
        "{} is not there. make test-trace needs AzureLLMInferenceTrace_conv.csv of Azure's LLM inference dataset 2023: \
         put it there, or name it by GATEWAY_TRACE",
        file.display()
    );
    let rows = std::env::var("GATEWAY_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(50_000);
    let published = std::fs::read_to_string(&file).unwrap();
    let mut lines = published.lines();
    let mut trace = format!("{}\n", lines.next().unwrap());
    // Once through it is 19,366 rows of an hour; the same hour of the following days makes more.
    let rest: Vec<&str> = lines.collect();
    for row in 0..rows {
        let day = 16 + row / rest.len();
        let line = rest[row % rest.len()].replacen("2023-11-16", &format!("2023-11-{day}"), 1);
        writeln!(trace, "{line}").unwrap();
    }
    assert_counted(&trace, "2023-11-16T00:00:00Z", "2023-12-01T00:00:00Z").await;
}
