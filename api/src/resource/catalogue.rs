//! What a tenant offers.

use std::collections::BTreeMap;

use commands::Resource;
use domain::catalogue::{Governed, Level, Mode, Model, Policy, Provider, Rollover};
use domain::{Catalogue, ModelName, Price, ProviderName};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;

/// The catalogue that a command came to.
pub fn catalogue_of(resource: Resource) -> Result<Catalogue, Problem> {
    match resource {
        Resource::Catalogue(_, catalogue) => Ok(catalogue),
        _ => Err(Problem::internal("a command for a catalogue came to something else")),
    }
}

/// A level of service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Level)]
pub struct LevelBody {
    /// Its name.
    #[schema(example = "pro")]
    pub name: String,
    /// Its place among the levels: higher is more.
    #[schema(example = 2)]
    pub tier: u16,
    /// What it includes and what not.
    #[schema(example = json!({"priority_support": true}))]
    pub features: BTreeMap<String, bool>,
}

impl From<&Level> for LevelBody {
    fn from(level: &Level) -> Self {
        let features = level.features.iter().map(|(name, has)| (name.to_string(), *has)).collect();
        Self { name: level.name.to_string(), tier: level.tier, features }
    }
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Policy)]
pub struct PolicyBody {
    /// For what it is: `level`, `user` or `wallet`.
    #[schema(example = "level")]
    pub kind: &'static str,
    /// For which level, user or wallet.
    #[schema(example = "pro")]
    pub name: String,
    /// `lifetime` or `monthly`.
    #[schema(example = "monthly")]
    pub mode: &'static str,
    /// What becomes of the rest of a month: `none`, `capped` or `full`; null for what is allocated once.
    #[schema(example = "capped")]
    pub rollover: Option<&'static str>,
    /// The most that is carried into the next month.
    #[schema(example = "5.00")]
    pub rollover_most: Option<String>,
    /// How much is allocated.
    #[schema(example = "20.00")]
    pub amount: String,
    /// In which asset.
    #[schema(example = "USD")]
    pub asset: String,
    /// `monitor`, `warn` or `hard`.
    #[schema(example = "hard")]
    pub enforcement: &'static str,
}

impl PolicyBody {
    /// A policy, for whom it is.
    pub fn new(governed: &Governed, policy: &Policy) -> Self {
        let (kind, name) = match governed {
            Governed::Level(level) => ("level", level.to_string()),
            Governed::User(user) => ("user", user.to_string()),
            Governed::Wallet(wallet) => ("wallet", wallet.to_string()),
        };
        let (mode, rollover, most) = match policy.mode {
            Mode::Lifetime => ("lifetime", None, None),
            Mode::Monthly { rollover: Rollover::None } => ("monthly", Some("none"), None),
            Mode::Monthly { rollover: Rollover::Full } => ("monthly", Some("full"), None),
            Mode::Monthly { rollover: Rollover::Capped { most } } => ("monthly", Some("capped"), Some(most)),
        };
        Self {
            kind,
            name,
            mode,
            rollover,
            rollover_most: most.map(|most| most.to_string()),
            amount: policy.amount.to_string(),
            asset: policy.asset.to_string(),
            enforcement: policy.enforcement.as_str(),
        }
    }

    /// All policies of a catalogue.
    pub fn all(catalogue: &Catalogue) -> Vec<Self> {
        let levels = catalogue.level_policies.iter().map(|(name, policy)| (Governed::Level(name.clone()), policy));
        let users = catalogue.user_policies.iter().map(|(name, policy)| (Governed::User(name.clone()), policy));
        let wallets =
            catalogue.wallet_policies.iter().map(|(path, policy)| (Governed::Wallet(path.clone()), policy));
        levels.chain(users).chain(wallets).map(|(governed, policy)| Self::new(&governed, policy)).collect()
    }

    /// Its place in a list.
    pub fn key(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }
}

/// A provider, without its credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Provider)]
pub struct ProviderBody {
    /// Its name.
    #[schema(example = "openai")]
    pub name: String,
    /// Which shape it speaks: `openai`, `anthropic` or `gemini`.
    #[schema(example = "openai")]
    pub dialect: &'static str,
    /// Its base address.
    #[schema(example = "https://api.openai.com/v1")]
    pub base_url: String,
    /// Whether there is a credential. It is never shown.
    pub has_credential: bool,
    /// Lower ones are asked first where the routes of a model say nothing.
    pub priority: u16,
    /// How long it may take.
    pub timeouts: TimeoutsBody,
    /// Whether it is asked at all.
    pub enabled: bool,
}

