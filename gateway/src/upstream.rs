//! HTTP to providers: one exchange, with its limits.
//!
//! A client per provider keeps its connections. There are no redirects, no cookies and no decompression. Base addresses are
//! `http` or `https`; who may write a catalogue decides where requests go, and with [`UpstreamOptions::public_only`] not even
//! they reach addresses of the inner network: neither by number nor by a name that leads there, looked up at each connection.

mod guard;
mod sending;
mod source;
mod trouble;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use domain::catalogue::Dialect;
use domain::{ProviderName, TenantId};
use quick_cache::sync::Cache;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url};
use tokio::time::Instant;

use self::sending::Sending;
pub(crate) use self::source::{Source, read};
pub(crate) use self::trouble::{Late, Trouble};
use crate::offer::Supplier;

/// How many providers keep their connections.
const CLIENTS: usize = 1_000;
/// For how long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(60);
/// The most of an error that is read.
const MOST_ERROR: usize = 64 * 1024;
/// The headers of a client that go on to a provider: those that choose a version or a feature of its dialect.
const PASSED_ON: [(&str, Option<Dialect>); 4] = [
    ("anthropic-version", Some(Dialect::Anthropic)),
    ("anthropic-beta", Some(Dialect::Anthropic)),
    ("openai-beta", Some(Dialect::Openai)),
    ("accept-language", None),
];
/// The headers of a provider that go back to a client.
const PASSED_BACK: [&str; 5] =
    ["content-type", "request-id", "x-request-id", "openai-version", "openai-processing-ms"];
/// The version of Anthropic's interface that is spoken where the client names none.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// What is allowed upstream, and how much of it.
#[derive(Debug, Clone)]
pub struct UpstreamOptions {
    /// Refuse addresses that are not public: loopback, private, link-local and the like.
    pub public_only: bool,
    /// The longest whole answer, in bytes.
    pub most_answer: usize,
    /// The longest event of a stream, in bytes.
    pub most_event: usize,
}

impl Default for UpstreamOptions {
    fn default() -> Self {
        Self { public_only: false, most_answer: 64 << 20, most_event: 8 << 20 }
    }
}

/// What makes a client what it is.
type Key = (TenantId, ProviderName, String, u64);

/// The clients of all providers.
pub(crate) struct Upstreams {
    options: UpstreamOptions,
    clients: Cache<Key, Client>,
}

/// A request to a provider.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) supplier: &'a Supplier,
    pub(crate) address: String,
    /// The client's headers, of which some pass.
    pub(crate) headers: &'a [(String, String)],
    pub(crate) body: Bytes,
    pub(crate) stream: bool,
    /// Becomes true when the body is begun to be sent, which is when a connection stands.
    pub(crate) sent: Arc<AtomicBool>,
}

/// The head of a provider's answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// The headers that go back to the client.
    pub(crate) headers: Vec<(String, String)>,
}

impl Upstreams {
    pub(crate) fn new(options: UpstreamOptions) -> Self {
        // Taken already when another part of the program did the same; then that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { options, clients: Cache::new(CLIENTS) }
    }

    pub(crate) fn options(&self) -> &UpstreamOptions {
        &self.options
    }

