//! Ids. Distinct types, so that swapped arguments do not compile, and derived from names where a name is
//! unique anyway, so that no lookup stands between a name and its stream.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Reference, Slug, WalletPath};

/// The namespace of every derived id. Changing it would orphan every stream.
const NAMESPACE: Uuid = Uuid::from_u128(0x6367_1f0e_9d1c_4f6b_8a55_c0de_1ed6_e201);

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A tenant's id, derived from its slug.
    TenantId
}
id! {
    /// A wallet's id, derived from its tenant and path.
    WalletId
}
id! {
    /// A transaction's id: derived from tenant and reference where it has a reference, otherwise new.
    TransactionId
}

id! {
    /// A user's id, always new. Users belong to no tenant; their streams are the platform's.
    UserId
}
id! {
    /// The id of a sign-in and all that follows from it.
    SessionId
}
id! {
    /// An application's id, always new.
    ApplicationId
}
id! {
    /// An API key's id, always new. It is not part of the key's text.
    KeyId
}
id! {
    /// An invitation's id, always new.
    InvitationId
}
id! {
    /// The id of a tenant's catalogue, derived from the tenant.
    CatalogueId
}
id! {
    /// The id of a wallet's allowance, derived from the wallet.
    AllowanceId
}
id! {
    /// A grant's id: derived from the allowance where a policy gives it, otherwise new.
    GrantId
}
id! {
    /// An execution's id: derived from tenant and idempotency key where it has a key, otherwise new.
    ExecutionId
}
id! {
    /// Whose personal data something is: a user's id, or an invitation's for the address it was sent to. Each subject
    /// has a key of its own, and erasing the subject destroys it.
    SubjectId
}

impl From<UserId> for SubjectId {
    fn from(user: UserId) -> Self {
        Self(user.0)
    }
}

impl From<InvitationId> for SubjectId {
    fn from(invitation: InvitationId) -> Self {
        Self(invitation.0)
    }
}

impl TenantId {
    /// The tenant that the installation itself is: the streams of its users. It is derived from `@platform`, which is
    /// no slug, so no tenant can be created with this id and no credential names it.
    pub const PLATFORM: Self = Self(Uuid::from_u128(0xf6e1_07b6_53f5_589c_963a_3a35_bf48_ba4b));

    /// The id of the tenant called `slug`.
    pub fn of(slug: &Slug) -> Self {
        Self(Uuid::new_v5(&NAMESPACE, slug.as_str().as_bytes()))
    }

    /// The partition this tenant lives in, of `count` partitions.
    ///
    /// The id is a SHA-1 of the slug (UUID v5), so its first eight bytes are spread evenly; the remainder
    /// is stable for as long as `count` is, and `count` is fixed when the database is created.
    pub fn partition(self, count: Partition) -> Partition {
        let bucket = i64::from(count.0.max(1));
        let spread = (self.0.as_u64_pair().0 >> 1).cast_signed();
        // The remainder is smaller than `count`, so it always fits.
        Partition(i32::try_from(spread % bucket).unwrap_or_default())
    }
}

impl WalletId {
    /// The id of the wallet at `path` of `tenant`.
    pub fn of(tenant: TenantId, path: &WalletPath) -> Self {
        Self(derived(tenant, "wallet", path.as_str()))
    }
}

impl TransactionId {
    /// The id of the transaction of `tenant` that carries `reference`.
    pub fn of(tenant: TenantId, reference: &Reference) -> Self {
        Self(derived(tenant, "transaction", reference.as_str()))
    }
}

impl TransactionId {
    /// The id of a transaction that an execution makes: its `hold/0`, `hold/1` and so on, its `overdraw`, its `debt`.
    pub fn of_execution(execution: ExecutionId, what: &str) -> Self {
        Self(Uuid::new_v5(&execution.0, what.as_bytes()))
    }
}

impl CatalogueId {
    /// The id of the catalogue of `tenant`.
    pub fn of(tenant: TenantId) -> Self {
        Self(derived(tenant, "catalogue", ""))
    }
}

impl AllowanceId {
    /// The id of the allowance of a wallet.
    pub fn of(wallet: WalletId) -> Self {
        Self(Uuid::new_v5(&wallet.0, b"allowance"))
    }
}

impl ExecutionId {
    /// The id of the execution of `tenant` that was asked for with an idempotency key.
    pub fn of(tenant: TenantId, key: &str) -> Self {
        Self(derived(tenant, "execution", key))
    }

    /// The id of the execution that is made anew under the same idempotency key, where this one came to nothing.
    #[must_use]
    pub fn again(self) -> Self {
        Self(Uuid::new_v5(&self.0, b"again"))
    }
}

fn derived(tenant: TenantId, kind: &str, name: &str) -> Uuid {
    let mut bytes = Vec::with_capacity(kind.len() + 1 + name.len());
    bytes.extend_from_slice(kind.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(name.as_bytes());
    Uuid::new_v5(&tenant.0, &bytes)
}

/// A partition's number, from 0; or, where a count is asked for, how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub i32);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_is_derived_from_what_is_no_slug() {
        assert_eq!(TenantId::PLATFORM.0, Uuid::new_v5(&NAMESPACE, b"@platform"));
        assert!(Slug::new("@platform").is_err());
    }
}
