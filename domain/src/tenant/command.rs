use crate::{AssetCode, Scale, Slug, TenantName};

/// What can be asked of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantCommand {
    /// Bring the tenant into being.
    Create {
        /// Its short name, from which its id is derived.
        slug: Slug,
        /// Its display name.
        name: TenantName,
    },
    /// Register an asset. Its scale never changes afterwards.
    RegisterAsset {
        /// The asset's code.
        code: AssetCode,
        /// Its digits behind the point.
        scale: Scale,
    },
}
