//! The end of a session.

use crate::answer::Answer;
use crate::extract::{Nothing, Person};
use crate::problem::ProblemBody;
use crate::session;

/// Ends the session that asks. Its tokens are refused within a second, everywhere.
#[utoipa::path(post, path = "/v1/auth/sign-out", tag = "Sign-in", responses(
    (status = 204, description = "The session is over"),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn sign_out(Person { visitor, user, session, .. }: Person<Nothing>) -> Answer {
    visitor.people().end_session(user, session, visitor.origin()).await?;
    visitor.forget(session);
    Ok(session::ended())
}
