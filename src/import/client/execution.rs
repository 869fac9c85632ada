//! Rows as calls of a model.

use reqwest::Method;
use serde::Serialize;

use super::{Client, Failure};
use crate::import::key::Account;
use crate::import::price::Price;
use crate::import::trace::Usage;

/// The provider that traces are priced at.
const PROVIDER: &str = "imported";
/// The model that traces are priced as.
const MODEL: &str = "llm-trace";

/// A call that was made elsewhere.
#[derive(Debug, Serialize)]
pub struct Execution<'a> {
    wallet: &'a str,
    provider: &'static str,
    model: &'static str,
    requested_at: String,
    usage: Tokens,
}

#[derive(Debug, Serialize)]
struct Tokens {
    input: u64,
    output: u64,
}

impl<'a> Execution<'a> {
    /// The call of a row, at the row's time. It follows from the row alone: the same key has to come with the same body
    /// in every run.
    #[must_use]
    pub fn new(account: &'a Account, usage: &Usage) -> Self {
        Self {
            wallet: &account.wallet,
            provider: PROVIDER,
            model: MODEL,
            requested_at: usage.at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
            usage: Tokens { input: usage.context_tokens, output: usage.generated_tokens },
        }
    }
}

impl Client {
    /// Sets what the calls of traces cost.
    ///
    /// # Errors
    /// [`Failure`], as every call.
    pub async fn set_price(&self, asset: &str, input: &Price, output: &Price) -> Result<(), Failure> {
        let rates = serde_json::json!({"input": input.to_string(), "output": output.to_string()});
        let price =
            serde_json::json!({"provider": PROVIDER, "model": MODEL, "asset": asset, "rates": rates});
        let address = self.address(&["prices", "import"])?;
        let body = serde_json::json!({"prices": [price]});
        // The price that is set already is left alone, so a repetition needs no key.
        self.send(self.http.request(Method::POST, address).json(&body), "").await.map(drop)
    }

    /// Records a call, and says whether that had been done before this one.
    ///
    /// # Errors
    /// [`Failure`], as every call.
    pub async fn execution(&self, key: &str, execution: &Execution<'_>) -> Result<bool, Failure> {
        let address = self.address(&["executions", "import"])?;
        let request = self.http.request(Method::POST, address).json(execution);
        let reply = self.send(request, key).await?;
        Ok(reply.replayed && reply.first_attempt)
    }
}
