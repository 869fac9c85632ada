//! The calls an import makes of the ledger's HTTP API.
//!
//! Every write carries an idempotency key, so each call may be sent any number of times; [`retry`] does so until
//! it is answered or the time allowed is over.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

mod execution;
mod outage;
mod reading;
mod retry;

pub use execution::Execution;
pub use outage::Notice;
use outage::Outage;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A client of one server, with one pool of connections.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    retry_for: Duration,
    outage: Outage,
}

/// Why a client cannot be made from what was given.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The address is of no use.
    #[error("--url: {0}")]
    Url(String),
    /// The token cannot stand in a header.
    #[error("--token: it is empty or has characters that no token has")]
    Token,
    /// The HTTP client could not be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Setup(String),
}

/// Why a call gave no result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// The server understood and refused this one request.
    #[error("{0}")]
    Refused(Problem),
    /// No other request would fare better: the server is away, or does not accept the token.
    #[error("{0}")]
    Stop(String),
}

/// A problem document as the server sent it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Error)]
#[error("{code}: {}", if detail.is_empty() { title } else { detail })]
pub struct Problem {
    /// The stable code.
    #[serde(default)]
    pub code: String,
    /// What it means in general.
    #[serde(default)]
    pub title: String,
    /// What it means here.
    #[serde(default)]
    pub detail: String,
    /// Which of several things was refused, from 0, where it is one.
    #[serde(default)]
    pub index: Option<usize>,
    /// The fields that are wrong, where it is one.
    #[serde(default)]
    pub errors: Vec<FieldError>,
}

/// A field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FieldError {
    /// Where it stands in the body.
    pub field: String,
}

/// A wallet, as far as an import looks at it.
#[derive(Debug, Deserialize)]
pub struct Wallet {
    /// Code of its asset.
    pub asset: String,
}

/// A hold to be made: one posting.
#[derive(Debug, Serialize)]
pub struct Hold<'a> {
    postings: [Posting<'a>; 1],
    pending: bool,
    effective_at: String,
    metadata: Metadata,
    open_wallets: bool,
}

#[derive(Debug, Serialize)]
struct Posting<'a> {
    from: &'a str,
    to: &'a str,
    amount: &'a str,
    asset: &'a str,
}

#[derive(Debug, Serialize)]
struct Metadata {
    source: &'static str,
    context_tokens: String,
    generated_tokens: String,
}

impl<'a> Hold<'a> {
    /// A hold of `amount` at the row's time. It must follow from the row and the prices alone: the same key has
    /// to come with the same body in every run, of this version of the program and of later ones.
    #[must_use]
    pub fn new(account: &'a super::key::Account, usage: &super::trace::Usage, amount: &'a str) -> Self {
        Self {
            postings: [Posting {
                from: &account.wallet,
                to: &account.revenue,
                amount,
                asset: &account.asset,
            }],
            pending: true,
            effective_at: usage.at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
            metadata: Metadata {
                source: "llm-trace",
                context_tokens: usage.context_tokens.to_string(),
                generated_tokens: usage.generated_tokens.to_string(),
            },
            open_wallets: true,
        }
    }
}

#[derive(Deserialize)]
struct Assets {
    items: Vec<Asset>,
}

#[derive(Deserialize)]
struct Asset {
    code: String,
    scale: u32,
}

#[derive(Deserialize)]
struct Transaction {
    id: Uuid,
}

impl Client {
    /// A client for the server at `url` (its API is under `/v1` of it). `notice` is told when the server stops
    /// answering and when it answers again.
    ///
    /// # Errors
    /// When the address or the token is of no use, or the system's root certificates are needed and missing.
    pub fn new(url: &str, token: &str, retry_for: Duration, notice: Notice) -> Result<Self, ClientError> {
        let base = Url::parse(url).map_err(|error| ClientError::Url(format!("`{url}`: {error}")))?;
        let secure = match base.scheme() {
            "https" => true,
            "http" => false,
            _ => {
                return Err(ClientError::Url(format!("`{url}` is not an http or https address")));
            }
        };
        // Taken already when another part of the program did the same; then that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("counterfoil/", env!("CARGO_PKG_VERSION")))
            .default_headers(authorization(token)?)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .tcp_nodelay(true);
        if !secure {
            // Without this a machine that has no root certificates could not even speak plain HTTP.
            builder = builder.tls_certs_only(std::iter::empty());
        }
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| ClientError::Setup(retry::reason(error)))?;
        Ok(Self { http, base, retry_for, outage: Outage::new(notice) })
    }

    /// The scale of an asset; `None` where the tenant has no such asset.
    ///
    /// # Errors
    /// [`Failure`], as every call.
    pub async fn asset_scale(&self, code: &str) -> Result<Option<u32>, Failure> {
        let request = self.http.request(Method::GET, self.address(&["assets"])?);
        let assets: Assets = self.decode(&self.send(request, "").await?)?;
        let found = assets.items.into_iter().find(|asset| asset.code == code);
        Ok(found.map(|asset| asset.scale))
    }

    /// A wallet; `None` where there is none of that path.
    ///
    /// # Errors
    /// [`Failure`], as every call.
    pub async fn wallet(&self, path: &str) -> Result<Option<Wallet>, Failure> {
        let request = self.http.request(Method::GET, self.address(&["wallets", path])?);
        match self.send(request, "").await {
            Ok(reply) => self.decode(&reply).map(Some),
            Err(Failure::Refused(problem)) if problem.code == "wallet_not_found" => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Makes a hold and returns the transaction's id.
    ///
    /// # Errors
    /// [`Failure`], as every call.
    pub async fn hold(&self, key: &str, hold: &Hold<'_>) -> Result<Uuid, Failure> {
        let request = self.http.request(Method::POST, self.address(&["transactions"])?).json(hold);
        let transaction: Transaction = self.decode(&self.send(request, key).await?)?;
        Ok(transaction.id)
    }

    /// Settles a hold with `amount`, and says whether that had been done before this call.
    ///
    /// # Errors
    /// [`Failure`], as every call.
    pub async fn settle(&self, id: Uuid, key: &str, amount: &str) -> Result<bool, Failure> {
        let address = self.address(&["transactions", &id.to_string(), "settle"])?;
        let request =
            self.http.request(Method::POST, address).json(&serde_json::json!({ "amounts": [amount] }));
        let reply = self.send(request, key).await?;
        // After a lost answer a replay only repeats what this call itself has done.
        Ok(reply.replayed && reply.first_attempt)
    }

    fn address(&self, segments: &[&str]) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Failure::Stop(format!("{} cannot have a path", self.base)))?
            .pop_if_empty()
            .push("v1")
            .extend(segments);
        Ok(url)
    }

    fn decode<T: DeserializeOwned>(&self, reply: &retry::Reply) -> Result<T, Failure> {
        serde_json::from_slice(&reply.body).map_err(|error| {
            Failure::Stop(format!("{} does not answer as a ledger does: {error}", self.base))
        })
    }
}

fn authorization(token: &str) -> Result<HeaderMap, ClientError> {
    let token = token.trim();
    if token.is_empty() {
        return Err(ClientError::Token);
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| ClientError::Token)?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

/// A proxy named in the environment cannot reach this machine's own loopback.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
