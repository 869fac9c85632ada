use commands::Resource;
use domain::tenant::Branding;
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
    /// `active`, `suspended` (it can be read and not written) or `closed`.
    #[schema(example = "active")]
    pub status: String,
}

impl From<TenantView> for TenantBody {
    fn from(view: TenantView) -> Self {
        Self { id: view.id, slug: view.slug, name: view.name, status: view.status.as_str().to_owned() }
    }
}

impl TryFrom<Resource> for TenantBody {
    type Error = Problem;

    fn try_from(resource: Resource) -> Result<Self, Problem> {
        let TenantProfileBody { id, slug, name, status, .. } = resource.try_into()?;
        Ok(Self { id, slug, name, status })
    }
}

/// A tenant as its members see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TenantProfile)]
pub struct TenantProfileBody {
    /// Its id, derived from its slug.
    pub id: Uuid,
    /// Its short name.
    #[schema(example = "acme")]
    pub slug: String,
    /// Its display name.
    #[schema(example = "Acme Ltd")]
    pub name: String,
    /// `active`, `suspended` (it can be read and not written) or `closed`.
    #[schema(example = "active")]
    pub status: String,
    /// A domain of its own.
    #[schema(example = "ledger.acme.example")]
    pub domain: Option<String>,
    /// How it looks.
    pub branding: BrandingBody,
}

/// How a tenant looks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Branding)]
pub struct BrandingBody {
    /// The address of its logo.
    #[schema(example = "https://acme.example/logo.svg")]
    pub logo: Option<String>,
    /// Its first colour.
    #[schema(example = "#1f6feb")]
    pub primary_colour: Option<String>,
    /// Its second colour.
    #[schema(example = "#0d1117")]
    pub secondary_colour: Option<String>,
}

impl From<&Branding> for BrandingBody {
    fn from(branding: &Branding) -> Self {
        Self {
            logo: branding.logo.as_ref().map(ToString::to_string),
            primary_colour: branding.primary_colour.as_ref().map(ToString::to_string),
            secondary_colour: branding.secondary_colour.as_ref().map(ToString::to_string),
        }
    }
}

impl From<TenantView> for TenantProfileBody {
    fn from(view: TenantView) -> Self {
        Self {
            id: view.id,
            slug: view.slug,
            name: view.name,
            status: view.status.as_str().to_owned(),
            domain: view.domain,
            branding: BrandingBody::from(&view.branding),
        }
    }
}

impl TryFrom<Resource> for TenantProfileBody {
    type Error = Problem;

    fn try_from(resource: Resource) -> Result<Self, Problem> {
        match resource {
            Resource::Tenant(id, tenant) => Ok(Self {
                id: id.0,
                slug: tenant.slug.to_string(),
                name: tenant.name.to_string(),
                status: tenant.status.as_str().to_owned(),
                domain: tenant.domain.as_ref().map(ToString::to_string),
                branding: BrandingBody::from(tenant.branding.as_ref()),
            }),
            _ => Err(Problem::internal("a command for a tenant came to something else")),
        }
    }
}
