use super::Spenders;
use crate::answer::Answer;
use crate::extract::{After, Read};
use crate::problem::ProblemBody;
use crate::resource::{AnalysisBody, SpenderBody};

/// Shows who spent most on calls of models, most first, by asset.
#[utoipa::path(get, path = "/v1/analytics/top-spenders", tag = "Analytics", params(Spenders, After), responses(
    (status = 200, description = "Those who spent most", body = AnalysisBody<SpenderBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn top_spenders(Read { query, view }: Read<Spenders>) -> Answer {
    let ((window, by, filter), places) = (query.question(&view)?, query.places()?);
    let found = view.ledger().top_spenders(&window, by, &filter, places).await?;
    view.answer(found.position, &AnalysisBody::new(found.value, SpenderBody::from))
}
