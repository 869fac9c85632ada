//! The shapes in which providers are spoken to: what a call asks for, what an answer costs, when a stream is at its end.
//!
//! Nothing here writes an answer: what a provider says in the shape that was asked for goes to the client byte for byte.
//! An answer is only looked into, once, for its usage, its errors and its end.

pub(crate) mod chat;
mod count;
mod embeddings;
pub(crate) mod gemini;
pub(crate) mod messages;
mod meter;
mod reported;
pub(crate) mod responses;
mod usage;

use bytes::Bytes;
use domain::execution::Operation;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

pub(crate) use self::meter::{Malformed, Meter, Sign};
pub(crate) use self::reported::Reported;
use crate::estimate::{self, Input};
use crate::json::{Edit, NotAnObject, Object};
use crate::refusal::Refusal;

/// What of a model's name is written otherwise where it is a part of a path.
const WRITTEN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'@').remove(b'+');

/// What a call asks for, as far as it has to be known.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The body, whose members are known.
    pub(crate) body: Object,
    /// The model.
    pub(crate) model: String,
    /// Whether the answer is to be streamed.
    pub(crate) stream: bool,
    /// Whether the stream is to carry its usage; only OpenAI's chat lets a client choose.
    pub(crate) usage_asked: bool,
    /// How many answers the client wants at once.
    pub(crate) answers: u64,
    /// The most tokens of output that the client wants, all answers together.
    pub(crate) most_output: Option<u64>,
    /// What the input has in it.
    pub(crate) input: Input,
}

/// Whether an operation costs nothing: counting tokens is no execution.
pub(crate) fn is_free(operation: Operation) -> bool {
    matches!(operation, Operation::AnthropicCountTokens | Operation::GeminiCountTokens)
}

/// Reads what a call asks for. `model` and `stream` are what the address says, where the shape has them there.
pub(crate) fn read(operation: Operation, model: &str, stream: bool, body: Bytes) -> Result<Asked, Refusal> {
    let input = estimate::read(&body);
    let body = Object::parse(body).map_err(|error| match error {
        NotAnObject::Twice(_) => Refusal::invalid("duplicate_member", error.to_string()),
        NotAnObject::Malformed(_) => Refusal::invalid("malformed_body", error.to_string()),
    })?;
    let mut asked = Asked {
        model: String::new(),
        stream: false,
        usage_asked: true,
        answers: 1,
        most_output: None,
        input,
        body,
    };
    match operation {
        Operation::OpenAiChat => chat::read(&mut asked)?,
        Operation::OpenAiResponses => responses::read(&mut asked)?,
        Operation::AnthropicMessages => messages::read(&mut asked)?,
        Operation::GeminiGenerate => {
            gemini::read(&mut asked)?;
            asked.stream = stream;
        }
        Operation::OpenAiEmbeddings
        | Operation::AnthropicCountTokens
        | Operation::GeminiEmbed
        | Operation::GeminiCountTokens => {}
        Operation::Imported => {
            return Err(Refusal::invalid("unsupported_operation", "this is no call".to_owned()));
        }
    }
    asked.model = if in_address(operation) {
        model.to_owned()
    } else {
        let missing = || Refusal::invalid("missing_model", "the body names no model".to_owned());
        asked.body.read::<String>("model").filter(|name| !name.is_empty()).ok_or_else(missing)?
    };
    Ok(asked)
}

/// Whether the address names the model, and not the body.
fn in_address(operation: Operation) -> bool {
    matches!(operation, Operation::GeminiGenerate | Operation::GeminiEmbed | Operation::GeminiCountTokens)
}

/// The body for a provider of the same dialect: the client's, with the model that the provider knows, and with what makes
/// a stream report its usage.
pub(crate) fn forwarded(operation: Operation, asked: &Asked, model: &str) -> Bytes {
    if in_address(operation) {
        return asked.body.edited(&[]);
    }
    let mut edits = vec![Edit::Set("model", Value::from(model).to_string())];
    if operation == Operation::OpenAiChat && asked.stream && !asked.usage_asked {
        edits.push(Edit::Set("stream_options", chat::with_usage(&asked.body)));
    }
    asked.body.edited(&edits)
}

/// Where an operation is found, behind a provider's base address. Bases are those that the official SDKs are given, with or
/// without the version at their end.
pub(crate) fn address(operation: Operation, base: &str, model: &str, stream: bool) -> String {
    let base = base.trim_end_matches('/');
    let behind_host = base.split_once("://").map_or(base, |(_, rest)| rest);
    let bare = !behind_host.contains('/');
    let ends = |versions: &[&str]| versions.iter().any(|version| base.ends_with(version));
    match operation {
        Operation::OpenAiChat
        | Operation::OpenAiResponses
        | Operation::OpenAiEmbeddings
        | Operation::Imported => {
            let version = if bare { "/v1" } else { "" };
            let path = match operation {
                Operation::OpenAiChat => "chat/completions",
                Operation::OpenAiResponses => "responses",
                _ => "embeddings",
            };
            format!("{base}{version}/{path}")
        }
        Operation::AnthropicMessages | Operation::AnthropicCountTokens => {
            let version = if ends(&["/v1"]) { "" } else { "/v1" };
            let tail = if operation == Operation::AnthropicMessages { "" } else { "/count_tokens" };
            format!("{base}{version}/messages{tail}")
        }
        Operation::GeminiGenerate | Operation::GeminiEmbed | Operation::GeminiCountTokens => {
            let version = if ends(&["/v1", "/v1beta", "/v1alpha"]) { "" } else { "/v1beta" };
            let verb = match operation {
                Operation::GeminiGenerate if stream => "streamGenerateContent?alt=sse",
                Operation::GeminiGenerate => "generateContent",
                Operation::GeminiEmbed => "embedContent",
                _ => "countTokens",
            };
            let model = model.strip_prefix("models/").unwrap_or(model);
            // One part of the path, whatever the name holds: it leads to no other place.
            let model = utf8_percent_encode(model, WRITTEN);
            format!("{base}{version}/models/{model}:{verb}")
        }
    }
}

#[cfg(test)]
mod tests;
