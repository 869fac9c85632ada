//! A password that was forgotten.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{self, Answer};
use crate::extract::{Anonymous, Document};
use crate::field::Field;
use crate::person::{Email, Secret};
use crate::problem::ProblemBody;
use crate::resource::AcceptedBody;

/// Whose password was forgotten.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Forgot {
    /// The address.
    #[schema(value_type = String, format = "mail-address", example = "ada@example.com")]
    pub email: Field<Email>,
}

impl Document for Forgot {}

/// Asks for a mail with a way back in.
///
/// The answer is the same whether the address is known or not.
#[utoipa::path(post, path = "/v1/auth/password/forgot", tag = "Sign-in", request_body = Forgot, security(()),
    responses((status = 202, description = "If there is such an account, a mail is on its way", body = AcceptedBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn forgot(Anonymous { body, visitor }: Anonymous<Forgot>) -> Answer {
    visitor.try_letter(&visitor.people().index(&body.email.0).await?)?;
    visitor.people().forgot(body.email.0)?;
    answer::written(StatusCode::ACCEPTED, None, false, &AcceptedBody::mail())
}

/// A new password, with the token of the mail.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// The token, as it stands in the mail.
    #[schema(value_type = String, format = "secret", example = "q2Jr0x9f...")]
    pub token: Secret,
    /// The new password: 12 to 128 characters, not one of the commonest.
    #[schema(value_type = String, min_length = 12, max_length = 128, example = "eight quiet otters")]
    pub password: Secret,
}

impl Document for Reset {}

/// Sets a new password. All sessions end; one signs in with the new password.
#[utoipa::path(post, path = "/v1/auth/password/reset", tag = "Sign-in", request_body = Reset, security(()),
    responses((status = 204, description = "The password is the new one"),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn reset(Anonymous { body, visitor }: Anonymous<Reset>) -> Answer {
    visitor.people().reset(&body.token, &body.password, visitor.origin()).await?;
    Ok(HttpResponse::NoContent().finish())
}
