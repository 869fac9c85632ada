use chrono::TimeDelta;
use domain::WalletPath;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::Answer;
use crate::extract::{After, Parameters, Read};
use crate::field::Field;
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::BurnRateBody;

/// How far back is looked where nothing is said: a week.
const USUAL_HOURS: u32 = 7 * 24;
/// The furthest: a year.
const MOST_HOURS: u32 = 366 * 24;

/// Of which wallet.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfWallet {
    /// The wallet.
    #[param(value_type = String, format = "wallet-path")]
    wallet: Field<WalletPath>,
    /// How many hours are looked back upon, 1 to 8784; a week by default.
    #[param(minimum = 1, maximum = 8784)]
    hours: Option<u32>,
}

impl Parameters for OfWallet {}

/// Shows how fast a wallet spends on calls of models, and when it runs dry if it goes on like that.
///
/// The rate is what its calls have cost since the beginning of the span, or since its first call; the forecast knows
/// nothing of what is to come.
#[utoipa::path(get, path = "/v1/analytics/burn-rate", tag = "Analytics", params(OfWallet, After), responses(
    (status = 200, description = "The rate and the forecast", body = BurnRateBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn burn_rate(Read { query, view }: Read<OfWallet>) -> Answer {
    let hours = query.hours.unwrap_or(USUAL_HOURS);
    if !(1..=MOST_HOURS).contains(&hours) {
        let detail = format!("hours are a whole number from 1 to {MOST_HOURS}");
        return Err(Problem::new(code::INVALID_QUERY, detail).at("hours"));
    }
    let path = query.wallet.0;
    let found = view.ledger().burn_rate(&path, view.now(), TimeDelta::hours(hours.into())).await?;
    let absent = || Problem::new(code::WALLET_NOT_FOUND, format!("the wallet {path} does not exist"));
    view.answer_or(found, absent, |rate, _| Ok(BurnRateBody::from(rate)))
}
