//! Invitations: the address, the token and the mail.
//!
//! The token follows from the invitation's id under a key of the installation. So it need not be kept, and an
//! invitation whose mail was cut off can be mailed again.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use commands::{Command, Outcome, Request, Resource};
use domain::tenant::TenantCommand;
use domain::{Digest, InvitationId, Role, Sealed, TenantId, UserId};
use identity::mail::{Letter, LinkLetter};
use identity::vault::Purpose;
use journal::Position;
use projections::PresentedInvitation;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::profile::Membership;
use super::{Origin, People, context, key};
use crate::person::{Email, Secret};
use crate::problem::{Problem, code};

/// For how long an invitation stands, in hours.
pub const INVITATION_HOURS: i64 = 7 * 24;

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
    /// The token of an invitation.
    pub async fn invitation_token(&self, id: InvitationId) -> Result<InvitationToken, Problem> {
        let bytes = self.vault.blind(Purpose::OneTime, &format!("invitation {id}")).await?;
        Ok(InvitationToken(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// Seals the address of somebody who is invited, under the invitation's own key, and notes by which address the key is
    /// found when its owner is erased.
    pub async fn seal_invited(
        &self,
        tenant: TenantId,
        id: InvitationId,
        email: &Email,
    ) -> Result<Sealed, Problem> {
        let index = self.index(email).await?;
        self.invited.note(tenant, id, &index).await?;
        Ok(self.vault.seal(tenant, id.into(), Purpose::Email, email.as_str()).await?)
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
        role: Role,
        outcome: &Outcome,
        token: InvitationToken,
    ) -> Result<(), Problem> {
        let Resource::Tenant(_, tenant) = &outcome.resource else {
            return Err(Problem::internal("an invitation came to something else than a tenant"));
        };
        let (to, tenant) = (email.as_str().to_owned(), tenant.name.to_string());
        self.errand("invitation", |people| async move {
            let letter = |link: LinkLetter<'_>| {
                Letter::Invitation { link, tenant: &tenant, role: role.as_str() }.mail()
            };
            people.mail_link(&to, "accept-invitation", &token.0, INVITATION_HOURS, letter).await;
            Ok(())
        })
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
