//! Invitations: the address, the token and the mail.
//!
//! The token follows from the invitation's id under a key of the installation. So it need not be kept, and an
//! invitation whose mail was cut off can be mailed again.
//!
//! The address is that of somebody who may never come. It is kept as long as the invitation stands; when it was accepted,
//! until its owner is erased; when it was withdrawn or has expired, no longer.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use commands::{Command, Outcome, Request, Resource};
use domain::tenant::TenantCommand;
use domain::{Digest, InvitationId, Role, Sealed, TenantId, UserId};
use identity::invited::Noted;
use identity::mail::{Letter, LinkLetter, Mail};
use identity::vault::Purpose;
use journal::Position;
use projections::{InvitationStatus, PresentedInvitation};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::enrol::addressee;
use super::profile::Membership;
use super::{Origin, People, SETTLE, context, key};
use crate::person::{Email, Secret};
use crate::problem::{Problem, code};

/// For how long an invitation stands, in hours.
pub const INVITATION_HOURS: i64 = 7 * 24;

/// How much later an invitation may be made than it was noted, and how far apart the clocks of programs may be.
const SLACK: TimeDelta = TimeDelta::minutes(5);

/// What the mail of an invitation has, and what accepts it.
pub struct InvitationToken(Zeroizing<String>);

impl InvitationToken {
    /// What is kept of it.
    pub fn digest(&self) -> Result<Digest, Problem> {
        digest(&self.0)
    }
}

fn digest(token: &str) -> Result<Digest, Problem> {
    Digest::new(&format!("{:x}", Sha256::digest(token.as_bytes()))).map_err(Problem::internal)
}

impl People {
    /// What the id of an invitation to this address follows from, besides the key of the request. The address is part of it:
    /// a key that was refused with one address and is used with another names another invitation, so that each
    /// invitation has one address for good.
    pub async fn invitation_of(&self, email: &Email) -> Result<String, Problem> {
        Ok(format!("invitation {}", addressee(&self.index(email).await?)))
    }

