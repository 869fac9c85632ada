use actix_web::http::StatusCode;
use chrono::{DateTime, Utc};
use commands::{Command, TransactionRequest};
use domain::{Amount, AssetCode, Metadata, Reference, WalletPath};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{self, Answer};
use crate::extract::{Document, Write};
use crate::field::{Field, Object};
use crate::problem::ProblemBody;
use crate::resource::TransactionBody;

/// A transaction to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTransaction {
    /// What moves, 1 to 500 postings.
    #[schema(value_type = Vec<NewPosting>, min_items = 1, max_items = 500)]
    pub postings: Vec<Object<NewPosting>>,
    /// Hold it instead of posting it at once.
    #[serde(default)]
    pub pending: bool,
    /// When the hold ends by itself; for pending transactions only.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Field<DateTime<Utc>>>,
    /// The caller's name for it, unique within the tenant.
    #[schema(value_type = Option<String>, format = "reference", example = "invoice-2026-0042")]
    pub reference: Option<Field<Reference>>,
    /// When it took effect, where that is not now.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub effective_at: Option<Field<DateTime<Utc>>>,
    /// The caller's own facts.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Field<Metadata>>,
    /// Open wallets that do not exist yet. System wallets (`@...`) open by themselves.
    #[serde(default)]
    pub open_wallets: bool,
}

/// A positive amount that moves from one wallet to another of the same asset.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPosting {
    /// The wallet that pays.
    #[schema(value_type = String, format = "wallet-path", example = "customers:42:credits")]
    pub from: Field<WalletPath>,
    /// The wallet that receives.
    #[schema(value_type = String, format = "wallet-path", example = "@revenue")]
    pub to: Field<WalletPath>,
    /// How much, as a decimal string with at most the asset's digits.
    #[schema(value_type = String, format = "amount", example = "12.50")]
    pub amount: Field<Amount>,
    /// The asset of both wallets.
    #[schema(value_type = String, format = "asset-code", example = "USD")]
    pub asset: Field<AssetCode>,
}

impl Document for NewTransaction {}

impl From<NewTransaction> for TransactionRequest {
    fn from(new: NewTransaction) -> Self {
        let postings = new.postings.into_iter().map(|Object(posting)| domain::transaction::Posting {
            from: posting.from.0,
            to: posting.to.0,
            amount: posting.amount.0,
            asset: posting.asset.0,
        });
        Self {
            postings: postings.collect(),
            pending: new.pending,
            expires_at: new.expires_at.map(|time| time.0),
            reference: new.reference.map(|reference| reference.0),
            effective_at: new.effective_at.map(|time| time.0),
            adjustment: None,
            metadata: new.metadata.unwrap_or_default().0,
            open_wallets: new.open_wallets,
        }
    }
}

/// Posts or holds a transaction.
#[utoipa::path(post, path = "/v1/transactions", tag = "Transactions", request_body = NewTransaction,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses(
        (status = 201, description = "The transaction was made", body = TransactionBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn create(Write { body, writer }: Write<NewTransaction>) -> Answer {
    let outcome = writer.submit(Command::Transact(body.into())).await?;
    answer::done(outcome, StatusCode::CREATED, TransactionBody::try_from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::parse;

    fn wrong(amount: &str) -> (&'static str, Option<String>) {
        let text = format!(r#"{{"postings":[{{"from":"a","to":"b","asset":"USD","amount":{amount}}}]}}"#);
        let problem = parse::<NewTransaction>(text.as_bytes()).unwrap_err();
        (problem.code.name, problem.field)
    }

    #[test]
    fn an_amount_that_is_not_exact_is_refused_where_it_stands() {
        let at = Some("postings[0].amount".to_owned());
        for number in
            ["12.5", "12", "-1", "1e2", "0.1", "true", "null", "{}", "\"12,50\"", "\" 1\"", "\"NaN\""]
        {
            assert_eq!(wrong(number), ("invalid_amount", at.clone()), "{number}");
        }
        let digits = "7".repeat(40);
        assert_eq!(wrong(&format!("\"{digits}\"")), ("amount_too_large", at.clone()));
        assert_eq!(wrong(&digits), ("invalid_amount", at.clone()));
        assert_eq!(wrong("\"1.0000000000000000000\""), ("amount_too_precise", at));
    }

    #[test]
    fn what_is_not_known_is_refused_at_every_depth() {
        let text = r#"{"postings":[{"from":"a","to":"b","asset":"USD","amount":"1","fee":"2"}]}"#;
        let problem = parse::<NewTransaction>(text.as_bytes()).unwrap_err();
        assert_eq!((problem.code.name, problem.field.as_deref()), ("unknown_field", Some("postings[0].fee")));
    }

    #[test]
    fn a_posting_is_an_object_and_not_a_list_of_its_values() {
        let problem = parse::<NewTransaction>(br#"{"postings":[["a","b","1","USD"]]}"#).unwrap_err();
        assert_eq!((problem.code.name, problem.field.as_deref()), ("invalid_body", Some("postings[0]")));
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let text = format!(r#"{{"postings":[],"metadata":{}"#, r#"{"a":"#.repeat(100_000));
        assert_eq!(parse::<NewTransaction>(text.as_bytes()).unwrap_err().code.name, "malformed_json");
    }

    #[test]
    fn amounts_keep_their_digits_for_the_pipeline_to_scale() {
        let text = r#"{"postings":[{"from":"a","to":"b","asset":"USD","amount":"1.5"}],"pending":true,
            "expires_at":"2026-01-31T12:00:00+02:00","metadata":{"k":1.5}}"#;
        let request: TransactionRequest = parse::<NewTransaction>(text.as_bytes()).unwrap().into();
        assert_eq!(request.postings[0].amount.to_string(), "1.5");
        assert_eq!(request.expires_at.unwrap().to_rfc3339(), "2026-01-31T10:00:00+00:00");
        assert!(request.pending && !request.open_wallets);
    }
}
