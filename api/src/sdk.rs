//! The addresses that the SDKs of providers call: their shapes, their errors, their ways to present a key.
//!
//! What is asked is not understood here: the gateway reads it, and answers it in the shape in which it was asked. What
//! is refused before the gateway sees it is refused in that shape too.

mod answer;
mod asked;
mod routes;

use actix_web::HttpRequest;
use actix_web::http::header;

pub use asked::{application, wallet_and_user};
pub use routes::*;

/// Where the addresses begin. An SDK is given one of them as its base address.
const BASES: [&str; 3] = ["/openai/", "/anthropic/", "/gemini/"];

/// Whether SDKs call the address.
pub fn is_address(path: &str) -> bool {
    BASES.iter().any(|base| path.starts_with(base))
}

/// Every credential that a request brings: as a bearer token, or as the providers want theirs.
pub fn credentials(request: &HttpRequest) -> impl Iterator<Item = &str> {
    let headers = request.headers();
    let bearer = headers.get_all(header::AUTHORIZATION).filter_map(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let named = ["x-api-key", "x-goog-api-key"].into_iter().flat_map(|name| headers.get_all(name));
    let named = named.filter_map(|value| value.to_str().ok());
    // Keys have no character that would be written otherwise in an address.
    let in_query = request.query_string().split('&').filter_map(|pair| pair.strip_prefix("key="));
    bearer.chain(named).chain(in_query).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_key_is_found_wherever_an_sdk_puts_it() {
        let of = |request: TestRequest| -> Vec<String> {
            credentials(&request.to_http_request()).map(str::to_owned).collect()
        };
        assert_eq!(of(TestRequest::get().append_header(("Authorization", "Bearer a"))), ["a"]);
        assert_eq!(of(TestRequest::get().append_header(("X-Api-Key", "a"))), ["a"]);
        assert_eq!(of(TestRequest::get().append_header(("x-goog-api-key", "a"))), ["a"]);
        assert_eq!(of(TestRequest::with_uri("/gemini/v1/models/m:x?alt=sse&key=a")), ["a"]);
        assert_eq!(of(TestRequest::get().append_header(("Authorization", "Basic a"))), Vec::<String>::new());
        let both = TestRequest::get().append_header(("x-api-key", "a")).append_header(("Authorization", "Bearer b"));
        assert_eq!(of(both), ["b", "a"]);
    }

    #[test]
    fn only_the_addresses_of_sdks_take_keys_that_are_no_bearer_tokens() {
        assert!(is_address("/openai/v1/models") && is_address("/gemini/v1beta/models/m:generateContent"));
        assert!(!is_address("/v1/executions") && !is_address("/openai"));
    }
}
