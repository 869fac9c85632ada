use super::{MAX_LEVELS, MAX_MODELS, MAX_POLICIES, MAX_PRICES, MAX_PROVIDERS, MAX_ROUTES};

/// Why a command to a catalogue is refused, in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueRejection {
    /// There is no such level.
    #[error("the level does not exist")]
    LevelNotFound,
    /// A policy is for the level.
    #[error("the level has a policy; clear that first")]
    LevelInUse,
    /// Nothing is said about whom it is asked of.
    #[error("there is no such policy")]
    PolicyNotFound,
    /// What is granted is negative.
    #[error("a policy's amounts must not be negative")]
    NegativePolicy,
    /// There is no such provider.
    #[error("the provider does not exist")]
    ProviderNotFound,
    /// A model is routed to it.
    #[error("a model is routed to the provider; route it elsewhere first")]
    ProviderInUse,
    /// A limit of time is zero or more than an hour.
    #[error("a provider's times must be between 1 millisecond and an hour")]
    InvalidTimeout,
    /// There is no such model.
    #[error("the model does not exist")]
    ModelNotFound,
    /// A model leads nowhere, or to too many.
    #[error("a model must have 1 to {} routes, each to another provider or model", MAX_ROUTES)]
    InvalidRoutes,
    /// A rate is negative.
    #[error("a rate must not be negative")]
    NegativeRate,
    /// What a call can use would cost more than can be counted.
    #[error("a rate is too high: what a call can use would cost more than can be counted")]
    RateTooHigh,
    /// There is no such asset.
    #[error("the asset is not registered")]
    UnknownAsset,
    /// There are as many as there can be.
    #[error(
        "a catalogue has at most {} levels, {} policies, {} providers, {} models and {} prices",
        MAX_LEVELS,
        MAX_POLICIES,
        MAX_PROVIDERS,
        MAX_MODELS,
        MAX_PRICES
    )]
    TooMany,
}

impl CatalogueRejection {
    /// The stable code of this rejection.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::LevelNotFound => "level_not_found",
            Self::LevelInUse => "level_in_use",
            Self::PolicyNotFound => "policy_not_found",
            Self::NegativePolicy => "negative_policy",
            Self::ProviderNotFound => "provider_not_found",
            Self::ProviderInUse => "provider_in_use",
            Self::InvalidTimeout => "invalid_timeout",
            Self::ModelNotFound => "model_not_found",
            Self::InvalidRoutes => "invalid_routes",
            Self::NegativeRate => "negative_rate",
            Self::RateTooHigh => "rate_too_high",
            Self::UnknownAsset => "unknown_asset",
            Self::TooMany => "catalogue_full",
        }
    }
}
