//! The people of a tenant.

use actix_web::http::StatusCode;
use commands::Command;
use domain::tenant::TenantCommand;
use domain::{Role, UserId};
use identity::vault::Purpose;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::answer::{self, Answer};
use crate::cursor::Cursor;
use crate::extract::{After, Document, Limit, MemberAt, Nothing, Parameters, Read, Write};
use crate::field::Field;
use crate::problem::ProblemBody;
use crate::resource::{List, MemberBody};

const LIST: &str = "members";

/// Which members to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListMembers {
    /// Where to go on: `next` of an earlier answer.
    #[param(value_type = Option<String>, format = "cursor")]
    cursor: Option<Field<Cursor>>,
    /// How many at the most, 1 to 100; 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Field<Limit>>,
}

impl Parameters for ListMembers {}

/// Lists the tenant's members with their roles.
#[utoipa::path(get, path = "/v1/members", tag = "Members", params(ListMembers, After), responses(
    (status = 200, description = "Members", body = List<MemberBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(Read { query, view }: Read<ListMembers>) -> Answer {
    let limit = query.limit.map_or(Limit::default(), |limit| limit.0).0;
    let after = query.cursor.map(|cursor| cursor.0.last(LIST)).transpose()?.map(UserId);
    let found = view.ledger().members(after, limit).await?;
    let mut items = Vec::with_capacity(found.value.len());
    for member in found.value {
        let people = view.people();
        let email = people.open(member.user, Purpose::Email, member.email.as_ref()).await?;
        let name = people.open(member.user, Purpose::Name, member.name.as_ref()).await?;
        items.push(MemberBody { user: member.user.0, role: member.role.to_string(), email, name });
    }
    view.answer(found.position, &List::page(LIST, items, limit, |last: &MemberBody| last.user.to_string()))
}

/// Another role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeMember {
    /// `owner`, `admin`, `member`, `viewer` or `auditor`; not above one's own.
    #[schema(value_type = String, format = "member-role", example = "viewer")]
    pub role: Field<Role>,
}

impl Document for ChangeMember {}

/// Gives a member another role.
#[utoipa::path(patch, path = "/v1/members/{user}", tag = "Members", request_body = ChangeMember,
    params(("user" = uuid::Uuid, Path, description = "The user's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The member as it is now", body = MemberBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn change(Write { body, writer }: Write<ChangeMember>, MemberAt(user): MemberAt) -> Answer {
    let by = writer.role()?;
    let command = TenantCommand::ChangeMemberRole { user, role: body.role.0, by };
    let outcome = writer.submit(Command::Tenant(command)).await?;
    let profile = writer.people().profile(user).await?.value;
    let member =
        MemberBody { user: user.0, role: body.role.0.to_string(), email: profile.email, name: profile.name };
    answer::done(outcome, StatusCode::OK, |_| Ok(member))
}

/// Takes a member out of the tenant. The last owner stays. One leaves oneself by `DELETE /v1/me/tenants/{slug}`.
#[utoipa::path(delete, path = "/v1/members/{user}", tag = "Members",
    params(("user" = uuid::Uuid, Path, description = "The user's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 204, description = "No longer a member"),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn remove(Write { writer, .. }: Write<Nothing>, MemberAt(user): MemberAt) -> Answer {
    let by = writer.role()?;
    let outcome = writer.submit(Command::Tenant(TenantCommand::RemoveMember { user, by })).await?;
    Ok(answer::gone(&outcome))
}
