//! The public keys that our tokens are signed with.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::app::App;
use crate::credential::PublicKey;
use crate::problem::{Problem, ProblemBody};

/// A set of public keys (RFC 7517).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeySet {
    /// The keys: those that sign at present, those that will, and those that did until the last token is over.
    pub keys: Vec<PublicKey>,
}

/// Publishes the keys that session tokens are signed with.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "Sign-in", security(()), responses(
    (status = 200, description = "The keys", body = KeySet),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn jwks(app: Data<App>) -> Answer {
    let keys = app.people.published_keys();
    let text = serde_json::to_string(&KeySet { keys }).map_err(Problem::internal)?;
    Ok(HttpResponse::Ok()
        .insert_header(ContentType::json())
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .body(text))
}
