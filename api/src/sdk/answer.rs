//! What the gateway says, as a response; and problems in the shapes of providers.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_ENCODING, HeaderName, HeaderValue};
use bytes::Bytes;
use domain::execution::Operation;
use futures_util::stream::{self, Stream};
use gateway::{Broken, Chunks, Refusal, Reply, ReplyBody};

use crate::problem::Problem;

/// The response to an SDK.
pub fn response(reply: Reply) -> HttpResponse {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = HttpResponse::build(status);
    response.insert_header((CACHE_CONTROL, "no-store"));
    for (name, value) in &reply.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            response.insert_header((name, value));
        }
    }
    match reply.body {
        ReplyBody::Whole(body) => response.body(body),
        ReplyBody::Pieces(length, parts) => response.body(SizedStream::new(length, read(parts))),
        ReplyBody::Stream(parts) => {
            // Compression would gather what is to go out at once.
            response.insert_header((CONTENT_ENCODING, "identity"));
            response.streaming(read(parts))
        }
    }
}

/// What breaks off breaks the connection: an end of the body would look like the end of the answer.
fn read(parts: Chunks) -> impl Stream<Item = Result<Bytes, Broken>> {
    stream::unfold(parts, |mut parts| async move { parts.recv().await.map(|part| (part, parts)) })
}

/// A problem in the shape of whoever asks.
pub fn refused(problem: &Problem, operation: Operation) -> HttpResponse {
    let status = problem.code.status.as_u16();
    // Providers know fewer kinds: what is wrong with a request is a bad request.
    let status = if status == 422 { 400 } else { status };
    let refusal = Refusal::new(status, problem.code.name, problem.detail.clone());
    let refusal = match problem.retry_after {
        Some(seconds) => refusal.after(Duration::from_secs(seconds.into())),
        None => refusal,
    };
    let mut refused = response(refusal.reply(operation));
    if let Some(allow) = problem.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
        refused.headers_mut().insert(ALLOW, allow);
    }
    refused
}

#[cfg(test)]
mod tests {
    use actix_web::body;
    use serde_json::Value;

    use super::*;
    use crate::problem::code;

    async fn body_of(problem: &Problem, operation: Operation) -> (StatusCode, Value) {
        let response = refused(problem, operation);
        let status = response.status();
        let bytes = body::to_bytes(response.into_body()).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    #[actix_web::test]
    async fn a_problem_has_the_shape_of_whoever_asks_and_our_code_in_it() {
        let problem = Problem::new(code::TOKEN_MISSING, "no key");
        let (status, openai) = body_of(&problem, Operation::OpenAiChat).await;
        assert_eq!((status.as_u16(), openai["error"]["code"].as_str()), (401, Some("token_missing")));
        let (_, anthropic) = body_of(&problem, Operation::AnthropicMessages).await;
        assert_eq!(anthropic["error"]["type"], "authentication_error");
        let (_, gemini) = body_of(&problem, Operation::GeminiGenerate).await;
        assert_eq!(gemini["error"]["status"], "UNAUTHENTICATED");
        let (status, _) =
            body_of(&Problem::new(code::WALLET_NOT_NAMED, "whose?"), Operation::OpenAiChat).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }

    #[actix_web::test]
    async fn a_limit_says_when_to_come_back() {
        let problem = Problem::new(code::RATE_LIMITED, "slow down").retry(3);
        let response = refused(&problem, Operation::AnthropicMessages);
        assert_eq!(response.headers().get("retry-after").unwrap(), "3");
    }
}
