use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

mod ledger;
mod wire;

use ledger::{Fault, Ledger};

const FUNDS: i128 = 100_000_000_000;

/// A file that goes when the test does.
struct TraceFile(PathBuf);

impl TraceFile {
    fn new(text: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("counterfoil-import-{}-{}.csv", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("a temporary file");
        Self(path)
    }

    /// `rows` rows of 1000 + n and n tokens, and what they cost at 0.50 and 1.50 with nine digits.
    fn of_rows(rows: u64) -> (Self, i128) {
        let mut text = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n".to_owned();
        let mut cost = 0;
        for row in 0..rows {
            let (minute, second, context) = (row / 60, row % 60, 1000 + row);
            writeln!(text, "2023-11-16 18:{minute:02}:{second:02}.6805900,{context},{row}\r")
                .expect("a string takes it");
            cost += i128::from(500 * (1000 + row) + 1500 * row);
        }
        (Self::new(&text), cost)
    }

    fn for_ledger(&self, url: &str) -> LlmTrace {
        LlmTrace {
            file: self.0.clone(),
            connection: Connection { url: url.to_owned(), token: "good-token".to_owned() },
            wallet: "customers:42".to_owned(),
            revenue: "@revenue".to_owned(),
            asset: "USD".to_owned(),
            input_price: "0.50".parse().expect("a price"),
            output_price: "1.50".parse().expect("a price"),
            max_output_tokens: 4096,
            form: Form::Transactions,
            concurrency: 8,
            retry_for: Duration::from_secs(20),
        }
    }
}

impl Drop for TraceFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs an import to its end: exit status and summary.
async fn import(arguments: &LlmTrace) -> (u8, String) {
    import_until(arguments, futures_util::stream::pending()).await
}

async fn import_until(arguments: &LlmTrace, interrupts: impl Stream<Item = ()> + Unpin) -> (u8, String) {
    let mut out = Vec::new();
    let status = llm_trace(arguments, interrupts, &mut out).await.expect("a usable import");
    (status, String::from_utf8(out).expect("text"))
}

async fn unusable(arguments: &LlmTrace) -> String {
    let mut out = Vec::new();
    let refused = llm_trace(arguments, futures_util::stream::pending(), &mut out).await;
    refused.expect_err("not usable").to_string()
}

/// The number after a title of the summary.
fn counted<'a>(summary: &'a str, title: &str) -> &'a str {
    let line = summary.lines().find(|line| line.starts_with(title)).expect("the line");
    line.split_at(title.len()).1.split_whitespace().next().expect("a number")
}

#[tokio::test]
async fn each_row_is_held_for_the_most_and_settled_for_what_it_cost() {
    let ledger = Ledger::start(FUNDS).await;
    let file = TraceFile::new(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n\
         2023-11-16 18:15:46.6805909,374,44\n2023-11-16 18:15:46.6805909,374,44\n2023-11-16 18:15:50,10,5000",
    );
    let mut arguments = file.for_ledger(&ledger.url);
    arguments.concurrency = 1;
    let (status, summary) = import(&arguments).await;
    assert_eq!(status, 0, "{summary}");
    assert_eq!(counted(&summary, "settled"), "3");
    assert_eq!(counted(&summary, "context tokens"), "758");
    assert_eq!(counted(&summary, "generated tokens"), "5088");
    assert_eq!(counted(&summary, "cost settled"), "0.008011000");
    let first = ("2023-11-16T18:15:46.680590Z".to_owned(), 374 * 500 + 4096 * 1500);
    let last = ("2023-11-16T18:15:50.000000Z".to_owned(), 10 * 500 + 5000 * 1500);
    assert_eq!(ledger.state().holds, [first.clone(), first, last]);
    assert_eq!(ledger.charged(), (8_011_000, 3));
    assert_eq!(ledger.state().funds, FUNDS - 8_011_000);
}

#[tokio::test]
async fn running_again_charges_nothing_again() {
    let ledger = Ledger::start(FUNDS).await;
    let (file, cost) = TraceFile::of_rows(100);
    let arguments = file.for_ledger(&ledger.url);
    for replayed in ["before: 0)", "before: 100)"] {
        let (status, summary) = import(&arguments).await;
        assert_eq!(status, 0, "{summary}");
        assert_eq!(counted(&summary, "settled"), "100");
        assert!(summary.contains(replayed), "{summary}");
        assert_eq!(ledger.charged(), (cost, 100));
    }
}

