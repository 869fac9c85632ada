use chrono::{DateTime, Utc};

use super::{ApplicationChange, Details, IssuedKey};
use crate::{Change, Digest, KeyId, PublicId};

/// A key that takes the place of another one: its environment, scopes and addresses are the other's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// A new id.
    pub key: KeyId,
    /// Its public half.
    pub public_id: PublicId,
    /// The digest of its secret half.
    pub digest: Digest,
    /// When it expires by itself: kept, it is when the other was meant to.
    pub expires_at: Change<DateTime<Utc>>,
}

/// What can be asked of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplicationCommand {
    /// Bring the application into being.
    Create(Details),
    /// Change what it is.
    Change(ApplicationChange),
    /// End it and all its keys.
    Archive,
    /// Issue a key.
    IssueKey(IssuedKey),
    /// Issue a key in the place of another one, and let the other one expire.
    RotateKey {
        /// The old key.
        key: KeyId,
        /// The new key.
        replacement: Replacement,
        /// Until when the old key lives on, unless it ends before. A time that is over ends it now.
        until: DateTime<Utc>,
    },
    /// End a key at once.
    RevokeKey {
        /// Which.
        key: KeyId,
    },
}

impl ApplicationCommand {
    /// The command's name in the audit log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create_application",
            Self::Change(_) => "change_application",
            Self::Archive => "archive_application",
            Self::IssueKey(_) => "issue_key",
            Self::RotateKey { .. } => "rotate_key",
            Self::RevokeKey { .. } => "revoke_key",
        }
    }

    /// Whether it only takes access away, which is never refused because of what the tenant may not do any more.
    pub fn only_revokes(&self) -> bool {
        matches!(self, Self::RevokeKey { .. })
    }
}
