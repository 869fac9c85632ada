//! Sign-in with an `OpenID` Connect provider: authorization code with PKCE.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use identity::oidc::Callback as Returned;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::Answer;
use crate::extract::{Asks, Parameters, ProviderAt};
use crate::person::Secret;
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::SignInBody;
use crate::session;

/// How to come back.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Start {
    /// Give the tokens as cookies and lead the browser to the application, instead of an answer in JSON.
    #[serde(default)]
    cookies: bool,
}

impl Parameters for Start {
    const WAITS: bool = false;
}

/// Leads the browser to a provider.
#[utoipa::path(get, path = "/v1/auth/oidc/{provider}/start", tag = "Sign-in", security(()),
    params(("provider" = String, Path, description = "The provider's name in the configuration"), Start),
    responses((status = 303, description = "To the provider"),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn start(Asks { query, visitor }: Asks<Start>, ProviderAt(provider): ProviderAt) -> Answer {
    let journey = visitor.people().set_out(&provider, query.cookies).await?;
    Ok(HttpResponse::SeeOther()
        .insert_header((LOCATION, journey.address))
        .insert_header((CACHE_CONTROL, "no-store"))
        .cookie(session::journey(&journey.ticket))
        .finish())
}

/// What the provider sends the browser back with.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Callback {
    /// What the way out was marked with.
    #[param(value_type = Option<String>, format = "secret")]
    state: Option<Secret>,
    /// The code to be exchanged.
    #[param(value_type = Option<String>, format = "secret")]
    code: Option<Secret>,
    /// Why there is no code.
    error: Option<String>,
    /// Who the provider is (RFC 9207).
    iss: Option<String>,
}

impl Parameters for Callback {
    const WAITS: bool = false;
}

/// Takes the browser back from a provider, and signs in.
///
/// The browser must be the one that set out. A first visit makes an account where the provider vouches for the address.
#[utoipa::path(get, path = "/v1/auth/oidc/{provider}/callback", tag = "Sign-in", security(()),
    params(("provider" = String, Path, description = "The provider's name in the configuration"), Callback),
    responses((status = 200, description = "Signed in, or halfway there", body = SignInBody),
        (status = 303, description = "To the application, with cookies"),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn callback(Asks { query, visitor }: Asks<Callback>, ProviderAt(provider): ProviderAt) -> Answer {
    let refused = |detail: &str| Problem::new(code::PROVIDER_REFUSED, detail);
    if query.error.is_some() {
        return Err(refused("the provider did not sign the person in"));
    }
    let (Some(state), Some(code)) = (query.state, query.code) else {
        return Err(refused("the provider sent neither a code nor an error"));
    };
    let ticket = visitor.journey_cookie().ok_or_else(|| refused("this is not the browser that set out"))?;
    let returned = Returned {
        state: state.as_str().to_owned(),
        code: code.as_str().to_owned(),
        issuer: query.iss,
        binding: String::new(),
    };
    let people = visitor.people();
    let (step, cookies) = people.come_back(&provider, returned, &ticket, visitor.origin()).await?;
    if cookies { session::lead_home(&step, people.home()) } else { session::answer(step, false) }
}
