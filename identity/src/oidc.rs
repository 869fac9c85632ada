//! Sign-in at OpenID Connect providers: authorization code with PKCE (S256), state and nonce.
//!
//! A sign-in has two steps. [`Oidc::start`] gives the address of the provider's page, and a binding for the browser that
//! goes there; [`Oidc::finish`] takes what the provider sent back with that browser. In between everything lies sealed in
//! a one-time token, which is the `state`: an answer is taken once, within ten minutes, by the browser that asked.
//!
//! The ID token is checked by the crate: signature by a key of the provider's (asymmetric algorithms alone), issuer,
//! audience, nonce, expiry by the injected clock; here also that it was not issued in the future, that it was issued for
//! us (`azp`), and that it belongs to the access token (`at_hash`).

mod http;
mod provider;
mod verify;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::TimeDelta;
use domain::{Clock, UserId};
use openidconnect::core::CoreResponseType;
use openidconnect::{
    AuthenticationFlow, AuthorizationCode, CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, Scope,
};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::one_time::{OneTime, OneTimeError, OneTimeUse};
use crate::token::{RandomError, Token};

pub use provider::{ProviderOptions, ProviderSecret};

use provider::Provider;

/// How long somebody may take at the provider.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);

/// Why a sign-in at a provider failed.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The configuration is of no use.
    #[error("OpenID provider `{0}`: {1}")]
    Setup(String, String),
    /// There is no provider of that name.
    #[error("there is no OpenID provider of that name")]
    NoProvider,
    /// The answer belongs to no sign-in of this browser that still waits.
    #[error("the answer belongs to no sign-in that this browser began")]
    State,
    /// The provider, or somebody in its name, did not identify anybody. What exactly is wrong is for the log.
    #[error("the OpenID provider did not identify anybody: {0}")]
    Refused(String),
    /// The provider cannot be reached, or makes no sense.
    #[error("the OpenID provider cannot be used: {0}")]
    Unavailable(String),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The state cannot be kept.
    #[error(transparent)]
    OneTime(#[from] OneTimeError),
}

/// A sign-in that goes on at the provider.
#[derive(Debug)]
pub struct Begun {
    /// Where to send the browser.
    pub url: String,
    /// To be kept by that browser (a cookie) and presented when it comes back: nobody can make another browser finish a
    /// sign-in of theirs.
    pub binding: Token,
}

/// What came back through the browser.
#[derive(Debug, Clone, Default)]
pub struct Callback {
    /// The query parameter `state`.
    pub state: String,
    /// The query parameter `code`.
    pub code: String,
    /// The query parameter `iss` of RFC 9207, where the provider sends it.
    pub issuer: Option<String>,
    /// What the browser kept from [`Begun::binding`].
    pub binding: String,
}

/// Who the provider says it is.
#[derive(Clone)]
pub struct Identified {
    /// The provider's name here.
    pub provider: String,
    /// The provider's issuer.
    pub issuer: String,
    /// Its own name of the user, which never changes and never belongs to another.
    pub subject: String,
    /// The email address, where it tells.
    pub email: Option<String>,
    /// Whether the provider has seen that the user reads that address. Otherwise the address proves nothing.
    pub email_verified: bool,
    /// The name, where it tells.
    pub name: Option<String>,
    /// The user who began this to link the provider; `None` when somebody is signing in.
    pub link: Option<UserId>,
}

impl Identified {
    /// What the link is found by, to be made a blind index of: issuer and subject.
    pub fn handle(&self) -> String {
        format!("{}\n{}", self.issuer, self.subject)
    }
}

impl fmt::Debug for Identified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identified").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// What is kept of a sign-in while it goes on at the provider.
#[derive(Serialize, Deserialize)]
struct Pending {
    provider: String,
    nonce: String,
    verifier: String,
    /// Digest of the binding.
    binding: [u8; 32],
    link: Option<UserId>,
}

/// The providers that one can sign in at. Cheap to clone.
#[derive(Clone)]
pub struct Oidc {
    providers: Arc<BTreeMap<String, Provider>>,
    one_time: OneTime,
    clock: Arc<dyn Clock>,
}

impl Oidc {
    /// Checks the configuration; connects to nobody yet. `redirect` is our callback's address with `{provider}` where the
    /// provider's name goes.
    ///
    /// # Errors
    /// [`OidcError::Setup`].
    pub fn new(
        providers: &[ProviderOptions],
        redirect: &str,
        one_time: OneTime,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OidcError> {
        let mut known = BTreeMap::new();
        for options in providers {
            let provider = Provider::new(options, &redirect.replace("{provider}", &options.name))?;
            if known.insert(options.name.clone(), provider).is_some() {
                return Err(OidcError::Setup(options.name.clone(), "the name is given twice".to_owned()));
            }
        }
        Ok(Self { providers: Arc::new(known), one_time, clock })
    }

    /// The names of the providers, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// Begins a sign-in at a provider, or for `link` the linking of the provider with that user.
    ///
    /// # Errors
    /// [`OidcError`].
    pub async fn start(&self, provider: &str, link: Option<UserId>) -> Result<Begun, OidcError> {
        let provider = self.providers.get(provider).ok_or(OidcError::NoProvider)?;
        let metadata = provider.metadata().await?;
        let (nonce, verifier, binding) = (Token::draw()?, Token::draw()?, Token::draw()?);
        let pending = Pending {
            provider: provider.name.clone(),
            nonce: nonce.as_str().to_owned(),
            verifier: verifier.as_str().to_owned(),
            binding: binding.digest(),
            link,
        };
        let state = self.one_time.issue(OneTimeUse::Provider, link, &pending, PATIENCE).await?;
        let verifier = PkceCodeVerifier::new(pending.verifier);
        let state = CsrfToken::new(state.as_str().to_owned());
        let nonce = Nonce::new(pending.nonce);
        let (url, _, _) = provider
            .client(&metadata)
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                move || state,
                move || nonce,
            )
            .add_scopes(provider.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .url();
        Ok(Begun { url: url.into(), binding })
    }

    /// Finishes a sign-in: trades the code for an ID token, checks it, and says who it is. Takes the state before
    /// anything else, so that every answer is looked at once.
    ///
    /// # Errors
    /// [`OidcError`].
    pub async fn finish(&self, provider: &str, callback: &Callback) -> Result<Identified, OidcError> {
        let provider = self.providers.get(provider).ok_or(OidcError::NoProvider)?;
        let pending: Pending =
            self.one_time.take(OneTimeUse::Provider, &callback.state).await?.ok_or(OidcError::State)?;
        let binding = Token::parse(&callback.binding).ok_or(OidcError::State)?.digest();
        if pending.provider != provider.name || !bool::from(binding.ct_eq(&pending.binding)) {
            return Err(OidcError::State);
        }
        if callback.issuer.as_ref().is_some_and(|issuer| *issuer != provider.issuer()) {
            return Err(OidcError::Refused("the answer is of another issuer".to_owned()));
        }
        let metadata = provider.metadata().await?;
        let code = AuthorizationCode::new(callback.code.clone());
        let verifier = PkceCodeVerifier::new(pending.verifier);
        let answer = provider.trade(&metadata, code, verifier).await?;
        let identity =
            verify::identity(provider, &metadata, &answer, &Nonce::new(pending.nonce), self.clock.as_ref())
                .await?;
        Ok(Identified { link: pending.link, ..identity })
    }
}

impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oidc").field("providers", &self.providers.keys()).finish_non_exhaustive()
    }
}