/// How long a provider may take, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Timeouts)]
pub struct TimeoutsBody {
    /// To be reached.
    pub connect_ms: u32,
    /// Until the first token of an answer.
    pub first_token_ms: u32,
    /// From one token to the next.
    pub between_tokens_ms: u32,
    /// For a whole answer.
    pub total_ms: u32,
}

impl From<&Provider> for ProviderBody {
    fn from(provider: &Provider) -> Self {
        let timeouts = &provider.timeouts;
        Self {
            name: provider.name.to_string(),
            dialect: provider.dialect.as_str(),
            base_url: provider.base_url.to_string(),
            has_credential: provider.credential.is_some(),
            priority: provider.priority,
            timeouts: TimeoutsBody {
                connect_ms: timeouts.connect_ms,
                first_token_ms: timeouts.first_token_ms,
                between_tokens_ms: timeouts.between_tokens_ms,
                total_ms: timeouts.total_ms,
            },
            enabled: provider.enabled,
        }
    }
}

/// A model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Model)]
pub struct ModelBody {
    /// The name it is called by.
    #[schema(example = "gpt-5")]
    pub alias: String,
    /// Where it is found.
    pub routes: Vec<RouteBody>,
    /// The most tokens that it answers with, where that is known.
    #[schema(example = 16384)]
    pub max_output_tokens: Option<u64>,
}

/// Where a model is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Route)]
pub struct RouteBody {
    /// The provider.
    #[schema(example = "openai")]
    pub provider: String,
    /// What the provider calls it.
    #[schema(example = "gpt-5")]
    pub model: String,
    /// Lower ones are asked first.
    pub priority: u16,
    /// Its share among those of the same priority.
    pub weight: u16,
}

impl From<&Model> for ModelBody {
    fn from(model: &Model) -> Self {
        let route = |route: &domain::catalogue::Route| RouteBody {
            provider: route.provider.to_string(),
            model: route.model.to_string(),
            priority: route.priority,
            weight: route.weight,
        };
        let routes = model.routes.iter().map(route).collect();
        Self { alias: model.alias.to_string(), routes, max_output_tokens: model.max_output_tokens }
    }
}

/// What a model costs at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Price)]
pub struct PriceBody {
    /// The provider.
    #[schema(example = "openai")]
    pub provider: String,
    /// What the provider calls the model.
    #[schema(example = "gpt-5")]
    pub model: String,
    /// Counts the prices that the model had there.
    #[schema(example = 1)]
    pub version: u32,
    /// The asset that it is paid in.
    #[schema(example = "USD")]
    pub asset: String,
    /// The rates, per 1,000,000 tokens.
    pub rates: RatesBody,
}

/// What tokens cost, in the asset per 1,000,000 of them. Null is as input, and for reasoning as output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Rates)]
pub struct RatesBody {
    /// Of input that is neither read from a cache nor written to one.
    #[schema(example = "3")]
    pub input: String,
    /// Of output.
    #[schema(example = "15")]
    pub output: String,
    /// Of input read from a cache.
    #[schema(example = "0.3")]
    pub cache_read: Option<String>,
    /// Of input written to a cache for the usual time.
    #[schema(example = "3.75")]
    pub cache_write: Option<String>,
    /// Of input written to a cache for long; null is as `cache_write`.
    #[schema(example = "6")]
    pub cache_write_long: Option<String>,
    /// Of reasoning.
    pub reasoning: Option<String>,
}

impl PriceBody {
    /// The price of a model at a provider.
    pub fn new(provider: &ProviderName, model: &ModelName, price: &Price) -> Self {
        let rates = &price.rates;
        let text = |rate: Option<domain::Amount>| rate.map(|rate| rate.to_string());
        Self {
            provider: provider.to_string(),
            model: model.to_string(),
            version: price.version,
            asset: price.asset.to_string(),
            rates: RatesBody {
                input: rates.input.to_string(),
                output: rates.output.to_string(),
                cache_read: text(rates.cache_read),
                cache_write: text(rates.cache_write),
                cache_write_long: text(rates.cache_write_long),
                reasoning: text(rates.reasoning),
            },
        }
    }

    /// Its place in a list.
    pub fn key(&self) -> String {
        format!("{} {}", self.provider, self.model)
    }
}

/// What holds for all calls of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Metering)]
pub struct MeteringBody {
    /// The time zone whose months and days count.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: String,
}

impl From<&Catalogue> for MeteringBody {
    fn from(catalogue: &Catalogue) -> Self {
        Self { time_zone: catalogue.time_zone.as_ref().map_or_else(|| "UTC".to_owned(), ToString::to_string) }
    }
}
