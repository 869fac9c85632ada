//! Questions that commands ask.

use std::collections::BTreeSet;

use domain::{AssetCode, WalletPath};
use reqwest::Method;
use serde_json::Value;

use super::{Client, Failure};
use crate::backtest::Call;

impl Client {
    /// Posts a document, of which a repetition does no harm.
    pub(in crate::import) async fn post(&self, segments: &[&str], body: &Value) -> Result<Value, Failure> {
        let request = self.http.request(Method::POST, self.address(segments)?).json(body);
        self.decode(&self.send(request, "").await?)
    }

    async fn get(&self, segments: &[&str], query: &[(&str, String)]) -> Result<Value, Failure> {
        let mut address = self.address(segments)?;
        address.query_pairs_mut().extend_pairs(query);
        self.decode(&self.send(self.http.request(Method::GET, address), "").await?)
    }

    /// All items of a list.
    async fn all(&self, segments: &[&str], query: &[(&str, String)]) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let mut query = query.to_vec();
            query.push(("limit", "100".to_owned()));
            query.extend(next.map(|cursor| ("cursor", cursor)));
            let mut page = self.get(segments, &query).await?;
            if let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            next = page.get("next").and_then(Value::as_str).map(str::to_owned);
            if next.is_none() {
                return Ok(items);
            }
        }
    }

    /// The tenant's time zone.
    ///
    /// # Errors
    /// [`Failure`], as every call.
    pub async fn time_zone(&self) -> Result<String, Failure> {
        let said = self.get(&["metering"], &[]).await?;
        Ok(said.get("time_zone").and_then(Value::as_str).unwrap_or("UTC").to_owned())
    }

    /// The wallets that are at a level of service.
    ///
    /// # Errors
    /// [`Failure`], as every call.
    pub async fn wallets_at(&self, level: &str) -> Result<BTreeSet<String>, Failure> {
        // A level that there is not has no wallets either, but that is not what was meant.
        self.get(&["levels", level], &[]).await?;
        let allowances = self.all(&["allowances"], &[("level", level.to_owned())]).await?;
        let wallet = |item: &Value| Some(item.get("wallet")?.as_str()?.to_owned());
        Ok(allowances.iter().filter_map(wallet).collect())
    }

    /// Whether any call for this user was ever recorded.
    ///
    /// # Errors
    /// [`Failure`], as every call.
    pub async fn has_calls_for(&self, user: &str) -> Result<bool, Failure> {
        let page = self.get(&["executions"], &[("user", user.to_owned()), ("limit", "1".to_owned())]).await?;
        Ok(page.get("items").and_then(Value::as_array).is_some_and(|items| !items.is_empty()))
    }

    /// The calls that pass the filters and came to an end.
    ///
    /// # Errors
    /// [`Failure`], as every call; also where an amount or a time cannot be read.
    pub async fn calls(&self, filters: &[(&'static str, String)]) -> Result<Vec<Call>, Failure> {
        let executions = self.all(&["executions"], filters).await?;
        let ended = executions.iter().filter(|item| item.get("cost").is_some_and(Value::is_string));
        ended
            .map(|item| call(item).ok_or_else(|| Failure::Stop(format!("not an execution: {item}"))))
            .collect()
    }
}

fn call(item: &Value) -> Option<Call> {
    let text = |name: &str| item.get(name)?.as_str();
    Some(Call {
        wallet: WalletPath::new(text("wallet")?).ok()?,
        asset: AssetCode::new(text("asset")?).ok()?,
        requested_at: text("requested_at")?.parse().ok()?,
        held: text("held")?.parse().ok()?,
        cost: text("cost")?.parse().ok()?,
    })
}
