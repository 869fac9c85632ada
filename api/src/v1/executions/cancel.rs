use actix_web::http::StatusCode;
use domain::ExecutionId;
use domain::execution::ExecutionStatus;
use projections::ExecutionView;

use crate::answer::{self, Answer};
use crate::extract::{ExecutionAt, Nothing, Write, Writer};
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::ExecutionBody;

/// Ends a call that is running, on any instance. What was used until then is paid; whoever waits for the answer is told.
///
/// One that no instance makes any more was cut off. It ends by itself, when its time is over.
#[utoipa::path(post, path = "/v1/executions/{id}/cancel", tag = "Executions",
    params(("id" = uuid::Uuid, Path, description = "The execution's id")),
    responses((status = 202, description = "The call is being ended", body = ExecutionBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn cancel(Write { writer, .. }: Write<Nothing>, ExecutionAt(id): ExecutionAt) -> Answer {
    let execution = known(&writer, id).await?;
    is_running(&execution)?;
    if !writer.cancel(id) && !writer.cancel_elsewhere(id).await {
        // That it came to its end meanwhile may be why nobody makes it.
        is_running(&known(&writer, id).await?)?;
        let detail = "no instance that could be reached makes the call: if it was cut off, it ends by itself when its \
                      time is over; if an instance was out of reach, ask again";
        return Err(Problem::new(code::EXECUTION_ELSEWHERE, detail));
    }
    answer::written(StatusCode::ACCEPTED, None, false, &ExecutionBody::from(execution))
}

async fn known(writer: &Writer, id: ExecutionId) -> Result<ExecutionView, Problem> {
    let found = writer.ledger().execution(id).await?.value;
    found.ok_or_else(|| Problem::new(code::EXECUTION_NOT_FOUND, "the execution does not exist"))
}

fn is_running(execution: &ExecutionView) -> Result<(), Problem> {
    match execution.state.status {
        ExecutionStatus::Running => Ok(()),
        status => {
            let detail = format!("the execution is {} already", status.as_str());
            Err(Problem::new(code::EXECUTION_ENDED, detail))
        }
    }
}
