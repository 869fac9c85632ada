//! `counterfoil import`: usage recorded elsewhere becomes holds and settlements over the HTTP API.
//!
//! Limits: rows are streamed; what stays in memory is one count per distinct row (see [`trace`]) and at most
//! `--concurrency` rows under way, with twice as many waiting.

use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::task::Poll;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

mod charge;
mod client;
pub(crate) mod columns;
mod connection;
mod flow;
mod key;
mod price;
mod prices;
mod progress;
mod summary;
mod trace;

use charge::Charge;
use client::{ClientError, Failure};
use key::Account;
use price::{Price, Tariff, TariffError};
use progress::Progress;
use summary::{End, Summary, Tally};
use trace::{Trace, TraceError};

use crate::cli::{NOT_BEGUN, duration};

pub use client::Client;
pub use connection::Connection;
pub use prices::PriceFile;

/// The longest that an import goes on trying.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Who is paid for executions.
const REVENUE: &str = "@revenue";

/// What can be imported.
#[derive(Debug, clap::Subcommand)]
pub enum Import {
    /// Charge a wallet for each request of a usage trace: a hold for the most it could cost, then its settlement.
    ///
    /// The file is CSV; its header names `TIMESTAMP`, `ContextTokens` and `GeneratedTokens`. It is safe to
    /// interrupt and to run again: a row that is settled is recognised and not charged again.
    #[command(after_help = "Examples:
  counterfoil import llm-trace trace.csv --wallet customers:42 --revenue @revenue --asset USD \\
      --input-price 0.50 --output-price 1.50 --token ...
  COUNTERFOIL_TOKEN=... COUNTERFOIL_URL=https://ledger.example.com counterfoil import llm-trace trace.csv \\
      --as executions --wallet customers:42 --revenue @revenue --asset USD --input-price 0.50 --output-price 1.50")]
    LlmTrace(LlmTrace),
}

/// Arguments of `counterfoil import llm-trace`.
#[derive(Debug, Clone, clap::Args)]
pub struct LlmTrace {
    /// The trace.
    pub file: PathBuf,
    /// The server.
    #[command(flatten)]
    pub connection: Connection,
    /// Path of the wallet that pays; it must exist.
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub wallet: String,
    /// Path of the wallet that is paid; it is opened if it does not exist.
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub revenue: String,
    /// Code of the asset.
    #[arg(long)]
    pub asset: String,
    /// Price of a million context tokens, such as 0.50.
    #[arg(long, allow_negative_numbers = true)]
    pub input_price: Price,
    /// Price of a million generated tokens, such as 1.50.
    #[arg(long, allow_negative_numbers = true)]
    pub output_price: Price,
    /// The answer, in tokens, that a hold allows for; a row that generated more holds for what it generated.
    #[arg(long, default_value_t = 4096, allow_negative_numbers = true)]
    pub max_output_tokens: u64,
    /// What each row becomes
    #[arg(long = "as", value_enum, default_value_t = Form::Transactions)]
    pub form: Form,
    /// Rows under way at a time.
    #[arg(long, default_value_t = 32, allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,
    /// How long to go on trying when the server does not answer: a number and s, m, h or d, a week at the most
    #[arg(long, default_value = "60s", value_name = "TIME", allow_hyphen_values = true, value_parser = patience)]
    pub retry_for: Duration,
}

/// What a row of a trace becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// A hold and its settlement
    Transactions,
    /// A call of a model, with its tokens, at its own time; what is paid goes to @revenue
    Executions,
}

