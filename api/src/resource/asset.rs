use commands::Resource;
use domain::{AssetCode, Scale};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;

/// An asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Asset)]
pub struct AssetBody {
    /// Its code.
    #[schema(example = "USD")]
    pub code: String,
    /// Its digits behind the point.
    #[schema(minimum = 0, maximum = 18, example = 2)]
    pub scale: u8,
}

impl AssetBody {
    /// An asset of the code and scale.
    pub fn new(code: &AssetCode, scale: Scale) -> Self {
        Self { code: code.as_str().to_owned(), scale: scale.digits() }
    }

    /// The asset `code` of the tenant that a command came to.
    pub fn registered(resource: &Resource, code: &AssetCode) -> Result<Self, Problem> {
        match resource {
            Resource::Tenant(_, tenant) => tenant.assets.get(code).map(|scale| Self::new(code, *scale)),
            _ => None,
        }
        .ok_or_else(|| Problem::internal("a registered asset is not among the tenant's"))
    }
}
