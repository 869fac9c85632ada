//! What a command is given: the way to the pipeline, in the caller's name.

use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use chrono::{DateTime, Utc};
use commands::{Command, Context, Failure, IdempotencyKey, Outcome, Request};
use domain::{Role, TenantId, UserId};
use projections::TenantReader;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::body::{self, Document};
use super::{headers, query, read};
use crate::access::Access;
use crate::app::App;
use crate::auth::Caller;
use crate::people::People;
use crate::problem::{Problem, code};

/// A command with its body.
pub struct Write<T> {
    /// The body.
    pub body: T,
    /// Who sends it on.
    pub writer: Writer,
}

/// Sends commands to the pipeline in the caller's name.
pub struct Writer {
    pub(super) app: Data<App>,
    pub(super) caller: Caller,
    pub(super) request: HttpRequest,
    pub(super) key: Option<IdempotencyKey>,
    context: Context,
    /// Held until there is an answer.
    _admitted: OwnedSemaphorePermit,
}

impl Writer {
    /// Has `command` decided and recorded in the caller's ledger.
    pub async fn submit(&self, command: Command) -> Result<Outcome, Problem> {
        self.submit_to(self.caller.tenant, command, self.key.clone()).await
    }

    /// Has a tenant created, with its first owner; the only command that is not the caller's own tenant's.
    ///
    /// The caller's key is told apart there from those of others and from those that the tenant uses itself, or anybody
    /// could ask which of them it has used.
    pub async fn create_tenant(
        &self,
        slug: domain::Slug,
        name: domain::TenantName,
        owner: Option<UserId>,
    ) -> Result<Outcome, Problem> {
        let key = self.key.as_ref().map(|IdempotencyKey { key, fingerprint }| IdempotencyKey {
            key: format!("found {} {key}", self.founder()),
            fingerprint: fingerprint.clone(),
        });
        self.submit_to(TenantId::of(&slug), Command::CreateTenant { slug, name, owner }, key).await
    }

    /// Who founds a tenant. The name of an operator may be long and hold anything, and a key is short.
    fn founder(&self) -> Uuid {
        let operator = || Uuid::new_v5(&TenantId::PLATFORM.0, self.context.actor.as_bytes());
        self.user().map_or_else(operator, |user| user.0)
    }

    async fn submit_to(
        &self,
        tenant: TenantId,
        command: Command,
        key: Option<IdempotencyKey>,
    ) -> Result<Outcome, Problem> {
        let request = Request { tenant, command, context: self.context.clone(), key };
        Ok(self.app.pipeline.submit(request).await?)
    }

    /// Has `commands` decided one by one, in order. The first has the caller's key, so that the key is known elsewhere
    /// too; the others have it with their place behind it.
    pub async fn submit_each(&self, commands: Vec<Command>) -> Vec<Result<Outcome, Failure>> {
        let requests = commands.into_iter().enumerate().map(|(index, command)| Request {
            tenant: self.caller.tenant,
            command,
            context: self.context.clone(),
            key: self.key.as_ref().map(|IdempotencyKey { key, fingerprint }| IdempotencyKey {
                key: if index == 0 { key.clone() } else { format!("{key}/{index}") },
                fingerprint: fingerprint.clone(),
            }),
        });
        self.app.pipeline.submit_all(requests.collect()).await
    }

    /// By whom and from where it is asked.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The caller's tenant.
    pub fn tenant(&self) -> TenantId {
        self.caller.tenant
    }

    /// Who asks, where it is somebody who has signed in.
    pub fn user(&self) -> Option<UserId> {
        self.caller.user().map(|(user, _)| user)
    }

    /// The role in which is asked; programs have none.
    pub fn role(&self) -> Result<Role, Problem> {
        let none = || Problem::new(code::FORBIDDEN, "a key has no say over people");
        self.caller.access.role().ok_or_else(none)
    }

