//! The rules of a tenant, its members and its invitations.

use chrono::{DateTime, Utc};

use super::{
    Ended, Invitation, MAX_INVITATIONS, MAX_MEMBERS, ProfileChange, Tenant, TenantCommand, TenantEvent,
    TenantRejection as Rejected, TenantStatus,
};
use crate::{InvitationId, Role, UserId};

impl Tenant {
    /// Decides a command at the moment `now`.
    ///
    /// # Errors
    /// A [`Rejected`]: what the tenant's own status says first, then the invitation, then the member, then the roles.
    pub fn decide(&self, command: TenantCommand, now: DateTime<Utc>) -> Result<TenantEvent, Rejected> {
        if let TenantCommand::Create { slug, name } = command {
            if self.exists() {
                return Err(Rejected::AlreadyExists);
            }
            return Ok(TenantEvent::Created { slug, name });
        }
        self.changeable(&command)?;
        match command {
            TenantCommand::Create { .. } => Err(Rejected::AlreadyExists),
            TenantCommand::RegisterAsset { code, .. } if self.assets.contains_key(&code) => {
                Err(Rejected::AssetExists(code))
            }
            TenantCommand::RegisterAsset { code, scale } => Ok(TenantEvent::AssetRegistered { code, scale }),
            TenantCommand::ChangeProfile(change) if change == ProfileChange::default() => {
                Err(Rejected::NothingToChange)
            }
            TenantCommand::ChangeProfile(change) => Ok(TenantEvent::ProfileChanged(change)),
            TenantCommand::Suspend { reason } => Ok(TenantEvent::Suspended { reason }),
            TenantCommand::Resume => Ok(TenantEvent::Resumed {}),
            TenantCommand::Close => Ok(TenantEvent::Closed {}),
            TenantCommand::AddMember { user, role, by } => {
                self.joins(user)?;
                governs(by, role)?;
                Ok(TenantEvent::MemberAdded { user, role })
            }
            TenantCommand::ChangeMemberRole { user, role, by } => self.change_role(user, role, by),
            TenantCommand::RemoveMember { user, by } => {
                governs(by, self.member(user)?)?;
                self.leaves(user)
            }
            TenantCommand::Leave { user } => self.leaves(user),
            TenantCommand::Invite { invitation, email, role, expires_at, digest, by } => {
                self.invitable(invitation, expires_at, now)?;
                governs(by, role)?;
                Ok(TenantEvent::Invited { invitation, email, role, expires_at, digest })
            }
            TenantCommand::AcceptInvitation { invitation, user, digest } => {
                let offered = self.invitation(invitation)?;
                // Whoever has another token knows nothing of this invitation.
                if offered.digest != digest {
                    return Err(Rejected::InvitationNotFound);
                }
                if offered.expires_at <= now {
                    return Err(Rejected::InvitationExpired);
                }
                self.joins(user)?;
                Ok(TenantEvent::InvitationAccepted { invitation, user, role: offered.role })
            }
            TenantCommand::WithdrawInvitation { invitation, by } => {
                governs(by, self.invitation(invitation)?.role)?;
                Ok(TenantEvent::InvitationWithdrawn { invitation })
            }
        }
    }

    /// Whether the tenant is there and can be written: what everything in it asks before it is decided.
    ///
    /// # Errors
    /// [`Rejected::NotFound`], [`Rejected::Closed`] or [`Rejected::Suspended`].
    pub fn writable(&self) -> Result<(), Rejected> {
        match self.status {
            _ if !self.exists() => Err(Rejected::NotFound),
            TenantStatus::Active => Ok(()),
            TenantStatus::Suspended => Err(Rejected::Suspended),
            TenantStatus::Closed => Err(Rejected::Closed),
        }
    }

    /// Whether the tenant's status allows the command: to take access away stays possible while it is suspended, for
    /// reading it is access too.
    fn changeable(&self, command: &TenantCommand) -> Result<(), Rejected> {
        match (command, self.writable()) {
            (TenantCommand::Resume, Ok(())) => Err(Rejected::NotSuspended),
            (
                TenantCommand::Resume
                | TenantCommand::Close
                | TenantCommand::RemoveMember { .. }
                | TenantCommand::Leave { .. }
                | TenantCommand::WithdrawInvitation { .. },
                Err(Rejected::Suspended),
            ) => Ok(()),
            (_, writable) => writable,
        }
    }

    fn member(&self, user: UserId) -> Result<Role, Rejected> {
        self.members.get(&user).copied().ok_or(Rejected::MemberNotFound)
    }

    /// Whether a user can become a member.
    fn joins(&self, user: UserId) -> Result<(), Rejected> {
        if self.members.contains_key(&user) {
            return Err(Rejected::MemberExists);
        }
        if self.members.len() >= MAX_MEMBERS {
            return Err(Rejected::TooManyMembers);
        }
        Ok(())
    }

    fn change_role(&self, user: UserId, role: Role, by: Role) -> Result<TenantEvent, Rejected> {
        let before = self.member(user)?;
        governs(by, before)?;
        governs(by, role)?;
        if before == role {
            return Err(Rejected::RoleUnchanged(role));
        }
        self.spared(user)?;
        Ok(TenantEvent::MemberRoleChanged { user, role })
    }

    fn leaves(&self, user: UserId) -> Result<TenantEvent, Rejected> {
        self.member(user)?;
        self.spared(user)?;
        Ok(TenantEvent::MemberRemoved { user })
    }

    /// Whether the tenant has another owner, if this one is an owner.
    fn spared(&self, user: UserId) -> Result<(), Rejected> {
        let owner = |role: Role| role == Role::Owner;
        let others = || self.members.iter().any(|(other, role)| *other != user && owner(*role));
        if self.members.get(&user).copied().is_some_and(owner) && !others() {
            return Err(Rejected::LastOwner);
        }
        Ok(())
    }

    fn invitable(
        &self,
        invitation: InvitationId,
        expires_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), Rejected> {
        if self.invitations.contains_key(&invitation) || self.past_invitations.contains_key(&invitation) {
            return Err(Rejected::InvitationExists);
        }
        if expires_at <= now {
            return Err(Rejected::InvitationExpired);
        }
        if self.invitations.values().filter(|open| open.expires_at > now).count() >= MAX_INVITATIONS {
            return Err(Rejected::TooManyInvitations);
        }
        Ok(())
    }

    fn invitation(&self, invitation: InvitationId) -> Result<&Invitation, Rejected> {
        match self.past_invitations.get(&invitation) {
            Some(Ended::Accepted) => Err(Rejected::InvitationAccepted),
            Some(Ended::Withdrawn) => Err(Rejected::InvitationWithdrawn),
            None => self.invitations.get(&invitation).ok_or(Rejected::InvitationNotFound),
        }
    }
}

fn governs(by: Role, role: Role) -> Result<(), Rejected> {
    if by.governs(role) { Ok(()) } else { Err(Rejected::RoleNotGoverned(role)) }
}