#[tokio::test]
async fn an_interrupted_import_is_continued_by_running_it_again() {
    let ledger = Ledger::start(FUNDS).await;
    let (file, cost) = TraceFile::of_rows(300);
    let arguments = file.for_ledger(&ledger.url);
    let (told, mut settlements) = tokio::sync::mpsc::unbounded_channel();
    ledger.state().on_settled = Some(told);
    let tenth = Box::pin(async move {
        for _ in 0..10 {
            settlements.recv().await;
        }
    });
    let (status, summary) = import_until(&arguments, futures_util::stream::once(tenth)).await;
    assert_eq!(status, 130, "{summary}");
    assert!(summary.contains("Interrupted. Run the same command again to continue"), "{summary}");
    let settled = ledger.state().settled;
    assert!((10..300).contains(&settled), "{settled}");
    // What was under way has been finished.
    assert_eq!(ledger.state().holds.len() as u64, settled);
    assert_eq!(counted(&summary, "settled"), settled.to_string());
    ledger.state().on_settled = None;
    let (status, summary) = import(&arguments).await;
    assert_eq!(status, 0, "{summary}");
    assert_eq!(ledger.charged(), (cost, 300));
    assert!(summary.contains(&format!("before: {settled})")), "{summary}");
}

#[tokio::test]
async fn lost_answers_and_passing_faults_change_nothing() {
    let ledger = Ledger::start(FUNDS).await;
    let (file, cost) = TraceFile::of_rows(60);
    ledger.state().fault = Some(Box::new(|write| match write % 5 {
        0 => Some(Fault::LoseAnswer),
        1 => Some(Fault::Refuse(503)),
        2 => Some(Fault::Refuse(429)),
        _ => None,
    }));
    let (status, summary) = import(&file.for_ledger(&ledger.url)).await;
    assert_eq!(status, 0, "{summary}");
    assert_eq!(ledger.charged(), (cost, 60));
    // Repeating one's own request is not finding it done by somebody earlier.
    assert!(summary.contains("before: 0)"), "{summary}");
}

#[tokio::test]
async fn a_server_that_stays_away_stops_the_import_which_then_continues() {
    let ledger = Ledger::start(FUNDS).await;
    let (file, cost) = TraceFile::of_rows(50);
    let mut arguments = file.for_ledger(&ledger.url);
    ledger.state().fault = Some(Box::new(|write| (write > 31).then_some(Fault::Refuse(503))));
    arguments.retry_for = Duration::from_secs(1);
    let (status, summary) = import(&arguments).await;
    assert_eq!(status, 3, "{summary}");
    assert!(summary.contains("gave no usable answer for 1 s: away: away it is"), "{summary}");
    assert!(summary.contains("Run the same command again to continue"), "{summary}");
    assert_ne!(counted(&summary, "unfinished"), "0");
    assert!(ledger.state().settled < 50);
    ledger.state().fault = None;
    let (status, summary) = import(&arguments).await;
    assert_eq!(status, 0, "{summary}");
    assert_eq!(ledger.charged(), (cost, 50));
}

#[tokio::test]
async fn a_bad_row_is_named_and_the_others_are_imported() {
    let ledger = Ledger::start(FUNDS).await;
    let mut text = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1,0\n".to_owned();
    text += &"2023-11-16 18:15:46,-1,0\n".repeat(25);
    text += "2023-11-16 18:15:46,2,0\n";
    let file = TraceFile::new(&text);
    let (status, summary) = import(&file.for_ledger(&ledger.url)).await;
    assert_eq!(status, 1, "{summary}");
    assert_eq!((counted(&summary, "rows read"), counted(&summary, "bad")), ("27", "25"));
    assert!(summary.contains("line 3: ContextTokens is negative: \"-1\"\n"), "{summary}");
    assert!(summary.contains("and 5 more\n"), "{summary}");
    assert_eq!(ledger.state().revenue, 1500);
}

#[tokio::test]
async fn rows_the_wallet_cannot_cover_are_refused_and_go_through_once_it_is_funded() {
    let ledger = Ledger::start(13_000_000).await;
    let (file, cost) = TraceFile::of_rows(30);
    let mut arguments = file.for_ledger(&ledger.url);
    arguments.concurrency = 1;
    let (status, summary) = import(&arguments).await;
    assert_eq!(status, 1, "{summary}");
    let refused: u64 = counted(&summary, "refused").parse().expect("a number");
    assert!((1..30).contains(&refused), "{summary}");
    assert!(summary.contains("line 31: hold: insufficient_funds: insufficient_funds it is"), "{summary}");
    assert!(summary.contains("Fund it and run the same command again"), "{summary}");
    ledger.state().funds += FUNDS;
    let (status, summary) = import(&arguments).await;
    assert_eq!(status, 0, "{summary}");
    assert_eq!(ledger.charged(), (cost, 30));
}