    /// Refuses what the route allows and this part of it does not.
    pub fn demand(&self, access: Access) -> Result<(), Problem> {
        if access.allows(&self.caller.access) {
            return Ok(());
        }
        let detail = format!("{} does not allow this", self.caller.access.as_str());
        Err(Problem::new(code::FORBIDDEN, detail))
    }

    /// The moment.
    pub fn now(&self) -> DateTime<Utc> {
        self.app.clock.now()
    }

    /// The id of something new. Where the request has a key it follows from that, so that a repetition names the same.
    pub fn new_id(&self, kind: &str) -> Uuid {
        match &self.key {
            Some(given) => Uuid::new_v5(&self.caller.tenant.0, format!("{kind} {}", given.key).as_bytes()),
            None => self.app.ids.next(),
        }
    }

    /// What is personal.
    pub fn people(&self) -> &Arc<People> {
        &self.app.people
    }

    /// Waits a moment until the next request would find what was made, and forgets what was known of the caller before.
    pub async fn settle(&self, outcome: &Outcome) {
        self.app.people.settle(outcome.position).await;
        if let Some((_, session)) = self.caller.user() {
            self.app.directory.forget(session);
        }
    }

    /// What the caller's ledger says at present, for commands that have to look something up.
    pub fn ledger(&self) -> TenantReader<'_> {
        self.app.reader.tenant(self.caller.tenant)
    }
}

/// A command takes no query parameters.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParameters {}

impl query::Parameters for NoParameters {
    const WAITS: bool = false;
}

/// Refuses what could not be taken on anyway, before any of it is read.
pub(super) fn admit(
    app: &App,
    tenant: TenantId,
    request: &HttpRequest,
    limit: usize,
) -> Result<OwnedSemaphorePermit, Problem> {
    if !app.pipeline.has_room(tenant) {
        return Err(Failure::Overloaded.into());
    }
    room(app, request, limit)
}

/// Room for the body of a request.
pub(super) fn room(app: &App, request: &HttpRequest, limit: usize) -> Result<OwnedSemaphorePermit, Problem> {
    // More than the limit is refused by whoever reads it.
    let bytes = body::announced(request).unwrap_or(limit).min(limit);
    app.admission.admit(bytes).ok_or_else(|| Failure::Overloaded.into())
}

impl<T: Document> FromRequest for Write<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let app = read::state(&request)?;
            let caller = Caller::identify(&app, &request).await?;
            query::parse::<NoParameters>(request.query_string())?;
            let key = headers::idempotency_key(request.headers())?;
            let limit = T::limit(&app.limits);
            let admitted = admit(&app, caller.tenant, &request, limit)?;
            let bytes = body::read(&request, payload, limit, app.limits.body_wait).await?;
            if !bytes.is_empty() {
                body::check_media_type(&request)?;
            }
            let body = body::parse(&bytes)?;
            let key = match key {
                Some(key) => {
                    let mut fingerprint =
                        body::fingerprint(request.method().as_str(), request.path(), &bytes)?;
                    if T::PERSONAL {
                        fingerprint = app.people.blinded(&fingerprint).await?;
                    }
                    Some(IdempotencyKey { key, fingerprint })
                }
                None => None,
            };
            let context = context(&app, &caller, &request);
            Ok(Self { body, writer: Writer { app, caller, request, context, key, _admitted: admitted } })
        })
    }
}

/// Who asks, from where.
pub(super) fn context(app: &App, caller: &Caller, request: &HttpRequest) -> Context {
    Context {
        actor: caller.actor.name(),
        role: caller.access.as_str().to_owned(),
        source: source(app, caller, request),
        request_id: headers::request_id(request),
        traceparent: headers::traceparent(request.headers()),
    }
}

/// The address that a command comes from. That of a person is personal: it is not written where it can never be erased.
fn source(app: &App, caller: &Caller, request: &HttpRequest) -> Option<String> {
    caller.user().is_none().then(|| app.walls.client_address(request).to_string())
}
