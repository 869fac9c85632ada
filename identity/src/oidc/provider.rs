//! A provider: its configuration, and what it publishes about itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openidconnect::core::{CoreClient, CoreProviderMetadata, CoreTokenResponse};
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl,
    PkceCodeVerifier, RedirectUrl, RequestTokenError,
};
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::OidcError;
use super::http::Http;
use crate::chain::with_sources;

/// For how long what a provider publishes is believed: keys change rarely, and a token of an unknown key makes it be
/// asked for at once.
const FRESH: Duration = Duration::from_secs(3_600);
/// For how long it is used while the provider publishes nothing.
const STALE: Duration = Duration::from_secs(24 * 3_600);
/// How soon it is asked for again, whatever tokens come.
const SELDOM: Duration = Duration::from_secs(30);

/// The secret that the provider gave us. Does not show itself.
#[derive(Clone)]
pub struct ProviderSecret(Zeroizing<String>);

impl ProviderSecret {
    /// Keeps it.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(Zeroizing::new(secret.into()))
    }
}

impl fmt::Debug for ProviderSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProviderSecret(..)")
    }
}

/// A provider as it is configured.
#[derive(Debug, Clone)]
pub struct ProviderOptions {
    /// Its name here, part of addresses: lower-case letters, digits and hyphens.
    pub name: String,
    /// Its issuer, exactly as it calls itself: `https://accounts.google.com`.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// By which it knows us; `None` for a public client, whom PKCE alone protects.
    pub client_secret: Option<ProviderSecret>,
    /// Scopes beyond `openid`.
    pub scopes: Vec<String>,
}

impl ProviderOptions {
    /// Google.
    pub fn google(client_id: impl Into<String>, client_secret: ProviderSecret) -> Self {
        Self {
            name: "google".to_owned(),
            issuer: "https://accounts.google.com".to_owned(),
            client_id: client_id.into(),
            client_secret: Some(client_secret),
            scopes: vec!["email".to_owned(), "profile".to_owned()],
        }
    }
}

/// The crate's client, with what [`CoreProviderMetadata`] is known to have.
pub(super) type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A provider that one can sign in at.
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) scopes: Vec<String>,
    pub(super) http: Http,
    pub(super) client_id: ClientId,
    issuer: IssuerUrl,
    client_secret: Option<ClientSecret>,
    redirect: RedirectUrl,
    published: Mutex<Option<Published>>,
}

/// What a provider publishes, keys included, and when it was asked.
struct Published {
    metadata: Arc<CoreProviderMetadata>,
    at: Instant,
    /// When it was asked last, whether it answered or not.
    tried: Instant,
}

