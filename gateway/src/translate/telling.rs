//! The events of a stream, written in any shape.

use domain::Usage;
use domain::execution::Operation;
use serde_json::{Value, json};

use super::Frame;
use super::answer::{Ended, Said, chat_usage, gemini_usage, in_gemini, messages_usage};
use super::deltas::Delta;
use super::talk::{arguments, put};

/// Writes the events of one stream.
#[derive(Debug)]
pub(super) struct Telling {
    to: Operation,
    frame: Frame,
    began: bool,
    /// How many blocks or calls began.
    count: usize,
    open: Open,
}

/// What was begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Open {
    Nothing,
    Text,
    Call { id: String, name: String, arguments: String },
}

impl Telling {
    pub(super) fn new(to: Operation, frame: Frame) -> Self {
        Self { to, frame, began: false, count: 0, open: Open::Nothing }
    }

    /// Adds what is sent for a piece of the answer.
    pub(super) fn tell(&mut self, delta: &Delta, out: &mut String) {
        match self.to {
            Operation::AnthropicMessages => self.tell_messages(delta, out),
            Operation::GeminiGenerate => self.tell_gemini(delta, out),
            _ => self.tell_chat(delta, out),
        }
    }

    /// Adds what is sent at the end.
    pub(super) fn end(&mut self, ended: Ended, usage: &Usage, out: &mut String) {
        match self.to {
            Operation::AnthropicMessages => self.end_messages(ended, usage, out),
            Operation::GeminiGenerate => self.end_gemini(ended, usage, out),
            _ => self.end_chat(ended, usage, out),
        }
    }

