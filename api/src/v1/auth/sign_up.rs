//! Sign-up, and the proof that the address is one's own.

use actix_web::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{self, Answer};
use crate::extract::{Anonymous, Document};
use crate::field::Field;
use crate::person::{Email, Locale, Secret};
use crate::problem::ProblemBody;
use crate::resource::{AcceptedBody, PersonBody};

/// Somebody who wants an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignUp {
    /// The address; it is confirmed by mail.
    #[schema(value_type = String, format = "mail-address", example = "ada@example.com")]
    pub email: Field<Email>,
    /// The password: 12 to 128 characters, not one of the commonest.
    #[schema(value_type = String, min_length = 12, max_length = 128, example = "seven quiet otters")]
    pub password: Secret,
    /// What others read.
    #[schema(value_type = String, format = "label", example = "Ada Lovelace")]
    pub name: Field<domain::Label>,
    /// The language that is preferred, such as `en` or `de-AT`.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "locale", example = "en-GB")]
    pub locale: Option<Field<Locale>>,
}

impl Document for SignUp {}

/// Asks for an account.
///
/// A mail with a link and its token follows, to an address that is known already as well: the answer is always the
/// same.
#[utoipa::path(post, path = "/v1/auth/sign-up", tag = "Sign-in", request_body = SignUp, security(()), responses(
    (status = 202, description = "A mail is on its way", body = AcceptedBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn sign_up(Anonymous { body, visitor }: Anonymous<SignUp>) -> Answer {
    let SignUp { email, password, name, locale } = body;
    visitor.try_letter(&visitor.people().index(&email.0).await?)?;
    let locale = locale.map(|locale| locale.0);
    visitor.people().sign_up(email.0, &password, name.0, locale).await?;
    answer::written(StatusCode::ACCEPTED, None, false, &AcceptedBody::mail())
}

/// The token of a mail.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyEmail {
    /// The token, as it stands in the mail.
    #[schema(value_type = String, format = "secret", example = "q2Jr0x9f...")]
    pub token: Secret,
}

impl Document for VerifyEmail {}

/// Confirms the address of a sign-up. Only then is there an account.
#[utoipa::path(post, path = "/v1/auth/verify-email", tag = "Sign-in", request_body = VerifyEmail, security(()),
    responses((status = 200, description = "There is an account now", body = PersonBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn verify_email(Anonymous { body, visitor }: Anonymous<VerifyEmail>) -> Answer {
    let user = visitor.people().verify_email(&body.token, visitor.origin()).await?;
    answer::written(StatusCode::OK, None, false, &PersonBody { user: user.0 })
}
