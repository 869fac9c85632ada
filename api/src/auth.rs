//! Who asks: the one door through which a request gets its tenant and its role.

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::Data;
use domain::{Slug, TenantId};

use crate::app::App;
use crate::credential::Role;
use crate::problem::{Problem, code};
use crate::routes;

/// Whoever asks, as their credential says.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub subject: String,
    /// In whose ledger.
    pub tenant: TenantId,
    /// That tenant's short name.
    pub slug: Slug,
    /// In which role.
    pub role: Role,
}

impl Caller {
    /// Reads the credential of a request and checks that its role may use the route.
    pub fn identify(app: &Data<App>, request: &HttpRequest) -> Result<Self, Problem> {
        let token = bearer(request)?;
        let claims = app.verifier.verify(token)?;
        let slug = Slug::new(&claims.tenant).map_err(|error| {
            Problem::new(code::TOKEN_MALFORMED, format!("its tenant is not one: {error}"))
        })?;
        let caller = Self { subject: claims.sub, tenant: TenantId::of(&slug), slug, role: claims.role };
        tracing::Span::current().record("tenant", caller.slug.as_str());
        let access = routes::access(request.method(), request.match_pattern().as_deref());
        if access.is_some_and(|access| access.allows(caller.role)) {
            Ok(caller)
        } else {
            let detail = format!("the role {} does not allow this", caller.role.as_str());
            Err(Problem::new(code::FORBIDDEN, detail))
        }
    }
}

fn bearer(request: &HttpRequest) -> Result<&str, Problem> {
    let missing = || Problem::new(code::TOKEN_MISSING, "send a token as Authorization: Bearer ...");
    let malformed = || Problem::new(code::TOKEN_MALFORMED, "the Authorization header is not a bearer token");
    let value = request.headers().get(header::AUTHORIZATION).ok_or_else(missing)?;
    let (scheme, token) = value.to_str().map_err(|_| malformed())?.split_once(' ').ok_or_else(malformed)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(malformed()) }
}
