//! The catalogue: what a tenant offers. Levels of service, policies of use, providers, models and their prices.
//!
//! The platform has one too ([`TenantId::PLATFORM`](crate::TenantId::PLATFORM)), whose providers, models and prices all tenants can use;
//! what a tenant's own catalogue has under the same name takes its place.

mod command;
mod event;
mod policy;
mod provider;
mod rejection;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

pub use command::CatalogueCommand;
pub use event::CatalogueEvent;
pub use policy::{Enforcement, Governed, Mode, Policy, Rollover};
pub use provider::{Dialect, Model, Provider, Route, Timeouts};
pub use rejection::CatalogueRejection;

use crate::{
    Amount, AssetCode, FeatureName, LevelName, ModelName, Moment, Price, ProviderName, Rates, UserRef,
    WalletPath, ZoneName,
};

/// How many levels of service there can be.
pub const MAX_LEVELS: usize = 100;
/// How many policies there can be.
pub const MAX_POLICIES: usize = 10_000;
/// How many providers there can be.
pub const MAX_PROVIDERS: usize = 100;
/// How many models there can be.
pub const MAX_MODELS: usize = 2_000;
/// How many routes a model can have.
pub const MAX_ROUTES: usize = 20;
/// How many models can have a price.
pub const MAX_PRICES: usize = 5_000;

/// A level of service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Its name.
    pub name: LevelName,
    /// Where it stands among the others: the higher the more.
    pub tier: u16,
    /// What it has (true) or has not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<FeatureName, bool>,
}

/// A catalogue's state. The default is one that says nothing, which every tenant has from the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Catalogue {
    /// The levels of service.
    pub levels: Arc<BTreeMap<LevelName, Level>>,
    /// The policies of levels.
    pub level_policies: Arc<BTreeMap<LevelName, Policy>>,
    /// The policies of users.
    pub user_policies: Arc<BTreeMap<UserRef, Policy>>,
    /// The policies of wallets.
    pub wallet_policies: Arc<BTreeMap<WalletPath, Policy>>,
    /// Where months and days begin; UTC by default.
    pub time_zone: Option<ZoneName>,
    /// The providers.
    pub providers: Arc<BTreeMap<ProviderName, Provider>>,
    /// The models.
    pub models: Arc<BTreeMap<ModelName, Model>>,
    /// The present price of each model at each provider. Those before it are in the events alone.
    pub prices: Arc<BTreeMap<ProviderName, BTreeMap<ModelName, Price>>>,
}

impl Catalogue {
    /// The policy that applies to a wallet of this user at this level: the wallet's own, else the user's, else the level's.
    pub fn policy(
        &self,
        wallet: &WalletPath,
        user: Option<&UserRef>,
        level: Option<&LevelName>,
    ) -> Option<&Policy> {
        self.wallet_policies
            .get(wallet)
            .or_else(|| user.and_then(|user| self.user_policies.get(user)))
            .or_else(|| level.and_then(|level| self.level_policies.get(level)))
    }

    /// What a model costs at a provider now.
    pub fn price(&self, provider: &ProviderName, model: &ModelName) -> Option<&Price> {
        self.prices.get(provider)?.get(model)
    }

    /// Decides a command.
    ///
    /// # Errors
    /// The first [`CatalogueRejection`] that applies, in the order of that enum.
    pub fn decide(
        &self,
        command: CatalogueCommand,
        _now: DateTime<Utc>,
    ) -> Result<CatalogueEvent, CatalogueRejection> {
        use CatalogueRejection as Rejected;
        Ok(match command {
            CatalogueCommand::DefineLevel(level) => {
                room(&self.levels, &level.name, MAX_LEVELS)?;
                CatalogueEvent::LevelDefined(level)
            }
            CatalogueCommand::RemoveLevel { name } => {
                self.levels.get(&name).ok_or(Rejected::LevelNotFound)?;
                if self.level_policies.contains_key(&name) {
                    return Err(Rejected::LevelInUse);
                }
                CatalogueEvent::LevelRemoved { name }
            }
            CatalogueCommand::SetPolicy { governed, policy } => self.set_policy(governed, policy)?,
            CatalogueCommand::ClearPolicy { governed } => {
                let found = match &governed {
                    Governed::Level(level) => self.level_policies.contains_key(level),
                    Governed::User(user) => self.user_policies.contains_key(user),
                    Governed::Wallet(wallet) => self.wallet_policies.contains_key(wallet),
                };
                if !found {
                    return Err(Rejected::PolicyNotFound);
                }
                CatalogueEvent::PolicyCleared { governed }
            }
            CatalogueCommand::SetTimeZone { zone } => CatalogueEvent::TimeZoneSet { zone },
            CatalogueCommand::DefineProvider(provider) => {
                if !provider.timeouts.are_valid() {
                    return Err(Rejected::InvalidTimeout);
                }
                room(&self.providers, &provider.name, MAX_PROVIDERS)?;
                CatalogueEvent::ProviderDefined(provider)
            }
            CatalogueCommand::RemoveProvider { name } => {
                self.providers.get(&name).ok_or(Rejected::ProviderNotFound)?;
                let mut routes = self.models.values().flat_map(|model| &model.routes);
                if routes.any(|route| route.provider == name) {
                    return Err(Rejected::ProviderInUse);
                }
                CatalogueEvent::ProviderRemoved { name }
            }
            CatalogueCommand::DefineModel(model) => {
                let places: BTreeSet<_> =
                    model.routes.iter().map(|route| (&route.provider, &route.model)).collect();
                if !(1..=MAX_ROUTES).contains(&model.routes.len()) || places.len() != model.routes.len() {
                    return Err(Rejected::InvalidRoutes);
                }
                room(&self.models, &model.alias, MAX_MODELS)?;
                CatalogueEvent::ModelDefined(model)
            }
            CatalogueCommand::RemoveModel { alias } => {
                self.models.get(&alias).ok_or(Rejected::ModelNotFound)?;
                CatalogueEvent::ModelRemoved { alias }
            }
            CatalogueCommand::SetPrice { provider, model, asset, rates } => {
                self.set_price(provider, model, asset, rates)?
            }
        })
    }

