use super::{Governed, Level, Model, Policy, Provider};
use crate::{AssetCode, LevelName, ModelName, ProviderName, Rates, ZoneName};

/// What can be asked of a catalogue. Everything is said whole: to define what is there replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogueCommand {
    /// Offer a level of service, or change it.
    DefineLevel(Level),
    /// Offer it no more. Refused while a policy is for it.
    RemoveLevel {
        /// Which.
        name: LevelName,
    },
    /// Say what a level, a user or a wallet may use.
    SetPolicy {
        /// Whose.
        governed: Governed,
        /// What.
        policy: Policy,
    },
    /// Say no more about it.
    ClearPolicy {
        /// Whose.
        governed: Governed,
    },
    /// Say in which time zone months and days begin.
    SetTimeZone {
        /// Which.
        zone: ZoneName,
    },
    /// Name a provider, or change it.
    DefineProvider(Box<Provider>),
    /// Use it no more. Refused while a model is routed to it.
    RemoveProvider {
        /// Which.
        name: ProviderName,
    },
    /// Offer a model, or change where it is had.
    DefineModel(Model),
    /// Offer it no more.
    RemoveModel {
        /// Which.
        alias: ModelName,
    },
    /// Say what a model costs at a provider from now on.
    SetPrice {
        /// At whom.
        provider: ProviderName,
        /// Which model, as the provider calls it.
        model: ModelName,
        /// In which asset.
        asset: AssetCode,
        /// How much.
        rates: Rates,
    },
}

impl CatalogueCommand {
    /// The command's name in the audit log.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::DefineLevel(_) => "define_level",
            Self::RemoveLevel { .. } => "remove_level",
            Self::SetPolicy { .. } => "set_policy",
            Self::ClearPolicy { .. } => "clear_policy",
            Self::SetTimeZone { .. } => "set_time_zone",
            Self::DefineProvider(_) => "define_provider",
            Self::RemoveProvider { .. } => "remove_provider",
            Self::DefineModel(_) => "define_model",
            Self::RemoveModel { .. } => "remove_model",
            Self::SetPrice { .. } => "set_price",
        }
    }
}
