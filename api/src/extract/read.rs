//! What a question is given: the caller's part of the read models, once they have got far enough.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use chrono::{DateTime, Utc};
use domain::{Catalogue, Partition, TenantId};
use journal::Position;
use projections::{PlatformReader, Reflected, TenantReader};
use serde::Serialize;

use super::query::{self, Asked, Parameters};
use crate::answer::{self, Answer};
use crate::app::App;
use crate::auth::{Actor, Caller};
use crate::people::People;
use crate::problem::{Problem, code};
use crate::reads::Concerned;

/// A question within the caller's tenant.
pub struct Read<Q> {
    /// The query string.
    pub query: Q,
    /// Where the answer is found.
    pub view: View,
}

/// The caller's part of the read models.
pub struct View {
    app: Data<App>,
    caller: Caller,
    if_none_match: Option<String>,
}

impl View {
    /// Questions within the caller's tenant.
    pub fn ledger(&self) -> TenantReader<'_> {
        self.app.reader.tenant(self.caller.tenant)
    }

    /// What the caller's tenant offers, and the position that this reflects.
    pub async fn catalogue(&self) -> Result<(Catalogue, Position), Problem> {
        let found = self.ledger().catalogue().await?;
        Ok((found.value.map(|view| view.state).unwrap_or_default(), found.position))
    }

    /// The caller's tenant.
    pub fn tenant(&self) -> TenantId {
        self.caller.tenant
    }

    /// The moment.
    pub fn now(&self) -> DateTime<Utc> {
        self.app.clock.now()
    }

    /// Opens what is personal.
    pub fn people(&self) -> &Arc<People> {
        &self.app.people
    }

    /// Answers with `body`, which reflects `position`.
    pub fn answer<T: Serialize>(&self, position: Position, body: &T) -> Answer {
        answer::found(self.if_none_match.as_deref(), Some(position), body)
    }

    /// Answers with `body`, which reflects no position of the journal.
    pub fn answer_now<T: Serialize>(&self, body: &T) -> Answer {
        answer::found(self.if_none_match.as_deref(), None, body)
    }

    /// Answers with what `render` makes of what was found, or with the problem `absent`.
    pub fn answer_or<T, B: Serialize>(
        &self,
        found: Reflected<Option<T>>,
        absent: impl FnOnce() -> Problem,
        render: impl FnOnce(T, Position) -> Result<B, Problem>,
    ) -> Answer {
        let position = found.position;
        let body = render(found.value.ok_or_else(absent)?, position)?;
        self.answer(position, &body)
    }
}

impl<Q: Parameters> FromRequest for Read<Q> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let app = state(&request)?;
            let caller = Caller::identify(&app, &request).await?;
            let asked = query::parse::<Q>(request.query_string())?;
            exists(&app, &caller).await?;
            let own = caller.tenant.partition(app.partitions);
            if asked.after.is_some_and(|after| after.partition != own) {
                return Err(foreign_position());
            }
            wait(&app, &asked).await?;
            let if_none_match = if_none_match(&request);
            Ok(Self { query: asked.query, view: View { app, caller, if_none_match } })
        })
    }
}

/// Refuses an operator's token for a tenant that there is not: to answer that it has nothing would look like a loss. Whoever is
/// a member of a tenant, or has a key of it, has been found in it.
async fn exists(app: &App, caller: &Caller) -> Result<(), Problem> {
    if matches!(caller.actor, Actor::Operator { .. }) && !app.tenants.has(caller.tenant, &app.reader).await? {
        return Err(Problem::new(code::TENANT_NOT_FOUND, "the tenant of the token does not exist"));
    }
    Ok(())
}

/// A question across tenants. The table of routes gives it to operators of the platform alone.
pub struct Platform<Q> {
    /// The query string.
    pub query: Q,
    app: Data<App>,
    request: HttpRequest,
}

impl<Q> Platform<Q> {
    /// Questions across tenants.
    pub fn directory(&self) -> PlatformReader<'_> {
        self.app.reader.platform()
    }

    /// Opens what is personal.
    pub fn people(&self) -> &Arc<People> {
        &self.app.people
    }

    /// Answers with `body`.
    pub fn answer<T: Serialize>(&self, position: Option<Position>, body: &T) -> Answer {
        answer::found(if_none_match(&self.request).as_deref(), position, body)
    }

    /// Has it written down in these tenants that the answer tells of them.
    pub fn concerns(&self, tenants: impl Iterator<Item = TenantId>) {
        self.request.extensions_mut().insert(Concerned(tenants.collect()));
    }
}

impl<Q: Parameters> FromRequest for Platform<Q> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let app = state(&request)?;
            Caller::identify(&app, &request).await?;
            let asked = query::parse::<Q>(request.query_string())?;
            known(&app, &asked)?;
            wait(&app, &asked).await?;
            Ok(Self { query: asked.query, request, app })
        })
    }
}

/// What the program gave to every request.
pub fn state(request: &HttpRequest) -> Result<Data<App>, Problem> {
    request.app_data::<Data<App>>().cloned().ok_or_else(|| Problem::internal("the application has no state"))
}

pub(super) fn if_none_match(request: &HttpRequest) -> Option<String> {
    Some(request.headers().get(header::IF_NONE_MATCH)?.to_str().ok()?.to_owned())
}

/// Checks that the position that a question about no tenant names is one of some partition.
pub(super) fn known<Q>(app: &App, asked: &Asked<Q>) -> Result<(), Problem> {
    let known = Partition(0)..app.partitions;
    match asked.after {
        Some(after) if !known.contains(&after.partition) => Err(foreign_position()),
        _ => Ok(()),
    }
}

fn foreign_position() -> Problem {
    Problem::new(code::INVALID_POSITION, "the position is of another partition").at("after")
}

/// Waits for what a question names.
pub(super) async fn wait<Q>(app: &App, asked: &Asked<Q>) -> Result<(), Problem> {
    let Some(after) = asked.after else { return Ok(()) };
    let most = app.limits.read_wait;
    let limit = asked.wait_ms.map_or(most, |wanted| Duration::from_millis(wanted).min(most));
    app.reader.wait(after, limit).await.map_err(|lagging| {
        Problem::new(code::READ_MODEL_LAGGING, format!("the read model {lagging}")).retry(1)
    })
}
