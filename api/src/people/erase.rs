//! Erasing somebody.
//!
//! Everybody erases themselves; an operator of the platform whoever cannot get in to do it, in the same steps.
//!
//! In this order, each step harmless when it is repeated:
//!
//! 1. Memberships end. A last owner is refused before anything has happened.
//! 2. The keys of the invitations that were sent to the address are destroyed, sign-ups of it that wait and mails in files
//!    go, then the user's own key is destroyed. From here on nobody can read what was personal, wherever it stands.
//! 3. The event, with the receipt, under a key that follows from the user's id.
//! 4. The tokens of mails go, then the account row, and sessions, links and codes with it. What was cut off before is done within a few
//!    minutes by whichever program finds the key gone and the account still there.

use chrono::TimeDelta;
use domain::tenant::TenantStatus;
use domain::user::{Receipt, UserCommand};
use domain::{Role, SubjectId, TenantId, UserId};
use identity::vault::{Purpose, VaultError};
use uuid::Uuid;

use super::enrol::addressee;
use super::profile::Membership;
use super::{Origin, People, tolerate};
use crate::person::{Email, Secret};
use crate::problem::{Problem, code};

/// How long an erasure takes at the most; one that has taken longer was cut off.
const SLOW: TimeDelta = TimeDelta::minutes(1);

/// In whose name somebody is erased, as the logs say it.
#[derive(Debug, Clone, Copy)]
pub(super) struct By<'a> {
    pub actor: &'a str,
    pub role: &'a str,
}

impl By<'static> {
    /// The program, which finishes what was cut off.
    pub const PROGRAM: Self = Self { actor: "system", role: "system" };
}

impl People {
    /// Erases somebody who is signed in.
    pub async fn erase(
        &self,
        user: UserId,
        password: Option<&Secret>,
        origin: &Origin,
    ) -> Result<Receipt, Problem> {
        self.confirm_password(user, password, "password").await?;
        let own = user.to_string();
        self.erase_as(user, By { actor: &own, role: "user" }, origin).await
    }

    /// Erases somebody in the name of an operator of the platform.
    pub async fn erase_user(&self, user: UserId, by: &str, origin: &Origin) -> Result<Receipt, Problem> {
        self.erase_as(user, By { actor: by, role: Role::Superadmin.as_str() }, origin).await
    }

    async fn erase_as(&self, user: UserId, by: By<'_>, origin: &Origin) -> Result<Receipt, Problem> {
        // Before anything happens: there may be no such user.
        let email = self.profile(user).await?.value.email;
        self.leave_all(user, by, origin).await?;
        let mut subjects = Vec::new();
        if let Some(email) = email.and_then(|email| Email::new(&email).ok()) {
            let index = self.index(&email).await?;
            for (tenant, invitation) in self.invited.of(&index).await? {
                self.vault.erase(tenant, invitation.into()).await?;
                subjects.push(invitation.into());
            }
            self.invited.forget(&index).await?;
            self.one_time.forget(addressee(&index)).await?;
            self.mailer.forget(email.as_str()).await.map_err(Problem::internal)?;
        }
        subjects.insert(0, user.into());
        self.destroy(user, subjects, by, origin).await
    }

    /// From the point of no return on.
    pub(super) async fn destroy(
        &self,
        user: UserId,
        subjects: Vec<SubjectId>,
        by: By<'_>,
        origin: &Origin,
    ) -> Result<Receipt, Problem> {
        let erased = self.vault.erase(TenantId::PLATFORM, user.into()).await?;
        let receipt =
            Receipt { id: Uuid::new_v5(&user.0, b"receipt"), erased_at: erased.erased_at, subjects };
        let command = UserCommand::Erase { receipt: receipt.clone() };
        let once = Some(format!("erase {user}"));
        let recorded = self.act_as(by.actor, by.role, user, command, origin, once).await;
        let recorded = tolerate(recorded, &[code::USER_ERASED, code::USER_NOT_FOUND])?;
        self.finish_erasing(user).await?;
        if let Some(outcome) = recorded {
            self.settle(outcome.position).await;
        }
        Ok(receipt)
    }

    /// Finishes erasures that were cut off after the key was destroyed, and says how many. To be called now and then.
    pub async fn finish_erasures(&self) -> Result<usize, Problem> {
        let half = self.accounts.half_erased(self.clock.now() - SLOW).await?;
        for user in &half {
            self.destroy(*user, vec![(*user).into()], By::PROGRAM, &Origin::system("erasure")).await?;
        }
        Ok(half.len())
    }

    /// Whether the key of somebody was destroyed, whether or not the rest of their erasure was done.
    pub(super) async fn is_erased(&self, user: UserId) -> Result<bool, Problem> {
        self.is_forgotten(TenantId::PLATFORM, user.into()).await
    }

    /// Whether the key of a subject was destroyed.
    pub(super) async fn is_forgotten(&self, tenant: TenantId, subject: SubjectId) -> Result<bool, Problem> {
        match self.vault.seal(tenant, subject, Purpose::Name, "").await {
            Err(VaultError::Erased) => Ok(true),
            sealed => Ok(sealed.map(|_| false)?),
        }
    }

    /// The last step: what one signs in with is gone.
    async fn finish_erasing(&self, user: UserId) -> Result<(), Problem> {
        self.one_time.forget(user).await?;
        self.accounts.delete(user).await?;
        Ok(())
    }

    async fn leave_all(&self, user: UserId, by: By<'_>, origin: &Origin) -> Result<(), Problem> {
        let memberships = self.memberships(user).await?;
        for Membership { tenant, slug, role, status, .. } in &memberships {
            let matters = *role == Role::Owner && *status != TenantStatus::Closed;
            if matters && !self.has_another_owner(*tenant, user).await? {
                let detail = format!("the last owner of {slug} hands it over or closes it first");
                return Err(Problem::new(code::LAST_OWNER, detail));
            }
        }
        for Membership { tenant, .. } in memberships {
            let left = self.leave_as(user, tenant, by, origin, Some(format!("erase {user}"))).await;
            // What can never be written again keeps an id that leads to nobody.
            tolerate(left, &[code::MEMBER_NOT_FOUND, code::TENANT_CLOSED])?;
        }
        Ok(())
    }

    async fn has_another_owner(&self, tenant: TenantId, user: UserId) -> Result<bool, Problem> {
        let mut after = None;
        loop {
            let page = self.reader.tenant(tenant).members(after, 100).await?.value;
            let Some(last) = page.last() else { return Ok(false) };
            after = Some(last.user);
            if page.iter().any(|member| member.role == Role::Owner && member.user != user) {
                return Ok(true);
            }
        }
    }
}
