//! Sign-in with a password.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::extract::{Anonymous, Document};
use crate::field::Field;
use crate::person::{Email, Secret};
use crate::problem::ProblemBody;
use crate::resource::SignInBody;
use crate::session;

/// Somebody who has an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The address.
    #[schema(value_type = String, format = "mail-address", example = "ada@example.com")]
    pub email: Field<Email>,
    /// The password.
    #[schema(value_type = String, format = "secret", example = "seven quiet otters")]
    pub password: Secret,
    /// Give the tokens as cookies that no script can read, for browsers.
    #[serde(default)]
    pub cookies: bool,
}

impl Document for SignIn {}

/// Signs in.
///
/// Where a second factor is asked for, the answer has a token for `/v1/auth/second-factor` instead of a session.
#[utoipa::path(post, path = "/v1/auth/sign-in", tag = "Sign-in", request_body = SignIn, security(()), responses(
    (status = 200, description = "Signed in, or halfway there", body = SignInBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn sign_in(Anonymous { body, visitor }: Anonymous<SignIn>) -> Answer {
    let index = visitor.people().index(&body.email.0).await?;
    visitor.try_account(&index)?;
    let step = visitor.people().sign_in(&index, &body.password, visitor.origin()).await?;
    visitor.welcome(&index, &step);
    session::answer(step, body.cookies)
}
