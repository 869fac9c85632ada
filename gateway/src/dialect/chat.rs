//! OpenAI chat completions.

use bytes::Bytes;
use serde_json::Value;

use super::count::{count, flag};
use super::meter::{object, text_of};
use super::usage::{CHAT, openai};
use super::{Asked, Malformed, Meter, Reported, Sign};
use crate::json::{Edit, Object};
use crate::refusal::Refusal;
use crate::sse::Event;

pub(super) fn read(asked: &mut Asked) -> Result<(), Refusal> {
    let body = &asked.body;
    asked.stream = flag(body, "stream")?;
    let options = body.read::<Value>("stream_options");
    asked.usage_asked =
        options.and_then(|options| options.get("include_usage")?.as_bool()).unwrap_or_default();
    let (newer, older) = (count(body, "max_completion_tokens")?, count(body, "max_tokens")?);
    asked.answers = count(body, "n")?.unwrap_or(1).max(1);
    // Which of the two counts is the provider's affair.
    asked.most_output = newer.max(older).map(|most| most.saturating_mul(asked.answers));
    Ok(())
}

/// The `stream_options` that ask for the usage, with whatever else the client wrote there.
pub(super) fn with_usage(body: &Object) -> String {
    let wanted = || "{\"include_usage\":true}".to_owned();
    let Some(written) = body.get("stream_options") else {
        return wanted();
    };
    let Ok(options) = Object::parse(Bytes::copy_from_slice(written.as_bytes())) else {
        // Null, or what the provider will refuse: then not for our sake.
        return if written == "null" { wanted() } else { written.to_owned() };
    };
    let edited = options.edited(&[Edit::Set("include_usage", "true".to_owned())]);
    String::from_utf8(edited.to_vec()).unwrap_or_else(|_| wanted())
}

pub(super) fn event(meter: &mut Meter, event: &Event) -> Result<Sign, Malformed> {
    if event.data.as_ref() == b"[DONE]" {
        meter.finish();
        return Ok(Sign::End);
    }
    let chunk = object(&event.data)?;
    if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
        return Ok(Sign::Fault(Reported::of(error)));
    }
    usage(meter, &chunk);
    let mut text = 0;
    for choice in chunk.get("choices").and_then(Value::as_array).into_iter().flatten() {
        text += choice.get("delta").map_or(0, text_of);
        noted(meter, choice);
    }
    meter.add_text(text);
    Ok(if text > 0 { Sign::Content } else { Sign::Quiet })
}

pub(super) fn whole(meter: &mut Meter, answer: &Value) {
    usage(meter, answer);
    for choice in answer.get("choices").and_then(Value::as_array).into_iter().flatten() {
        meter.add_text(choice.get("message").map_or(0, text_of));
        noted(meter, choice);
    }
}

fn usage(meter: &mut Meter, answer: &Value) {
    if let Some(report) = answer.get("usage").filter(|report| !report.is_null()) {
        meter.report(openai(report, &CHAT), true);
    }
}

fn noted(meter: &mut Meter, choice: &Value) {
    if choice.get("finish_reason").and_then(Value::as_str) == Some("content_filter") {
        meter.refuse();
    }
}

/// An event as a client sees it that did not ask for the usage: without it, and without the event that carries nothing
/// else. `None` when nothing is left.
pub(crate) fn without_usage(event: &Event) -> Option<Bytes> {
    let Ok(chunk) = Object::parse(event.data.clone()) else {
        return Some(event.raw.clone());
    };
    let Some(usage) = chunk.get("usage") else {
        return Some(event.raw.clone());
    };
    let empty = chunk.read::<Vec<Value>>("choices").is_some_and(|choices| choices.is_empty());
    if empty && usage != "null" {
        return None;
    }
    let left = chunk.edited(&[Edit::Remove("usage")]);
    // A line of data ends where its text has a line end.
    let lines = left.split(|byte| *byte == b'\n').flat_map(|line| [b"data: ", line, b"\n"].concat());
    Some(lines.chain(*b"\n").collect())
}
