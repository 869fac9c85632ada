//! What commands about metering and calls of models need besides the pipeline.

use domain::{ApplicationId, Catalogue, ExecutionId, ProviderName, Sealed, UserRef, WalletPath, WebAddress};
use gateway::{Call, Reply};
use journal::Position;

use super::Writer;
use crate::problem::{Problem, code};
use crate::sdk;

impl Writer {
    /// What the caller's tenant offers at present.
    pub async fn catalogue(&self) -> Result<Catalogue, Problem> {
        let found = self.ledger().catalogue().await?.value;
        Ok(found.map(|view| view.state).unwrap_or_default())
    }

    /// The sealed credential of a provider, where it has one, to be kept for `address`. Whoever may define providers
    /// could have it sent to a place of their own otherwise, and read it there.
    pub async fn credential_of(
        &self,
        provider: &ProviderName,
        address: &WebAddress,
    ) -> Result<Option<Sealed>, Problem> {
        let catalogue = self.catalogue().await?;
        let Some(known) = catalogue.providers.get(provider) else { return Ok(None) };
        if known.credential.is_some() && known.base_url != *address {
            let detail = "the credential was given for another address: give it again, or null";
            return Err(Problem::new(code::CREDENTIAL_ELSEWHERE, detail).at("credential"));
        }
        Ok(known.credential.clone())
    }

    /// Seals a credential for a provider of the caller's tenant.
    pub async fn seal_credential(
        &self,
        provider: &ProviderName,
        credential: &str,
    ) -> Result<Sealed, Problem> {
        self.app.catalogues.seal(self.tenant(), provider, credential).await
    }

    /// Waits a moment until the next call here finds what has changed.
    pub async fn catalogue_changed(&self, position: Position) {
        self.app.people.settle(position).await;
        self.app.catalogues.forget(self.tenant());
    }

    /// Who pays, and for whom.
    pub async fn wallet_and_user(
        &self,
        wallet: Option<WalletPath>,
        user: Option<UserRef>,
    ) -> Result<(WalletPath, Option<UserRef>), Problem> {
        sdk::wallet_and_user(&self.app, &self.request, &self.caller, wallet, user).await
    }

    /// The application that asks, where it is one.
    pub fn application(&self) -> Option<ApplicationId> {
        sdk::application(&self.caller)
    }

    /// The caller's idempotency key.
    pub fn key(&self) -> Option<&str> {
        self.key.as_ref().map(|given| given.key.as_str())
    }

    /// Makes a call of a model.
    pub async fn call(&self, call: Call) -> Reply {
        self.app.gateway.call(call).await
    }

    /// Ends a call that is made here; whether it is.
    pub fn cancel(&self, id: ExecutionId) -> bool {
        self.app.gateway.cancel(self.tenant(), id)
    }

    /// Has another instance end a call; whether one that makes it could be reached.
    pub async fn cancel_elsewhere(&self, id: ExecutionId) -> bool {
        self.app.gateway.cancel_elsewhere(self.tenant(), id).await
    }
}
