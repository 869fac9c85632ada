//! What tenants offer to call: their own catalogues, and under them the one of the platform.
//!
//! What is said here was so at most half a second ago. The credentials of providers are opened when an offer is put
//! together, and sealed when a provider is defined; nothing else in here sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::catalogue::Provider;
use domain::{Catalogue, ProviderName, Sealed, TenantId};
use futures_util::future::BoxFuture;
use gateway::{NoOffer, Offer, Offers, Secret, Supplier};
use identity::vault::{Purpose, Vault, VaultError};
use projections::Reader;
use uuid::Uuid;

use crate::auth::Remembered;
use crate::problem::Problem;

/// How many tenants' offers are remembered.
const REMEMBERED: usize = 2_000;
/// What a sealed text begins with.
const FORM: &str = "s1.";

/// The catalogues of all tenants.
pub struct Catalogues {
    reader: Reader,
    vault: Vault,
    offers: Remembered<TenantId, Arc<Offer>>,
}

impl std::fmt::Debug for Catalogues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalogues").finish_non_exhaustive()
    }
}

impl Catalogues {
    /// Catalogues over the read models, with the vault that their credentials are sealed in.
    pub fn new(reader: Reader, vault: Vault) -> Self {
        Self { reader, vault, offers: Remembered::new(REMEMBERED) }
    }

    /// The names of the models that can be called in `tenant`.
    pub async fn models(&self, tenant: TenantId) -> Result<Vec<String>, Problem> {
        let offer = self.look(tenant).await?;
        Ok(offer.models.keys().map(ToString::to_string).collect())
    }

    /// Has the next call in `tenant` look again.
    pub fn forget(&self, tenant: TenantId) {
        self.offers.forget(&tenant);
    }

    /// Seals the credential of a provider.
    pub async fn seal(
        &self,
        tenant: TenantId,
        provider: &ProviderName,
        credential: &str,
    ) -> Result<Sealed, Problem> {
        let record = record(tenant, provider);
        let bytes = self
            .vault
            .seal_secret(tenant, Purpose::ProviderCredential, record, credential.as_bytes())
            .await?;
        Sealed::new(&format!("{FORM}{}", URL_SAFE_NO_PAD.encode(bytes))).map_err(Problem::internal)
    }

    async fn look(&self, tenant: TenantId) -> Result<Arc<Offer>, Problem> {
        self.offers.get(&tenant, self.put_together(tenant)).await
    }

    async fn put_together(&self, tenant: TenantId) -> Result<Arc<Offer>, Problem> {
        let mut offer = Offer::default();
        // The tenant's own come last, so that they take the places of those that are called the same.
        for owner in [TenantId::PLATFORM, tenant] {
            if let Some(view) = self.reader.tenant(owner).catalogue().await?.value {
                self.add(&mut offer, owner, view.state).await?;
            }
        }
        Ok(Arc::new(offer))
    }

    async fn add(&self, offer: &mut Offer, owner: TenantId, catalogue: Catalogue) -> Result<(), Problem> {
        let mut own = BTreeMap::new();
        for (name, provider) in catalogue.providers.iter() {
            // One credential that cannot be opened does not take the others away.
            let supplier = self
                .supplier(owner, name, provider)
                .await
                .inspect_err(|error| tracing::error!(provider = %name, %error, "a provider is left out"));
            own.insert(name.clone(), supplier.ok());
        }
        lay(offer, own, &catalogue);
        Ok(())
    }

    async fn supplier(
        &self,
        owner: TenantId,
        name: &ProviderName,
        provider: &Provider,
    ) -> Result<Supplier, VaultError> {
        let refused = || VaultError::Refused { what: "provider_credential" };
        let credential = match &provider.credential {
            None => None,
            Some(sealed) => {
                let text = sealed.as_str().strip_prefix(FORM).ok_or_else(refused)?;
                let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
                let record = record(owner, name);
                let plain =
                    self.vault.reveal_secret(owner, Purpose::ProviderCredential, record, &bytes).await?;
                Some(Secret::new(std::str::from_utf8(&plain).map_err(|_| refused())?))
            }
        };
        Ok(Supplier { owner, provider: provider.clone(), credential })
    }
}

