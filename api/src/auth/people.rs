//! A user, by the token of a session.

use actix_web::HttpRequest;
use domain::tenant::TenantStatus;
use domain::user::UserStatus;
use domain::{Role, Slug, TenantId};

use super::choice::{self, Named};
use super::directory::{Membership, Person};
use super::{Actor, Caller, Rights, allow, enter};
use crate::access::Access;
use crate::app::App;
use crate::credential::SessionClaims;
use crate::problem::{Problem, code};

/// Where a user asks, and what they may do there.
struct Place {
    tenant: TenantId,
    slug: Option<Slug>,
    status: TenantStatus,
    rights: Rights,
    crossing: bool,
}

/// The user whose session it is.
pub async fn caller(
    app: &App,
    request: &HttpRequest,
    access: Option<Access>,
    claims: &SessionClaims,
) -> Result<Caller, Problem> {
    app.walls.pass_user(request, claims.sub)?;
    let named = choice::named(request, app.walls.settings())?;
    let mut place = locate(app, access, &named, claims).await;
    // Whoever has just been let in somewhere does not wait until what was known before is forgotten.
    if place.as_ref().is_err_and(|problem| problem.code == code::TENANT_NOT_YOURS) {
        app.directory.forget(claims.sid);
        place = locate(app, access, &named, claims).await;
    }
    let Place { tenant, slug, status, rights, crossing } = place?;
    allow(access, &rights)?;
    enter(status, request.method(), access, &rights)?;
    let actor = Actor::User { id: claims.sub, session: claims.sid };
    Ok(Caller { actor, tenant, slug, access: rights, crossing })
}

async fn locate(
    app: &App,
    access: Option<Access>,
    named: &Named,
    claims: &SessionClaims,
) -> Result<Place, Problem> {
    let over = || Problem::new(code::TOKEN_REVOKED, "the session is over");
    let person = app.directory.person(claims.sid, claims.sub).await?.ok_or_else(over)?;
    match person.status {
        UserStatus::Active => {}
        UserStatus::Suspended => return Err(Problem::new(code::USER_SUSPENDED, "the user is suspended")),
        UserStatus::Absent | UserStatus::Erased => return Err(over()),
    }
    match access {
        Some(Access::SignedIn) => Ok(platform(Rights::Own)),
        Some(Access::Found) if !person.superadmin => Ok(platform(Rights::Own)),
        Some(Access::Found) => Ok(platform(Rights::Role(Role::Superadmin))),
        Some(Access::Platform) if !person.superadmin => {
            Err(Problem::new(code::FORBIDDEN, "only operators of the platform may do this"))
        }
        // Also in a tenant that they are a member of: it is as an operator that they ask.
        Some(Access::Platform) => match named {
            Named::Slug(slug) => cross(app, slug).await,
            Named::Domain(_) | Named::Nothing => Ok(platform(Rights::Role(Role::Superadmin))),
        },
        _ => within(app, named, &person).await,
    }
}

/// What belongs to no tenant.
fn platform(rights: Rights) -> Place {
    let (tenant, status) = (TenantId::PLATFORM, TenantStatus::Active);
    Place { tenant, slug: None, status, rights, crossing: false }
}

/// The tenant that is named, among those that the user belongs to; operators of the platform belong to all of them. A
/// host that is no tenant's domain names none: it can be any name that leads here.
async fn within(app: &App, named: &Named, person: &Person) -> Result<Place, Problem> {
    let memberships = &person.memberships;
    let membership = match named {
        Named::Slug(slug) => memberships.iter().find(|membership| membership.slug == *slug),
        Named::Domain(domain) => {
            let named = |membership: &&Membership| membership.domain.as_deref() == Some(domain.as_str());
            let mut named = memberships.iter().filter(named);
            // Nobody has proven that a domain is theirs: what two call theirs chooses neither.
            named.next().filter(|_| named.next().is_none())
        }
        Named::Nothing => None,
    };
    let membership = match (membership, named, memberships.as_slice()) {
        (Some(membership), ..) => membership,
        (None, Named::Slug(slug), _) if person.superadmin => return cross(app, slug).await,
        (None, Named::Slug(_), _) => return Err(choice::not_yours()),
        (None, _, [only]) => only,
        (None, _, []) if !person.superadmin => return Err(choice::not_yours()),
        (None, ..) => {
            let detail = "say in which tenant, with the header X-Tenant-Slug";
            return Err(Problem::new(code::TENANT_NOT_CHOSEN, detail).at("X-Tenant-Slug"));
        }
    };
    Ok(Place {
        tenant: membership.tenant,
        slug: Some(membership.slug.clone()),
        status: membership.status,
        rights: Rights::Role(membership.role),
        crossing: false,
    })
}

/// An operator of the platform steps into a tenant that is not their own.
async fn cross(app: &App, slug: &Slug) -> Result<Place, Problem> {
    let tenant = app.directory.tenant(slug).await?.ok_or_else(choice::not_yours)?;
    let rights = Rights::Role(Role::Superadmin);
    Ok(Place { tenant: tenant.id, slug: Some(slug.clone()), status: tenant.status, rights, crossing: true })
}
