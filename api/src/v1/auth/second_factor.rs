//! The second step of a sign-in.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::extract::{Anonymous, Document};
use crate::people::Step;
use crate::person::{Proof, Secret};
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::SignInBody;
use crate::session;

/// The second factor: a code of the authenticator, or one of the recovery codes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactor {
    /// The token that the first step gave. It is good for one try.
    #[schema(value_type = String, format = "secret", example = "q2Jr0x9f...")]
    pub token: Secret,
    /// The six digits that the authenticator shows.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "secret", example = "492039")]
    pub code: Option<Secret>,
    /// A recovery code; it is used up.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "secret", example = "7K3F-9QXM")]
    pub recovery_code: Option<Secret>,
    /// Give the tokens as cookies that no script can read, for browsers.
    #[serde(default)]
    pub cookies: bool,
}

impl Document for SecondFactor {}

/// The one proof that was given.
pub fn proof(code: Option<Secret>, recovery_code: Option<Secret>) -> Result<Proof, Problem> {
    match (code, recovery_code) {
        (Some(code), None) => Ok(Proof::Code(code)),
        (None, Some(code)) => Ok(Proof::Recovery(code)),
        (None, None) => Err(Problem::new(code::MISSING_FIELD, "give code or recovery_code").at("code")),
        (Some(_), Some(_)) => {
            Err(Problem::new(code::INVALID_BODY, "give either code or recovery_code").at("recovery_code"))
        }
    }
}

/// Finishes a sign-in that needs a second factor.
///
/// The token is used up by the attempt: after a wrong code one signs in again.
#[utoipa::path(post, path = "/v1/auth/second-factor", tag = "Sign-in", request_body = SecondFactor, security(()),
    responses((status = 200, description = "Signed in", body = SignInBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn second_factor(Anonymous { body, visitor }: Anonymous<SecondFactor>) -> Answer {
    let SecondFactor { token, code, recovery_code, cookies } = body;
    let proof = proof(code, recovery_code)?;
    let step = visitor.people().second_step(&token, &proof, visitor.origin()).await?;
    if let Step::SignedIn(tokens) = &step
        && let Ok(Some(index)) = visitor.people().index_of(tokens.user).await
    {
        visitor.welcome(&index, &step);
    }
    session::answer(step, cookies)
}