    fn tell_chat(&mut self, delta: &Delta, out: &mut String) {
        let written = match delta {
            Delta::Text(text) => json!({"content": text}),
            Delta::Call { id, name } => {
                self.count += 1;
                let function = json!({"name": name, "arguments": ""});
                let index = self.count - 1;
                json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]})
            }
            Delta::Arguments(more) => {
                let index = self.count.saturating_sub(1);
                json!({"tool_calls": [{"index": index, "function": {"arguments": more}}]})
            }
        };
        self.begin_chat(out);
        let chunk = self.chunk(&written, &Value::Null);
        data(&chunk, out);
    }

    fn begin_chat(&mut self, out: &mut String) {
        if !std::mem::replace(&mut self.began, true) {
            let chunk = self.chunk(&json!({"role": "assistant", "content": ""}), &Value::Null);
            data(&chunk, out);
        }
    }

    fn end_chat(&mut self, ended: Ended, usage: &Usage, out: &mut String) {
        self.begin_chat(out);
        let chunk = self.chunk(&json!({}), &ended.in_chat().into());
        data(&chunk, out);
        if self.frame.usage {
            let mut chunk = self.chunk(&json!({}), &Value::Null);
            put(&mut chunk, "choices", json!([]));
            put(&mut chunk, "usage", chat_usage(usage));
            data(&chunk, out);
        }
        out.push_str("data: [DONE]\n\n");
    }

    fn chunk(&self, delta: &Value, finish: &Value) -> Value {
        let mut chunk = json!({
            "id": format!("chatcmpl-{}", self.frame.id), "object": "chat.completion.chunk",
            "created": self.frame.created, "model": self.frame.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        });
        if self.frame.usage {
            put(&mut chunk, "usage", Value::Null);
        }
        chunk
    }

    fn tell_messages(&mut self, delta: &Delta, out: &mut String) {
        self.begin_messages(out);
        match delta {
            Delta::Text(text) => {
                if self.open != Open::Text {
                    self.close_block(out);
                    self.open_block(Open::Text, &json!({"type": "text", "text": ""}), out);
                }
                self.block_delta(&json!({"type": "text_delta", "text": text}), out);
            }
            Delta::Call { id, name } => {
                self.close_block(out);
                let call = Open::Call { id: id.clone(), name: name.clone(), arguments: String::new() };
                self.open_block(call, &json!({"type": "tool_use", "id": id, "name": name, "input": {}}), out);
            }
            Delta::Arguments(more) => {
                self.block_delta(&json!({"type": "input_json_delta", "partial_json": more}), out);
            }
        }
    }

    fn begin_messages(&mut self, out: &mut String) {
        if std::mem::replace(&mut self.began, true) {
            return;
        }
        // What the input was is known at the end, and said there.
        let message = json!({
            "id": format!("msg_{}", self.frame.id), "type": "message", "role": "assistant",
            "model": self.frame.model, "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": messages_usage(&Usage::default()),
        });
        named("message_start", &json!({"type": "message_start", "message": message}), out);
    }

    fn open_block(&mut self, open: Open, block: &Value, out: &mut String) {
        self.open = open;
        self.count += 1;
        let index = self.count - 1;
        let start = json!({"type": "content_block_start", "index": index, "content_block": block});
        named("content_block_start", &start, out);
    }

    fn block_delta(&self, delta: &Value, out: &mut String) {
        let index = self.count.saturating_sub(1);
        named(
            "content_block_delta",
            &json!({"type": "content_block_delta", "index": index, "delta": delta}),
            out,
        );
    }

    fn close_block(&mut self, out: &mut String) {
        if std::mem::replace(&mut self.open, Open::Nothing) != Open::Nothing {
            let index = self.count.saturating_sub(1);
            named("content_block_stop", &json!({"type": "content_block_stop", "index": index}), out);
        }
    }

    fn end_messages(&mut self, ended: Ended, usage: &Usage, out: &mut String) {
        self.begin_messages(out);
        self.close_block(out);
        let delta = json!({"stop_reason": ended.in_messages(), "stop_sequence": null});
        let last = json!({"type": "message_delta", "delta": delta, "usage": messages_usage(usage)});
        named("message_delta", &last, out);
        named("message_stop", &json!({"type": "message_stop"}), out);
    }

    fn tell_gemini(&mut self, delta: &Delta, out: &mut String) {
        match delta {
            Delta::Arguments(more) => {
                if let Open::Call { arguments, .. } = &mut self.open {
                    arguments.push_str(more);
                }
            }
            Delta::Text(text) => {
                self.close_call(out);
                let chunk = self.content(&in_gemini(&Said::Text(text.clone())));
                data(&chunk, out);
            }
            Delta::Call { id, name } => {
                self.close_call(out);
                self.open = Open::Call { id: id.clone(), name: name.clone(), arguments: String::new() };
            }
        }
    }

    /// Gemini has no call in pieces: it is sent when all of it is there.
    fn close_call(&mut self, out: &mut String) {
        if let Open::Call { id, name, arguments: written } = std::mem::replace(&mut self.open, Open::Nothing)
        {
            let arguments = arguments(&written).unwrap_or_else(|| json!({}));
            let chunk = self.content(&in_gemini(&Said::Call { id, name, arguments }));
            data(&chunk, out);
        }
    }

    fn content(&self, part: &Value) -> Value {
        json!({
            "candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}],
            "modelVersion": self.frame.model, "responseId": self.frame.id,
        })
    }

    fn end_gemini(&mut self, ended: Ended, usage: &Usage, out: &mut String) {
        self.close_call(out);
        let candidate = json!({
            "content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": ended.in_gemini(), "index": 0,
        });
        let mut chunk = self.content(&Value::Null);
        put(&mut chunk, "candidates", json!([candidate]));
        put(&mut chunk, "usageMetadata", gemini_usage(usage));
        data(&chunk, out);
    }
}

fn data(value: &Value, out: &mut String) {
    out.push_str("data: ");
    out.push_str(&value.to_string());
    out.push_str("\n\n");
}

fn named(name: &str, value: &Value, out: &mut String) {
    out.push_str("event: ");
    out.push_str(name);
    out.push('\n');
    data(value, out);
}
