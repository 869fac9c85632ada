//! Who asks: the one door through which a request gets its tenant and its rights.
//!
//! A credential is an operator's token, a session's token (as a bearer token or in a cookie), or a program's API key.
//! What it says is checked first ([`presented`], [`crate::credential`]), then what is known of its holder
//! ([`directory`]), then in which tenant they ask ([`choice`]), and last whether they may ([`crate::access`]). What a
//! request names besides its credential chooses among what the credential allows, and never adds to it.

mod choice;
mod directory;
mod people;
mod presented;
mod programs;
mod remembered;

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::http::{Method, StatusCode};
use actix_web::web::Data;
use actix_web::{HttpMessage as _, HttpRequest};
use domain::application::Scope;
use domain::tenant::TenantStatus;
use domain::{ApplicationId, KeyId, Role, SessionId, Slug, TenantId, UserId};

use crate::access::Access;
use crate::app::App;
use crate::credential::{Believed, Operator};
use crate::problem::{Problem, code};
use crate::routes::Matched;

pub use directory::Directory;
pub use remembered::Remembered;

use choice::Named;
use presented::Presented;

/// Whoever asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// In whose ledger; that of the platform where it is in nobody's.
    pub tenant: TenantId,
    /// That tenant's short name; the platform has none.
    pub slug: Option<Slug>,
    /// What they may do there.
    pub access: Rights,
    /// Whether an operator of the platform looks into a tenant that is not their own.
    pub crossing: bool,
}

/// Who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// An operator of the installation, or a service that they trust.
    Operator {
        /// The name that their token gives.
        subject: Arc<str>,
    },
    /// Somebody who signed in.
    User {
        /// Who.
        id: UserId,
        /// In which session.
        session: SessionId,
    },
    /// A program.
    Program {
        /// Which.
        application: ApplicationId,
        /// With which key.
        key: KeyId,
    },
}

impl Actor {
    /// What the audit log says of them: a user's or a key's id, or an operator's name.
    pub fn name(&self) -> String {
        match self {
            Self::Operator { subject } => subject.to_string(),
            Self::User { id, .. } => id.to_string(),
            Self::Program { key, .. } => key.to_string(),
        }
    }
}

/// What somebody may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    /// What their role allows.
    Role(Role),
    /// What the key was issued for.
    Scopes(Arc<BTreeSet<Scope>>),
    /// What everybody may do with what is their own.
    Own,
}

impl Rights {
    /// What the audit log says of them: a role, `key` or `user`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Role(role) => role.as_str(),
            Self::Scopes(_) => "key",
            Self::Own => "user",
        }
    }

    /// The role, where it is one that was given to them.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Role(role) => Some(*role),
            Self::Scopes(_) | Self::Own => None,
        }
    }
}

impl Caller {
    /// Reads the credential of a request and checks that whoever holds it may use the route.
    ///
    /// For an operator's token this neither waits nor looks anything up.
    pub async fn identify(app: &Data<App>, request: &HttpRequest) -> Result<Self, Problem> {
        let matched = Matched::of(request);
        match find(app, request, matched.access).await {
            Ok(mut caller) => {
                // Whatever tenant the operator names besides: this is no tenant's.
                if matched.is_of_platform() {
                    (caller.tenant, caller.slug, caller.crossing) = (TenantId::PLATFORM, None, false);
                }
                if let Some(slug) = &caller.slug {
                    tracing::Span::current().record("tenant", slug.as_str());
                }
                request.extensions_mut().insert(caller.clone());
                Ok(caller)
            }
            Err(problem) => {
                // A cookie that a page of another site sent is none of the caller's.
                if [code::TOKEN_MISSING, code::CSRF_TOKEN_WRONG].contains(&problem.code) {
                    app.walls.pass_anonymous(request)?;
                } else if problem.code.status == StatusCode::UNAUTHORIZED {
                    app.walls.pass_stranger(request)?;
                }
                Err(problem)
            }
        }
    }

    /// The user, where it is one.
    pub fn user(&self) -> Option<(UserId, SessionId)> {
        match self.actor {
            Actor::User { id, session } => Some((id, session)),
            Actor::Operator { .. } | Actor::Program { .. } => None,
        }
    }
}

async fn find(app: &App, request: &HttpRequest, access: Option<Access>) -> Result<Caller, Problem> {
    match Presented::of(request)? {
        Presented::Key(key) => programs::caller(app, request, access, &key).await,
        Presented::Token(token) => match app.verifier.verify(token)? {
            Believed::Operator(operator) => by_token(app, request, access, &operator),
            Believed::Session(claims) => people::caller(app, request, access, &claims).await,
        },
        Presented::Cookie(token) => match app.verifier.verify(&token)? {
            Believed::Session(claims) => people::caller(app, request, access, &claims).await,
            // A browser holds sessions and nothing else.
            Believed::Operator(_) => Err(Problem::new(code::TOKEN_INVALID, "the cookie holds no session")),
        },
    }
}

/// An operator's token says itself in which tenant and in which role.
fn by_token(
    app: &App,
    request: &HttpRequest,
    access: Option<Access>,
    operator: &Operator,
) -> Result<Caller, Problem> {
    let rights = Rights::Role(operator.claims.role);
    allow(access, &rights)?;
    match choice::named(request, app.walls.settings())? {
        Named::Slug(slug) if slug != operator.slug => return Err(choice::not_yours()),
        Named::Slug(_) | Named::Domain(_) | Named::Nothing => {}
    }
    // No tenant is a superadmin's own: whatever the token says, an operator of the platform steps into it.
    let crossing = operator.claims.role == Role::Superadmin && operator.tenant != TenantId::PLATFORM;
    Ok(Caller {
        actor: Actor::Operator { subject: Arc::clone(&operator.subject) },
        tenant: operator.tenant,
        slug: Some(operator.slug.clone()),
        access: rights,
        crossing,
    })
}

/// Whether a route may be used; one that is not in the table may not.
fn allow(access: Option<Access>, rights: &Rights) -> Result<(), Problem> {
    if access.is_some_and(|access| access.allows(rights)) {
        return Ok(());
    }
    let what = match rights {
        Rights::Role(role) => format!("the role {role}"),
        Rights::Scopes(scopes) => {
            let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
            format!("a key for {}", scopes.join(", "))
        }
        Rights::Own => "being signed in".to_owned(),
    };
    Err(Problem::new(code::FORBIDDEN, format!("{what} does not allow this")))
}

/// Whether the state of the tenant lets the request through. What is not a movement of money is decided where the
/// command is: to resume or to close a tenant, and to take access away, stays possible.
fn enter(
    status: TenantStatus,
    method: &Method,
    access: Option<Access>,
    rights: &Rights,
) -> Result<(), Problem> {
    let reads = *method == Method::GET;
    match status {
        TenantStatus::Suspended
            if !reads && matches!(access, Some(Access::Transact | Access::Execute | Access::Administer)) =>
        {
            Err(Problem::new(
                code::TENANT_SUSPENDED,
                "the tenant is suspended: it can be read and not changed",
            ))
        }
        TenantStatus::Active | TenantStatus::Suspended => Ok(()),
        TenantStatus::Closed if reads && matches!(rights.role(), Some(Role::Owner | Role::Superadmin)) => {
            Ok(())
        }
        TenantStatus::Closed => Err(Problem::new(
            code::TENANT_CLOSED,
            "the tenant is closed: its owners can read it, and nothing else",
        )),
    }
}
