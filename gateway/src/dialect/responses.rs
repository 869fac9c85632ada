//! OpenAI responses.

use serde_json::Value;

use super::count::{count, flag};
use super::meter::{object, text_of};
use super::usage::{RESPONSES, openai};
use super::{Asked, Malformed, Meter, Reported, Sign};
use crate::refusal::Refusal;
use crate::sse::Event;

pub(super) fn read(asked: &mut Asked) -> Result<(), Refusal> {
    if flag(&asked.body, "background")? {
        let message = "a response in the background cannot be metered; leave `background` out".to_owned();
        return Err(Refusal::invalid("unsupported_feature", message));
    }
    asked.stream = flag(&asked.body, "stream")?;
    asked.most_output = count(&asked.body, "max_output_tokens")?;
    for name in ["previous_response_id", "conversation", "prompt"] {
        if asked.body.get(name).is_some_and(|value| value != "null") {
            asked.input.refer();
        }
    }
    Ok(())
}

pub(super) fn event(meter: &mut Meter, event: &Event) -> Result<Sign, Malformed> {
    // Servers that speak chat as well end both kinds of stream alike.
    if event.data.as_ref() == b"[DONE]" {
        return Ok(if meter.is_finished() { Sign::End } else { Sign::Quiet });
    }
    let data = object(&event.data)?;
    let kind = data.get("type").and_then(Value::as_str).unwrap_or_default();
    match kind {
        "error" => {
            let error = data.get("error").filter(|error| error.is_object()).unwrap_or(&data);
            let mut reported = Reported::of(error);
            if reported.code == "error" {
                "server_error".clone_into(&mut reported.code);
            }
            Ok(Sign::Fault(reported))
        }
        "response.completed" | "response.incomplete" => {
            if let Some(response) = data.get("response") {
                whole(meter, response);
            }
            meter.finish();
            Ok(Sign::End)
        }
        "response.failed" => {
            let response = data.get("response").unwrap_or(&Value::Null);
            whole(meter, response);
            Ok(Sign::Fault(response.get("error").map(Reported::of).unwrap_or_default()))
        }
        _ if kind.rsplit('.').next() == Some("delta") => {
            meter.add_text(data.get("delta").map_or(0, text_of));
            Ok(Sign::Content)
        }
        _ => Ok(Sign::Quiet),
    }
}

pub(super) fn whole(meter: &mut Meter, response: &Value) {
    if let Some(report) = response.get("usage").filter(|report| !report.is_null()) {
        meter.report(openai(report, &RESPONSES), true);
    }
    // What passed in a stream was counted as it passed. A report may be there and not be believed.
    if meter.passed() == 0 {
        meter.add_text(response.get("output").map_or(0, text_of));
    }
    let reason = response.get("incomplete_details").and_then(|details| details.get("reason"));
    if reason.and_then(Value::as_str) == Some("content_filter") {
        meter.refuse();
    }
}
