//! One's own sessions.

use crate::answer::Answer;
use crate::extract::{NoQuery, Nothing, Person, PersonAsks, SessionAt};
use crate::problem::ProblemBody;
use crate::resource::{List, SessionBody};
use crate::session;

/// Lists one's own sessions, newest first: where one is signed in.
#[utoipa::path(get, path = "/v1/me/sessions", tag = "Me", responses(
    (status = 200, description = "Sessions", body = List<SessionBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(asks: PersonAsks<NoQuery>) -> Answer {
    let found = asks.visitor.people().sessions_of(asks.user).await?;
    let items = found.into_iter().map(|one| SessionBody::new(one, asks.session)).collect();
    asks.answer(None, &List { items, next: None })
}

/// Ends one of one's own sessions. Its tokens are refused within a second, everywhere.
#[utoipa::path(delete, path = "/v1/me/sessions/{id}", tag = "Me",
    params(("id" = uuid::Uuid, Path, description = "The session's id")), responses(
    (status = 204, description = "The session is over"),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn end(Person { user, visitor, .. }: Person<Nothing>, SessionAt(session): SessionAt) -> Answer {
    visitor.people().end_session(user, session, visitor.origin()).await?;
    visitor.forget(session);
    Ok(session::ended_elsewhere())
}
