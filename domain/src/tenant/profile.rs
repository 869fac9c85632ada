use serde::{Deserialize, Serialize};

use crate::{Change, Colour, DomainName, TenantName, WebAddress};

/// How a tenant looks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Branding {
    /// Where its logo is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo: Option<WebAddress>,
    /// Its first colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_colour: Option<Colour>,
    /// Its second colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary_colour: Option<Colour>,
}

/// What changes in how a tenant presents itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProfileChange {
    /// Another display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<TenantName>,
    /// A domain of its own, or none any more.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub domain: Change<DomainName>,
    /// Other branding, in whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branding: Option<Branding>,
}
