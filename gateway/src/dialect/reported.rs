//! Errors as providers report them.

use std::time::Duration;

use serde_json::Value;

/// An error that a provider reports, in a whole answer or in the middle of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reported {
    /// What it calls the error: a code where there is one, else its type.
    pub(crate) code: String,
    /// What it says.
    pub(crate) message: String,
    /// How long it wants to be left alone (Gemini says it in the body).
    pub(crate) retry_after: Option<Duration>,
}

/// The longest message that is kept of an error.
const MOST_MESSAGE: usize = 500;

impl Reported {
    /// Reads the `error` of a body or an event, in the form of any of the dialects.
    pub(crate) fn of(error: &Value) -> Self {
        let text = |name: &str| match error.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            _ => None,
        };
        let code = text("code").or_else(|| text("status")).or_else(|| text("type")).unwrap_or_default();
        let message = text("message").or_else(|| error.as_str().map(str::to_owned)).unwrap_or_default();
        let retry_after = error.get("details").and_then(Value::as_array).and_then(|details| {
            details.iter().find_map(|detail| seconds(detail.get("retryDelay")?.as_str()?))
        });
        Self { code, message: message.chars().take(MOST_MESSAGE).collect(), retry_after }
    }

    /// Reads the error out of the body of an answer, whatever that is.
    pub(crate) fn in_body(body: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return Self::default();
        };
        // Gemini's streams answer an error as an array of one.
        let value = value.get(0).unwrap_or(&value);
        value.get("error").map(Self::of).unwrap_or_default()
    }

    /// Whether a filter refused the content: another provider must not be asked instead.
    pub(crate) fn is_content_filter(&self) -> bool {
        ["content_filter", "content_policy_violation", "content_policy"].contains(&self.code.as_str())
    }

    /// The HTTP status that an error in a stream would have had.
    pub(crate) fn status(&self) -> u16 {
        match self.code.as_str() {
            "overloaded_error" | "overloaded" => 529,
            "rate_limit_error" | "rate_limit_exceeded" | "RESOURCE_EXHAUSTED" | "insufficient_quota" => 429,
            "invalid_request_error"
            | "invalid_prompt"
            | "INVALID_ARGUMENT"
            | "content_filter"
            | "content_policy_violation" => 400,
            "UNAVAILABLE" => 503,
            "timeout_error" | "DEADLINE_EXCEEDED" => 504,
            _ => 500,
        }
    }
}

/// A duration as Google's JSON writes it: `31s`, `1.5s`.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.strip_suffix('s')?.split_once('.').unwrap_or((text.strip_suffix('s')?, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Some(Duration::new(whole.parse().ok()?, nanos))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_errors_of_all_three_are_read() {
        let openai = br#"{"error":{"message":"no","type":"invalid_request_error","param":null,"code":"content_filter"}}"#;
        assert!(Reported::in_body(openai).is_content_filter());
        let anthropic = br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        assert_eq!(Reported::in_body(anthropic).status(), 529);
        let gemini =
            br#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"slow down","details":[
            {"@type":"type.googleapis.com/google.rpc.Help"},
            {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"31s"}]}}]"#;
        let read = Reported::in_body(gemini);
        assert_eq!(
            (read.code.as_str(), read.retry_after),
            ("RESOURCE_EXHAUSTED", Some(Duration::from_secs(31)))
        );
        assert_eq!(Reported::of(&json!("down")).message, "down");
        assert_eq!(Reported::in_body(b"<html>"), Reported::default());
    }

    #[test]
    fn durations_are_read_exactly() {
        assert_eq!(seconds("31s"), Some(Duration::from_secs(31)));
        assert_eq!(seconds("1.5s"), Some(Duration::from_millis(1_500)));
        for bad in ["", "s", "-1s", "1", "1.s5", "1e3s", "1.1234567890s"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
