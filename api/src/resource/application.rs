use chrono::{DateTime, Utc};
use commands::Resource;
use domain::application::{Details, Key};
use domain::{KeyId, Metadata};
use projections::{ApiKeyView, ApplicationView};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::problem::{Problem, code};

/// A program of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Application)]
pub struct ApplicationBody {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    #[schema(example = "Checkout")]
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What kind it is.
    pub category: Option<String>,
    /// The address of its icon.
    pub icon: Option<String>,
    /// What it was made from.
    pub template: Option<String>,
    /// `active` or `archived`.
    #[schema(example = "active")]
    pub status: String,
    /// The caller's own facts.
    #[schema(value_type = Object)]
    pub metadata: Metadata,
}

impl ApplicationBody {
    fn new(id: Uuid, details: &Details, status: &str) -> Self {
        let Details { name, description, category, icon, template, metadata } = details;
        Self {
            id,
            name: name.to_string(),
            description: description.as_ref().map(ToString::to_string),
            category: category.as_ref().map(ToString::to_string),
            icon: icon.as_ref().map(ToString::to_string),
            template: template.as_ref().map(ToString::to_string),
            status: status.to_owned(),
            metadata: metadata.clone(),
        }
    }
}

impl From<ApplicationView> for ApplicationBody {
    fn from(view: ApplicationView) -> Self {
        Self::new(view.id.0, &view.details, view.status.as_str())
    }
}

impl TryFrom<Resource> for ApplicationBody {
    type Error = Problem;

    fn try_from(resource: Resource) -> Result<Self, Problem> {
        match resource {
            Resource::Application(id, application) => {
                Ok(Self::new(id.0, &application.details, application.status.as_str()))
            }
            _ => Err(Problem::internal("a command for an application came to something else")),
        }
    }
}

/// An API key, without what makes it one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct KeyBody {
    /// Its id: what the audit log calls it.
    pub id: Uuid,
    /// The part of the key that may be shown.
    #[schema(example = "4f1c6f0b2a9d3e5c7b18")]
    pub public_id: String,
    /// `live` or `test`.
    #[schema(example = "live")]
    pub environment: String,
    /// What it may do.
    #[schema(example = json!(["read", "transact"]))]
    pub scopes: Vec<String>,
    /// From where it may be used; from everywhere where there are none.
    #[schema(example = json!([]))]
    pub addresses: Vec<String>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, some seconds late; null for a key that never was.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl From<ApiKeyView> for KeyBody {
    fn from(view: ApiKeyView) -> Self {
        Self {
            id: view.id.0,
            public_id: view.public_id.to_string(),
            environment: view.environment.to_string(),
            scopes: view.scopes.iter().map(ToString::to_string).collect(),
            addresses: view.addresses.iter().map(ToString::to_string).collect(),
            expires_at: view.expires_at,
            revoked_at: view.revoked_at,
            last_used_at: None,
        }
    }
}

/// A key that was made just now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = IssuedKey)]
pub struct IssuedKeyBody {
    /// What can be seen of it later, too.
    #[serde(flatten)]
    pub about: KeyBody,
    /// The key itself, to be sent as `Authorization: Bearer ...`. Shown this once; null in answer to a repetition.
    #[schema(example = "cf_live_4f1c6f0b2a9d3e5c7b18_q2Jr0x9fKXo...")]
    pub key: Option<String>,
}

impl IssuedKeyBody {
    /// The key that a command has made.
    pub fn of(resource: &Resource, id: KeyId, shown: Option<Zeroizing<String>>) -> Result<Self, Problem> {
        let Resource::Application(_, application) = resource else {
            return Err(Problem::internal("a key came to something else than an application"));
        };
        let made = application.keys.get(&id);
        let made = made.ok_or_else(|| Problem::new(code::KEY_NOT_FOUND, "the key does not exist"))?;
        let Key { public_id, environment, scopes, expires_at, addresses, .. } = made;
        let about = KeyBody {
            id: id.0,
            public_id: public_id.to_string(),
            environment: environment.to_string(),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
            expires_at: *expires_at,
            revoked_at: None,
            last_used_at: None,
        };
        Ok(Self { about, key: shown.map(|text| text.to_string()) })
    }
}
