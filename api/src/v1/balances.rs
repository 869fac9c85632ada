//! Sums of balances.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::Answer;
use crate::extract::{After, NoQuery, Parameters, Read};
use crate::problem::ProblemBody;
use crate::resource::{SumBody, SumsBody, TrialBalanceBody, TrialBody};

/// Which wallets to sum.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SumBalances {
    /// What the paths begin with, character by character; all wallets by default.
    #[serde(default)]
    prefix: String,
}

impl Parameters for SumBalances {}

/// Sums the balances per asset under a prefix of paths.
#[utoipa::path(get, path = "/v1/balances", tag = "Balances", params(SumBalances, After), responses(
    (status = 200, description = "The sums", body = SumsBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn sums(Read { query, view }: Read<SumBalances>) -> Answer {
    let found = view.ledger().sums(&query.prefix).await?;
    let position = found.position.to_string();
    let items = found.value.into_iter().map(SumBody::from).collect();
    view.answer(found.position, &SumsBody { prefix: query.prefix, items, position })
}

/// Shows both sides of every asset; their difference is zero.
#[utoipa::path(get, path = "/v1/trial-balance", tag = "Balances", params(After), responses(
    (status = 200, description = "The trial balance", body = TrialBalanceBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn trial_balance(Read { view, .. }: Read<NoQuery>) -> Answer {
    let found = view.ledger().trial_balance().await?;
    let position = found.position.to_string();
    let items = found.value.into_iter().map(TrialBody::from).collect();
    view.answer(found.position, &TrialBalanceBody { items, position })
}