/// Lays a catalogue over an offer, with the providers of that catalogue as far as they can be called. One that cannot is in
/// the way of the other that is called the same all the same: what is meant for the one must not reach the other.
fn lay(offer: &mut Offer, own: BTreeMap<ProviderName, Option<Supplier>>, catalogue: &Catalogue) {
    // Nor has a tenant's provider any of the prices of the platform's that is called the same.
    offer.prices.retain(|(provider, _), _| !own.contains_key(provider));
    for (name, supplier) in own {
        match supplier {
            Some(supplier) => offer.providers.insert(name, Arc::new(supplier)),
            None => offer.providers.remove(&name),
        };
    }
    offer.models.extend(catalogue.models.iter().map(|(name, model)| (name.clone(), model.clone())));
    for (provider, prices) in catalogue.prices.iter() {
        let price =
            |(model, price): (&_, &domain::Price)| ((provider.clone(), Clone::clone(model)), price.clone());
        offer.prices.extend(prices.iter().map(price));
    }
}

impl Offers for Catalogues {
    fn offer(&self, tenant: TenantId) -> BoxFuture<'_, Result<Arc<Offer>, NoOffer>> {
        Box::pin(async move { self.look(tenant).await.map_err(|problem| NoOffer(problem.detail)) })
    }
}

/// What a credential is sealed for: the provider of that name, of that tenant.
fn record(tenant: TenantId, provider: &ProviderName) -> Uuid {
    Uuid::new_v5(&tenant.0, format!("provider {provider}").as_bytes())
}

#[cfg(test)]
mod tests {
    use domain::catalogue::{Dialect, Timeouts};
    use domain::{AssetCode, ModelName, Price, Rates, WebAddress};

    use super::*;

    fn name(name: &str) -> ProviderName {
        ProviderName::new(name).unwrap()
    }

    fn supplier(owner: TenantId, called: &str) -> Supplier {
        let provider = Provider {
            name: name(called),
            dialect: Dialect::Openai,
            base_url: WebAddress::new("https://a.example").unwrap(),
            credential: None,
            priority: 0,
            timeouts: Timeouts::default(),
            enabled: true,
        };
        Supplier { owner, provider, credential: None }
    }

    #[test]
    fn a_provider_that_cannot_be_called_is_not_replaced_by_the_platforms_of_the_same_name() {
        let tenant = TenantId(Uuid::from_u128(7));
        let one = "1".parse().unwrap();
        let rates = Rates {
            input: one,
            output: one,
            cache_read: None,
            cache_write: None,
            cache_write_long: None,
            reasoning: None,
        };
        let price = Price { version: 1, asset: AssetCode::new("USD").unwrap(), rates };
        let model = ModelName::new("m").unwrap();
        let mut offer = Offer::default();
        let shared = ["own", "sealed", "left"]
            .map(|called| (name(called), Some(supplier(TenantId::PLATFORM, called))));
        lay(&mut offer, shared.into(), &Catalogue::default());
        for called in ["own", "sealed", "left"] {
            offer.prices.insert((name(called), model.clone()), price.clone());
        }
        let own = BTreeMap::from([(name("own"), Some(supplier(tenant, "own"))), (name("sealed"), None)]);
        lay(&mut offer, own, &Catalogue::default());
        assert!(!offer.providers.contains_key(&name("sealed")), "its credential cannot be opened");
        assert_eq!(offer.providers[&name("own")].owner, tenant);
        assert_eq!(offer.providers[&name("left")].owner, TenantId::PLATFORM);
        let priced: Vec<_> = offer.prices.keys().map(|(provider, _)| provider.as_str()).collect();
        assert_eq!(priced, ["left"], "nor has it the platform's prices");
    }
}