/// Why an import was refused before its first row.
#[derive(Debug, Error)]
enum Unusable {
    #[error("{}: {}", .0.display(), .1)]
    File(PathBuf, TraceError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{0}")]
    Server(#[from] Failure),
    #[error("--asset: the tenant has no asset {0}")]
    NoAsset(String),
    #[error("--wallet: there is no wallet {0}; open and fund it first")]
    NoWallet(String),
    #[error("{option}: the wallet {path} holds {found}, not {asked}")]
    OtherAsset { option: &'static str, path: String, found: String, asked: String },
    #[error("--wallet and --revenue are the same wallet")]
    SameWallet,
    #[error("--revenue: what executions cost goes to @revenue")]
    OtherRevenue,
    #[error(transparent)]
    Tariff(#[from] TariffError),
}

/// Runs an import, reports on standard output and error, and returns the exit status: 0 all done, 1 some rows were
/// bad or refused (the others are imported), 2 nothing was begun, 3 stopped before the end, 130 interrupted by SIGINT or
/// SIGTERM.
pub async fn run(import: Import) -> ExitCode {
    let Import::LlmTrace(arguments) = import;
    let interrupts = match interrupts() {
        Ok(interrupts) => interrupts,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: cannot watch for interrupts: {error}");
            return ExitCode::from(NOT_BEGUN);
        }
    };
    let mut out = io::stdout();
    ExitCode::from(match llm_trace(&arguments, interrupts, &mut out).await {
        Ok(status) => status,
        Err(unusable) => {
            let _ = writeln!(io::stderr(), "error: {unusable}");
            NOT_BEGUN
        }
    })
}

/// SIGINT, which a terminal sends, and SIGTERM, which a service manager sends: each asks for the same.
fn interrupts() -> io::Result<impl Stream<Item = ()> + Unpin> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(futures_util::stream::poll_fn(move |context| match interrupt.poll_recv(context) {
        Poll::Pending => terminate.poll_recv(context),
        asked @ Poll::Ready(_) => asked,
    }))
}

async fn llm_trace(
    arguments: &LlmTrace,
    mut interrupts: impl Stream<Item = ()> + Unpin,
    out: &mut dyn io::Write,
) -> Result<u8, Unusable> {
    if arguments.wallet == arguments.revenue {
        return Err(Unusable::SameWallet);
    }
    if arguments.form == Form::Executions && arguments.revenue != REVENUE {
        return Err(Unusable::OtherRevenue);
    }
    let account = Account {
        wallet: arguments.wallet.clone(),
        revenue: arguments.revenue.clone(),
        asset: arguments.asset.clone(),
    };
    let file = |error: TraceError| Unusable::File(arguments.file.clone(), error);
    let (total, trace) = open(&arguments.file).map_err(file)?;

    let progress = Progress::new(total);
    let notices = progress.clone();
    let notice = Box::new(move |text: &str| notices.say(text));
    let client = arguments.connection.patient_client(arguments.retry_for, notice)?;
    let tariff = tokio::select! {
        tariff = preflight(&client, &account, arguments) => {
            tariff.inspect_err(|_| { progress.finish(); })?
        }
        Some(()) = interrupts.next() => {
            progress.finish();
            return Ok(Tally::default().exit_status(&End::Interrupted));
        }
    };

    let charge = Charge {
        client: &client,
        account: &account,
        tariff: &tariff,
        max_output_tokens: arguments.max_output_tokens,
        form: arguments.form,
    };
    let concurrency = usize::from(arguments.concurrency);
    let rows = flow::read_ahead(trace, 2 * concurrency).map_err(|error| file(error.into()))?;
    let mut tally = Tally::default();
    let end = flow::charge_all(&charge, rows, concurrency, &mut interrupts, &progress, &mut tally).await;
    let summary = Summary {
        tally: &tally,
        end: &end,
        tariff: &tariff,
        asset: &account.asset,
        elapsed: progress.finish(),
    };
    // The status tells the outcome even where nobody reads the summary.
    let _ = write!(out, "{summary}").and_then(|()| out.flush());
    Ok(tally.exit_status(&end))
}

/// Opens a trace and counts its rows; a pipe can be read only once and is not counted.
fn open(path: &PathBuf) -> Result<(Option<u64>, Trace<BufReader<File>>), TraceError> {
    let file = File::open(path)?;
    let total = if file.metadata()?.is_file() {
        Some(trace::count_rows(BufReader::new(File::open(path)?))?)
    } else {
        None
    };
    Ok((total, Trace::open(BufReader::new(file))?))
}

/// Makes sure that rows can be charged at all, and fixes what a token costs.
async fn preflight(client: &Client, account: &Account, arguments: &LlmTrace) -> Result<Tariff, Unusable> {
    let scale = client.asset_scale(&account.asset).await?;
    let scale = scale.ok_or_else(|| Unusable::NoAsset(account.asset.clone()))?;
    let tariff = Tariff::new(arguments.input_price, arguments.output_price, scale)?;
    let paying = client.wallet(&account.wallet).await?;
    let paying = paying.ok_or_else(|| Unusable::NoWallet(account.wallet.clone()))?;
    let paid = client.wallet(&account.revenue).await?;
    let wallets = [("--wallet", &account.wallet, Some(paying)), ("--revenue", &account.revenue, paid)];
    for (option, path, wallet) in wallets {
        if let Some(wallet) = wallet.filter(|wallet| wallet.asset != account.asset) {
            return Err(Unusable::OtherAsset {
                option,
                path: path.clone(),
                found: wallet.asset,
                asked: account.asset.clone(),
            });
        }
    }
    if arguments.form == Form::Executions {
        client.set_price(&account.asset, &arguments.input_price, &arguments.output_price).await?;
    }
    Ok(tariff)
}

/// How long somebody waits: a week at the most.
fn patience(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time > LONGEST { Err("it is a week at the most".to_owned()) } else { Ok(time) }
}

#[cfg(test)]
mod tests;
