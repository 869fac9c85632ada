use chrono::{DateTime, Utc};

use super::ProfileChange;
use crate::{AssetCode, Digest, InvitationId, Reason, Role, Scale, Sealed, Slug, TenantName, UserId};

/// What can be asked of a tenant. `by` is the role in which it is asked: nobody has a say over a role above their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantCommand {
    /// Bring the tenant into being.
    Create {
        /// Its short name, from which its id is derived.
        slug: Slug,
        /// Its display name.
        name: TenantName,
    },
    /// Register an asset. Its scale never changes afterwards.
    RegisterAsset {
        /// The asset's code.
        code: AssetCode,
        /// Its digits behind the point.
        scale: Scale,
    },
    /// Change how it presents itself.
    ChangeProfile(ProfileChange),
    /// Let nothing be written until it is resumed, but that somebody may enter no more.
    Suspend {
        /// Why.
        reason: Reason,
    },
    /// Let it be written again.
    Resume,
    /// Let nothing be written ever again.
    Close,
    /// Make a user a member.
    AddMember {
        /// Whom.
        user: UserId,
        /// In which role.
        role: Role,
        /// The role in which this is asked.
        by: Role,
    },
    /// Give a member another role.
    ChangeMemberRole {
        /// Whom.
        user: UserId,
        /// Which role.
        role: Role,
        /// The role in which this is asked.
        by: Role,
    },
    /// End a membership.
    RemoveMember {
        /// Whose.
        user: UserId,
        /// The role in which this is asked.
        by: Role,
    },
    /// End one's own membership.
    Leave {
        /// Whose.
        user: UserId,
    },
    /// Invite somebody.
    Invite {
        /// Which invitation: a new id, and the subject of the address.
        invitation: InvitationId,
        /// The address it is sent to.
        email: Sealed,
        /// The role it offers.
        role: Role,
        /// Until when it can be accepted.
        expires_at: DateTime<Utc>,
        /// The digest of the token in the letter.
        digest: Digest,
        /// The role in which this is asked.
        by: Role,
    },
    /// Become a member by an invitation.
    AcceptInvitation {
        /// Which.
        invitation: InvitationId,
        /// Who accepts it.
        user: UserId,
        /// The digest of the token that was presented.
        digest: Digest,
    },
    /// Take an invitation back.
    WithdrawInvitation {
        /// Which.
        invitation: InvitationId,
        /// The role in which this is asked.
        by: Role,
    },
}

impl TenantCommand {
    /// The command's name in the audit log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create_tenant",
            Self::RegisterAsset { .. } => "register_asset",
            Self::ChangeProfile(_) => "change_tenant",
            Self::Suspend { .. } => "suspend_tenant",
            Self::Resume => "resume_tenant",
            Self::Close => "close_tenant",
            Self::AddMember { .. } => "add_member",
            Self::ChangeMemberRole { .. } => "change_member_role",
            Self::RemoveMember { .. } => "remove_member",
            Self::Leave { .. } => "leave_tenant",
            Self::Invite { .. } => "invite_member",
            Self::AcceptInvitation { .. } => "accept_invitation",
            Self::WithdrawInvitation { .. } => "withdraw_invitation",
        }
    }
}
