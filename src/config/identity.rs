//! What is configured about people: sessions, mail, providers.

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::Deserialize;

use super::{path_if_given, text_if_given};

/// People and their sessions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the embedded defaults document every key")]
pub struct Identity {
    #[serde(deserialize_with = "text_if_given")]
    pub public_url: Option<String>,
    pub session_days: NonZeroU32,
    pub access_minutes: NonZeroU32,
    pub signing_overlap_seconds: NonZeroU32,
    pub self_service_tenants: bool,
    #[serde(deserialize_with = "text_if_given")]
    pub master_key: Option<String>,
}

/// How mail leaves.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the embedded defaults document every key")]
pub struct Mail {
    pub smtp_url: String,
    #[serde(deserialize_with = "path_if_given")]
    pub smtp_authority: Option<PathBuf>,
    pub from: String,
    #[serde(deserialize_with = "path_if_given")]
    pub directory: Option<PathBuf>,
}

/// A provider to sign in at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the embedded defaults document every key")]
pub struct Provider {
    pub name: String,
    /// Not needed for `google`.
    #[serde(default)]
    pub issuer: String,
    pub client_id: String,
    #[serde(default)]
    pub client_secret: String,
    #[serde(default)]
    pub client_secret_env: String,
    #[serde(default = "usual_scopes")]
    pub scopes: Vec<String>,
}

fn usual_scopes() -> Vec<String> {
    vec!["email".to_owned(), "profile".to_owned()]
}
