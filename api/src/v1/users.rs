//! The people of the installation, for operators of the platform.

use actix_web::http::StatusCode;
use domain::{Reason, UserId};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::answer::{self, Answer};
use crate::cursor::Cursor;
use crate::extract::{After, Document, Limit, Nothing, Operate, Parameters, Platform, UserAt};
use crate::field::Field;
use crate::problem::ProblemBody;
use crate::resource::{ErasedBody, List, UserBody};

const LIST: &str = "users";

/// Which users to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListUsers {
    /// Where to go on: `next` of an earlier answer.
    #[param(value_type = Option<String>, format = "cursor")]
    cursor: Option<Field<Cursor>>,
    /// How many at the most, 1 to 100; 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Field<Limit>>,
}

impl Parameters for ListUsers {}

/// Lists the users, oldest first. Of those that were erased nothing is left but the id.
#[utoipa::path(get, path = "/v1/users", tag = "Platform", params(ListUsers, After), responses(
    (status = 200, description = "Users", body = List<UserBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(platform: Platform<ListUsers>) -> Answer {
    let ListUsers { cursor, limit } = &platform.query;
    let limit = limit.as_ref().map_or(Limit::default(), |limit| limit.0).0;
    let after = cursor.as_ref().map(|cursor| cursor.0.last(LIST)).transpose()?.map(UserId);
    let found = platform.directory().users(after, limit).await?;
    let mut items = Vec::with_capacity(found.value.len());
    for user in found.value {
        items.push(UserBody::from(platform.people().opened(user).await?));
    }
    platform
        .answer(Some(found.position), &List::page(LIST, items, limit, |last: &UserBody| last.id.to_string()))
}

/// Why somebody is shut out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspendUser {
    /// Why, for the audit log. It should not say who it is.
    #[schema(value_type = String, format = "reason", example = "the account was taken over")]
    pub reason: Field<Reason>,
}

impl Document for SuspendUser {}

/// Shuts a user out: all sessions end, and none can begin.
#[utoipa::path(post, path = "/v1/users/{id}/suspend", tag = "Platform", request_body = SuspendUser,
    params(("id" = uuid::Uuid, Path, description = "The user's id")),
    responses((status = 200, description = "The user is suspended", body = UserBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn suspend(Operate { body, visitor, by }: Operate<SuspendUser>, UserAt(user): UserAt) -> Answer {
    let (profile, position) =
        visitor.people().suspend_user(user, body.reason.0, &by, visitor.origin()).await?;
    answer::written(StatusCode::OK, Some(position), false, &UserBody::from(profile))
}

/// Lets a suspended user in again.
#[utoipa::path(post, path = "/v1/users/{id}/resume", tag = "Platform",
    params(("id" = uuid::Uuid, Path, description = "The user's id")),
    responses((status = 200, description = "The user is active", body = UserBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn resume(Operate { visitor, by, .. }: Operate<Nothing>, UserAt(user): UserAt) -> Answer {
    let (profile, position) = visitor.people().resume_user(user, &by, visitor.origin()).await?;
    answer::written(StatusCode::OK, Some(position), false, &UserBody::from(profile))
}

/// Erases a user for good, suspended or not: like `DELETE /v1/me`, for whoever cannot get in to do it.
///
/// The memberships end, in the operator's name in each tenant's audit log. The last owner of a tenant hands it over, or it is
/// closed, first. May be repeated until it has answered.
#[utoipa::path(delete, path = "/v1/users/{id}", tag = "Platform",
    params(("id" = uuid::Uuid, Path, description = "The user's id")),
    responses((status = 200, description = "The receipt", body = ErasedBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn erase(Operate { visitor, by, .. }: Operate<Nothing>, UserAt(user): UserAt) -> Answer {
    let receipt = visitor.people().erase_user(user, &by, visitor.origin()).await?;
    answer::written(StatusCode::OK, None, false, &ErasedBody::from(receipt))
}
