//! What a request presents to be let in.

use std::borrow::Cow;

use actix_web::HttpRequest;
use actix_web::http::{Method, header};
use subtle::ConstantTimeEq as _;

use crate::credential::{ApiKey, api_key};
use crate::problem::{Problem, code};
use crate::sdk;

/// The cookie that holds the token of a session. Its prefix has browsers take it from this host alone, over TLS.
pub const COOKIE: &str = "__Host-counterfoil";
/// The cookie that holds what [`CSRF_HEADER`] must repeat. Only pages of this host can read it.
pub const CSRF_COOKIE: &str = "__Host-counterfoil_csrf";
/// The header by which a page shows that it can read the cookies of this host.
pub const CSRF_HEADER: &str = "X-CSRF-Token";

/// A credential, not yet checked.
pub enum Presented<'a> {
    /// A bearer token.
    Token(&'a str),
    /// An API key.
    Key(ApiKey),
    /// The cookie of a session, by a request that a page of this host has made.
    Cookie(Cow<'static, str>),
}

impl<'a> Presented<'a> {
    /// The credential of a request. A header says more than a cookie, which browsers send by themselves.
    pub fn of(request: &'a HttpRequest) -> Result<Self, Problem> {
        if sdk::is_address(request.path()) {
            return of_sdk(request);
        }
        let mut headers = request.headers().get_all(header::AUTHORIZATION);
        let malformed = |detail: &str| Problem::new(code::TOKEN_MALFORMED, detail);
        let Some(value) = headers.next() else { return from_cookie(request) };
        if headers.next().is_some() {
            return Err(malformed("there are two Authorization headers"));
        }
        let bearer = || {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        };
        let token = bearer().ok_or_else(|| malformed("the Authorization header is not a bearer token"))?;
        Self::token(token)
    }

    fn token(token: &'a str) -> Result<Self, Problem> {
        if !token.starts_with(api_key::PREFIX) {
            return Ok(Self::Token(token));
        }
        let malformed = || Problem::new(code::TOKEN_MALFORMED, "the API key is not whole");
        ApiKey::parse(token).map(Self::Key).ok_or_else(malformed)
    }
}

/// The credential of a request to an address that SDKs call, wherever they put it. No browser has one for them.
fn of_sdk(request: &HttpRequest) -> Result<Presented<'_>, Problem> {
    let mut given = sdk::credentials(request);
    let missing = || Problem::new(code::TOKEN_MISSING, "give an API key as the key of the provider");
    let first = given.next().ok_or_else(missing)?;
    if given.any(|other| other != first) {
        return Err(Problem::new(code::TOKEN_MALFORMED, "there are two credentials, and they differ"));
    }
    Presented::token(first)
}

fn from_cookie(request: &HttpRequest) -> Result<Presented<'static>, Problem> {
    let missing = || Problem::new(code::TOKEN_MISSING, "send a token or a key as Authorization: Bearer ...");
    let cookie = |name| request.cookie(name).map(|cookie| cookie.value().to_owned());
    let token = cookie(COOKIE).filter(|token| !token.is_empty()).ok_or_else(missing)?;
    // What reads changes nothing, and another site's page cannot see the answer.
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let repeated = request.headers().get(CSRF_HEADER).map(header::HeaderValue::as_bytes);
        let expected = cookie(CSRF_COOKIE).filter(|expected| !expected.is_empty());
        let same = repeated
            .zip(expected)
            .is_some_and(|(repeated, expected)| repeated.ct_eq(expected.as_bytes()).into());
        if !same {
            let detail = format!("with a cookie, {CSRF_HEADER} must repeat the cookie {CSRF_COOKIE}");
            return Err(Problem::new(code::CSRF_TOKEN_WRONG, detail));
        }
    }
    Ok(Presented::Cookie(token.into()))
}

#[cfg(test)]
mod tests {
    use actix_web::cookie::Cookie;
    use actix_web::test::TestRequest;
    use domain::application::Environment;

    use super::*;

    fn of(request: TestRequest) -> Result<&'static str, &'static str> {
        let request = request.to_http_request();
        match Presented::of(&request) {
            Ok(Presented::Token(_)) => Ok("token"),
            Ok(Presented::Key(_)) => Ok("key"),
            Ok(Presented::Cookie(_)) => Ok("cookie"),
            Err(problem) => Err(problem.code.name),
        }
    }

    fn bearing(value: &str) -> TestRequest {
        TestRequest::get().append_header((header::AUTHORIZATION, value))
    }

    #[test]
    fn a_header_says_of_which_kind_the_credential_is() {
        let key = ApiKey::draw(Environment::Live).unwrap().to_text();
        assert_eq!(of(bearing("Bearer a.b.c")), Ok("token"));
        assert_eq!(of(bearing(&format!("bearer {}", key.as_str()))), Ok("key"));
        assert_eq!(of(bearing("Bearer cf_live_x")), Err("token_malformed"));
        assert_eq!(of(bearing("Basic YTpi")), Err("token_malformed"));
        assert_eq!(of(bearing("Bearer")), Err("token_malformed"));
        assert_eq!(of(TestRequest::get()), Err("token_missing"));
        let two = bearing("Bearer a.b.c").append_header((header::AUTHORIZATION, "Bearer d.e.f"));
        assert_eq!(of(two), Err("token_malformed"));
    }

    #[test]
    fn a_cookie_alone_reads_and_changes_nothing() {
        let session = || Cookie::new(COOKIE, "a.b.c");
        let csrf = |text: &'static str| Cookie::new(CSRF_COOKIE, text);
        assert_eq!(of(TestRequest::get().cookie(session())), Ok("cookie"));
        assert_eq!(of(TestRequest::post().cookie(session())), Err("csrf_token_wrong"));
        assert_eq!(of(TestRequest::delete().cookie(session()).cookie(csrf("x"))), Err("csrf_token_wrong"));
        let with = |cookie: &'static str, header: &'static str| {
            of(TestRequest::post()
                .cookie(session())
                .cookie(csrf(cookie))
                .append_header((CSRF_HEADER, header)))
        };
        assert_eq!(with("x", "x"), Ok("cookie"));
        assert_eq!(with("x", "y"), Err("csrf_token_wrong"));
        assert_eq!(with("", ""), Err("csrf_token_wrong"));
        let no_cookie = TestRequest::post().cookie(session()).append_header((CSRF_HEADER, "x"));
        assert_eq!(of(no_cookie), Err("csrf_token_wrong"));
        assert_eq!(of(TestRequest::post().cookie(csrf("x"))), Err("token_missing"));
    }
}
