//! What an answer came to, watched while it passes.

use domain::execution::Operation;
use domain::{Usage, UsageSource};
use serde_json::{Map, Value};

use super::usage::Odd;
use super::{Reported, chat, embeddings, gemini, messages, responses};
use crate::estimate;
use crate::sse::Event;

/// What is not what the dialect says it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the provider sent what is no JSON object: {0}")]
pub(crate) struct Malformed(String);

impl Malformed {
    pub(crate) fn new(why: String) -> Self {
        Self(why)
    }
}

/// What an event of a stream means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sign {
    /// No part of the answer itself: a ping, a role, a usage.
    Quiet,
    /// A part of the answer.
    Content,
    /// The answer is at its end.
    End,
    /// The provider reports an error instead of going on.
    Fault(Reported),
}

/// Watches one answer of one provider.
#[derive(Debug)]
pub(crate) struct Meter {
    operation: Operation,
    /// What was reported so far.
    usage: Option<Usage>,
    /// Whether that is of the whole answer.
    complete: bool,
    /// The newest of each count, where a dialect reports them piece by piece.
    counts: Map<String, Value>,
    /// Bytes of text, arguments and thoughts that passed.
    text: u64,
    finished: bool,
    refused: bool,
}

impl Meter {
    /// For an answer in the shape of `operation`.
    pub(crate) fn new(operation: Operation) -> Self {
        Self {
            operation,
            usage: None,
            complete: false,
            counts: Map::new(),
            text: 0,
            finished: false,
            refused: false,
        }
    }

    /// Looks at the next event of a stream.
    pub(crate) fn event(&mut self, event: &Event) -> Result<Sign, Malformed> {
        match self.operation {
            Operation::OpenAiChat | Operation::OpenAiEmbeddings | Operation::Imported => {
                chat::event(self, event)
            }
            Operation::OpenAiResponses => responses::event(self, event),
            Operation::AnthropicMessages | Operation::AnthropicCountTokens => messages::event(self, event),
            Operation::GeminiGenerate | Operation::GeminiEmbed | Operation::GeminiCountTokens => {
                gemini::event(self, event)
            }
        }
    }

    /// Looks at a whole answer: its end, or the fault that it reports in the place of one, with whatever status it came.
    pub(crate) fn whole(&mut self, body: &[u8]) -> Result<Sign, Malformed> {
        let answer = object(body)?;
        self.finished = true;
        match self.operation {
            Operation::OpenAiChat | Operation::Imported => chat::whole(self, &answer),
            Operation::OpenAiEmbeddings => embeddings::whole(self, &answer),
            Operation::OpenAiResponses => responses::whole(self, &answer),
            Operation::AnthropicMessages => messages::whole(self, &answer),
            Operation::GeminiGenerate | Operation::GeminiEmbed => gemini::chunk(self, &answer),
            Operation::AnthropicCountTokens | Operation::GeminiCountTokens => {}
        }
        Ok(fault(&answer).map_or(Sign::End, Sign::Fault))
    }

    /// Whether a stream that was closed had come to its end. Gemini's has no event that says so.
    pub(crate) fn is_whole(&self) -> bool {
        self.finished && self.operation == Operation::GeminiGenerate
    }

    /// Whether a filter ended the answer.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// About how many tokens of output passed.
    pub(crate) fn passed(&self) -> u64 {
        let reported = self.usage.map_or(0, |usage| usage.output.saturating_add(usage.reasoning));
        estimate::output(self.text).max(reported)
    }

    /// What was used and how that is known. Where the report is missing or of a part only, the input is the estimate
    /// `input` and the output what passed.
    pub(crate) fn settled(&self, input: u64) -> (Usage, UsageSource) {
        match self.usage {
            Some(usage) if self.complete => (usage, UsageSource::Reported),
            Some(known) => {
                let output = self.passed().saturating_sub(known.reasoning);
                let source = if self.passed() == 0 { UsageSource::InputOnly } else { UsageSource::Estimated };
                (Usage { output, ..known }.countable(), source)
            }
            None => {
                let counted = Usage { input, output: self.passed(), ..Usage::default() };
                (counted.countable(), UsageSource::Estimated)
            }
        }
    }

    /// What was reported of an answer that came to nothing, of all of it or of what there was.
    pub(crate) fn reported(&self) -> Option<(Usage, UsageSource)> {
        self.usage.map(|_| self.settled(0))
    }

    /// Whether what was reported is of the whole answer.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    pub(super) fn add_text(&mut self, bytes: u64) {
        self.text = self.text.saturating_add(bytes);
    }

    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn refuse(&mut self) {
        self.refused = true;
    }

    /// Takes a report. A later one replaces an earlier one; nothing is added up.
    pub(super) fn report(&mut self, usage: Result<Usage, Odd>, complete: bool) {
        match usage {
            Ok(usage) => {
                self.usage = Some(usage);
                self.complete = complete;
            }
            Err(error) => tracing::warn!(%error, operation = ?self.operation, "a usage is not believed"),
        }
    }

    /// Keeps the newest count of each name that is not null, and gives them all.
    pub(super) fn merged(&mut self, report: &Value) -> Value {
        for (name, count) in report.as_object().into_iter().flatten().filter(|(_, count)| !count.is_null()) {
            self.counts.insert(name.clone(), count.clone());
        }
        Value::Object(self.counts.clone())
    }
}

/// What a whole answer reports that says that it is none: an `error`, as all dialects call it, or the status of a response
/// that failed.
fn fault(answer: &Value) -> Option<Reported> {
    let failed = answer.get("status").and_then(Value::as_str) == Some("failed");
    match answer.get("error").filter(|error| !error.is_null()) {
        Some(error) => Some(Reported::of(error)),
        None => failed.then(Reported::default),
    }
}

/// The object in a piece of data.
pub(super) fn object(data: &[u8]) -> Result<Value, Malformed> {
    match serde_json::from_slice(data) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(Malformed("something else".to_owned())),
        Err(error) => Err(Malformed(error.to_string())),
    }
}

/// The bytes of the texts in a part of an answer: of all strings, but for those that only say what they belong to.
pub(super) fn text_of(value: &Value) -> u64 {
    const LABELS: [&str; 9] = [
        "role",
        "id",
        "type",
        "name",
        "call_id",
        "signature",
        "thoughtSignature",
        "mimeType",
        "encrypted_content",
    ];
    // Where answers have pictures and sounds.
    const ATTACHED: [&str; 5] = ["data", "url", "result", "b64_json", "partial_image_b64"];
    match value {
        Value::String(text) => estimate::text(text),
        Value::Array(items) => items.iter().map(text_of).sum(),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !LABELS.contains(&name.as_str()))
            .map(|(name, value)| match value {
                Value::String(text) if ATTACHED.contains(&name.as_str()) => estimate::attachment(text),
                value => text_of(value),
            })
            .sum(),
        _ => 0,
    }
}
