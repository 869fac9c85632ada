//! HTTP to providers: reqwest over rustls, without redirects, bounded in time and size.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

use crate::chain::with_sources;

/// To connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For a whole exchange.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer: metadata, keys and tokens have a few KiB.
const MOST_BYTES: usize = 512 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("{}", with_sources(.0))]
    Request(#[from] reqwest::Error),
    #[error("the answer has over {MOST_BYTES} bytes")]
    TooLarge,
    #[error(transparent)]
    Malformed(#[from] openidconnect::http::Error),
}

/// A client for one provider.
#[derive(Debug, Clone)]
pub(super) struct Http(reqwest::Client);

impl Http {
    /// Speaks HTTPS alone, unless `plain` says that the provider is on this machine.
    pub(super) fn new(plain: bool) -> Result<Self, reqwest::Error> {
        // Taken already when another part of the program did the same; then that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("counterfoil/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .https_only(!plain);
        if plain {
            // Without this a machine that has no root certificates could not even speak plain HTTP.
            builder = builder.no_proxy().tls_certs_only(std::iter::empty());
        }
        builder.build().map(Self)
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut response = self.0.execute(reqwest::Request::try_from(request)?).await?;
        let mut answer = openidconnect::http::Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.clone_from(response.headers());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(answer.body(body)?)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.exchange(request))
    }
}
