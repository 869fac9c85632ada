//! OpenAI embeddings: an input and no output.

use domain::Usage;
use serde_json::Value;

use super::Meter;
use super::usage::{CHAT, openai};

pub(super) fn whole(meter: &mut Meter, answer: &Value) {
    if let Some(report) = answer.get("usage").filter(|report| !report.is_null()) {
        meter.report(openai(report, &CHAT).map(|usage| Usage { output: 0, ..usage }), true);
    }
}
