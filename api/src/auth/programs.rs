//! A program, by its API key.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix_web::HttpRequest;

use super::choice::{self, Named};
use super::{Actor, Caller, Rights, allow, enter};
use crate::access::Access;
use crate::app::App;
use crate::credential::ApiKey;
use crate::problem::{Problem, code};

/// What is compared with where there is no such key, so that it takes as long.
const NOBODYS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The program that the key is for. Whoever does not know the secret learns nothing of the key, not even whether there
/// is one; whoever does learns why it is refused.
pub async fn caller(
    app: &App,
    request: &HttpRequest,
    access: Option<Access>,
    presented: &ApiKey,
) -> Result<Caller, Problem> {
    let unknown = || Problem::new(code::TOKEN_INVALID, "the API key is not known");
    app.walls.admit_stranger(request)?;
    let known = app.directory.key(presented.public_id()).await?;
    let digest = known.as_ref().map_or(NOBODYS, |known| known.digest.as_str());
    let proven = presented.has_digest(digest);
    let key = known.filter(|_| proven).ok_or_else(unknown)?;
    if key.environment != presented.environment() {
        return Err(unknown());
    }
    app.walls.pass_key(request, key.key)?;
    if key.revoked {
        return Err(Problem::new(code::TOKEN_REVOKED, "the API key was revoked"));
    }
    if key.expires_at.is_some_and(|end| end <= app.clock.now()) {
        return Err(Problem::new(code::TOKEN_EXPIRED, "the API key has expired"));
    }
    let address = app.walls.client_address(request);
    if !key.addresses.is_empty() && !key.addresses.iter().any(|network| network.contains(address)) {
        return Err(Problem::new(code::ADDRESS_NOT_ALLOWED, "the API key may not be used from this address"));
    }
    let rights = Rights::Scopes(Arc::clone(&key.scopes));
    allow(access, &rights)?;
    match choice::named(request, app.walls.settings())? {
        Named::Slug(slug) if slug != key.slug => return Err(choice::not_yours()),
        Named::Slug(_) | Named::Domain(_) | Named::Nothing => {}
    }
    if !key.noted.swap(true, Ordering::Relaxed) {
        app.people.key_uses.note(key.tenant, key.key);
    }
    enter(key.tenant_status, request.method(), access, &rights)?;
    Ok(Caller {
        actor: Actor::Program { application: key.application, key: key.key },
        tenant: key.tenant,
        slug: Some(key.slug.clone()),
        access: rights,
        crossing: false,
    })
}
