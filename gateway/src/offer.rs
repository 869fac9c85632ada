//! What a tenant can call.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use domain::catalogue::{Model, Provider};
use domain::{ModelName, Price, ProviderName, TenantId};
use futures_util::future::BoxFuture;
use zeroize::Zeroizing;

/// The credential of a provider, opened. It does not show itself and is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps it.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(Zeroizing::new(secret.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A provider with its credential opened.
#[derive(Debug, Clone)]
pub struct Supplier {
    /// Whose it is: the tenant's own, or [`TenantId::PLATFORM`] for one that all share.
    pub owner: TenantId,
    /// How it is configured.
    pub provider: Provider,
    /// What it knows us by; a server of one's own may need none.
    pub credential: Option<Secret>,
}

/// What a tenant can call: its own entries, and the platform's where it has none of that name.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// The providers.
    pub providers: BTreeMap<ProviderName, Arc<Supplier>>,
    /// The models by alias, with their routes.
    pub models: BTreeMap<ModelName, Model>,
    /// What a provider's model costs. The model is the provider's name for it.
    pub prices: BTreeMap<(ProviderName, ModelName), Price>,
}

/// The offers cannot be had at the moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what can be called is not known at the moment: {0}")]
pub struct NoOffer(pub String);

/// Where offers come from.
pub trait Offers: Send + Sync {
    /// What `tenant` can call, now. Called once for each call, so it should be at hand.
    fn offer(&self, tenant: TenantId) -> BoxFuture<'_, Result<Arc<Offer>, NoOffer>>;
}
