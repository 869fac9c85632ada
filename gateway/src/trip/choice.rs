//! A provider that can be asked, and how.

use bytes::Bytes;
use domain::execution::{Operation, Quoted};
use domain::{ProviderName, TenantId};
use sha2::{Digest as _, Sha256};

use crate::route::Stop;

/// What a circuit breaker is for: a provider under a credential.
pub(crate) type Circuit = (TenantId, ProviderName, [u8; 32]);

/// A provider that can be asked, and how.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) stop: Stop,
    /// What it is asked for: the client's operation, or its counterpart in the provider's dialect.
    pub(crate) spoken: Operation,
    /// The body in the provider's dialect, where that is another one.
    pub(crate) translated: Option<Bytes>,
}

impl Choice {
    /// Who is paid for.
    pub(crate) fn quoted(&self) -> Option<Quoted> {
        let Stop { supplier, model, price } = &self.stop;
        let price = price.clone()?;
        Some(Quoted { provider: supplier.provider.name.clone(), model: model.clone(), price })
    }

    pub(super) fn circuit(&self) -> Circuit {
        let supplier = &self.stop.supplier;
        let mut digest = Sha256::new();
        digest.update(supplier.provider.base_url.as_str());
        digest.update([0]);
        digest.update(supplier.credential.as_ref().map_or("", |credential| credential.as_str()));
        (supplier.owner, supplier.provider.name.clone(), digest.finalize().into())
    }
}
