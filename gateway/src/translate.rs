//! Between the shapes: a conversation that is asked for in one and answered by a provider of another.
//!
//! A request is read into one form that all three can say (texts, pictures, calls of functions and their results, the usual
//! settings) and written from it. What the form has no place for is not dropped: the request is refused, and the refusal
//! names it. Answers go the other way, whole or event by event; thoughts are left out, because no shape takes another's.
//! Hints that change no answer (`user`, `metadata`, `cache_control`) are left out as well.

mod answer;
mod chat;
mod deltas;
mod gemini;
mod messages;
mod schema;
mod talk;
mod telling;

use bytes::Bytes;
use domain::catalogue::Dialect;
use domain::execution::Operation;
use serde_json::Value;

use self::deltas::Deltas;
use self::telling::Telling;
use crate::dialect::{Asked, Malformed, Meter};
use crate::refusal::Refusal;
use crate::sse::Event;

/// What is said of an answer that its provider does not know.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// The answer's id.
    pub(crate) id: String,
    /// The model as the client called it.
    pub(crate) model: String,
    /// When it was asked for, in seconds since 1970.
    pub(crate) created: i64,
    /// Whether a stream carries its usage.
    pub(crate) usage: bool,
}

/// The operation that a provider of `spoken` is asked for, so that `asked` can be answered; `None` where that shape has no
/// counterpart.
pub(crate) fn counterpart(asked: Operation, spoken: Dialect) -> Option<Operation> {
    if asked.dialect() == spoken {
        return Some(asked);
    }
    let converses =
        matches!(asked, Operation::OpenAiChat | Operation::AnthropicMessages | Operation::GeminiGenerate);
    converses.then_some(match spoken {
        Dialect::Openai => Operation::OpenAiChat,
        Dialect::Anthropic => Operation::AnthropicMessages,
        Dialect::Gemini => Operation::GeminiGenerate,
    })
}

/// The body of a request in another shape. `most_output` is what the model gives at the most, for the shape that must be
/// told a bound.
pub(crate) fn request(
    from: Operation,
    to: Operation,
    asked: &Asked,
    model: &str,
    most_output: Option<u64>,
) -> Result<Bytes, Refusal> {
    let body: Value = serde_json::from_slice(&asked.body.edited(&[]))
        .map_err(|error| Refusal::invalid("malformed_body", error.to_string()))?;
    let mut talk = match from {
        Operation::AnthropicMessages => messages::read(body)?,
        Operation::GeminiGenerate => gemini::read(body)?,
        _ => chat::read(body)?,
    };
    talk.stream = asked.stream;
    talk.merge_turns();
    let written = match to {
        Operation::AnthropicMessages => Ok(messages::write(talk, model, most_output)),
        Operation::GeminiGenerate => gemini::write(talk),
        _ => chat::write(talk, model),
    };
    Ok(written?.to_string().into())
}

/// A whole answer in the shape that was asked for.
pub(crate) fn answer(
    from: Operation,
    to: Operation,
    body: &[u8],
    meter: &Meter,
    frame: &Frame,
) -> Result<Bytes, Malformed> {
    let spoken = answer::read(from, body, &frame.id)?;
    let (usage, _) = meter.settled(0);
    Ok(answer::write(to, &spoken, &usage, frame).to_string().into())
}

/// A stream on its way from one shape to another.
#[derive(Debug)]
pub(crate) struct Translating {
    deltas: Deltas,
    telling: Telling,
}

impl Translating {
    pub(crate) fn new(from: Operation, to: Operation, frame: Frame) -> Self {
        Self { deltas: Deltas::new(from, &frame.id), telling: Telling::new(to, frame) }
    }

    /// What the client is sent for an event of the provider, perhaps nothing.
    pub(crate) fn event(&mut self, event: &Event) -> Result<Bytes, Malformed> {
        let mut text = String::new();
        for delta in self.deltas.read(event)? {
            self.telling.tell(&delta, &mut text);
        }
        Ok(text.into())
    }

    /// What the client is sent at the end of an answer that came to its end.
    pub(crate) fn end(&mut self, meter: &Meter) -> Bytes {
        let (usage, _) = meter.settled(0);
        let mut text = String::new();
        self.telling.end(self.deltas.ended(), &usage, &mut text);
        text.into()
    }
}

fn unsupported(what: &str) -> Refusal {
    Refusal::invalid(
        "untranslatable",
        format!("no provider that speaks this shape has the model, and {what} cannot be said in another"),
    )
}

#[cfg(test)]
mod tests;
