//! What the addresses that SDKs call have in common, for the description of the API.

use std::collections::BTreeMap;

use utoipa::openapi::{RefOr, Response, ResponseBuilder};
use utoipa::{IntoParams, IntoResponses};

/// What a call may say in headers.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only the documentation reads it")]
pub struct CallHeaders {
    /// Which wallet pays
    #[param(rename = "Counterfoil-Wallet")]
    wallet: Option<String>,
    /// For whom the program calls
    #[param(rename = "Counterfoil-User")]
    user: Option<String>,
    /// Makes a repetition harmless
    #[param(rename = "Idempotency-Key")]
    key: Option<String>,
}

/// The answer of a provider, whole or as a stream.
pub struct Relayed;

impl IntoResponses for Relayed {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        BTreeMap::from([described("200", "The provider's answer, whole or as server-sent events")])
    }
}

macro_rules! errors {
    ($($(#[$meta:meta])* $name:ident $client:literal)*) => {
        $($(#[$meta])*
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                let server = "The same, where the provider or the server fails";
                BTreeMap::from([described("4XX", $client), described("5XX", server)])
            }
        })*
    };
}

errors! {
    /// Errors as OpenAI tells them.
    OpenAiErrors "An error in OpenAI's shape, `error.code` being a stable code"
    /// Errors as Anthropic tells them.
    AnthropicErrors "An error in Anthropic's shape, `error.code` being a stable code"
    /// Errors as Gemini tells them.
    GeminiErrors "An error in Gemini's shape, with a stable code among its details"
}

fn described(status: &str, text: &str) -> (String, RefOr<Response>) {
    (status.to_owned(), RefOr::T(ResponseBuilder::new().description(text).build()))
}
