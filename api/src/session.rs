//! Sessions as the wire sees them: tokens in JSON, or cookies that no script can read.
//!
//! The cookies are `__Host-` ones: for this host alone, over TLS alone, for every path. `SameSite=Strict` keeps them out of
//! requests that other sites make; the one of a sign-in at a provider is `Lax`, because it has to come back with one.

use actix_web::HttpResponse;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};

use crate::answer::{self, Answer};
use crate::people::{Step, Tokens};
use crate::problem::Problem;
use crate::resource::SignInBody;

/// Has the access token.
pub const ACCESS: &str = "__Host-counterfoil";
/// Has what `X-CSRF-Token` must say. Scripts of our own pages read it; other sites cannot.
pub const CSRF: &str = "__Host-counterfoil_csrf";
/// Has the refresh token.
pub const REFRESH: &str = "__Host-counterfoil_refresh";
/// Marks the browser that set out to a provider.
pub const JOURNEY: &str = "__Host-counterfoil_oidc";
/// How long somebody may take at a provider, in minutes.
pub const JOURNEY_MINUTES: i64 = 10;

/// Answers a step of a sign-in: with the tokens, or with cookies that hold them.
pub fn answer(step: Step, cookies: bool) -> Answer {
    let kept = if cookies { jar(&step)? } else { Vec::new() };
    let mut response = answer::written(StatusCode::OK, None, false, &SignInBody::new(step, cookies))?;
    for cookie in &kept {
        response.add_cookie(cookie).map_err(Problem::internal)?;
    }
    Ok(response)
}

/// Leads a browser that came back from a provider to the application. A second factor that is due is told in the
/// fragment, which no server sees.
pub fn lead_home(step: &Step, home: &str) -> Answer {
    let to = match step {
        Step::SignedIn(_) => home.to_owned(),
        Step::SecondFactor { token, .. } => format!("{home}#second_factor={}", token.as_str()),
    };
    let mut response = HttpResponse::SeeOther();
    response.insert_header((LOCATION, to)).insert_header((CACHE_CONTROL, "no-store"));
    for cookie in jar(step)? {
        response.cookie(cookie);
    }
    Ok(response.cookie(gone(JOURNEY)).finish())
}

/// Answers the end of the session that asked.
pub fn ended() -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    for name in [ACCESS, CSRF, REFRESH] {
        response.cookie(gone(name));
    }
    response.insert_header((CACHE_CONTROL, "no-store")).finish()
}

/// Answers the end of a session that may be another one's.
pub fn ended_elsewhere() -> HttpResponse {
    HttpResponse::NoContent().insert_header((CACHE_CONTROL, "no-store")).finish()
}

/// Takes the cookies of a session away.
pub fn forget(response: &mut HttpResponse) -> Result<(), Problem> {
    [ACCESS, CSRF, REFRESH]
        .iter()
        .try_for_each(|name| response.add_cookie(&gone(name)).map_err(Problem::internal))
}

/// Marks the browser that sets out to a provider.
pub fn journey(ticket: &str) -> Cookie<'static> {
    Cookie::build(JOURNEY, ticket.to_owned())
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
        .max_age(Duration::minutes(JOURNEY_MINUTES))
        .finish()
}

fn jar(step: &Step) -> Result<Vec<Cookie<'static>>, Problem> {
    let Step::SignedIn(tokens) = step else { return Ok(Vec::new()) };
    let Tokens { access, access_seconds, refresh, refresh_seconds, .. } = tokens;
    let csrf = identity::token::Token::draw().map_err(Problem::internal)?;
    Ok(vec![
        kept(ACCESS, access.as_str(), *access_seconds, true),
        kept(CSRF, csrf.as_str(), *refresh_seconds, false),
        kept(REFRESH, refresh.as_str(), *refresh_seconds, true),
    ])
}

fn kept(name: &'static str, value: &str, seconds: i64, http_only: bool) -> Cookie<'static> {
    Cookie::build(name, value.to_owned())
        .path("/")
        .secure(true)
        .http_only(http_only)
        .same_site(SameSite::Strict)
        .max_age(Duration::seconds(seconds))
        .finish()
}

fn gone(name: &'static str) -> Cookie<'static> {
    Cookie::build(name, "").path("/").secure(true).http_only(true).max_age(Duration::ZERO).finish()
}
