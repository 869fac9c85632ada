use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use crate::{AssetCode, Event, Scale, Slug, TenantName};

/// What happened to a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantEvent {
    /// The tenant came into being.
    Created {
        /// Its short name.
        slug: Slug,
        /// Its display name.
        name: TenantName,
    },
    /// An asset was registered.
    AssetRegistered {
        /// The asset's code.
        code: AssetCode,
        /// Its digits behind the point.
        scale: Scale,
    },
}

impl Event for TenantEvent {
    fn kind(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::AssetRegistered { .. } => "asset_registered",
        }
    }
}

impl DomainEvent for TenantEvent {
    fn event_type(&self) -> String {
        self.kind().to_owned()
    }

    fn event_version(&self) -> String {
        Self::VERSION.to_string()
    }
}
