use super::{Counted, MOST_ROWS};
use crate::answer::Answer;
use crate::extract::{After, Read};
use crate::problem::ProblemBody;
use crate::resource::{AnalysisBody, UsageRowBody};

/// Shows what calls of models used and cost, by time, asset and what is asked for.
///
/// A call counts where it ended. The sum of all costs is exactly what executions have posted to `@revenue`.
#[utoipa::path(get, path = "/v1/analytics/usage", tag = "Analytics", params(Counted, After), responses(
    (status = 200, description = "Usage and cost", body = AnalysisBody<UsageRowBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn usage(Read { query, view }: Read<Counted>) -> Answer {
    let question = query.question(&view)?;
    let found = view.ledger().usage(&question, MOST_ROWS).await?;
    view.answer(found.position, &AnalysisBody::new(found.value, UsageRowBody::from))
}
