//! Reading a body: bounded, in time, JSON, and nothing but what is known.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::http::header;
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::app::Limits;
use crate::field::Object;
use crate::problem::{Problem, code};

/// What can be the body of a request.
pub trait Document: DeserializeOwned + 'static {
    /// How many bytes it may have.
    fn limit(limits: &Limits) -> usize {
        limits.body_bytes
    }

    /// Whether it says something personal, so that not even a digest of it may be kept that others could make.
    const PERSONAL: bool = false;
}

/// A body without fields: empty, or `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

impl Document for Nothing {}

/// How many bytes the body has, where the request says so. Without a length it has none, or comes in chunks.
pub fn announced(request: &HttpRequest) -> Option<usize> {
    let Some(length) = request.headers().get(header::CONTENT_LENGTH) else {
        return (!request.headers().contains_key(header::TRANSFER_ENCODING)).then_some(0);
    };
    let length = length.to_str().ok()?.parse::<u64>().ok()?;
    Some(usize::try_from(length).unwrap_or(usize::MAX))
}

/// Reads at most `limit` bytes. A body that announces more is refused before any of it is read.
pub async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    limit: usize,
    patience: Duration,
) -> Result<Vec<u8>, Problem> {
    let too_large = || Problem::new(code::BODY_TOO_LARGE, format!("a body has at most {limit} bytes here"));
    if announced(request).is_some_and(|bytes| bytes > limit) {
        return Err(too_large());
    }
    let whole = async {
        let mut bytes = Vec::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| {
                Problem::new(code::MALFORMED_REQUEST, format!("the body could not be read: {error}"))
            })?;
            if bytes.len() + chunk.len() > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    let late = || Problem::new(code::REQUEST_TIMEOUT, "the body did not arrive in time");
    tokio::time::timeout(patience, whole).await.map_err(|_| late())?
}

/// Checks that a body that is not empty says it is JSON, as it is.
pub fn check_media_type(request: &HttpRequest) -> Result<(), Problem> {
    let refused = |detail: &str| Problem::new(code::UNSUPPORTED_MEDIA_TYPE, detail).at("Content-Type");
    let text = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = text.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        return Err(refused("the content type must be application/json"));
    }
    match request.headers().get(header::CONTENT_ENCODING) {
        Some(coding) if !coding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(refused("the body must not be compressed").at("Content-Encoding"))
        }
        _ => Ok(()),
    }
}

/// Reads the document that `bytes` hold; no bytes are an object without fields.
pub fn parse<T: Document>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = if bytes.is_empty() { b"{}".as_slice() } else { bytes };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let document: Object<T> =
        serde_path_to_error::deserialize(&mut json).map_err(|error| Problem::from_json(&error))?;
    json.end().map_err(|error| Problem::new(code::MALFORMED_JSON, error.to_string()))?;
    Ok(document.0)
}

/// A digest of what is asked: the same for bodies that differ in spaces and in the order of fields alone.
pub fn fingerprint(method: &str, path: &str, bytes: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut body: Value = if bytes.is_empty() {
        Value::Object(serde_json::Map::new())
    } else {
        serde_json::from_slice(bytes)
            .map_err(|error| Problem::new(code::MALFORMED_JSON, error.to_string()))?
    };
    body.sort_all_objects();
    let mut digest = Sha256::new();
    for part in [method.as_bytes(), path.as_bytes()] {
        digest.update(part);
        digest.update([0]);
    }
    digest.update(body.to_string());
    Ok(digest.finalize().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        #[serde(rename = "a")]
        _a: u8,
    }
    impl Document for Pair {}

    fn code_of(text: &str) -> &'static str {
        parse::<Pair>(text.as_bytes()).unwrap_err().code.name
    }

    #[test]
    fn what_is_wrong_with_a_body_has_a_code() {
        assert_eq!(code_of("{"), "malformed_json");
        assert_eq!(code_of("{\"a\":1} x"), "malformed_json");
        assert_eq!(code_of("\u{feff}{}"), "malformed_json");
        assert_eq!(code_of(""), "missing_field");
        assert_eq!(code_of("{}"), "missing_field");
        assert_eq!(code_of("{\"a\":1,\"b\":2}"), "unknown_field");
        assert_eq!(code_of("{\"a\":\"x\"}"), "invalid_body");
        assert_eq!(code_of("[]"), "invalid_body");
        assert_eq!(parse::<Pair>(b"{\"a\":\"x\"}").unwrap_err().field.as_deref(), Some("a"));
        assert_eq!(code_of("[1]"), "invalid_body");
    }

    #[test]
    fn the_fingerprint_sees_the_content_and_not_the_spelling() {
        let one = fingerprint("POST", "/v1/x", br#"{"a":"1.0","b":{"c":1,"d":2}}"#).unwrap();
        let same = fingerprint("POST", "/v1/x", br#" {"b":{"d":2,"c":1}, "a":"1.0"}"#).unwrap();
        assert_eq!(one, same);
        assert_ne!(one, fingerprint("POST", "/v1/x", br#"{"a":"1.1","b":{"c":1,"d":2}}"#).unwrap());
        assert_ne!(one, fingerprint("POST", "/v1/y", br#"{"a":"1.0","b":{"c":1,"d":2}}"#).unwrap());
        assert_eq!(fingerprint("POST", "/", b"").unwrap(), fingerprint("POST", "/", b"{}").unwrap());
    }
}
