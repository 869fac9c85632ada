use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::Answer;
use crate::cursor::Cursor;
use crate::extract::{After, Limit, Parameters, Read, WalletAt};
use crate::field::Field;
use crate::problem::ProblemBody;
use crate::resource::{EntryBody, List};

const LIST: &str = "entries";

/// Which entries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListEntries {
    /// Where to go on: `next` of an earlier answer.
    #[param(value_type = Option<String>, format = "cursor")]
    cursor: Option<Field<Cursor>>,
    /// How many at the most, 1 to 100; 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Field<Limit>>,
}

impl Parameters for ListEntries {}

/// Lists the entries of a wallet, newest first, each with the balance after it.
#[utoipa::path(get, path = "/v1/wallets/{path}/entries", tag = "Wallets",
    params(("path" = String, Path, format = "wallet-path", description = "The wallet's path"), ListEntries, After), responses(
    (status = 200, description = "Entries", body = List<EntryBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn entries(Read { query, view }: Read<ListEntries>, WalletAt(path): WalletAt) -> Answer {
    let limit = query.limit.map_or(Limit::default(), |limit| limit.0).0;
    let before = query.cursor.map(|cursor| cursor.0.last(LIST)).transpose()?;
    let found = view.ledger().entries(&path, before, limit).await?;
    view.answer_or(
        found,
        || super::absent(&path),
        |entries, position| {
            let items = entries.into_iter().map(|entry| EntryBody::new(entry, position.partition)).collect();
            Ok(List::page(LIST, items, limit, |last: &EntryBody| last.sequence.to_string()))
        },
    )
}
