use commands::Resource;
use projections::TenantView;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::Problem;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Tenant)]
pub struct TenantBody {
    /// Its id, derived from its slug.
    pub id: Uuid,
    /// Its short name.
    #[schema(example = "acme")]
    pub slug: String,
    /// Its display name.
    #[schema(example = "Acme Ltd")]
    pub name: String,
}

impl From<TenantView> for TenantBody {
    fn from(view: TenantView) -> Self {
        Self { id: view.id, slug: view.slug, name: view.name }
    }
}

impl TryFrom<Resource> for TenantBody {
    type Error = Problem;

    fn try_from(resource: Resource) -> Result<Self, Problem> {
        match resource {
            Resource::Tenant(id, tenant) => {
                Ok(Self { id: id.0, slug: tenant.slug.to_string(), name: tenant.name.to_string() })
            }
            _ => Err(Problem::internal("a command for a tenant came to something else")),
        }
    }
}
