//! How a command that works over the HTTP API reaches it.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::client::{Client, ClientError, Failure};

/// How many prices are sent at once.
const AT_ONCE: usize = 500;
/// How long is tried to reach the server.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which server, as whom.
#[derive(Debug, Clone, clap::Args)]
pub struct Connection {
    /// Address of the server.
    #[arg(long, env = "COUNTERFOIL_URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// Access token; better given by the environment, where other users of the machine do not see it.
    #[arg(long, env = "COUNTERFOIL_TOKEN", hide_env_values = true)]
    pub token: String,
}

impl Connection {
    /// A client of it.
    ///
    /// # Errors
    /// When the address or the token is of no use.
    pub fn client(&self) -> Result<Client, ClientError> {
        let notice = |text: &str| {
            // Whoever closed standard error does not want to hear of it.
            let _ = writeln!(std::io::stderr(), "{text}");
        };
        Client::new(&self.url, &self.token, PATIENCE, Box::new(notice))
    }
}

/// A list of prices, as the API takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceFile(Vec<Value>);

/// Why a file is no list of prices.
#[derive(Debug, thiserror::Error)]
pub enum PriceFileError {
    /// It cannot be read.
    #[error("{file}: {reason}")]
    Unreadable {
        /// Its name.
        file: String,
        /// Why not.
        reason: String,
    },
}

impl PriceFile {
    /// Reads a file: JSON where it begins with a brace, else CSV.
    ///
    /// # Errors
    /// [`PriceFileError`].
    pub fn read(file: &Path) -> Result<Self, PriceFileError> {
        let wrong = |reason: String| PriceFileError::Unreadable { file: file.display().to_string(), reason };
        let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        Self::parse(&text).map_err(wrong)
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.trim_start().starts_with('{') {
            let mut value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
            return match value.get_mut("prices").map(Value::take) {
                Some(Value::Array(prices)) => Ok(Self(prices)),
                _ => Err("there is no list `prices` in it".to_owned()),
            };
        }
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| error.to_string())?.clone();
        let mut prices = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| error.to_string())?;
            let (mut price, mut rates) = (Map::new(), Map::new());
            for (name, value) in header.iter().zip(&record).filter(|(_, value)| !value.is_empty()) {
                let part = if matches!(name, "provider" | "model" | "asset") { &mut price } else { &mut rates };
                part.insert(name.to_owned(), Value::String(value.to_owned()));
            }
            price.insert("rates".to_owned(), Value::Object(rates));
            prices.push(Value::Object(price));
        }
        Ok(Self(prices))
    }
}

impl Client {
    /// Sets prices, and says how many were set and how many were so already.
    ///
    /// # Errors
    /// [`Failure`], as every call.
    pub async fn import_prices(&self, prices: &PriceFile) -> Result<(u64, u64), Failure> {
        let (mut set, mut unchanged) = (0, 0);
        for part in prices.0.chunks(AT_ONCE) {
            let said = self.post(&["prices", "import"], &json!({"prices": part})).await?;
            let count = |name: &str| said.get(name).and_then(Value::as_u64).unwrap_or_default();
            set += count("set");
            unchanged += count("unchanged");
        }
        Ok((set, unchanged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_list_is_csv_or_json() {
        let csv = "provider, model, asset, input, output, cache_read\nopenai,gpt-5,USD,1.25,10,0.125\na,b,USD,1,2,\n";
        let prices = PriceFile::parse(csv).unwrap().0;
        assert_eq!(prices[0]["rates"]["cache_read"], "0.125");
        assert_eq!(prices[1], json!({"provider": "a", "model": "b", "asset": "USD", "rates": {"input": "1", "output": "2"}}));
        let json = PriceFile::parse("{\"prices\": [{\"provider\": \"a\"}]}").unwrap().0;
        assert_eq!(json, [json!({"provider": "a"})]);
        assert!(PriceFile::parse("{\"price\": []}").is_err());
    }
}
