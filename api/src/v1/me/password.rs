//! One's own password.

use actix_web::HttpResponse;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::extract::{Document, Person};
use crate::person::Secret;
use crate::problem::ProblemBody;

/// The password that is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The present password, where there is one.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "secret", example = "seven quiet otters")]
    pub current: Option<Secret>,
    /// The new one: 12 to 128 characters, not one of the commonest.
    #[schema(value_type = String, min_length = 12, max_length = 128, example = "eight quiet otters")]
    pub new: Secret,
}

impl Document for ChangePassword {}

/// Changes one's own password. All other sessions end.
#[utoipa::path(post, path = "/v1/me/password", tag = "Me", request_body = ChangePassword, responses(
    (status = 204, description = "The password is the new one"),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn change(Person { body, user, session, visitor }: Person<ChangePassword>) -> Answer {
    let ChangePassword { current, new } = body;
    visitor.try_proof(user)?;
    visitor.people().change_password(user, session, current.as_ref(), &new, visitor.origin()).await?;
    Ok(HttpResponse::NoContent().finish())
}
