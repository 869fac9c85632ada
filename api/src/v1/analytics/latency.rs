use super::{Counted, MOST_ROWS};
use crate::answer::Answer;
use crate::extract::{After, Read};
use crate::problem::ProblemBody;
use crate::resource::{AnalysisBody, LatencyRowBody};

/// Shows how long calls of models took: percentiles until the first token, and of the whole.
///
/// They are those of the attempt that ended the call: what was tried before it, and the pauses in between, are not in them.
#[utoipa::path(get, path = "/v1/analytics/latency", tag = "Analytics", params(Counted, After), responses(
    (status = 200, description = "Latencies", body = AnalysisBody<LatencyRowBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn latency(Read { query, view }: Read<Counted>) -> Answer {
    let question = query.question(&view)?;
    let found = view.ledger().latency(&question, MOST_ROWS).await?;
    view.answer(found.position, &AnalysisBody::new(found.value, LatencyRowBody::from))
}
