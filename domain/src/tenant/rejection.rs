use crate::AssetCode;

/// Why a command to a tenant is refused, in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TenantRejection {
    /// No such tenant.
    #[error("the tenant does not exist")]
    NotFound,
    /// The slug is taken.
    #[error("a tenant with this slug exists already")]
    AlreadyExists,
    /// The code is taken; an asset's scale never changes.
    #[error("the asset {0} is registered already")]
    AssetExists(AssetCode),
}

impl TenantRejection {
    /// The stable code of this rejection.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "tenant_not_found",
            Self::AlreadyExists => "tenant_exists",
            Self::AssetExists(_) => "asset_exists",
        }
    }
}