impl Provider {
    pub(super) fn new(options: &ProviderOptions, redirect: &str) -> Result<Self, OidcError> {
        let failed = |what: String| OidcError::Setup(options.name.clone(), what);
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=40).contains(&options.name.len()) || !options.name.bytes().all(is_name) {
            return Err(failed("a name has 1 to 40 lower-case letters, digits and hyphens".to_owned()));
        }
        if options.client_id.is_empty() {
            return Err(failed("the client id is missing".to_owned()));
        }
        let issuer = IssuerUrl::new(options.issuer.clone())
            .map_err(|error| failed(format!("the issuer `{}`: {error}", options.issuer)))?;
        let plain = match issuer.url().scheme() {
            "https" => false,
            "http" if is_this_machine(issuer.url()) => true,
            _ => return Err(failed(format!("the issuer `{}` must be an https address", options.issuer))),
        };
        let redirect = RedirectUrl::new(redirect.to_owned())
            .map_err(|error| failed(format!("`{redirect}`: {error}")))?;
        let http = Http::new(plain).map_err(|error| failed(with_sources(&error)))?;
        let client_secret =
            options.client_secret.as_ref().map(|secret| ClientSecret::new(secret.0.as_str().to_owned()));
        Ok(Self {
            name: options.name.clone(),
            scopes: options.scopes.iter().filter(|scope| *scope != "openid").cloned().collect(),
            http,
            client_id: ClientId::new(options.client_id.clone()),
            issuer,
            client_secret,
            redirect,
            published: Mutex::new(None),
        })
    }

    pub(super) fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// What the provider publishes about itself, asked for once an hour.
    pub(super) async fn metadata(&self) -> Result<Arc<CoreProviderMetadata>, OidcError> {
        self.published(FRESH).await
    }

    /// The same, asked for again because a token was signed by a key that is not among the known ones.
    pub(super) async fn metadata_again(&self) -> Result<Arc<CoreProviderMetadata>, OidcError> {
        self.published(SELDOM).await
    }

    /// What the provider publishes, asked for unless that was done less than `age` ago. One asks, the others wait.
    async fn published(&self, age: Duration) -> Result<Arc<CoreProviderMetadata>, OidcError> {
        let mut published = self.published.lock().await;
        if let Some(known) = published.as_ref()
            && (known.at.elapsed() < age || (known.tried.elapsed() < SELDOM && known.at.elapsed() < STALE))
        {
            return Ok(Arc::clone(&known.metadata));
        }
        let now = Instant::now();
        match CoreProviderMetadata::discover_async(self.issuer.clone(), &self.http).await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *published = Some(Published { metadata: Arc::clone(&metadata), at: now, tried: now });
                Ok(metadata)
            }
            Err(error) => {
                let reason = with_sources(&error);
                if let Some(known) = published.as_mut().filter(|known| known.at.elapsed() < STALE) {
                    tracing::warn!(provider = self.name, reason, "an OpenID provider publishes nothing");
                    known.tried = now;
                    return Ok(Arc::clone(&known.metadata));
                }
                Err(OidcError::Unavailable(reason))
            }
        }
    }

    pub(super) fn client(&self, metadata: &CoreProviderMetadata) -> Client {
        CoreClient::from_provider_metadata(
            metadata.clone(),
            self.client_id.clone(),
            self.client_secret.clone(),
        )
        .set_redirect_uri(self.redirect.clone())
    }

    /// Trades a code for tokens.
    pub(super) async fn trade(
        &self,
        metadata: &CoreProviderMetadata,
        code: AuthorizationCode,
        verifier: PkceCodeVerifier,
    ) -> Result<CoreTokenResponse, OidcError> {
        let client = self.client(metadata);
        let request =
            client.exchange_code(code).map_err(|error| OidcError::Unavailable(error.to_string()))?;
        match request.set_pkce_verifier(verifier).request_async(&self.http).await {
            Ok(answer) => Ok(answer),
            // `invalid_grant` and its like: the code is not good, or not ours.
            Err(RequestTokenError::ServerResponse(refusal)) => Err(OidcError::Refused(refusal.to_string())),
            Err(error) => Err(OidcError::Unavailable(with_sources(&error))),
        }
    }
}

fn is_this_machine(url: &openidconnect::url::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut ProviderOptions)) -> Result<(), String> {
        let mut options = ProviderOptions::google("us", ProviderSecret::new("hush"));
        change(&mut options);
        let made = Provider::new(&options, "https://ledger.example.com/v1/auth/oidc/google/callback");
        made.map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn google_is_a_provider() {
        assert_eq!(check(|_| {}), Ok(()));
    }

    #[test]
    fn a_provider_elsewhere_is_spoken_to_over_tls_alone() {
        check(|options| options.issuer = "http://127.0.0.1:9400".to_owned()).unwrap();
        for bad in
            ["http://accounts.google.com", "http://127.0.0.1.example.com", "ldap://localhost", "google"]
        {
            assert!(check(|options| bad.clone_into(&mut options.issuer)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_part_of_an_address() {
        for bad in ["", "Google", "a/b", "ö", &"x".repeat(41)] {
            assert!(check(|options| bad.clone_into(&mut options.name)).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_secret_does_not_show_itself() {
        let options = ProviderOptions::google("us", ProviderSecret::new("hush"));
        assert!(!format!("{options:?}").contains("hush"));
    }
}
