//! Tenants, for operators of the platform.

use actix_web::http::StatusCode;
use domain::{Slug, TenantId, TenantName, UserId};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::access::Access;
use crate::answer::{self, Answer};
use crate::cursor::Cursor;
use crate::extract::{After, Document, Limit, NoQuery, Parameters, Platform, TenantAt, Write, Writer};
use crate::field::Field;
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::{List, TenantBody};

/// What operators make tokens for that are to belong to no tenant. Whoever founded one would see in its logs what they did.
const RESERVED: &str = "platform";
const LIST: &str = "tenants";

/// A tenant to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    /// Its short name: 2 to 63 of a-z, 0-9 and -.
    #[schema(value_type = String, format = "slug", example = "acme")]
    pub slug: Field<Slug>,
    /// Its display name.
    #[schema(value_type = String, format = "tenant-name", example = "Acme Ltd")]
    pub name: Field<TenantName>,
    /// Who owns it: a user's id. Whoever is signed in and says nothing owns it themselves; only operators of the platform
    /// may name somebody else.
    #[serde(default)]
    pub owner: Option<Uuid>,
}

impl Document for CreateTenant {}

/// Creates a tenant.
///
/// For operators of the platform; where the installation is configured so, for everybody who is signed in.
#[utoipa::path(post, path = "/v1/tenants", tag = "Tenants", request_body = CreateTenant,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses(
        (status = 201, description = "The tenant was created", body = TenantBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn create(Write { body, writer }: Write<CreateTenant>) -> Answer {
    if body.slug.0.as_str() == RESERVED {
        let detail = format!("{RESERVED} is no tenant's slug");
        return Err(Problem::new(code::TENANT_EXISTS, detail).at("slug"));
    }
    let owner = owner(&writer, body.owner.map(UserId)).await?;
    let outcome = writer.create_tenant(body.slug.0, body.name.0, owner).await?;
    writer.settle(&outcome).await;
    answer::done(outcome, StatusCode::CREATED, TenantBody::try_from)
}

/// Who is to own a new tenant.
async fn owner(writer: &Writer, named: Option<UserId>) -> Result<Option<UserId>, Problem> {
    let operates = writer.demand(Access::Platform);
    if let Some(user) = writer.user().filter(|user| named.is_none_or(|named| named == *user)) {
        if operates.is_err() && !writer.people().settings.self_service_tenants {
            let detail = "only operators of the platform create tenants here";
            return Err(Problem::new(code::FORBIDDEN, detail));
        }
        return Ok(Some(user));
    }
    operates?;
    if let Some(user) = named {
        writer.people().profile(user).await.map_err(|problem| problem.at("owner"))?;
    }
    Ok(named)
}

/// Which tenants to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListTenants {
    /// Where to go on: `next` of an earlier answer.
    #[param(value_type = Option<String>, format = "cursor")]
    cursor: Option<Field<Cursor>>,
    /// How many at the most, 1 to 100; 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Field<Limit>>,
}

impl Parameters for ListTenants {}

/// Lists the tenants by slug.
#[utoipa::path(get, path = "/v1/tenants", tag = "Tenants", params(ListTenants, After), responses(
    (status = 200, description = "Tenants", body = List<TenantBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(platform: Platform<ListTenants>) -> Answer {
    let ListTenants { cursor, limit } = &platform.query;
    let limit = limit.as_ref().map_or(Limit::default(), |limit| limit.0).0;
    let after = cursor.as_ref().map(|cursor| cursor.0.last::<String>(LIST)).transpose()?;
    let tenants = platform.directory().tenants(after.as_deref(), limit).await?;
    platform.concerns(tenants.iter().map(|tenant| TenantId(tenant.id)));
    let items = tenants.into_iter().map(TenantBody::from).collect();
    platform.answer(None, &List::page(LIST, items, limit, |last: &TenantBody| last.slug.clone()))
}

/// Shows a tenant.
#[utoipa::path(get, path = "/v1/tenants/{slug}", tag = "Tenants",
    params(("slug" = String, Path, format = "slug", description = "The tenant's short name"), After), responses(
    (status = 200, description = "The tenant", body = TenantBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn get(platform: Platform<NoQuery>, TenantAt(slug): TenantAt) -> Answer {
    let found = platform.directory().tenant_by_slug(&slug).await?;
    let absent = || Problem::new(code::TENANT_NOT_FOUND, format!("the tenant {slug} does not exist"));
    let tenant = found.value.ok_or_else(absent)?;
    platform.concerns(std::iter::once(TenantId(tenant.id)));
    platform.answer(Some(found.position), &TenantBody::from(tenant))
}
