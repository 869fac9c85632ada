use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use super::{Governed, Level, Model, Policy, Provider};
use crate::{Event, LevelName, ModelName, Price, ProviderName, ZoneName};

/// What happened to a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatalogueEvent {
    /// A level of service is offered, in this form.
    LevelDefined(Level),
    /// It is not offered any more.
    LevelRemoved {
        /// Which.
        name: LevelName,
    },
    /// A level, a user or a wallet may use this much.
    PolicySet {
        /// Whose.
        governed: Governed,
        /// What.
        policy: Policy,
    },
    /// Nothing is said about it any more.
    PolicyCleared {
        /// Whose.
        governed: Governed,
    },
    /// Months and days begin in this time zone.
    TimeZoneSet {
        /// Which.
        zone: ZoneName,
    },
    /// A provider is known, in this form.
    ProviderDefined(Box<Provider>),
    /// It is not used any more.
    ProviderRemoved {
        /// Which.
        name: ProviderName,
    },
    /// A model is offered, in this form.
    ModelDefined(Model),
    /// It is not offered any more.
    ModelRemoved {
        /// Which.
        alias: ModelName,
    },
    /// A model costs this from now on.
    PriceSet {
        /// At whom.
        provider: ProviderName,
        /// Which model, as the provider calls it.
        model: ModelName,
        /// How much.
        #[serde(flatten)]
        price: Price,
    },
}

impl Event for CatalogueEvent {
    fn kind(&self) -> &'static str {
        match self {
            Self::LevelDefined(_) => "level_defined",
            Self::LevelRemoved { .. } => "level_removed",
            Self::PolicySet { .. } => "policy_set",
            Self::PolicyCleared { .. } => "policy_cleared",
            Self::TimeZoneSet { .. } => "time_zone_set",
            Self::ProviderDefined(_) => "provider_defined",
            Self::ProviderRemoved { .. } => "provider_removed",
            Self::ModelDefined(_) => "model_defined",
            Self::ModelRemoved { .. } => "model_removed",
            Self::PriceSet { .. } => "price_set",
        }
    }
}

impl DomainEvent for CatalogueEvent {
    fn event_type(&self) -> String {
        self.kind().to_owned()
    }

    fn event_version(&self) -> String {
        Self::VERSION.to_string()
    }
}
