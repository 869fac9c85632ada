use chrono::{DateTime, Utc};
use projections::PointInTime;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::Answer;
use crate::extract::{After, Parameters, Read, WalletAt};
use crate::field::Field;
use crate::problem::ProblemBody;
use crate::resource::BalanceBody;

/// At which time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AtTime {
    /// As it was recorded by then, inclusive.
    #[param(value_type = Option<String>, format = DateTime)]
    as_of: Option<Field<DateTime<Utc>>>,
    /// As it was in effect then, inclusive.
    #[param(value_type = Option<String>, format = DateTime)]
    effective_at: Option<Field<DateTime<Utc>>>,
}

impl Parameters for AtTime {}

/// Shows a wallet's balance, now or at a point in time.
#[utoipa::path(get, path = "/v1/wallets/{path}/balance", tag = "Wallets",
    params(("path" = String, Path, format = "wallet-path", description = "The wallet's path"), AtTime, After), responses(
    (status = 200, description = "The balance", body = BalanceBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn balance(Read { query, view }: Read<AtTime>, WalletAt(path): WalletAt) -> Answer {
    let at = PointInTime {
        as_of: query.as_of.map(|time| time.0),
        effective_at: query.effective_at.map(|time| time.0),
    };
    let found = view.ledger().balance(&path, at).await?;
    view.answer_or(
        found,
        || super::absent(&path),
        |balance, position| Ok(BalanceBody::new(balance, position)),
    )
}
