//! The headers of our own, and those of others that we honour.

use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::{HttpMessage, HttpRequest};
use utoipa::IntoParams;

use crate::problem::{Problem, code};

/// Which position an answer reflects.
pub const POSITION: HeaderName = HeaderName::from_static("counterfoil-position");
/// Whether an answer is that of an earlier request with the same key.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The id of a request, the caller's or ours.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What every write takes.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only the documentation reads it")]
pub struct Repeatable {
    /// Makes a repetition harmless
    #[param(rename = "Idempotency-Key")]
    key: Option<String>,
}

/// The id of a request, once it has one.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// The id that [`crate::observe`] gave to the request.
pub fn request_id(request: &HttpRequest) -> String {
    request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default()
}

/// The caller's id for the request, where it is one that can be logged: 1 to 128 letters, digits and `-_.:/`.
pub fn sane_request_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(&REQUEST_ID)?.to_str().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b);
    ((1..=128).contains(&text.len()) && text.bytes().all(plain)).then(|| text.to_owned())
}

/// The W3C trace context, where it has its form: `00-<32 hex>-<16 hex>-<2 hex>`, neither id all zeros.
pub fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(&TRACEPARENT)?.to_str().ok()?;
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let [version, trace, span, flags] = parts.as_slice() else { return None };
    let formed = hex(version, 2) && *version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    let zeros = |part: &str| part.bytes().all(|b| b == b'0');
    (formed && !zeros(trace) && !zeros(span)).then(|| text.to_owned())
}

/// The idempotency key, if one was given: 1 to 255 visible ASCII characters, given once.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let refused = || {
        let detail = "an idempotency key is 1 to 255 visible ASCII characters, given once";
        Problem::new(code::INVALID_IDEMPOTENCY_KEY, detail).at("Idempotency-Key")
    };
    let mut given = headers.get_all(&KEY);
    let Some(value) = given.next() else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| refused())?;
    let visible = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if visible && given.next().is_none() { Ok(Some(text.to_owned())) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        headers
    }

    #[test]
    fn keys_are_visible_ascii() {
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
        assert_eq!(idempotency_key(&with(KEY, "a/b:1")).unwrap().as_deref(), Some("a/b:1"));
        let long = "a".repeat(256);
        for bad in ["", "a b", "ü", &long] {
            let problem = idempotency_key(&with(KEY, bad)).unwrap_err();
            assert_eq!(problem.code, code::INVALID_IDEMPOTENCY_KEY, "{bad}");
        }
    }

    #[test]
    fn a_trace_context_without_its_form_is_ignored() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(traceparent(&with(TRACEPARENT, good)).as_deref(), Some(good));
        let zeros = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        for bad in ["", "00-1-2-3", &good.to_uppercase(), &good.replace("00-", "ff-"), &zeros] {
            assert_eq!(traceparent(&with(TRACEPARENT, bad)), None, "{bad}");
        }
    }

    #[test]
    fn a_request_id_that_could_forge_a_log_line_is_ignored() {
        assert!(sane_request_id(&with(REQUEST_ID, "run-7/a.b:c")).is_some());
        for bad in ["", "a b", "a\"b", "{}", &"a".repeat(129)] {
            assert_eq!(sane_request_id(&with(REQUEST_ID, bad)), None, "{bad}");
        }
    }
}
