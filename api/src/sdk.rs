//! The addresses that the SDKs of providers call: their shapes, their errors, their ways to present a key.
//!
//! What is asked is not understood here: the gateway reads it, and answers it in the shape in which it was asked. What
//! is refused before the gateway sees it is refused in that shape too.

mod answer;
mod asked;
mod description;
mod routes;

use actix_web::HttpRequest;
use actix_web::http::header;
use domain::execution::Operation;

pub use answer::refused;
pub use asked::{application, wallet_and_user};
pub use routes::*;

/// Where the addresses begin, and in which shape errors are told there. An SDK is given one of them as its base address.
const BASES: [(&str, Operation); 3] = [
    ("/openai/", Operation::OpenAiChat),
    ("/anthropic/", Operation::AnthropicMessages),
    ("/gemini/", Operation::GeminiGenerate),
];

/// Whether SDKs call the address.
pub fn is_address(path: &str) -> bool {
    shape(path).is_some()
}

/// The shape in which errors are told at an address, whether something is there or not; `None` where no SDK calls it.
pub fn shape(path: &str) -> Option<Operation> {
    BASES.iter().find(|(base, _)| path.starts_with(base)).map(|(_, operation)| *operation)
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
        let both =
            TestRequest::get().append_header(("x-api-key", "a")).append_header(("Authorization", "Bearer b"));
        assert_eq!(of(both), ["b", "a"]);
    }

    #[test]
    fn only_the_addresses_of_sdks_take_keys_that_are_no_bearer_tokens() {
        assert!(is_address("/openai/v1/models") && is_address("/gemini/v1beta/models/m:generateContent"));
        assert!(!is_address("/v1/executions") && !is_address("/openai"));
    }
}
