use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use super::{ApplicationChange, Details, IssuedKey};
use crate::{Event, KeyId};

/// What happened to an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationEvent {
    /// The application came into being.
    Created(Details),
    /// It is something else now.
    Changed(ApplicationChange),
    /// It ended; its keys were revoked just before.
    Archived {},
    /// A key was issued.
    KeyIssued(IssuedKey),
    /// A key is to expire, because another one took its place.
    KeyExpires {
        /// Which.
        key: KeyId,
        /// When.
        at: DateTime<Utc>,
    },
    /// A key ended.
    KeyRevoked {
        /// Which.
        key: KeyId,
    },
}

impl Event for ApplicationEvent {
    fn kind(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Changed(_) => "changed",
            Self::Archived {} => "archived",
            Self::KeyIssued(_) => "key_issued",
            Self::KeyExpires { .. } => "key_expires",
            Self::KeyRevoked { .. } => "key_revoked",
        }
    }
}

impl DomainEvent for ApplicationEvent {
    fn event_type(&self) -> String {
        self.kind().to_owned()
    }

    fn event_version(&self) -> String {
        Self::VERSION.to_string()
    }
}
