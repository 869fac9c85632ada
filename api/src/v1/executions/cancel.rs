use actix_web::http::StatusCode;
use domain::execution::ExecutionStatus;

use crate::answer::{self, Answer};
use crate::extract::{ExecutionAt, Nothing, Write};
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::ExecutionBody;

/// Ends a call that is running. What was used until then is paid; whoever waits for the answer is told.
///
/// Only the instance that makes the call can end it. One that was cut off ends by itself, when its time is over.
#[utoipa::path(post, path = "/v1/executions/{id}/cancel", tag = "Executions",
    params(("id" = uuid::Uuid, Path, description = "The execution's id")),
    responses((status = 202, description = "The call is being ended", body = ExecutionBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn cancel(Write { writer, .. }: Write<Nothing>, ExecutionAt(id): ExecutionAt) -> Answer {
    let cancelled = writer.cancel(id);
    let found = writer.ledger().execution(id).await?.value;
    let Some(execution) = found else {
        return Err(Problem::new(code::EXECUTION_NOT_FOUND, "the execution does not exist"));
    };
    if !cancelled && execution.state.status != ExecutionStatus::Running {
        let status = execution.state.status.as_str();
        return Err(Problem::new(code::EXECUTION_ENDED, format!("the execution is {status} already")));
    }
    if !cancelled {
        let detail = "the call is not made here: another instance makes it, or it was cut off and ends by itself";
        return Err(Problem::new(code::EXECUTION_ELSEWHERE, detail));
    }
    answer::written(StatusCode::ACCEPTED, None, false, &ExecutionBody::from(execution))
}
