use crate::{AssetCode, Role};

/// Why a command to a tenant is refused, in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TenantRejection {
    /// No such tenant.
    #[error("the tenant does not exist")]
    NotFound,
    /// The slug is taken.
    #[error("a tenant with this slug exists already")]
    AlreadyExists,
    /// It is closed for good; it can be read and not written.
    #[error("the tenant is closed")]
    Closed,
    /// It is suspended; it can be read and not written.
    #[error("the tenant is suspended")]
    Suspended,
    /// It cannot be resumed, for it is not suspended.
    #[error("the tenant is not suspended")]
    NotSuspended,
    /// The code is taken; an asset's scale never changes.
    #[error("the asset {0} is registered already")]
    AssetExists(AssetCode),
    /// The change changes nothing.
    #[error("there is nothing to change")]
    NothingToChange,
    /// The invitation's id is taken.
    #[error("an invitation with this id exists already")]
    InvitationExists,
    /// There is no such invitation, or its token is another one.
    #[error("the invitation does not exist")]
    InvitationNotFound,
    /// Somebody has accepted it already.
    #[error("the invitation has been accepted already")]
    InvitationAccepted,
    /// It was taken back.
    #[error("the invitation has been withdrawn")]
    InvitationWithdrawn,
    /// Its time is over.
    #[error("the invitation has expired")]
    InvitationExpired,
    /// The user is no member.
    #[error("the user is not a member of the tenant")]
    MemberNotFound,
    /// The user is a member already.
    #[error("the user is a member of the tenant already")]
    MemberExists,
    /// The role in which it is asked has no say over this one.
    #[error("the role {0} cannot be given, changed or taken in this role")]
    RoleNotGoverned(Role),
    /// The member has this role.
    #[error("the member has the role {0} already")]
    RoleUnchanged(Role),
    /// The tenant would have no owner.
    #[error("the last owner of a tenant stays its owner")]
    LastOwner,
    /// There are as many members as a tenant can have.
    #[error("a tenant has at most {} members", super::MAX_MEMBERS)]
    TooManyMembers,
    /// There are as many open invitations as a tenant can have.
    #[error("a tenant has at most {} open invitations", super::MAX_INVITATIONS)]
    TooManyInvitations,
}

impl TenantRejection {
    /// The stable code of this rejection.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "tenant_not_found",
            Self::AlreadyExists => "tenant_exists",
            Self::Closed => "tenant_closed",
            Self::Suspended => "tenant_suspended",
            Self::NotSuspended => "tenant_not_suspended",
            Self::AssetExists(_) => "asset_exists",
            Self::NothingToChange => "nothing_to_change",
            Self::InvitationExists => "invitation_exists",
            Self::InvitationNotFound => "invitation_not_found",
            Self::InvitationAccepted => "invitation_accepted",
            Self::InvitationWithdrawn => "invitation_withdrawn",
            Self::InvitationExpired => "invitation_expired",
            Self::MemberNotFound => "member_not_found",
            Self::MemberExists => "member_exists",
            Self::RoleNotGoverned(_) => "role_not_governed",
            Self::RoleUnchanged(_) => "role_unchanged",
            Self::LastOwner => "last_owner",
            Self::TooManyMembers => "too_many_members",
            Self::TooManyInvitations => "too_many_invitations",
        }
    }
}
