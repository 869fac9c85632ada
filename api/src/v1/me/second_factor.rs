//! One's own second factor: an authenticator that shows six digits, and recovery codes for the day it is lost.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{self, Answer};
use crate::extract::{Document, Person};
use crate::person::Secret;
use crate::problem::ProblemBody;
use crate::resource::{RecoveryCodesBody, SecondFactorBody};
use crate::v1::auth::second_factor::proof;

/// The password once more, where the account has one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginSecondFactor {
    /// The present password.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "secret", example = "seven quiet otters")]
    pub password: Option<Secret>,
}

impl Document for BeginSecondFactor {}

/// Begins: gives the secret for the authenticator. Nothing is asked for until it is confirmed.
#[utoipa::path(post, path = "/v1/me/second-factor", tag = "Me", request_body = BeginSecondFactor, responses(
    (status = 200, description = "What the authenticator needs", body = SecondFactorBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn begin(Person { body, user, visitor, .. }: Person<BeginSecondFactor>) -> Answer {
    visitor.try_proof(user)?;
    let begun = visitor.people().begin_second_factor(user, body.password.as_ref()).await?;
    answer::written(StatusCode::OK, None, false, &SecondFactorBody::from(begun))
}

/// What the authenticator shows.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmSecondFactor {
    /// The six digits.
    #[schema(value_type = String, format = "secret", example = "492039")]
    pub code: Secret,
}

impl Document for ConfirmSecondFactor {}

/// Confirms: from now on a sign-in asks for the second factor. The recovery codes are shown this once.
#[utoipa::path(post, path = "/v1/me/second-factor/confirm", tag = "Me", request_body = ConfirmSecondFactor, responses(
    (status = 200, description = "The recovery codes", body = RecoveryCodesBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn confirm(Person { body, user, visitor, .. }: Person<ConfirmSecondFactor>) -> Answer {
    visitor.try_proof(user)?;
    let codes = visitor.people().confirm_second_factor(user, &body.code, visitor.origin()).await?;
    answer::written(StatusCode::OK, None, false, &RecoveryCodesBody { recovery_codes: codes })
}

/// The second factor once more.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndSecondFactor {
    /// The six digits that the authenticator shows.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "secret", example = "492039")]
    pub code: Option<Secret>,
    /// A recovery code instead.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "secret", example = "7K3F-9QXM")]
    pub recovery_code: Option<Secret>,
}

impl Document for EndSecondFactor {}

/// Does without a second factor again. The recovery codes are worth nothing any more.
#[utoipa::path(delete, path = "/v1/me/second-factor", tag = "Me", request_body = EndSecondFactor, responses(
    (status = 204, description = "There is no second factor any more"),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn end(Person { body, user, visitor, .. }: Person<EndSecondFactor>) -> Answer {
    let proof = proof(body.code, body.recovery_code)?;
    visitor.try_proof(user)?;
    visitor.people().end_second_factor(user, &proof, visitor.origin()).await?;
    Ok(HttpResponse::NoContent().finish())
}
