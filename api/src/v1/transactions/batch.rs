use actix_web::http::StatusCode;
use commands::{Command, Failure, Outcome};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::create::NewTransaction;
use crate::answer::{self, Answer};
use crate::app::Limits;
use crate::extract::{Document, Write};
use crate::field::Object;
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::TransactionBody;

/// The most transactions in a batch.
const MOST: usize = 1_000;

/// Several transactions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBatch {
    /// All or none; otherwise each for itself, in order.
    pub atomic: bool,
    /// The transactions, 1 to 1,000.
    #[schema(value_type = Vec<NewTransaction>, min_items = 1, max_items = 1000)]
    pub transactions: Vec<Object<NewTransaction>>,
}

impl Document for NewBatch {
    fn limit(limits: &Limits) -> usize {
        limits.batch_bytes
    }
}

/// What the transactions of a batch came to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Batch)]
pub struct BatchBody {
    /// One result for each transaction, in order.
    pub results: Vec<BatchResult>,
}

/// What one transaction of a batch came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchResult {
    /// The HTTP status that it would have had alone.
    #[schema(example = 201)]
    pub status: u16,
    /// The transaction, where it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<TransactionBody>,
    /// The problem, where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemBody>,
}

impl BatchResult {
    fn made(transaction: TransactionBody) -> Self {
        Self { status: StatusCode::CREATED.as_u16(), transaction: Some(transaction), problem: None }
    }

    fn failed(problem: &Problem) -> Self {
        Self { status: problem.code.status.as_u16(), transaction: None, problem: Some(problem.body(None)) }
    }
}

/// Makes up to 1,000 transactions, all or none (`atomic`) or each for itself.
#[utoipa::path(post, path = "/v1/transactions/batch", tag = "Transactions", request_body = NewBatch,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses(
        (status = 200, description = "A result for each transaction", body = BatchBody),
        (status = "default", description = "A problem; with `index` where one transaction of an atomic batch is meant",
            body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn batch(Write { body, writer }: Write<NewBatch>) -> Answer {
    if !(1..=MOST).contains(&body.transactions.len()) {
        let detail = format!("a batch has 1 to {MOST} transactions");
        return Err(Problem::new(code::BATCH_TOO_LARGE, detail).at("transactions"));
    }
    let transactions = body.transactions.into_iter().map(|Object(transaction)| transaction);
    if body.atomic {
        let requests = transactions.map(Into::into).collect();
        let outcome = writer.submit(Command::Batch(requests)).await?;
        return answer::done(outcome, StatusCode::OK, |resource| {
            let made = TransactionBody::all(resource)?;
            Ok(BatchBody { results: made.into_iter().map(BatchResult::made).collect() })
        });
    }
    let commands = transactions.map(|transaction| Command::Transact(transaction.into())).collect();
    each(writer.submit_each(commands).await)
}

/// Answers for transactions that were decided one by one.
fn each(outcomes: Vec<Result<Outcome, Failure>>) -> Answer {
    if outcomes.contains(&Err(Failure::KeyReused)) {
        return Err(Failure::KeyReused.into());
    }
    // What befell each of them in the same way befell the request: there was no room, or nothing can be written.
    let befell = |outcome: &Result<Outcome, Failure>| match outcome {
        Err(failure @ (Failure::Overloaded | Failure::Unavailable(_))) => Some(failure.clone()),
        _ => None,
    };
    if let Some(failure) = outcomes.first().and_then(befell)
        && outcomes.iter().all(|outcome| befell(outcome).is_some())
    {
        return Err(failure.into());
    }
    let made = || outcomes.iter().flatten();
    let position = made().map(|outcome| outcome.position).max_by_key(|position| position.position);
    let replayed = made().next().is_some() && made().all(|outcome| outcome.replayed);
    let results = outcomes.into_iter().map(|outcome| match outcome {
        Ok(outcome) => Ok(BatchResult::made(TransactionBody::try_from(outcome.resource)?)),
        Err(failure) => Ok(BatchResult::failed(&failure.into())),
    });
    let results = results.collect::<Result<_, Problem>>()?;
    answer::written(StatusCode::OK, position, replayed, &BatchBody { results })
}

#[cfg(test)]
mod tests {
    use commands::{Rejection, Resource};
    use domain::{AssetCode, Partition, Transaction, TransactionId};
    use journal::Position;

    use super::*;
    use crate::extract::{POSITION, REPLAYED};

    fn made(position: i64, replayed: bool) -> Outcome {
        Outcome {
            resource: Resource::Transactions(vec![(TransactionId::default(), Transaction::default())]),
            position: Position { partition: Partition(3), position },
            replayed,
        }
    }

    fn refused() -> Failure {
        Failure::Rejected(Rejection::UnknownAsset(AssetCode::new("EUR").unwrap()))
    }

    #[test]
    fn the_position_of_a_batch_is_that_of_its_last_transaction() {
        let answer = each(vec![Ok(made(4, true)), Err(refused()), Ok(made(9, false))]).unwrap();
        assert_eq!(answer.headers().get(POSITION).unwrap(), "p3:9");
        assert!(answer.headers().get(REPLAYED).is_none());
        let answer = each(vec![Ok(made(4, true)), Err(refused())]).unwrap();
        assert_eq!(answer.headers().get(REPLAYED).unwrap(), "true");
        let answer = each(vec![Err(refused())]).unwrap();
        assert!(answer.headers().get(POSITION).is_none() && answer.headers().get(REPLAYED).is_none());
    }

    #[test]
    fn a_batch_without_room_is_refused_as_a_whole_and_says_when_to_come_again() {
        let problem = each(vec![Err(Failure::Overloaded), Err(Failure::Overloaded)]).unwrap_err();
        assert_eq!((problem.code, problem.retry_after), (code::OVERLOADED, Some(1)));
        let unknown = || Err(Failure::Unavailable("away".into()));
        assert_eq!(each(vec![unknown(), unknown()]).unwrap_err().code, code::UNAVAILABLE);
        assert!(each(vec![Ok(made(4, false)), unknown()]).is_ok());
    }

    #[test]
    fn a_reused_key_fails_the_whole_batch() {
        let problem = each(vec![Ok(made(4, true)), Err(Failure::KeyReused)]).unwrap_err();
        assert_eq!(problem.code, code::IDEMPOTENCY_KEY_REUSED);
    }
}
