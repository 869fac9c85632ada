//! What the read models of people and programs say and the states do not: since when something is so, and the digests.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::application::{ApplicationEvent, IssuedKey};
use domain::tenant::{Invitation, TenantEvent};
use uuid::Uuid;

use crate::InvitationStatus;
use crate::decoded::{Body, Decoded};

/// An invitation with what became of it.
#[derive(Debug)]
pub(super) struct Invited {
    pub invitation: Invitation,
    pub status: InvitationStatus,
    pub created_at: DateTime<Utc>,
}

/// A key with what became of it. When it expires its application says, for as long as it was not revoked.
#[derive(Debug)]
pub(super) struct Issued {
    pub issued: IssuedKey,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// All of it, by tenant.
#[derive(Debug, Default)]
pub(super) struct Dated {
    /// Since when a user is a member, by tenant and user. Those who left may still be here.
    pub members: BTreeMap<(Uuid, Uuid), DateTime<Utc>>,
    /// By tenant and invitation.
    pub invitations: BTreeMap<(Uuid, Uuid), Invited>,
    /// By tenant, application and key.
    pub keys: BTreeMap<(Uuid, Uuid, Uuid), Issued>,
}

impl Dated {
    pub(super) fn apply(&mut self, decoded: &Decoded) {
        match &decoded.body {
            Ok(Body::Tenant(said)) => self.apply_tenant(decoded, said),
            Ok(Body::Application(said)) => self.apply_application(decoded, said),
            _ => {}
        }
    }

    fn apply_tenant(&mut self, decoded: &Decoded, said: &TenantEvent) {
        let (tenant, at) = (decoded.event.text.tenant_id, decoded.event.recorded_at);
        match said {
            TenantEvent::MemberAdded { user, .. } => {
                self.members.insert((tenant, user.0), at);
            }
            TenantEvent::Invited { invitation, email, role, expires_at, digest } => {
                let (email, digest) = (email.clone(), digest.clone());
                let made = Invitation { email, role: *role, expires_at: *expires_at, digest };
                let invited = Invited { invitation: made, status: InvitationStatus::Open, created_at: at };
                self.invitations.insert((tenant, invitation.0), invited);
            }
            TenantEvent::InvitationAccepted { invitation, user, .. } => {
                self.members.insert((tenant, user.0), at);
                self.end(tenant, invitation.0, InvitationStatus::Accepted);
            }
            TenantEvent::InvitationWithdrawn { invitation } => {
                self.end(tenant, invitation.0, InvitationStatus::Withdrawn);
            }
            _ => {}
        }
    }

    fn end(&mut self, tenant: Uuid, invitation: Uuid, status: InvitationStatus) {
        if let Some(invited) = self.invitations.get_mut(&(tenant, invitation)) {
            invited.status = status;
        }
    }

    fn apply_application(&mut self, decoded: &Decoded, said: &ApplicationEvent) {
        let (text, at) = (&decoded.event.text, decoded.event.recorded_at);
        let place = |key: Uuid| (text.tenant_id, text.aggregate_id, key);
        match said {
            ApplicationEvent::KeyIssued(issued) => {
                let (issued, expires_at) = (issued.clone(), issued.expires_at);
                let key = place(issued.key.0);
                self.keys.insert(key, Issued { issued, expires_at, revoked_at: None, created_at: at });
            }
            ApplicationEvent::KeyExpires { key, at } => {
                if let Some(kept) = self.keys.get_mut(&place(key.0)) {
                    kept.expires_at = Some(*at);
                }
            }
            ApplicationEvent::KeyRevoked { key } => {
                if let Some(kept) = self.keys.get_mut(&place(key.0)) {
                    kept.revoked_at = Some(at);
                }
            }
            _ => {}
        }
    }
}