    fn set_policy(&self, governed: Governed, policy: Policy) -> Result<CatalogueEvent, CatalogueRejection> {
        let (known, policies) = match &governed {
            Governed::Level(level) => {
                self.levels.get(level).ok_or(CatalogueRejection::LevelNotFound)?;
                (self.level_policies.contains_key(level), self.policies())
            }
            Governed::User(user) => (self.user_policies.contains_key(user), self.policies()),
            Governed::Wallet(wallet) => (self.wallet_policies.contains_key(wallet), self.policies()),
        };
        let most = match policy.mode {
            Mode::Monthly { rollover: Rollover::Capped { most } } => most,
            _ => Amount::zero(policy.amount.scale()),
        };
        if policy.amount.is_negative() || most.is_negative() {
            return Err(CatalogueRejection::NegativePolicy);
        }
        if !known && policies >= MAX_POLICIES {
            return Err(CatalogueRejection::TooMany);
        }
        Ok(CatalogueEvent::PolicySet { governed, policy })
    }

    fn set_price(
        &self,
        provider: ProviderName,
        model: ModelName,
        asset: AssetCode,
        rates: Rates,
    ) -> Result<CatalogueEvent, CatalogueRejection> {
        if rates.buckets().iter().any(|rate| rate.is_negative()) {
            return Err(CatalogueRejection::NegativeRate);
        }
        if !rates.are_countable() {
            return Err(CatalogueRejection::RateTooHigh);
        }
        let before = self.price(&provider, &model);
        let all: usize = self.prices.values().map(BTreeMap::len).sum();
        if before.is_none() && all >= MAX_PRICES {
            return Err(CatalogueRejection::TooMany);
        }
        let version = before.map_or(1, |price| price.version.saturating_add(1));
        Ok(CatalogueEvent::PriceSet { provider, model, price: Price { version, asset, rates } })
    }

    /// How many policies there are.
    fn policies(&self) -> usize {
        self.level_policies.len() + self.user_policies.len() + self.wallet_policies.len()
    }
}

/// Whether there is room for one more, or it is there already.
fn room<K: Ord, V>(of: &BTreeMap<K, V>, name: &K, most: usize) -> Result<(), CatalogueRejection> {
    if of.len() < most || of.contains_key(name) { Ok(()) } else { Err(CatalogueRejection::TooMany) }
}

impl Aggregate for Catalogue {
    const TYPE: &'static str = "catalogue";
    type Command = CatalogueCommand;
    type Event = CatalogueEvent;
    type Error = CatalogueRejection;
    type Services = Moment;

    async fn handle(
        &mut self,
        command: CatalogueCommand,
        moment: &Moment,
        sink: &EventSink<Self>,
    ) -> Result<(), CatalogueRejection> {
        let event = self.decide(command, moment.0)?;
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, event: CatalogueEvent) {
        match event {
            CatalogueEvent::LevelDefined(level) => {
                Arc::make_mut(&mut self.levels).insert(level.name.clone(), level);
            }
            CatalogueEvent::LevelRemoved { name } => {
                Arc::make_mut(&mut self.levels).remove(&name);
            }
            CatalogueEvent::PolicySet { governed, policy } => match governed {
                Governed::Level(level) => {
                    Arc::make_mut(&mut self.level_policies).insert(level, policy);
                }
                Governed::User(user) => {
                    Arc::make_mut(&mut self.user_policies).insert(user, policy);
                }
                Governed::Wallet(wallet) => {
                    Arc::make_mut(&mut self.wallet_policies).insert(wallet, policy);
                }
            },
            CatalogueEvent::PolicyCleared { governed } => match governed {
                Governed::Level(level) => {
                    Arc::make_mut(&mut self.level_policies).remove(&level);
                }
                Governed::User(user) => {
                    Arc::make_mut(&mut self.user_policies).remove(&user);
                }
                Governed::Wallet(wallet) => {
                    Arc::make_mut(&mut self.wallet_policies).remove(&wallet);
                }
            },
            CatalogueEvent::TimeZoneSet { zone } => self.time_zone = Some(zone),
            CatalogueEvent::ProviderDefined(provider) => {
                Arc::make_mut(&mut self.providers).insert(provider.name.clone(), *provider);
            }
            CatalogueEvent::ProviderRemoved { name } => {
                Arc::make_mut(&mut self.providers).remove(&name);
            }
            CatalogueEvent::ModelDefined(model) => {
                Arc::make_mut(&mut self.models).insert(model.alias.clone(), model);
            }
            CatalogueEvent::ModelRemoved { alias } => {
                Arc::make_mut(&mut self.models).remove(&alias);
            }
            CatalogueEvent::PriceSet { provider, model, price } => {
                Arc::make_mut(&mut self.prices).entry(provider).or_default().insert(model, price);
            }
        }
    }
}

#[cfg(test)]
mod tests;
