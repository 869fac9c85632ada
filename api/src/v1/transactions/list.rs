use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::transaction::TransactionStatus;
use domain::{Reference, WalletPath};
use projections::TransactionFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::Answer;
use crate::cursor::Cursor;
use crate::extract::{After, Limit, Parameters, Read};
use crate::field::{Checked, Field, Wrong};
use crate::problem::{Code, ProblemBody, code};
use crate::resource::{List, TransactionBody};

const LIST: &str = "transactions";

/// Which transactions to list; everything given must hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListTransactions {
    /// Only those that touch this wallet.
    #[param(value_type = Option<String>, format = "wallet-path")]
    wallet: Option<Field<WalletPath>>,
    /// Only those of this status.
    #[param(value_type = Option<String>, format = "transaction-status")]
    status: Option<Field<TransactionStatus>>,
    /// Only the one with this reference.
    #[param(value_type = Option<String>, format = "reference")]
    reference: Option<Field<Reference>>,
    /// Only those recorded at this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    recorded_from: Option<Field<DateTime<Utc>>>,
    /// Only those recorded before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    recorded_to: Option<Field<DateTime<Utc>>>,
    /// Only those that took effect at this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    effective_from: Option<Field<DateTime<Utc>>>,
    /// Only those that took effect before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    effective_to: Option<Field<DateTime<Utc>>>,
    /// Only those whose metadata has these texts. The extractor puts them here.
    #[serde(skip)]
    metadata: BTreeMap<String, String>,
    /// Where to go on: `next` of an earlier answer.
    #[param(value_type = Option<String>, format = "cursor")]
    cursor: Option<Field<Cursor>>,
    /// How many at the most, 1 to 100; 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Field<Limit>>,
}

impl Parameters for ListTransactions {
    fn metadata(&mut self, filters: BTreeMap<String, String>) -> bool {
        self.metadata = filters;
        true
    }
}

impl Checked for TransactionStatus {
    const CODE: Code = code::INVALID_STATUS;
    const EXPECTED: &'static str =
        "the status of a transaction is posted, pending, settled, released, expired or reversed";

    fn check(text: &str) -> Result<Self, Wrong> {
        use TransactionStatus::{Expired, Pending, Posted, Released, Reversed, Settled};
        [Posted, Pending, Settled, Released, Expired, Reversed]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| Wrong::new(Self::CODE, Self::EXPECTED))
    }
}

/// Lists transactions, newest first.
#[utoipa::path(get, path = "/v1/transactions", tag = "Transactions",
    params(ListTransactions, ("metadata" = Option<BTreeMap<String, String>>, Query, style = DeepObject, explode,
        description = "Only those whose metadata has these texts: `metadata[order]=42`"), After),
    responses(
    (status = 200, description = "Transactions", body = List<TransactionBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(Read { query, view }: Read<ListTransactions>) -> Answer {
    let limit = query.limit.map_or(Limit::default(), |limit| limit.0).0;
    let before = query.cursor.map(|cursor| cursor.0.last(LIST)).transpose()?;
    let filter = TransactionFilter {
        wallet: query.wallet.map(|field| field.0),
        status: query.status.map(|field| field.0),
        reference: query.reference.map(|field| field.0),
        metadata: query.metadata,
        recorded_from: query.recorded_from.map(|field| field.0),
        recorded_to: query.recorded_to.map(|field| field.0),
        effective_from: query.effective_from.map(|field| field.0),
        effective_to: query.effective_to.map(|field| field.0),
    };
    let found = view.ledger().transactions(&filter, before, limit).await?;
    let last = found.value.last().map(|last| last.position);
    let items = found.value.iter().map(|made| TransactionBody::new(made.id, &made.state)).collect();
    let page = List::page(LIST, items, limit, |_| last.unwrap_or_default().to_string());
    view.answer(found.position, &page)
}
