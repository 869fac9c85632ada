//! The tenant that one acts in.

use actix_web::http::StatusCode;
use commands::Command;
use domain::tenant::{Branding, ProfileChange, TenantCommand};
use domain::{Colour, DomainName, Reason, TenantName, WebAddress};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::Access;
use crate::answer::{self, Answer};
use crate::extract::{After, Document, NoQuery, Nothing, Read, Write};
use crate::field::{Clearable, Field, Object};
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::TenantProfileBody;

/// Shows the tenant: its name, status, domain and branding.
#[utoipa::path(get, path = "/v1/tenant", tag = "Tenant", params(After), responses(
    (status = 200, description = "The tenant", body = TenantProfileBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn get(Read { view, .. }: Read<NoQuery>) -> Answer {
    let found = view.ledger().profile().await?;
    let absent = || Problem::new(code::TENANT_NOT_FOUND, "the tenant does not exist");
    view.answer_or(found, absent, |profile, _| Ok(TenantProfileBody::from(profile)))
}

/// How the tenant looks.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBranding {
    /// The address of its logo.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "web-address", example = "https://acme.example/logo.svg")]
    pub logo: Option<Field<WebAddress>>,
    /// Its first colour.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "colour", example = "#1f6feb")]
    pub primary_colour: Option<Field<Colour>>,
    /// Its second colour.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "colour", example = "#0d1117")]
    pub secondary_colour: Option<Field<Colour>>,
}

/// What is to change. What is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeTenant {
    /// Its display name.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "tenant-name", example = "Acme Ltd")]
    pub name: Option<Field<TenantName>>,
    /// A domain of its own; owners alone may change it, and null takes it away.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "domain-name", example = "ledger.acme.example")]
    pub domain: Clearable<DomainName>,
    /// How it looks, all of it.
    #[serde(default)]
    #[schema(value_type = Option<NewBranding>)]
    pub branding: Option<Object<NewBranding>>,
}

impl Document for ChangeTenant {}

/// Changes the tenant's name, domain and branding.
#[utoipa::path(patch, path = "/v1/tenant", tag = "Tenant", request_body = ChangeTenant,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The tenant as it is now", body = TenantProfileBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn change(Write { body, writer }: Write<ChangeTenant>) -> Answer {
    if body.domain.is_given() {
        writer.demand(Access::Owner)?;
    }
    let branding = body.branding.map(|Object(new)| Branding {
        logo: new.logo.map(|logo| logo.0),
        primary_colour: new.primary_colour.map(|colour| colour.0),
        secondary_colour: new.secondary_colour.map(|colour| colour.0),
    });
    let (name, domain) = (body.name.map(|name| name.0), body.domain.into());
    let command = TenantCommand::ChangeProfile(ProfileChange { name, domain, branding });
    let outcome = writer.submit(Command::Tenant(command)).await?;
    answer::done(outcome, StatusCode::OK, TenantProfileBody::try_from)
}

/// Why the tenant is suspended.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Suspend {
    /// Why, for the audit log.
    #[schema(value_type = String, format = "reason", example = "the invoice of May is overdue")]
    pub reason: Field<Reason>,
}

impl Document for Suspend {}

/// Suspends the tenant named by `X-Tenant-Slug`: everything can be read, nothing changes. For operators of the platform.
#[utoipa::path(post, path = "/v1/tenant/suspend", tag = "Tenant", request_body = Suspend,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The tenant is suspended", body = TenantProfileBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn suspend(Write { body, writer }: Write<Suspend>) -> Answer {
    let command = TenantCommand::Suspend { reason: body.reason.0 };
    let outcome = writer.submit(Command::Tenant(command)).await?;
    answer::done(outcome, StatusCode::OK, TenantProfileBody::try_from)
}

/// Lets a suspended tenant work again. For operators of the platform.
#[utoipa::path(post, path = "/v1/tenant/resume", tag = "Tenant",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The tenant is active", body = TenantProfileBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn resume(Write { writer, .. }: Write<Nothing>) -> Answer {
    let outcome = writer.submit(Command::Tenant(TenantCommand::Resume)).await?;
    answer::done(outcome, StatusCode::OK, TenantProfileBody::try_from)
}

/// Closes the tenant for good: nothing changes any more. For its owners.
#[utoipa::path(post, path = "/v1/tenant/close", tag = "Tenant",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The tenant is closed", body = TenantProfileBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn close(Write { writer, .. }: Write<Nothing>) -> Answer {
    let outcome = writer.submit(Command::Tenant(TenantCommand::Close)).await?;
    answer::done(outcome, StatusCode::OK, TenantProfileBody::try_from)
}
