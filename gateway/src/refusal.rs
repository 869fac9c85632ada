//! Refusals in the shape of the one who is refused, whole and in the middle of a stream.
//!
//! Each carries a stable code of ours where the shape has a place for one, so that a program can tell an empty wallet from
//! a provider that is down, whichever SDK it uses.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use domain::catalogue::Dialect;
use domain::execution::Operation;
use serde_json::{Value, json};

use crate::reply::Reply;

/// Why a call is not made, or not brought to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// A stable code.
    pub code: Cow<'static, str>,
    /// For people.
    pub message: String,
    /// How long to wait before another attempt.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal with a status and a code.
    pub fn new(status: u16, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), retry_after: None }
    }

    /// What was asked is at fault.
    pub(crate) fn invalid(code: &'static str, message: String) -> Self {
        Self::new(400, code, message)
    }

    /// Another attempt may succeed after so long.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The answer, in the shape of the operation that was asked for.
    pub fn reply(&self, operation: Operation) -> Reply {
        let reply = Reply::json(self.status, self.body(operation).to_string());
        match self.seconds() {
            Some(seconds) => reply.with("retry-after", seconds.to_string()),
            None => reply,
        }
    }

    /// What is sent where a stream cannot go on: each official SDK raises an error when it reads it. It is a chunk of its
    /// own, because some look for it at the beginning of a chunk. `sequence` numbers events where the shape does.
    pub(crate) fn in_band(&self, operation: Operation, sequence: u64) -> Bytes {
        let body = self.body(operation);
        let text = match (operation, operation.dialect()) {
            (Operation::OpenAiResponses, _) => {
                let event = json!({
                    "type": "error", "sequence_number": sequence, "code": self.code, "message": self.message,
                    "param": null, "error": body.get("error"),
                });
                format!("event: error\ndata: {event}\n\n")
            }
            (_, Dialect::Openai) => format!("data: {body}\n\n"),
            (_, Dialect::Anthropic) => format!("event: error\ndata: {body}\n\n"),
            // Neither `data:` nor a line end: in this form the SDKs for Python and JavaScript both raise it.
            (_, Dialect::Gemini) => body.to_string(),
        };
        text.into()
    }

    fn body(&self, operation: Operation) -> Value {
        match operation.dialect() {
            Dialect::Openai => json!({
                "error": {"message": self.message, "type": self.openai_type(), "param": null, "code": self.code}
            }),
            Dialect::Anthropic => json!({
                "type": "error",
                "error": {"type": self.anthropic_type(), "message": self.message, "code": self.code},
            }),
            Dialect::Gemini => {
                let reason = self.code.to_ascii_uppercase();
                let mut details = vec![json!({
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "counterfoil",
                })];
                if let Some(seconds) = self.seconds() {
                    details.push(json!({
                        "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s"),
                    }));
                }
                // The SDKs count braces in what they read, so a message has none.
                let message = self.message.replace(['{', '}'], "");
                json!({"error": {
                    "code": self.status, "message": message, "status": self.google_status(), "details": details,
                }})
            }
        }
    }

    /// Whole seconds, rounded up, and never none.
    fn seconds(&self) -> Option<u64> {
        let wait = self.retry_after?;
        Some(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1))
    }

    fn openai_type(&self) -> &'static str {
        match self.status {
            401 => "authentication_error",
            402 => "insufficient_quota",
            403 => "permission_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        }
    }

    fn anthropic_type(&self) -> &'static str {
        match self.status {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            504 => "timeout_error",
            503 | 529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        }
    }

    fn google_status(&self) -> &'static str {
        match self.status {
            401 => "UNAUTHENTICATED",
            402 => "FAILED_PRECONDITION",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            409 => "ABORTED",
            429 => "RESOURCE_EXHAUSTED",
            499 => "CANCELLED",
            503 | 529 => "UNAVAILABLE",
            504 => "DEADLINE_EXCEEDED",
            500.. => "INTERNAL",
            _ => "INVALID_ARGUMENT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::ReplyBody;

    fn text(reply: Reply) -> String {
        match reply.body {
            ReplyBody::Whole(body) => String::from_utf8(body.to_vec()).unwrap(),
            ReplyBody::Pieces(..) | ReplyBody::Stream(_) => panic!("a refusal is whole"),
        }
    }

    #[test]
    fn an_empty_wallet_is_402_in_every_shape_with_our_code_in_it() {
        let refusal = Refusal::new(402, "allowance_exhausted", "not {enough}");
        for operation in [Operation::OpenAiChat, Operation::AnthropicMessages, Operation::GeminiGenerate] {
            let reply = refusal.reply(operation);
            assert_eq!(reply.status, 402);
            assert!(text(reply).to_lowercase().contains("allowance_exhausted"));
        }
        assert!(
            !text(refusal.reply(Operation::GeminiGenerate)).contains("{enough}"),
            "braces would be counted"
        );
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_in_googles_way() {
        let refusal = Refusal::new(429, "provider_rate_limited", "slow").after(Duration::from_millis(1_200));
        let reply = refusal.reply(Operation::GeminiGenerate);
        assert!(reply.headers.contains(&("retry-after".to_owned(), "2".to_owned())));
        assert!(text(reply).contains("\"retryDelay\":\"2s\""));
    }

    #[test]
    fn an_error_in_a_stream_has_the_form_that_each_sdk_raises() {
        let refusal = Refusal::new(502, "stream_cut", "cut");
        let chunk = |operation| String::from_utf8(refusal.in_band(operation, 7).to_vec()).unwrap();
        assert!(chunk(Operation::OpenAiChat).starts_with("data: {\"error\":{"));
        assert!(chunk(Operation::AnthropicMessages).starts_with("event: error\ndata: {"));
        let responses = chunk(Operation::OpenAiResponses);
        assert!(
            responses.contains("\"sequence_number\":7") && responses.contains("\"error\":{"),
            "{responses}"
        );
        let gemini = chunk(Operation::GeminiGenerate);
        assert!(gemini.starts_with("{\"error\":") && gemini.ends_with('}'), "{gemini}");
    }
}