    /// The token of an invitation.
    pub async fn invitation_token(&self, id: InvitationId) -> Result<InvitationToken, Problem> {
        let bytes = self.vault.blind(Purpose::OneTime, &format!("invitation {id}")).await?;
        Ok(InvitationToken(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// Seals the address of somebody who is invited, under the invitation's own key, and notes by which address the key is
    /// found when its owner is erased. [`code::USER_ERASED`] where the address was forgotten already.
    pub async fn seal_invited(
        &self,
        tenant: TenantId,
        id: InvitationId,
        email: &Email,
    ) -> Result<Sealed, Problem> {
        let index = self.index(email).await?;
        let sealed = self.vault.seal(tenant, id.into(), Purpose::Email, email.as_str()).await?;
        self.invited.note(tenant, id, &index).await?;
        Ok(sealed)
    }

    /// Opens the address of an invitation; nothing where it was erased.
    pub async fn invited_address(
        &self,
        tenant: TenantId,
        id: InvitationId,
        sealed: &Sealed,
    ) -> Result<Option<String>, Problem> {
        Ok(self.vault.reveal(tenant, id.into(), Purpose::Email, sealed).await?)
    }

    /// Sends the mail of an invitation, after the answer.
    pub fn mail_invitation(
        self: &Arc<Self>,
        email: &Email,
        (id, role): (InvitationId, Role),
        outcome: &Outcome,
        token: InvitationToken,
    ) -> Result<(), Problem> {
        let Resource::Tenant(whose, tenant) = &outcome.resource else {
            return Err(Problem::internal("an invitation came to something else than a tenant"));
        };
        let (to, whose, tenant) = (email.as_str().to_owned(), *whose, tenant.name.to_string());
        self.errand("invitation", |people| async move {
            let letter = |link: LinkLetter<'_>| {
                let mail = Letter::Invitation { link, tenant: &tenant, role: role.as_str() }.mail();
                Mail { about: Some(id.0), ..mail }
            };
            people.mail_link(&to, "accept-invitation", &token.0, INVITATION_HOURS, letter).await;
            // It may have been withdrawn while the mail was written.
            if people.is_forgotten(whose, id.into()).await? {
                people.mailer.forget_about(id.0).await.map_err(Problem::internal)?;
            }
            Ok(())
        })
    }

    /// Refuses an invitation whose address was forgotten because it has ended, as what it is: no matter whose it was.
    async fn still_stands(&self, tenant: TenantId, id: InvitationId) -> Result<(), Problem> {
        let reader = self.reader.tenant(tenant);
        self.settle(reader.events(i64::MAX - 1, 1).await?.position).await;
        let Some(known) = reader.invitation(id).await?.value else { return Ok(()) };
        match known.status {
            InvitationStatus::Withdrawn => {
                Err(Problem::new(code::INVITATION_WITHDRAWN, "the invitation has been withdrawn"))
            }
            InvitationStatus::Open if known.expires_at <= self.clock.now() => {
                Err(Problem::new(code::INVITATION_EXPIRED, "the invitation has expired"))
            }
            InvitationStatus::Open | InvitationStatus::Accepted => Ok(()),
        }
    }

    /// Forgets the address of an invitation that has ended without anybody coming: its key, its mail in a file, and that
    /// it was sent there. May be repeated.
    pub async fn forget_invitation(&self, tenant: TenantId, id: InvitationId) -> Result<(), Problem> {
        self.vault.destroy(tenant, id.into()).await?;
        self.mailer.forget_about(id.0).await.map_err(Problem::internal)?;
        self.invited.ended(tenant, id).await?;
        Ok(())
    }

    /// Forgets the addresses of invitations that have expired, or were withdrawn where forgetting was cut off, and says how
    /// many. To be called now and then.
    pub async fn forget_ended_invitations(&self) -> Result<usize, Problem> {
        let before = self.clock.now() - TimeDelta::hours(INVITATION_HOURS) - SLACK;
        let (mut forgotten, mut behind) = (0, BTreeSet::new());
        for noted in self.invited.due(before).await? {
            // Nothing is decided upon what the read models do not know yet.
            let head = self.reader.tenant(noted.tenant).events(i64::MAX - 1, 1).await?.position;
            if behind.contains(&head.partition) {
                continue;
            }
            if self.reader.wait(head, SETTLE).await.is_err() {
                behind.insert(head.partition);
                continue;
            }
            forgotten += usize::from(self.forget_if_ended(&noted).await?);
        }
        Ok(forgotten)
    }

    async fn forget_if_ended(&self, noted: &Noted) -> Result<bool, Problem> {
        let Noted { tenant, invitation, .. } = *noted;
        match self.reader.tenant(tenant).invitation(invitation).await?.value {
            None => self.invited.never_made(noted).await?,
            Some(known) if known.status == InvitationStatus::Accepted => {
                self.invited.keep(tenant, invitation).await?;
            }
            Some(known) if known.status == InvitationStatus::Open && known.expires_at > self.clock.now() => {}
            Some(_) => {
                self.forget_invitation(tenant, invitation).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Accepts an invitation that was sent to the user's own address. The digest proves the token; the address, that the
    /// mail was not passed on.
    pub async fn accept(
        &self,
        user: UserId,
        token: &Secret,
        origin: &Origin,
    ) -> Result<(Membership, Position), Problem> {
        let digest = digest(token.as_str())?;
        let presented = self.reader.presented_invitation(&digest).await?;
        let unknown = || Problem::new(code::INVITATION_NOT_FOUND, "the invitation does not exist");
        let PresentedInvitation { tenant, slug, name, tenant_status, invitation } =
            presented.ok_or_else(unknown)?;
        let invited = self.invited_address(tenant, invitation.id, &invitation.email).await?;
        let own = self.profile(user).await?.value.email;
        if invited.is_none() {
            self.still_stands(tenant, invitation.id).await?;
        }
        if invited.is_none() || invited != own {
            let detail = "the invitation was sent to another address than that of your account";
            return Err(Problem::new(code::INVITATION_NOT_YOURS, detail));
        }
        let accept = TenantCommand::AcceptInvitation { invitation: invitation.id, user, digest };
        let request = Request {
            tenant,
            command: Command::Tenant(accept),
            context: context(&user.to_string(), invitation.role.as_str(), origin),
            key: Some(key(format!("accept {} {user}", invitation.id))),
        };
        let outcome = self.pipeline.submit(request).await?;
        self.settle(outcome.position).await;
        let membership = Membership { tenant, slug, name, role: invitation.role, status: tenant_status };
        Ok((membership, outcome.position))
    }
}
