use crate::answer::Answer;
use crate::extract::{After, NoQuery, Read, TransactionAt};
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::TransactionBody;

/// Shows a transaction.
#[utoipa::path(get, path = "/v1/transactions/{id}", tag = "Transactions",
    params(("id" = uuid::Uuid, Path, description = "The transaction"), After), responses(
    (status = 200, description = "The transaction", body = TransactionBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn get(Read { view, .. }: Read<NoQuery>, TransactionAt(id): TransactionAt) -> Answer {
    let found = view.ledger().transaction(id).await?;
    let absent = || Problem::new(code::TRANSACTION_NOT_FOUND, "the transaction does not exist");
    view.answer_or(found, absent, |made, _| Ok(TransactionBody::new(made.id, &made.state)))
}
