//! The events of a stream, read in any shape.

use domain::execution::Operation;
use serde_json::Value;

use super::answer::{Ended, Said, list, said_by_gemini, text};
use crate::dialect::Malformed;
use crate::sse::Event;

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Delta {
    /// More text.
    Text(String),
    /// A call begins; what follows are its arguments, until something else does.
    Call { id: String, name: String },
    /// More of the arguments' JSON.
    Arguments(String),
}

/// Reads the events of one stream.
#[derive(Debug)]
pub(super) struct Deltas {
    from: Operation,
    /// The answer's id.
    id: String,
    ended: Option<Ended>,
    /// The index of the call whose arguments come (chat).
    calling: Option<u64>,
    calls: usize,
}

impl Deltas {
    pub(super) fn new(from: Operation, id: &str) -> Self {
        Self { from, id: id.to_owned(), ended: None, calling: None, calls: 0 }
    }

    /// Why the answer ended.
    pub(super) fn ended(&self) -> Ended {
        match self.ended.unwrap_or(Ended::Done) {
            Ended::Done if self.calls > 0 => Ended::Calls,
            ended => ended,
        }
    }

    pub(super) fn read(&mut self, event: &Event) -> Result<Vec<Delta>, Malformed> {
        let mut deltas = Vec::new();
        if event.data.as_ref() == b"[DONE]" {
            return Ok(deltas);
        }
        let data: Value =
            serde_json::from_slice(&event.data).map_err(|error| Malformed::new(error.to_string()))?;
        match self.from {
            Operation::AnthropicMessages => self.messages(&data, &mut deltas),
            Operation::GeminiGenerate => self.gemini(&data, &mut deltas),
            _ => self.chat(&data, &mut deltas)?,
        }
        Ok(deltas)
    }

    fn chat(&mut self, data: &Value, deltas: &mut Vec<Delta>) -> Result<(), Malformed> {
        let Some(choice) = list(data, "choices").first() else {
            return Ok(());
        };
        let delta = choice.get("delta").unwrap_or(&Value::Null);
        for name in ["content", "refusal"] {
            if !text(delta, name).is_empty() {
                self.calling = None;
                deltas.push(Delta::Text(text(delta, name).to_owned()));
            }
        }
        for call in list(delta, "tool_calls") {
            let index = call.get("index").and_then(Value::as_u64).unwrap_or_default();
            let function = call.get("function").unwrap_or(&Value::Null);
            if !text(call, "id").is_empty() && self.calling != Some(index) {
                self.calling = Some(index);
                self.calls += 1;
                let name = text(function, "name").to_owned();
                deltas.push(Delta::Call { id: text(call, "id").to_owned(), name });
            }
            if self.calling != Some(index) {
                return Err(Malformed::new("the arguments of two calls are mixed".to_owned()));
            }
            if !text(function, "arguments").is_empty() {
                deltas.push(Delta::Arguments(text(function, "arguments").to_owned()));
            }
        }
        let reason = text(choice, "finish_reason");
        if !reason.is_empty() {
            self.ended = Some(Ended::of_chat(reason));
        }
        Ok(())
    }

    fn messages(&mut self, data: &Value, deltas: &mut Vec<Delta>) {
        match text(data, "type") {
            "content_block_start" => {
                let block = data.get("content_block").unwrap_or(&Value::Null);
                match text(block, "type") {
                    "tool_use" => {
                        self.calls += 1;
                        let (id, name) = (text(block, "id").to_owned(), text(block, "name").to_owned());
                        deltas.push(Delta::Call { id, name });
                    }
                    "text" if !text(block, "text").is_empty() => {
                        deltas.push(Delta::Text(text(block, "text").to_owned()));
                    }
                    _ => {}
                }
            }
            "content_block_delta" => {
                let delta = data.get("delta").unwrap_or(&Value::Null);
                match text(delta, "type") {
                    "text_delta" => deltas.push(Delta::Text(text(delta, "text").to_owned())),
                    "input_json_delta" if !text(delta, "partial_json").is_empty() => {
                        deltas.push(Delta::Arguments(text(delta, "partial_json").to_owned()));
                    }
                    _ => {}
                }
            }
            "message_delta" => {
                let reason = data.get("delta").map_or("", |delta| text(delta, "stop_reason"));
                if !reason.is_empty() {
                    self.ended = Some(Ended::of_messages(reason));
                }
            }
            _ => {}
        }
    }

    fn gemini(&mut self, data: &Value, deltas: &mut Vec<Delta>) {
        if data.get("promptFeedback").is_some_and(|feedback| feedback.get("blockReason").is_some()) {
            self.ended = Some(Ended::Filter);
        }
        let Some(candidate) = list(data, "candidates").first() else {
            return;
        };
        let content = candidate.get("content").unwrap_or(&Value::Null);
        for part in list(content, "parts") {
            match said_by_gemini(part, &self.id, self.calls) {
                Some(Said::Text(said)) => deltas.push(Delta::Text(said)),
                Some(Said::Call { id, name, arguments }) => {
                    self.calls += 1;
                    deltas.push(Delta::Call { id, name });
                    deltas.push(Delta::Arguments(arguments.to_string()));
                }
                None => {}
            }
        }
        let reason = text(candidate, "finishReason");
        if !reason.is_empty() {
            self.ended = Some(Ended::of_gemini(reason));
        }
    }
}
