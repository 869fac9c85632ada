use domain::AssetCode;
use domain::wallet::WalletStatus;
use projections::WalletFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::Answer;
use crate::cursor::Cursor;
use crate::extract::{After, Limit, Parameters, Read};
use crate::field::{Checked, Field, Wrong};
use crate::problem::{Code, ProblemBody, code};
use crate::resource::{List, WalletBody};

const LIST: &str = "wallets";

/// Which wallets to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListWallets {
    /// What the paths begin with, character by character.
    #[serde(default)]
    prefix: String,
    /// Only wallets of this asset.
    #[param(value_type = Option<String>, format = "asset-code")]
    asset: Option<Field<AssetCode>>,
    /// Only wallets of this status: `open`, `frozen` or `closed`.
    #[param(value_type = Option<String>, format = "wallet-status")]
    status: Option<Field<WalletStatus>>,
    /// Where to go on: `next` of an earlier answer.
    #[param(value_type = Option<String>, format = "cursor")]
    cursor: Option<Field<Cursor>>,
    /// How many at the most, 1 to 100; 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Field<Limit>>,
}

impl Parameters for ListWallets {}

impl Checked for WalletStatus {
    const CODE: Code = code::INVALID_STATUS;
    const EXPECTED: &'static str = "the status of a wallet is open, frozen or closed";

    fn check(text: &str) -> Result<Self, Wrong> {
        match text {
            "open" => Ok(Self::Open),
            "frozen" => Ok(Self::Frozen),
            "closed" => Ok(Self::Closed),
            _ => Err(Wrong::new(Self::CODE, Self::EXPECTED)),
        }
    }
}

/// Lists wallets by path.
#[utoipa::path(get, path = "/v1/wallets", tag = "Wallets", params(ListWallets, After), responses(
    (status = 200, description = "Wallets", body = List<WalletBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(Read { query, view }: Read<ListWallets>) -> Answer {
    let limit = query.limit.map_or(Limit::default(), |limit| limit.0).0;
    let after = query.cursor.map(|cursor| cursor.0.last::<String>(LIST)).transpose()?;
    let filter = WalletFilter {
        prefix: query.prefix,
        asset: query.asset.map(|asset| asset.0),
        status: query.status.map(|status| status.0),
    };
    let found = view.ledger().wallets(&filter, after.as_deref(), limit).await?;
    let items = found.value.into_iter().map(WalletBody::from).collect();
    view.answer(found.position, &List::page(LIST, items, limit, |last: &WalletBody| last.path.clone()))
}
