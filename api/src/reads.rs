//! Who read what: the lines of the access log. What was done stands in the audit log.

use actix_web::body::BoxBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::{HttpMessage as _, HttpRequest};
use domain::{SubjectId, TenantId};
use identity::access_log::{Access, AccessLog, ActorKind};

use crate::app::App;
use crate::auth::{Actor, Caller, Rights};
use crate::problem::{Problem, code};

/// The most bytes of a path that are kept.
const LONGEST: usize = 1024;

/// The tenants of which an answer to an operator of the platform tells, besides the one that they asked in.
#[derive(Debug, Clone)]
pub struct Concerned(pub Vec<TenantId>);

/// Logs the request that is being answered, where it is one to be logged: what was read in a tenant, and everything that
/// an operator of the platform did in a tenant that is not their own, or was told of it.
///
/// The former costs no more than a place in a queue. The latter is written before it is answered: what cannot be written
/// is not shown. A command that was done stands in the tenant's audit log in any case.
pub async fn log(app: &App, response: ServiceResponse<BoxBody>, id: &str) -> ServiceResponse<BoxBody> {
    let log = &app.access_log;
    let caller = response.request().extensions().get::<Caller>().cloned();
    let Some(caller) = caller.filter(|caller| caller.access != Rights::Own) else { return response };
    let reads = response.request().method() == Method::GET;
    let access = access(app, &caller, response.request(), response.status().as_u16(), id);
    let concerned = response.request().extensions().get::<Concerned>().cloned();
    let others = concerned.into_iter().flat_map(|Concerned(tenants)| tenants);
    let others = others.filter(|tenant| *tenant != caller.tenant);
    let mut crossing: Vec<_> =
        others.map(|tenant| Access { tenant, crossing: true, ..access.clone() }).collect();
    if caller.crossing {
        crossing.push(access);
    } else if reads {
        log.append(access);
    }
    if crossing.is_empty() {
        return response;
    }
    match written(log, crossing).await {
        Err(problem) if reads => {
            let (request, _) = response.into_parts();
            ServiceResponse::new(request, problem.response(Some(id)))
        }
        _ => response,
    }
}

async fn written(log: &AccessLog, crossing: Vec<Access>) -> Result<(), Problem> {
    log.record(crossing).await.map_err(|error| {
        tracing::error!(%error, "what an operator of the platform did in a tenant could not be logged");
        Problem::new(code::UNAVAILABLE, "the access log cannot be written at the moment").retry(2)
    })
}

fn access(app: &App, caller: &Caller, request: &HttpRequest, status: u16, id: &str) -> Access {
    let actor_kind = match caller.actor {
        Actor::Operator { .. } => ActorKind::Operator,
        Actor::User { .. } => ActorKind::User,
        Actor::Program { .. } => ActorKind::Program,
    };
    // The address of a person is personal, and goes with them; that of a program says nothing that its key does not.
    let address =
        caller.user().map(|(user, _)| (SubjectId::from(user), app.walls.client_address(request).to_string()));
    Access {
        tenant: caller.tenant,
        actor_kind,
        actor: caller.actor.name(),
        crossing: caller.crossing,
        method: request.method().to_string(),
        path: shortened(request.path()),
        status,
        request_id: Some(id.to_owned()),
        address,
    }
}

fn shortened(path: &str) -> String {
    match path.char_indices().find(|(at, _)| *at >= LONGEST).and_then(|(at, _)| path.get(..at)) {
        Some(start) => format!("{start}..."),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_cut_between_two_characters() {
        assert_eq!(shortened("/v1/assets"), "/v1/assets");
        let cut = shortened(&"ä".repeat(2_000));
        assert!(cut.len() < LONGEST + 10 && cut.ends_with("ä..."));
    }
}