#[tokio::test]
async fn other_prices_for_the_same_rows_are_refused_rather_than_charged_twice() {
    let ledger = Ledger::start(FUNDS).await;
    let (file, cost) = TraceFile::of_rows(10);
    let mut arguments = file.for_ledger(&ledger.url);
    import(&arguments).await;
    arguments.input_price = "0.60".parse().expect("a price");
    let (status, summary) = import(&arguments).await;
    assert_eq!(status, 1, "{summary}");
    assert_eq!(counted(&summary, "refused"), "10");
    assert!(summary.contains("imported before at other prices"), "{summary}");
    assert_eq!(ledger.charged(), (cost, 10));
}

#[tokio::test]
async fn what_can_cost_nothing_is_not_posted() {
    let ledger = Ledger::start(FUNDS).await;
    let (file, _) = TraceFile::of_rows(5);
    let mut arguments = file.for_ledger(&ledger.url);
    arguments.input_price = "0".parse().expect("a price");
    arguments.output_price = "0.00".parse().expect("a price");
    let (status, summary) = import(&arguments).await;
    assert_eq!(status, 0, "{summary}");
    assert_eq!((counted(&summary, "free"), counted(&summary, "settled")), ("5", "0"));
    assert_eq!(ledger.state().writes, 0);
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_the_first_row() {
    let ledger = Ledger::start(FUNDS).await;
    let (file, _) = TraceFile::of_rows(5);
    let sane = file.for_ledger(&ledger.url);
    let change = |change: &dyn Fn(&mut LlmTrace)| {
        let mut arguments = sane.clone();
        change(&mut arguments);
        arguments
    };
    for (arguments, expected) in [
        (change(&|a| a.asset = "GBP".to_owned()), "--asset: the tenant has no asset GBP"),
        (
            change(&|a| a.wallet = "no:one".to_owned()),
            "--wallet: there is no wallet no:one; open and fund it first",
        ),
        (
            change(&|a| a.wallet = "customers:eur".to_owned()),
            "--wallet: the wallet customers:eur holds EUR, not USD",
        ),
        (
            change(&|a| a.revenue = "customers:eur".to_owned()),
            "--revenue: the wallet customers:eur holds EUR, not USD",
        ),
        (change(&|a| a.revenue = a.wallet.clone()), "--wallet and --revenue are the same wallet"),
        (change(&|a| a.connection.token = "forged".to_owned()), "does not accept the token: unauthenticated"),
        (change(&|a| a.connection.token = " ".to_owned()), "--token: it is empty"),
        (change(&|a| a.connection.url = "localhost:8080".to_owned()), "is not an http or https address"),
        (change(&|a| a.connection.url = "127.0.0.1".to_owned()), "--url: `127.0.0.1`:"),
        (change(&|a| a.file = PathBuf::from("/nonexistent.csv")), "/nonexistent.csv: No such file"),
        (change(&|a| a.asset = "EUR".to_owned()), "the asset needs a scale of 7"),
        (
            change(&|a| {
                a.connection.url = "http://127.0.0.1:1".to_owned();
                a.retry_for = Duration::ZERO;
            }),
            "Connection refused",
        ),
    ] {
        let said = unusable(&arguments).await;
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(ledger.state().writes, 0);
}

#[tokio::test]
async fn https_is_spoken_with_the_provider_that_is_built_in() {
    // A plain HTTP server is not a TLS one: what must fail is the handshake, not the set-up.
    let ledger = Ledger::start(FUNDS).await;
    let (file, _) = TraceFile::of_rows(1);
    let mut arguments = file.for_ledger(&ledger.url.replace("http:", "https:"));
    arguments.retry_for = Duration::ZERO;
    let said = unusable(&arguments).await;
    let no_roots = said.contains("No CA certificates");
    assert!(no_roots || said.contains("InvalidContentType"), "{said}");
}

#[test]
fn nobody_waits_longer_than_a_week() {
    assert_eq!(patience("7d"), Ok(LONGEST));
    assert_eq!(patience("0"), Ok(Duration::ZERO));
    for text in ["8d", "604801", "s", "-1s"] {
        assert!(patience(text).is_err(), "{text}");
    }
}
