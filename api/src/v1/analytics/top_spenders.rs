use chrono::{DateTime, Utc};
use domain::execution::ExecutionStatus;
use domain::{ApplicationId, AssetCode, ModelName, ProviderName, UserRef, WalletPath};
use projections::{Dimension, Granularity, UsageFilter, Window};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::answer::Answer;
use crate::extract::{After, Limit, Parameters, Read};
use crate::field::Field;
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::{AnalysisBody, SpenderBody};

/// Of whom, and when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Spenders {
    /// Where the window begins; a day before its end where nothing is said. Widened to whole quarters of an hour.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Field<DateTime<Utc>>>,
    /// Where it ends (exclusive); now where nothing is said.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Field<DateTime<Utc>>>,
    /// Who: `wallet` (as where nothing is said), `application`, `user`, `provider`, `model` or `outcome`.
    #[param(value_type = Option<String>, format = "dimension")]
    by: Option<Field<Dimension>>,
    /// Only calls of this application.
    #[param(value_type = Option<Uuid>)]
    application: Option<Uuid>,
    /// Only calls that this wallet pays for.
    #[param(value_type = Option<String>, format = "wallet-path")]
    wallet: Option<Field<WalletPath>>,
    /// Only calls for this user.
    #[param(value_type = Option<String>, format = "user-ref")]
    user: Option<Field<UserRef>>,
    /// Only calls that this provider answered last.
    #[param(value_type = Option<String>, format = "provider-name")]
    provider: Option<Field<ProviderName>>,
    /// Only calls for which this model was asked.
    #[param(value_type = Option<String>, format = "model-name")]
    model: Option<Field<ModelName>>,
    /// Only calls that ended so: `completed`, `failed`, `cancelled` or `expired`.
    #[param(value_type = Option<String>, format = "execution-outcome")]
    outcome: Option<Field<ExecutionStatus>>,
    /// Only calls whose cost is in this asset.
    #[param(value_type = Option<String>, format = "asset-code")]
    asset: Option<Field<AssetCode>>,
    /// How many places, 1 to 100; 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Field<Limit>>,
}

impl Parameters for Spenders {}

/// Shows who spent most on calls of models, most first, by asset.
#[utoipa::path(get, path = "/v1/analytics/top-spenders", tag = "Analytics", params(Spenders, After), responses(
    (status = 200, description = "Those who spent most", body = AnalysisBody<SpenderBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn top_spenders(Read { query, view }: Read<Spenders>) -> Answer {
    let to = query.to.map_or_else(|| view.now(), |to| to.0);
    let from = query.from.map_or_else(|| to - super::USUAL, |from| from.0);
    let window = Window::new(from, to, Granularity::Total)
        .map_err(|error| Problem::new(code::INVALID_QUERY, error.to_string()).at("to"))?;
    let by = query.by.map_or(Dimension::Wallet, |by| by.0);
    let places = query.limit.map_or(Limit::default(), |limit| limit.0).0;
    let places = u32::try_from(places).map_err(Problem::internal)?;
    let filter = UsageFilter {
        application: query.application.map(ApplicationId),
        wallet: query.wallet.map(|wallet| wallet.0),
        user: query.user.map(|user| user.0),
        provider: query.provider.map(|provider| provider.0),
        model: query.model.map(|model| model.0),
        outcome: query.outcome.map(|outcome| outcome.0),
        asset: query.asset.map(|asset| asset.0),
    };
    let found = view.ledger().top_spenders(&window, by, &filter, places).await?;
    view.answer(found.position, &AnalysisBody::new(found.value, SpenderBody::from))
}
