//! New access tokens for a session.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::extract::{Anonymous, Document};
use crate::person::Secret;
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::SignInBody;
use crate::session;

/// The refresh token; in a browser that was given cookies it comes with them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token of the last sign-in or refresh.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "secret", example = "Zk1v8u...")]
    pub refresh_token: Option<Secret>,
}

impl Document for Refresh {}

/// Gives a new access token and a new refresh token.
///
/// A refresh token is good once. One that comes again has been in other hands: the whole session ends.
#[utoipa::path(post, path = "/v1/auth/refresh", tag = "Sign-in", request_body = Refresh, security(()),
    params(("X-CSRF-Token" = Option<String>, Header, description = "What the cookie of the same name says; needed with cookies")),
    responses((status = 200, description = "The new tokens", body = SignInBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn refresh(Anonymous { body, visitor }: Anonymous<Refresh>) -> Answer {
    let (token, cookies) = match body.refresh_token {
        Some(token) => (token, false),
        None => (visitor.refresh_cookie()?.ok_or_else(missing)?, true),
    };
    visitor.admit()?;
    match visitor.people().refresh(&token, visitor.origin()).await {
        Ok(step) => session::answer(step, cookies),
        Err(problem) => {
            if problem.code == code::REFRESH_TOKEN_INVALID {
                visitor.refused()?;
            }
            Err(problem)
        }
    }
}

fn missing() -> Problem {
    Problem::new(code::MISSING_FIELD, "there is neither a refresh_token nor its cookie").at("refresh_token")
}
