//! The tenant: the unit of isolation, its assets, and its people.
//!
//! Every command of the ledger looks at its tenant, so the state is cheap to look at: a status, and maps that are
//! shared until they change.

mod command;
mod decide;
mod event;
mod profile;
mod rejection;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

pub use command::TenantCommand;
pub use event::TenantEvent;
pub use profile::{Branding, ProfileChange};
pub use rejection::TenantRejection;

use crate::{
    AssetCode, Digest, DomainName, InvitationId, Moment, Role, Scale, Sealed, Slug, TenantName, UserId,
};

/// How many members a tenant can have.
pub const MAX_MEMBERS: usize = 10_000;

/// How many invitations of a tenant can be open at once.
pub const MAX_INVITATIONS: usize = 1_000;

/// Whether a tenant can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    /// It can.
    #[default]
    Active,
    /// It can be read, and written again once it is resumed. Holds go on to expire, and people can be let go.
    Suspended,
    /// It can be read, for good. Holds go on to expire.
    Closed,
}

impl TenantStatus {
    /// The status as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
        }
    }
}

/// An invitation that nobody has accepted and that was not taken back. It may have expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The address it was sent to.
    pub email: Sealed,
    /// The role it offers.
    pub role: Role,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
    /// The digest of the token in the letter.
    pub digest: Digest,
}

/// How an invitation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Somebody became a member.
    Accepted,
    /// It was taken back.
    Withdrawn,
}

/// A tenant's state. The default is a tenant that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tenant {
    /// Its short name; empty while the tenant does not exist.
    pub slug: Slug,
    /// Its display name.
    pub name: TenantName,
    /// Its assets with their scales.
    pub assets: Arc<BTreeMap<AssetCode, Scale>>,
    /// Whether it can be written.
    #[serde(default)]
    pub status: TenantStatus,
    /// A domain of its own.
    #[serde(default)]
    pub domain: Option<DomainName>,
    /// How it looks.
    #[serde(default)]
    pub branding: Arc<Branding>,
    /// Its members with their roles. Once there is an owner among them there always is.
    #[serde(default)]
    pub members: Arc<BTreeMap<UserId, Role>>,
    /// The invitations that are open.
    #[serde(default)]
    pub invitations: Arc<BTreeMap<InvitationId, Invitation>>,
    /// The invitations that are not.
    #[serde(default)]
    pub past_invitations: Arc<BTreeMap<InvitationId, Ended>>,
}

impl Tenant {
    /// Whether the tenant was created.
    pub fn exists(&self) -> bool {
        !self.slug.as_str().is_empty()
    }

    fn end(&mut self, invitation: InvitationId, how: Ended) {
        Arc::make_mut(&mut self.invitations).remove(&invitation);
        Arc::make_mut(&mut self.past_invitations).insert(invitation, how);
    }

    fn change(&mut self, change: ProfileChange) {
        let ProfileChange { name, domain, branding } = change;
        if let Some(name) = name {
            self.name = name;
        }
        domain.apply(&mut self.domain);
        if let Some(branding) = branding {
            self.branding = Arc::new(branding);
        }
    }
}

impl Aggregate for Tenant {
    const TYPE: &'static str = "tenant";
    type Command = TenantCommand;
    type Event = TenantEvent;
    type Error = TenantRejection;
    type Services = Moment;

    async fn handle(
        &mut self,
        command: TenantCommand,
        moment: &Moment,
        sink: &EventSink<Self>,
    ) -> Result<(), TenantRejection> {
        let event = self.decide(command, moment.0)?;
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, event: TenantEvent) {
        match event {
            TenantEvent::Created { slug, name } => {
                self.slug = slug;
                self.name = name;
            }
            TenantEvent::AssetRegistered { code, scale } => {
                Arc::make_mut(&mut self.assets).insert(code, scale);
            }
            TenantEvent::ProfileChanged(change) => self.change(change),
            TenantEvent::Suspended { .. } => self.status = TenantStatus::Suspended,
            TenantEvent::Resumed {} => self.status = TenantStatus::Active,
            TenantEvent::Closed {} => self.status = TenantStatus::Closed,
            TenantEvent::MemberAdded { user, role } | TenantEvent::MemberRoleChanged { user, role } => {
                Arc::make_mut(&mut self.members).insert(user, role);
            }
            TenantEvent::MemberRemoved { user } => {
                Arc::make_mut(&mut self.members).remove(&user);
            }
            TenantEvent::Invited { invitation, email, role, expires_at, digest } => {
                let invited = Invitation { email, role, expires_at, digest };
                Arc::make_mut(&mut self.invitations).insert(invitation, invited);
            }
            TenantEvent::InvitationAccepted { invitation, user, role } => {
                self.end(invitation, Ended::Accepted);
                Arc::make_mut(&mut self.members).insert(user, role);
            }
            TenantEvent::InvitationWithdrawn { invitation } => self.end(invitation, Ended::Withdrawn),
        }
    }
}

#[cfg(test)]
mod tests;
