use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use super::ProfileChange;
use crate::{AssetCode, Digest, Event, InvitationId, Reason, Role, Scale, Sealed, Slug, TenantName, UserId};

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
    /// It presents itself differently.
    ProfileChanged(ProfileChange),
    /// Nothing can be written from here on.
    Suspended {
        /// Why.
        reason: Reason,
    },
    /// It can be written again.
    Resumed {},
    /// Nothing can be written ever again.
    Closed {},
    /// A user became a member.
    MemberAdded {
        /// Who.
        user: UserId,
        /// In which role.
        role: Role,
    },
    /// A member has another role.
    MemberRoleChanged {
        /// Who.
        user: UserId,
        /// Which role.
        role: Role,
    },
    /// A membership ended.
    MemberRemoved {
        /// Whose.
        user: UserId,
    },
    /// Somebody was invited.
    Invited {
        /// Which invitation.
        invitation: InvitationId,
        /// The address it was sent to; its subject is the invitation.
        email: Sealed,
        /// The role it offers.
        role: Role,
        /// Until when it can be accepted.
        expires_at: DateTime<Utc>,
        /// The digest of the token in the letter.
        digest: Digest,
    },
    /// Somebody became a member by an invitation, which is used up.
    InvitationAccepted {
        /// Which invitation.
        invitation: InvitationId,
        /// Who.
        user: UserId,
        /// In which role: the one that was offered.
        role: Role,
    },
    /// An invitation was taken back.
    InvitationWithdrawn {
        /// Which.
        invitation: InvitationId,
    },
}

impl Event for TenantEvent {
    fn kind(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::AssetRegistered { .. } => "asset_registered",
            Self::ProfileChanged(_) => "profile_changed",
            Self::Suspended { .. } => "suspended",
            Self::Resumed {} => "resumed",
            Self::Closed {} => "closed",
            Self::MemberAdded { .. } => "member_added",
            Self::MemberRoleChanged { .. } => "member_role_changed",
            Self::MemberRemoved { .. } => "member_removed",
            Self::Invited { .. } => "invited",
            Self::InvitationAccepted { .. } => "invitation_accepted",
            Self::InvitationWithdrawn { .. } => "invitation_withdrawn",
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
