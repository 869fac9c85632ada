//! Answers: what was found, with its tag; what was done, with its position.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use commands::{Outcome, Resource};
use journal::Position;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::extract::{POSITION, REPLAYED};
use crate::problem::Problem;

/// What a handler returns.
pub type Answer = Result<HttpResponse, Problem>;

const JSON: &str = "application/json";

/// Answers a question with `body`, or with 304 where the caller has it already.
pub fn found<T: Serialize>(if_none_match: Option<&str>, position: Option<Position>, body: &T) -> Answer {
    let text = serde_json::to_string(body).map_err(Problem::internal)?;
    let tag = tag(&text);
    let known = if_none_match.is_some_and(|tags| matches(tags, &tag));
    let mut response = HttpResponse::build(if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    response.insert_header((ETAG, tag)).insert_header((CACHE_CONTROL, "private, no-cache"));
    if let Some(position) = position {
        response.insert_header((POSITION, position.to_string()));
    }
    if known {
        return Ok(response.finish());
    }
    Ok(response.insert_header((CONTENT_TYPE, JSON)).body(text))
}

/// Answers a command with what `render` makes of its resource.
pub fn done<T: Serialize>(
    outcome: Outcome,
    status: StatusCode,
    render: impl FnOnce(Resource) -> Result<T, Problem>,
) -> Answer {
    let Outcome { resource, position, replayed } = outcome;
    written(status, Some(position), replayed, &render(resource)?)
}

/// Answers a command with `body`.
pub fn written<T: Serialize>(
    status: StatusCode,
    position: Option<Position>,
    replayed: bool,
    body: &T,
) -> Answer {
    let text = serde_json::to_string(body).map_err(Problem::internal)?;
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, JSON)).insert_header((CACHE_CONTROL, "no-store"));
    if let Some(position) = position {
        response.insert_header((POSITION, position.to_string()));
    }
    if replayed {
        response.insert_header((REPLAYED, "true"));
    }
    Ok(response.body(text))
}

/// Answers a command after which there is nothing to show.
pub fn gone(outcome: &Outcome) -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    response
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((POSITION, outcome.position.to_string()));
    if outcome.replayed {
        response.insert_header((REPLAYED, "true"));
    }
    response.finish()
}

/// A weak tag: the same content, perhaps compressed in another way.
fn tag(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let half: Vec<u8> = digest.iter().copied().take(16).collect();
    format!("W/\"{}\"", URL_SAFE_NO_PAD.encode(half))
}

fn matches(tags: &str, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    tags.split(',').any(|one| one.trim() == "*" || opaque(one) == opaque(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_caller_has_is_not_sent_again() {
        let first = found(None, None, &"a").unwrap();
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers().get(ETAG).unwrap().to_str().unwrap().to_owned();
        let again = |tags: &str| found(Some(tags), None, &"a").unwrap().status();
        assert_eq!(again(&tag), StatusCode::NOT_MODIFIED);
        assert_eq!(again(&format!("\"x\", {tag}")), StatusCode::NOT_MODIFIED);
        assert_eq!(again(tag.trim_start_matches("W/")), StatusCode::NOT_MODIFIED);
        assert_eq!(again("\"x\""), StatusCode::OK);
        assert_eq!(found(Some(&tag), None, &"b").unwrap().status(), StatusCode::OK);
    }
}