    /// Sends a request and waits for the head of its answer, until `by`. An answer that is no success is read, up to a
    /// bound, and is an error.
    pub(crate) async fn send(
        &self,
        outgoing: Outgoing<'_>,
        by: Instant,
        late: Late,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<(Head, reqwest::Response), Trouble> {
        let url: Url = outgoing
            .address
            .parse()
            .map_err(|error| Trouble::Address(format!("the address of the provider: {error}")))?;
        if self.options.public_only {
            guard::check(&url).map_err(Trouble::Address)?;
        }
        let client = self.client(outgoing.supplier, &url).map_err(Trouble::Address)?;
        let headers = headers(&outgoing).map_err(Trouble::Address)?;
        let body = reqwest::Body::wrap(Sending::new(outgoing.body, outgoing.sent));
        let sending = client.post(url).headers(headers).body(body).send();
        let response = match tokio::time::timeout_at(by, sending).await {
            Ok(sent) => sent.map_err(Trouble::sending)?,
            Err(_) => return Err(Trouble::TimedOut(late)),
        };
        let head = Head { status: response.status().as_u16(), headers: passed_back(response.headers()) };
        if response.status().is_success() {
            return Ok((head, response));
        }
        let asked = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let asked = asked.and_then(|text| crate::retry::retry_after(text, now));
        let body = match tokio::time::timeout_at(by, source::read_up_to(response, MOST_ERROR)).await {
            Ok(Ok(body)) => body,
            // That it is an error is known, even if what it says is not.
            _ => Bytes::new(),
        };
        Err(Trouble::answered(head, body, asked))
    }

    fn client(&self, supplier: &Supplier, url: &Url) -> Result<Client, String> {
        let provider = &supplier.provider;
        let connect = provider.timeouts.connect_ms;
        let base = provider.base_url.as_str().to_owned();
        let key = (supplier.owner, provider.name.clone(), base, connect.into());
        let build = || {
            let mut builder = Client::builder()
                .user_agent(concat!("counterfoil/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(Duration::from_millis(connect.into()))
                .pool_idle_timeout(IDLE)
                .no_proxy();
            if url.scheme() != "https" {
                // Without this a machine that has no root certificates could not even speak plain HTTP.
                builder = builder.tls_certs_only(std::iter::empty());
            }
            if self.options.public_only {
                builder = builder.dns_resolver(Arc::new(guard::PublicOnly));
            }
            builder.build().map_err(|error| format!("no client can be made: {error}"))
        };
        self.clients.get_or_insert_with(&key, build)
    }
}

/// The headers of a request: those of the client that pass, and what the provider knows us by.
fn headers(outgoing: &Outgoing<'_>) -> Result<HeaderMap, String> {
    let dialect = outgoing.supplier.provider.dialect;
    let passes = |name: &str| {
        PASSED_ON.iter().any(|(one, whose)| *one == name && whose.is_none_or(|whose| whose == dialect))
    };
    let mut headers = HeaderMap::new();
    for (name, value) in outgoing.headers {
        let name = name.to_ascii_lowercase();
        let parsed = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
        if let (true, (Ok(name), Ok(value))) = (passes(&name), parsed) {
            headers.append(name, value);
        }
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let accept = if outgoing.stream { "text/event-stream" } else { "application/json" };
    headers.insert("accept", HeaderValue::from_static(accept));
    if dialect == Dialect::Anthropic && !headers.contains_key("anthropic-version") {
        headers.insert("anthropic-version", HeaderValue::from_static(ANTHROPIC_VERSION));
    }
    if let Some(credential) = &outgoing.supplier.credential {
        let secret = credential.as_str();
        let (name, text) = match dialect {
            Dialect::Openai => ("authorization", format!("Bearer {secret}")),
            Dialect::Anthropic => ("x-api-key", secret.to_owned()),
            Dialect::Gemini => ("x-goog-api-key", secret.to_owned()),
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| "the credential of the provider cannot be sent".to_owned())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Of a client's headers those that may choose something at a provider, with their names in small letters and in their order.
/// Not those that say what is so without them.
pub(crate) fn choosing(headers: &[(String, String)]) -> Vec<(String, &str)> {
    let named = headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()));
    let chooses = |(name, value): &(String, &str)| {
        let passes = PASSED_ON.iter().any(|(one, _)| one == name);
        passes
            && !matches!(
                (name.as_str(), *value),
                ("anthropic-version", ANTHROPIC_VERSION) | ("accept-language", "*")
            )
    };
    let mut chosen: Vec<_> = named.filter(chooses).collect();
    chosen.sort_by(|(one, _), (other, _)| one.cmp(other));
    chosen
}

fn passed_back(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |name: &&str| Some(((*name).to_owned(), headers.get(*name)?.to_str().ok()?.to_owned()));
    PASSED_BACK.iter().filter_map(text).collect()
}

impl std::fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstreams").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
