use actix_web::http::StatusCode;
use commands::Command;
use domain::Amount;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{self, Answer};
use crate::extract::{Document, Nothing, TransactionAt, Write, Writer};
use crate::field::Field;
use crate::problem::ProblemBody;
use crate::resource::TransactionBody;

/// How much of each posting.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Amounts {
    /// One amount for each posting, in their order; everything by default.
    #[schema(value_type = Option<Vec<String>>, format = "amount", example = json!(["10.00"]))]
    pub amounts: Option<Vec<Field<Amount>>>,
}

impl Document for Amounts {}

impl Amounts {
    fn amounts(self) -> Option<Vec<Amount>> {
        Some(self.amounts?.into_iter().map(|amount| amount.0).collect())
    }
}

/// Settles a hold in part or whole; the remainder is released.
#[utoipa::path(post, path = "/v1/transactions/{id}/settle", tag = "Transactions", request_body = Amounts,
    params(("id" = uuid::Uuid, Path, description = "The transaction"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The transaction is settled", body = TransactionBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn settle(Write { body, writer }: Write<Amounts>, TransactionAt(id): TransactionAt) -> Answer {
    step(&writer, Command::Settle { id, amounts: body.amounts() }).await
}

/// Releases a hold: nothing moves.
#[utoipa::path(post, path = "/v1/transactions/{id}/release", tag = "Transactions",
    params(("id" = uuid::Uuid, Path, description = "The transaction"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The hold is released", body = TransactionBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn release(Write { writer, .. }: Write<Nothing>, TransactionAt(id): TransactionAt) -> Answer {
    step(&writer, Command::Release { id }).await
}

/// Reverses what was posted or settled, in part or whole, never more than is left of it.
#[utoipa::path(post, path = "/v1/transactions/{id}/reverse", tag = "Transactions", request_body = Amounts,
    params(("id" = uuid::Uuid, Path, description = "The transaction"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The transaction, with what was reversed", body = TransactionBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn reverse(Write { body, writer }: Write<Amounts>, TransactionAt(id): TransactionAt) -> Answer {
    step(&writer, Command::Reverse { id, amounts: body.amounts() }).await
}

async fn step(writer: &Writer, command: Command) -> Answer {
    let outcome = writer.submit(command).await?;
    answer::done(outcome, StatusCode::OK, TransactionBody::try_from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::parse;

    #[test]
    fn no_body_means_everything() {
        for text in ["", "{}", r#"{"amounts":null}"#] {
            assert_eq!(parse::<Amounts>(text.as_bytes()).unwrap().amounts(), None, "{text}");
        }
        let some = parse::<Amounts>(br#"{"amounts":["1.5","0"]}"#).unwrap().amounts().unwrap();
        assert_eq!(some.len(), 2);
        let problem = parse::<Amounts>(br#"{"amounts":["1.5",2]}"#).unwrap_err();
        assert_eq!((problem.code.name, problem.field.as_deref()), ("invalid_amount", Some("amounts[1]")));
    }
}
