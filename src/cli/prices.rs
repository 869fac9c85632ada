//! `counterfoil prices`: what models cost.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::{Failure, say};
use crate::import::{Connection, PriceFile};

/// Look after what models cost
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Set the prices that a file lists. Those that are so already are left alone
    ///
    /// The file is CSV, its header naming `provider`, `model`, `asset`, `input` and `output`, and perhaps `cache_read`,
    /// `cache_write`, `cache_write_long` and `reasoning`; or JSON, `{"prices": [...]}` as the API takes it. Rates are per
    /// million tokens.
    #[command(after_help = "Examples:
  counterfoil prices import prices.csv --token ...
  COUNTERFOIL_TOKEN=... counterfoil prices import prices.json --url https://ledger.example.com")]
    Import {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments::Import { file, connection } = arguments;
    let prices = PriceFile::read(&file)?;
    let (set, unchanged) = connection.client()?.import_prices(&prices).await?;
    say(&format!("{set} prices set, {unchanged} unchanged"))?;
    Ok(ExitCode::SUCCESS)
}
