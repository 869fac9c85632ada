//! Requests that are about a person and not about a tenant: from somebody without a credential, and from somebody who is
//! signed in.

mod counted;

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use domain::{SessionId, UserId};
use journal::Position;
use serde::Serialize;
use subtle::ConstantTimeEq as _;

use super::body::{self, Document};
use super::query::{self, Parameters};
use super::{headers, read, write};
use crate::answer::{self, Answer};
use crate::app::App;
use crate::auth::{Actor, Caller};
use crate::people::{Origin, People};
use crate::person::Secret;
use crate::problem::{Problem, code};
use crate::session;

/// The most bytes of a user agent that are kept.
const LONGEST_AGENT: usize = 256;

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

/// Whoever sends a request, known or not.
pub struct Visitor {
    app: Data<App>,
    origin: Origin,
    request: HttpRequest,
}

impl Visitor {
    fn new(app: Data<App>, request: HttpRequest) -> Self {
        let agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let origin = Origin {
            address: Some(app.walls.client_address(&request).to_string()),
            user_agent: agent.map(|text| text.chars().take(LONGEST_AGENT).collect()),
            request_id: headers::request_id(&request),
            traceparent: headers::traceparent(request.headers()),
        };
        Self { app, origin, request }
    }

    /// What people can ask for.
    pub fn people(&self) -> &Arc<People> {
        &self.app.people
    }

    /// Where the request comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Has what is known of this session looked up anew.
    pub fn forget(&self, session: SessionId) {
        self.app.directory.forget(session);
    }

    /// The refresh token among the cookies, where there is one and the request proves that a page of our own sent it.
    pub fn refresh_cookie(&self) -> Result<Option<Secret>, Problem> {
        let Some(token) = self.cookie(session::REFRESH) else { return Ok(None) };
        let said = self.request.headers().get("X-CSRF-Token").map(|value| value.as_bytes().to_vec());
        let known = self.cookie(session::CSRF);
        let proven = known.zip(said).is_some_and(|(known, said)| {
            !said.is_empty() && bool::from(known.as_str().as_bytes().ct_eq(&said))
        });
        let refused =
            || Problem::new(code::CSRF_TOKEN_WRONG, "send what the CSRF cookie says as X-CSRF-Token");
        if proven { Ok(Some(token)) } else { Err(refused()) }
    }

    /// What marks the browser that set out to a provider.
    pub fn journey_cookie(&self) -> Option<Secret> {
        self.cookie(session::JOURNEY)
    }

    fn cookie(&self, name: &str) -> Option<Secret> {
        let cookie = self.request.cookie(name)?;
        (!cookie.value().is_empty()).then(|| Secret::new(cookie.value().to_owned()))
    }
}

/// A body from somebody who needs no credential.
pub struct Anonymous<T> {
    /// The body.
    pub body: T,
    /// Who sends it.
    pub visitor: Visitor,
}

/// A body with a query string from somebody who needs no credential.
pub struct AnonymousAsking<Q, T> {
    /// The query string.
    pub query: Q,
    /// The body.
    pub body: T,
    /// Who sends it.
    pub visitor: Visitor,
}

/// A question of somebody who needs no credential.
pub struct Asks<Q> {
    /// The query string.
    pub query: Q,
    /// Who asks.
    pub visitor: Visitor,
}

/// A body from somebody who is signed in.
pub struct Person<T> {
    /// The body.
    pub body: T,
    /// Who.
    pub user: UserId,
    /// In which session.
    pub session: SessionId,
    /// From where.
    pub visitor: Visitor,
}

/// A question of somebody who is signed in.
pub struct PersonAsks<Q> {
    /// Who.
    pub user: UserId,
    /// In which session.
    pub session: SessionId,
    /// From where.
    pub visitor: Visitor,
    if_none_match: Option<String>,
    asked: PhantomData<Q>,
}

impl<Q> PersonAsks<Q> {
    /// Answers with `body`, which reflects `position`.
    pub fn answer<T: Serialize>(&self, position: Option<Position>, body: &T) -> Answer {
        answer::found(self.if_none_match.as_deref(), position, body)
    }
}

/// A body from an operator of the platform, about no tenant in particular.
pub struct Operate<T> {
    /// The body.
    pub body: T,
    /// Who, as the audit log names them.
    pub by: String,
    /// From where.
    pub visitor: Visitor,
}

/// Reads a body that may have a query string of type `Q` beside it.
async fn asked<Q: Parameters, T: Document>(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
) -> Result<(Q, T), Problem> {
    let query = query::parse::<Q>(request.query_string())?.query;
    let limit = T::limit(&app.limits);
    let _admitted = write::room(app, request, limit)?;
    let bytes = body::read(request, payload, limit, app.limits.body_wait).await?;
    if !bytes.is_empty() {
        body::check_media_type(request)?;
    }
    Ok((query, body::parse(&bytes)?))
}

/// The person behind a credential; programs and operators are none.
async fn person(app: &Data<App>, request: &HttpRequest) -> Result<(UserId, SessionId), Problem> {
    match Caller::identify(app, request).await?.actor {
        Actor::User { id, session } => Ok((id, session)),
        Actor::Operator { .. } | Actor::Program { .. } => {
            Err(Problem::new(code::FORBIDDEN, "only somebody who has signed in can ask for this"))
        }
    }
}

impl<T: Document> FromRequest for Anonymous<T> {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let app = read::state(&request)?;
            let (write::NoParameters {}, body) = asked(&app, &request, payload).await?;
            Ok(Self { body, visitor: Visitor::new(app, request) })
        })
    }
}

impl<Q: Parameters, T: Document> FromRequest for AnonymousAsking<Q, T> {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let app = read::state(&request)?;
            let (query, body) = asked(&app, &request, payload).await?;
            Ok(Self { query, body, visitor: Visitor::new(app, request) })
        })
    }
}

impl<Q: Parameters> FromRequest for Asks<Q> {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let app = read::state(&request)?;
            let query = query::parse::<Q>(request.query_string())?.query;
            Ok(Self { query, visitor: Visitor::new(app, request) })
        })
    }
}

impl<T: Document> FromRequest for Person<T> {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let app = read::state(&request)?;
            let (user, session) = person(&app, &request).await?;
            let (write::NoParameters {}, body) = asked(&app, &request, payload).await?;
            Ok(Self { body, user, session, visitor: Visitor::new(app, request) })
        })
    }
}

impl<Q: Parameters> FromRequest for PersonAsks<Q> {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let app = read::state(&request)?;
            let (user, session) = person(&app, &request).await?;
            let asked = query::parse::<Q>(request.query_string())?;
            read::known(&app, &asked)?;
            read::wait(&app, &asked).await?;
            let if_none_match = read::if_none_match(&request);
            let visitor = Visitor::new(app, request);
            Ok(Self { user, session, visitor, if_none_match, asked: PhantomData })
        })
    }
}

impl<T: Document> FromRequest for Operate<T> {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let app = read::state(&request)?;
            let by = Caller::identify(&app, &request).await?.actor.name();
            let (write::NoParameters {}, body) = asked(&app, &request, payload).await?;
            Ok(Self { body, by, visitor: Visitor::new(app, request) })
        })
    }
}
