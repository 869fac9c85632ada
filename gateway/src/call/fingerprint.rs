//! What tells requests apart that come with the same key.

use domain::Digest;
use sha2::{Digest as _, Sha256};

use crate::gateway::Call;
use crate::refusal::Refusal;
use crate::upstream;

/// What tells one request from another: all that decides what is called and who pays.
pub(super) fn fingerprint(call: &Call) -> [u8; 32] {
    let mut digest = Sha256::new();
    let application = call.application.map(|application| application.to_string()).unwrap_or_default();
    let user = call.user.as_ref().map_or("", |user| user.as_str());
    let stream = if call.stream { "stream" } else { "" };
    let names = [
        call.operation.as_str(),
        call.wallet.as_str(),
        application.as_str(),
        user,
        call.model.as_str(),
        stream,
    ];
    let mut add = |part: &[u8]| {
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part);
    };
    names.map(str::as_bytes).into_iter().chain([call.body.as_ref()]).for_each(&mut add);
    // Behind the body, and nothing where there is neither: keys of earlier versions belong to the same requests.
    let (query, headers) = (call.query.passing(call.operation), upstream::choosing(&call.headers));
    if !query.is_empty() || !headers.is_empty() {
        add(query.as_bytes());
        for (name, value) in &headers {
            add(name.as_bytes());
            add(value.as_bytes());
        }
    }
    digest.finalize().into()
}

/// The same as a text.
pub(super) fn hex(digest: [u8; 32]) -> Result<Digest, Refusal> {
    let text: String = digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|nibble| char::from_digit(nibble.into(), 16))
        .collect();
    Digest::new(&text).map_err(|error| Refusal::new(500, "internal", error.to_string()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use commands::Context;
    use domain::execution::Operation;
    use domain::{TenantId, WalletPath};

    use super::*;
    use crate::query::Query;

    fn call(query: &str, headers: &[(&str, &str)]) -> Call {
        Call {
            tenant: TenantId::PLATFORM,
            context: Context::default(),
            wallet: WalletPath::new("w").unwrap(),
            application: None,
            user: None,
            operation: Operation::AnthropicMessages,
            model: "m".to_owned(),
            stream: false,
            body: Bytes::from_static(b"{}"),
            query: Query::of(query),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            key: Some("k".to_owned()),
        }
    }

    fn of(query: &str, headers: &[(&str, &str)]) -> [u8; 32] {
        fingerprint(&call(query, headers))
    }

    #[test]
    fn a_call_without_a_query_and_headers_has_the_fingerprint_that_it_always_had() {
        let known = "3d80ba374f1021393e3297f7e03dc66d110f7931b23c806b33e2a3601b277ad4";
        assert_eq!(hex(of("", &[])).unwrap().as_str(), known);
        let same: [(&str, &[(&str, &str)]); 4] = [
            ("key=cf_1", &[]),
            ("", &[("authorization", "Bearer cf_1"), ("x-api-key", "cf_1"), ("cookie", "a=b")]),
            ("", &[("Anthropic-Version", "2023-06-01")]),
            ("", &[("accept-language", "*")]),
        ];
        for (query, headers) in same {
            assert_eq!(of(query, headers), of("", &[]), "{query} {headers:?}");
        }
        let gemini = |query| fingerprint(&Call { operation: Operation::GeminiGenerate, ..call(query, &[]) });
        assert_eq!(gemini("alt=sse"), gemini(""), "that one does not pass");
    }

    #[test]
    fn what_passes_to_providers_tells_calls_apart() {
        let calls = [
            of("", &[]),
            of("beta=true", &[]),
            of("beta=false", &[]),
            of("", &[("anthropic-beta", "a")]),
            of("", &[("anthropic-beta", "b")]),
            of("", &[("openai-beta", "a")]),
            of("", &[("anthropic-version", "2025-01-01")]),
            of("", &[("accept-language", "de")]),
            of("beta=true", &[("anthropic-beta", "a")]),
            of("", &[("anthropic-beta", "a"), ("openai-beta", "b")]),
            of("", &[("anthropic-beta", "aopenai-betab")]),
        ];
        for (index, one) in calls.iter().enumerate() {
            assert_eq!(calls.iter().position(|other| other == one), Some(index));
        }
        assert_eq!(
            of("", &[("Anthropic-Beta", "a"), ("openai-beta", "b")]),
            of("", &[("OpenAI-Beta", "b"), ("cookie", "c"), ("anthropic-beta", "a")]),
            "neither the order of the headers nor how they are written"
        );
    }
}
