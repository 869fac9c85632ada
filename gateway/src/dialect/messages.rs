//! Anthropic messages.

use serde_json::Value;

use super::count::{count, flag};
use super::meter::{object, text_of};
use super::usage::anthropic;
use super::{Asked, Malformed, Meter, Reported, Sign};
use crate::refusal::Refusal;
use crate::sse::Event;

pub(super) fn read(asked: &mut Asked) -> Result<(), Refusal> {
    asked.stream = flag(&asked.body, "stream")?;
    asked.most_output = count(&asked.body, "max_tokens")?;
    Ok(())
}

pub(super) fn event(meter: &mut Meter, event: &Event) -> Result<Sign, Malformed> {
    let data = object(&event.data)?;
    match data.get("type").and_then(Value::as_str).unwrap_or_default() {
        "error" => Ok(Sign::Fault(data.get("error").map(Reported::of).unwrap_or_default())),
        "message_start" => {
            // The output that it names is a seed, not a count.
            let message = data.get("message").unwrap_or(&Value::Null);
            if let Some(report) = message.get("usage").filter(|report| !report.is_null()) {
                let merged = meter.merged(report);
                meter.report(anthropic(&merged).map(|usage| domain::Usage { output: 0, ..usage }), false);
            }
            Ok(Sign::Quiet)
        }
        "message_delta" => {
            if let Some(report) = data.get("usage").filter(|report| !report.is_null()) {
                let merged = meter.merged(report);
                meter.report(anthropic(&merged), true);
            }
            refused(meter, data.get("delta"));
            Ok(Sign::Quiet)
        }
        "message_stop" => {
            meter.finish();
            Ok(Sign::End)
        }
        "content_block_start" => {
            let block = data.get("content_block").unwrap_or(&Value::Null);
            meter.add_text(text_of(block));
            // A call of a tool begins with its name.
            let calls = block.get("name").is_some();
            Ok(if calls || text_of(block) > 0 { Sign::Content } else { Sign::Quiet })
        }
        "content_block_delta" => {
            meter.add_text(data.get("delta").map_or(0, text_of));
            Ok(Sign::Content)
        }
        _ => Ok(Sign::Quiet),
    }
}

pub(super) fn whole(meter: &mut Meter, answer: &Value) {
    if let Some(report) = answer.get("usage").filter(|report| !report.is_null()) {
        meter.report(anthropic(report), true);
    }
    meter.add_text(answer.get("content").map_or(0, text_of));
    refused(meter, Some(answer));
}

fn refused(meter: &mut Meter, ended: Option<&Value>) {
    let reason = ended.and_then(|ended| ended.get("stop_reason")).and_then(Value::as_str);
    if reason == Some("refusal") {
        meter.refuse();
    }
}
