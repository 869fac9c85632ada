//! Gemini: contents generated whole or as a stream, embeddings, counts.

use bytes::Bytes;
use serde_json::Value;

use super::count::count_in_proto;
use super::meter::{object, text_of};
use super::usage::gemini;
use super::{Asked, Malformed, Meter, Reported, Sign};
use crate::json::{NotAnObject, Object};
use crate::refusal::Refusal;
use crate::sse::Event;

/// The reasons to end that are those of a filter.
pub(crate) const FILTERS: [&str; 7] =
    ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "LANGUAGE"];

pub(super) fn read(asked: &mut Asked) -> Result<(), Refusal> {
    // Each name may be written in two ways. Which one counts where both are there is the provider's affair, so it is the
    // larger one here.
    let mut configs = Vec::new();
    for written in
        ["generationConfig", "generation_config"].into_iter().filter_map(|name| asked.body.get(name))
    {
        match Object::parse(Bytes::copy_from_slice(written.as_bytes())) {
            Ok(config) => configs.push(config),
            Err(twice @ NotAnObject::Twice(_)) => {
                return Err(Refusal::invalid("duplicate_member", twice.to_string()));
            }
            // Null, or what the provider will refuse.
            Err(NotAnObject::Malformed(_)) => {}
        }
    }
    let number = |one: &str, other: &str| {
        configs.iter().try_fold(None, |largest: Option<u64>, config| {
            let more = count_in_proto(config, one)?.max(count_in_proto(config, other)?);
            Ok::<_, Refusal>(largest.max(more))
        })
    };
    asked.answers = number("candidateCount", "candidate_count")?.unwrap_or(1).max(1);
    let most = number("maxOutputTokens", "max_output_tokens")?;
    asked.most_output = most.map(|most| most.saturating_mul(asked.answers));
    let cache = asked.body.get("cachedContent").or_else(|| asked.body.get("cached_content"));
    if cache.is_some_and(|name| name != "null") {
        asked.input.refer();
    }
    Ok(())
}

pub(super) fn event(meter: &mut Meter, event: &Event) -> Result<Sign, Malformed> {
    let data = object(&event.data)?;
    if let Some(error) = data.get("error").filter(|error| !error.is_null()) {
        return Ok(Sign::Fault(Reported::of(error)));
    }
    let before = meter.passed();
    chunk(meter, &data);
    let calls = |candidate: &Value| {
        let parts =
            candidate.get("content").and_then(|content| content.get("parts")).and_then(Value::as_array);
        parts.is_some_and(|parts| parts.iter().any(|part| part.get("functionCall").is_some()))
    };
    let called = candidates(&data).any(calls);
    Ok(if called || meter.passed() > before { Sign::Content } else { Sign::Quiet })
}

/// A chunk of a stream, which has the form of a whole answer.
pub(super) fn chunk(meter: &mut Meter, data: &Value) {
    for candidate in candidates(data) {
        meter.add_text(candidate.get("content").map_or(0, text_of));
        let reason = candidate.get("finishReason").and_then(Value::as_str);
        if reason.is_some_and(|reason| reason != "FINISH_REASON_UNSPECIFIED") {
            meter.finish();
        }
        if reason.is_some_and(|reason| FILTERS.contains(&reason)) {
            meter.refuse();
        }
    }
    let blocked = data.get("promptFeedback").and_then(|feedback| feedback.get("blockReason"));
    if blocked.is_some_and(|reason| !reason.is_null()) {
        meter.finish();
        meter.refuse();
    }
    // Each chunk reports what there was so far, and the last one all of it.
    if let Some(report) = data.get("usageMetadata").filter(|report| !report.is_null()) {
        let complete = meter.is_finished();
        meter.report(gemini(report), complete);
    }
}

fn candidates(data: &Value) -> impl Iterator<Item = &Value> {
    data.get("candidates").and_then(Value::as_array).into_iter().flatten()
}
