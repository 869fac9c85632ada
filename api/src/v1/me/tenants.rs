//! Where one is a member.

use actix_web::HttpResponse;
use domain::TenantId;

use crate::answer::Answer;
use crate::extract::POSITION;
use crate::extract::{After, NoQuery, Nothing, Person, PersonAsks, TenantAt};
use crate::problem::ProblemBody;
use crate::resource::{List, MembershipBody};

/// Lists the tenants one is a member of, by slug, with one's role.
#[utoipa::path(get, path = "/v1/me/tenants", tag = "Me", params(After), responses(
    (status = 200, description = "Memberships", body = List<MembershipBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(asks: PersonAsks<NoQuery>) -> Answer {
    let found = asks.visitor.people().memberships(asks.user).await?;
    let items = found.into_iter().map(MembershipBody::from).collect();
    asks.answer(None, &List { items, next: None })
}

/// Leaves a tenant. The last owner stays.
#[utoipa::path(delete, path = "/v1/me/tenants/{slug}", tag = "Me",
    params(("slug" = String, Path, format = "slug", description = "The tenant's short name")), responses(
    (status = 204, description = "No longer a member"),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn leave(
    Person { user, session, visitor, .. }: Person<Nothing>,
    TenantAt(slug): TenantAt,
) -> Answer {
    let position = visitor.people().leave(user, TenantId::of(&slug), visitor.origin()).await?;
    visitor.forget(session);
    Ok(HttpResponse::NoContent().insert_header((POSITION, position.to_string())).finish())
}
