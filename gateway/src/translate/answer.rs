//! Whole answers, read in one shape and written in another.

use domain::Usage;
use domain::execution::Operation;
use serde_json::{Map, Value, json};

use super::Frame;
use super::talk::{arguments, put};
use crate::dialect::Malformed;
use crate::dialect::gemini::FILTERS;

/// An answer in the form that all shapes can say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) parts: Vec<Said>,
    pub(super) ended: Ended,
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    Text(String),
    Call { id: String, name: String, arguments: Value },
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    Length,
    Calls,
    Filter,
}

impl Ended {
    pub(super) fn of_chat(reason: &str) -> Self {
        match reason {
            "length" => Self::Length,
            "tool_calls" | "function_call" => Self::Calls,
            "content_filter" => Self::Filter,
            _ => Self::Done,
        }
    }

    pub(super) fn of_messages(reason: &str) -> Self {
        match reason {
            "max_tokens" | "model_context_window_exceeded" => Self::Length,
            "tool_use" => Self::Calls,
            "refusal" => Self::Filter,
            _ => Self::Done,
        }
    }

    pub(super) fn of_gemini(reason: &str) -> Self {
        match reason {
            "MAX_TOKENS" => Self::Length,
            filter if FILTERS.contains(&filter) => Self::Filter,
            _ => Self::Done,
        }
    }

    pub(super) fn in_chat(self) -> &'static str {
        match self {
            Self::Done => "stop",
            Self::Length => "length",
            Self::Calls => "tool_calls",
            Self::Filter => "content_filter",
        }
    }

    pub(super) fn in_messages(self) -> &'static str {
        match self {
            Self::Done => "end_turn",
            Self::Length => "max_tokens",
            Self::Calls => "tool_use",
            Self::Filter => "refusal",
        }
    }

    pub(super) fn in_gemini(self) -> &'static str {
        match self {
            Self::Done | Self::Calls => "STOP",
            Self::Length => "MAX_TOKENS",
            Self::Filter => "SAFETY",
        }
    }
}

/// Reads an answer. `id` is that of the answer; calls without an id get one from it.
pub(super) fn read(from: Operation, body: &[u8], id: &str) -> Result<Answer, Malformed> {
    let body: Value = serde_json::from_slice(body).map_err(|error| Malformed::new(error.to_string()))?;
    match from {
        Operation::AnthropicMessages => read_messages(&body),
        Operation::GeminiGenerate => read_gemini(&body, id),
        _ => read_chat(&body),
    }
}

pub(super) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn read_chat(body: &Value) -> Result<Answer, Malformed> {
    let choice = list(body, "choices").first().ok_or_else(|| Malformed::new("no choice".to_owned()))?;
    let message = choice.get("message").unwrap_or(&Value::Null);
    let mut parts = Vec::new();
    // A refusal is what the model says, only with another name.
    for name in ["content", "refusal"] {
        if !text(message, name).is_empty() {
            parts.push(Said::Text(text(message, name).to_owned()));
        }
    }
    for call in list(message, "tool_calls") {
        let function = call.get("function").unwrap_or(&Value::Null);
        let arguments = arguments(text(function, "arguments"))
            .ok_or_else(|| Malformed::new("arguments that are no object".to_owned()))?;
        parts.push(Said::Call {
            id: text(call, "id").to_owned(),
            name: text(function, "name").to_owned(),
            arguments,
        });
    }
    Ok(Answer { parts, ended: Ended::of_chat(text(choice, "finish_reason")) })
}

fn read_messages(body: &Value) -> Result<Answer, Malformed> {
    if !body.get("content").is_some_and(Value::is_array) {
        return Err(Malformed::new("no content".to_owned()));
    }
    let said = |block: &Value| match text(block, "type") {
        "text" => Some(Said::Text(text(block, "text").to_owned())),
        "tool_use" => Some(Said::Call {
            id: text(block, "id").to_owned(),
            name: text(block, "name").to_owned(),
            arguments: block.get("input").cloned().unwrap_or_else(|| json!({})),
        }),
        _ => None,
    };
    let parts = list(body, "content").iter().filter_map(said).collect();
    Ok(Answer { parts, ended: Ended::of_messages(text(body, "stop_reason")) })
}

fn read_gemini(body: &Value, id: &str) -> Result<Answer, Malformed> {
    let Some(candidate) = list(body, "candidates").first() else {
        // A prompt that was blocked has no candidate.
        let blocked =
            body.get("promptFeedback").is_some_and(|feedback| feedback.get("blockReason").is_some());
        let answer = Answer { parts: Vec::new(), ended: Ended::Filter };
        return if blocked { Ok(answer) } else { Err(Malformed::new("no candidate".to_owned())) };
    };
    let content = candidate.get("content").unwrap_or(&Value::Null);
    let mut parts = Vec::new();
    for part in list(content, "parts") {
        parts.extend(said_by_gemini(part, id, parts.len()));
    }
    let mut ended = Ended::of_gemini(text(candidate, "finishReason"));
    if ended == Ended::Done && parts.iter().any(|part| matches!(part, Said::Call { .. })) {
        ended = Ended::Calls;
    }
    Ok(Answer { parts, ended })
}

