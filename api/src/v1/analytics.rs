//! What calls of models came to: usage and cost, how long they took, who spends most, and how long it lasts.

pub mod burn_rate;
pub mod latency;
pub mod top_spenders;
pub mod usage;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use domain::execution::ExecutionStatus;
use domain::{ApplicationId, AssetCode, ModelName, ProviderName, UserRef, WalletPath};
use projections::{Dimension, Granularity, UsageFilter, Window, WindowError};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::extract::View;
use crate::field::{Checked, Field, Wrong};
use crate::problem::{Code, Problem, code};

/// The most rows of an answer.
const MOST_ROWS: u32 = 10_000;
/// How far back a window begins where nothing is said.
const USUAL: TimeDelta = TimeDelta::days(1);

/// Which calls to count. Of what is left out, all count.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Counted {
    /// Where the window begins; a day before its end where nothing is said. Widened to whole quarters of an hour.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Field<DateTime<Utc>>>,
    /// Where it ends (exclusive); now where nothing is said.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Field<DateTime<Utc>>>,
    /// `hour` or `day`, both by the tenant's time zone, or `total`, as where nothing is said.
    #[param(value_type = Option<String>, format = "granularity")]
    granularity: Option<Field<Granularity>>,
    /// By what calls are told apart, joined by commas: `application`, `wallet`, `user`, `provider`, `model`, `outcome`.
    #[param(value_type = Option<String>, format = "dimensions")]
    group_by: Option<Field<Dimensions>>,
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
}

impl crate::extract::Parameters for Counted {}

/// By what calls are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dimensions(pub BTreeSet<Dimension>);

impl Checked for Dimensions {
    const CODE: Code = code::INVALID_QUERY;
    const EXPECTED: &'static str =
        "calls are told apart by application, wallet, user, provider, model and outcome, joined by commas";

    fn check(text: &str) -> Result<Self, Wrong> {
        let named = |name| Dimension::named(name).ok_or_else(|| Wrong::new(Self::CODE, Self::EXPECTED));
        text.split(',').map(named).collect::<Result<_, _>>().map(Self)
    }
}

impl Checked for Dimension {
    const CODE: Code = code::INVALID_QUERY;
    const EXPECTED: &'static str = "it is application, wallet, user, provider, model or outcome";

    fn check(text: &str) -> Result<Self, Wrong> {
        Self::named(text).ok_or_else(|| Wrong::new(Self::CODE, Self::EXPECTED))
    }
}

impl Checked for Granularity {
    const CODE: Code = code::INVALID_QUERY;
    const EXPECTED: &'static str = "a granularity is hour, day or total";

    fn check(text: &str) -> Result<Self, Wrong> {
        Self::named(text).ok_or_else(|| Wrong::new(Self::CODE, Self::EXPECTED))
    }
}

impl Counted {
    /// The window that is asked for.
    fn window(&self, view: &View) -> Result<Window, Problem> {
        let to = self.to.as_ref().map_or_else(|| view.now(), |to| to.0);
        let from = self.from.as_ref().map_or_else(|| to - USUAL, |from| from.0);
        let granularity = self.granularity.as_ref().map_or(Granularity::Total, |given| given.0);
        Window::new(from, to, granularity)
            .map_err(|error: WindowError| Problem::new(code::INVALID_QUERY, error.to_string()).at("to"))
    }

    /// Which calls count.
    fn filter(&self) -> UsageFilter {
        let inner = |field: &Option<Field<WalletPath>>| field.as_ref().map(|field| field.0.clone());
        UsageFilter {
            application: self.application.map(ApplicationId),
            wallet: inner(&self.wallet),
            user: self.user.as_ref().map(|field| field.0.clone()),
            provider: self.provider.as_ref().map(|field| field.0.clone()),
            model: self.model.as_ref().map(|field| field.0.clone()),
            outcome: self.outcome.as_ref().map(|field| field.0),
            asset: self.asset.as_ref().map(|field| field.0.clone()),
        }
    }

    fn dimensions(&self) -> BTreeSet<Dimension> {
        self.group_by.as_ref().map(|given| given.0.0.clone()).unwrap_or_default()
    }
}
