//! What can be asked about calls: when they ended, and which of them count.

use chrono::{DateTime, TimeDelta, Utc};
use domain::execution::ExecutionStatus;
use domain::{ApplicationId, AssetCode, ModelName, ProviderName, UserRef, WalletPath};
use projections::{Dimension, Granularity, UsageFilter, UsageQuestion, Window};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::Dimensions;
use crate::extract::{Limit, Parameters, View};
use crate::field::Field;
use crate::problem::{Problem, code};

/// How far back a window begins where nothing is said.
const USUAL: TimeDelta = TimeDelta::days(1);

/// Parameters that say which calls count, with others of their own before and behind. Serde cannot read a part of a query
/// on its own where unknown parameters are refused.
macro_rules! about_calls {
    ($(#[$meta:meta])* $name:ident { $($before:tt)* } { $($behind:tt)* }) => {
        $(#[$meta])*
        #[derive(Debug, Deserialize, IntoParams)]
        #[serde(deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub struct $name {
            /// Where the window begins; a day before its end where nothing is said. Widened to whole quarters of an hour.
            #[param(value_type = Option<String>, format = DateTime)]
            from: Option<Field<DateTime<Utc>>>,
            /// Where it ends (exclusive); now where nothing is said.
            #[param(value_type = Option<String>, format = DateTime)]
            to: Option<Field<DateTime<Utc>>>,
            $($before)*
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
            $($behind)*
        }

        impl Parameters for $name {}

        impl $name {
            fn window(&self, view: &View, granularity: Granularity) -> Result<Window, Problem> {
                let to = self.to.as_ref().map_or_else(|| view.now(), |to| to.0);
                let from = self.from.as_ref().map_or_else(|| to - USUAL, |from| from.0);
                Window::new(from, to, granularity)
                    .map_err(|error| Problem::new(code::INVALID_QUERY, error.to_string()).at("to"))
            }

            fn filter(&self) -> UsageFilter {
                UsageFilter {
                    application: self.application.map(ApplicationId),
                    wallet: self.wallet.as_ref().map(|wallet| wallet.0.clone()),
                    user: self.user.as_ref().map(|user| user.0.clone()),
                    provider: self.provider.as_ref().map(|provider| provider.0.clone()),
                    model: self.model.as_ref().map(|model| model.0.clone()),
                    outcome: self.outcome.as_ref().map(|outcome| outcome.0),
                    asset: self.asset.as_ref().map(|asset| asset.0.clone()),
                }
            }
        }
    };
}

about_calls! {
    /// Which calls to count. Of what is left out, all count.
    Counted {
        /// `hour` or `day`, both by the tenant's time zone, or `total`, as where nothing is said.
        #[param(value_type = Option<String>, format = "granularity")]
        granularity: Option<Field<Granularity>>,
        /// By what calls are told apart, joined by commas: `application`, `wallet`, `user`, `provider`, `model`, `outcome`.
        #[param(value_type = Option<String>, format = "dimensions")]
        group_by: Option<Field<Dimensions>>,
    } {}
}

about_calls! {
    /// Of whom, and when.
    Spenders {
        /// Who: `wallet` (as where nothing is said), `application`, `user`, `provider`, `model` or `outcome`.
        #[param(value_type = Option<String>, format = "dimension")]
        by: Option<Field<Dimension>>,
    } {
        /// How many places, 1 to 100; 50 by default.
        #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
        limit: Option<Field<Limit>>,
    }
}

impl Counted {
    /// What is asked of the read model.
    pub(super) fn question(self, view: &View) -> Result<UsageQuestion, Problem> {
        let granularity = self.granularity.as_ref().map_or(Granularity::Total, |given| given.0);
        let (window, filter) = (self.window(view, granularity)?, self.filter());
        let group_by = self.group_by.map(|given| given.0.0).unwrap_or_default();
        Ok(UsageQuestion { window, group_by, filter })
    }
}

impl Spenders {
    /// When, who, and which calls count.
    pub(super) fn question(&self, view: &View) -> Result<(Window, Dimension, UsageFilter), Problem> {
        let by = self.by.as_ref().map_or(Dimension::Wallet, |by| by.0);
        Ok((self.window(view, Granularity::Total)?, by, self.filter()))
    }

    /// How many places.
    pub(super) fn places(&self) -> Result<u32, Problem> {
        let limit = self.limit.as_ref().map_or(Limit::default(), |limit| limit.0).0;
        u32::try_from(limit).map_err(Problem::internal)
    }
}