/// A part as Gemini writes it. A call without an id gets one from the answer's and its place: two answers of one
/// conversation must not share one.
pub(super) fn said_by_gemini(part: &Value, answer: &str, place: usize) -> Option<Said> {
    if part.get("thought") == Some(&Value::Bool(true)) {
        return None;
    }
    if let Some(call) = part.get("functionCall") {
        let id = text(call, "id");
        return Some(Said::Call {
            id: if id.is_empty() { format!("call_{answer}{place}") } else { id.to_owned() },
            name: text(call, "name").to_owned(),
            arguments: call.get("args").cloned().unwrap_or_else(|| json!({})),
        });
    }
    let said = text(part, "text");
    (!said.is_empty()).then(|| Said::Text(said.to_owned()))
}

pub(super) fn write(to: Operation, answer: &Answer, usage: &Usage, frame: &Frame) -> Value {
    match to {
        Operation::AnthropicMessages => json!({
            "id": format!("msg_{}", frame.id), "type": "message", "role": "assistant", "model": frame.model,
            "content": answer.parts.iter().map(in_messages).collect::<Vec<_>>(),
            "stop_reason": answer.ended.in_messages(), "stop_sequence": null, "usage": messages_usage(usage),
        }),
        Operation::GeminiGenerate => json!({
            "candidates": [{
                "content": {"role": "model", "parts": answer.parts.iter().map(in_gemini).collect::<Vec<_>>()},
                "finishReason": answer.ended.in_gemini(), "index": 0,
            }],
            "usageMetadata": gemini_usage(usage), "modelVersion": frame.model, "responseId": frame.id,
        }),
        _ => json!({
            "id": format!("chatcmpl-{}", frame.id), "object": "chat.completion", "created": frame.created,
            "model": frame.model,
            "choices": [{
                "index": 0, "message": in_chat(&answer.parts), "logprobs": null,
                "finish_reason": answer.ended.in_chat(),
            }],
            "usage": chat_usage(usage),
        }),
    }
}

fn in_chat(parts: &[Said]) -> Value {
    let mut said = String::new();
    let mut calls = Vec::new();
    for part in parts {
        match part {
            Said::Text(text) => said.push_str(text),
            Said::Call { id, name, arguments } => calls.push(json!({
                "id": id, "type": "function", "function": {"name": name, "arguments": arguments.to_string()},
            })),
        }
    }
    let content = if said.is_empty() { Value::Null } else { said.into() };
    let mut message = json!({"role": "assistant", "content": content, "refusal": null});
    if !calls.is_empty() {
        put(&mut message, "tool_calls", calls.into());
    }
    message
}

fn in_messages(part: &Said) -> Value {
    match part {
        Said::Text(text) => json!({"type": "text", "text": text}),
        Said::Call { id, name, arguments } => {
            json!({"type": "tool_use", "id": id, "name": name, "input": arguments})
        }
    }
}

pub(super) fn in_gemini(part: &Said) -> Value {
    match part {
        Said::Text(text) => json!({"text": text}),
        Said::Call { id, name, arguments } => {
            json!({"functionCall": {"id": id, "name": name, "args": arguments}})
        }
    }
}

pub(super) fn chat_usage(usage: &Usage) -> Value {
    let input = usage.input + usage.cache_read + usage.cache_write + usage.cache_write_long;
    let output = usage.output + usage.reasoning;
    json!({
        "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    })
}

pub(super) fn messages_usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input, "cache_read_input_tokens": usage.cache_read,
        "cache_creation_input_tokens": usage.cache_write + usage.cache_write_long,
        "output_tokens": usage.output + usage.reasoning,
    })
}

pub(super) fn gemini_usage(usage: &Usage) -> Value {
    let input = usage.input + usage.cache_read + usage.cache_write + usage.cache_write_long;
    let mut report = Map::new();
    let mut set = |name: &str, count: u64| report.insert(name.to_owned(), count.into());
    set("promptTokenCount", input);
    set("candidatesTokenCount", usage.output);
    set("totalTokenCount", input + usage.output + usage.reasoning);
    if usage.cache_read > 0 {
        set("cachedContentTokenCount", usage.cache_read);
    }
    if usage.reasoning > 0 {
        set("thoughtsTokenCount", usage.reasoning);
    }
    report.into()
}
