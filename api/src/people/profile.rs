//! What is known of people, opened for those who may read it.

use chrono::{DateTime, Utc};
use commands::Outcome;
use domain::tenant::TenantStatus;
use domain::user::{PersonalChange, RevocationReason, UserCommand};
use domain::{Change, Reason, Role, Sealed, TenantId, User, UserId};
use identity::vault::Purpose;
use journal::Position;
use projections::{Reflected, UserView};
use serde_json::Value;

use super::erase::By;
use super::{Origin, People, user_of};
use crate::person::ProfileChange;
use crate::problem::{Problem, code};

/// The most bytes of preferences: their ciphertext has to fit where it is kept.
const MOST_PREFERENCES: usize = 2_000;

/// What is known of somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    pub id: UserId,
    pub email: Option<String>,
    pub name: Option<String>,
    pub avatar: Option<String>,
    pub locale: Option<String>,
    pub preferences: Option<Value>,
    pub status: String,
    pub verified: bool,
    pub superadmin: bool,
    pub second_factor: bool,
    pub last_sign_in: Option<DateTime<Utc>>,
}

/// What somebody is in a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Which tenant.
    pub tenant: TenantId,
    /// Its short name.
    pub slug: String,
    /// Its display name.
    pub name: String,
    /// The role there.
    pub role: Role,
    /// Whether the tenant can be written.
    pub status: TenantStatus,
}

impl From<projections::Membership> for Membership {
    fn from(view: projections::Membership) -> Self {
        let projections::Membership { tenant, slug, name, role, status, .. } = view;
        Self { tenant, slug, name, role, status }
    }
}

impl People {
    /// Somebody's profile.
    pub async fn profile(&self, user: UserId) -> Result<Reflected<Profile>, Problem> {
        let Reflected { value, position } = self.reader.user(user).profile().await?;
        let view = value.ok_or_else(|| Problem::new(code::USER_NOT_FOUND, "the user does not exist"))?;
        Ok(Reflected { value: self.opened(view).await?, position })
    }

    /// Opens what is personal.
    pub async fn opened(&self, view: UserView) -> Result<Profile, Problem> {
        let id = view.id;
        let preferences = self.open(id, Purpose::Preferences, view.preferences.as_ref()).await?;
        Ok(Profile {
            id,
            email: self.open(id, Purpose::Email, view.email.as_ref()).await?,
            name: self.open(id, Purpose::Name, view.name.as_ref()).await?,
            avatar: self.open(id, Purpose::Avatar, view.avatar.as_ref()).await?,
            locale: self.open(id, Purpose::Locale, view.locale.as_ref()).await?,
            preferences: preferences.and_then(|text| serde_json::from_str(&text).ok()),
            status: view.status.as_str().to_owned(),
            verified: view.verified,
            superadmin: view.superadmin,
            second_factor: view.second_factor,
            last_sign_in: view.last_sign_in,
        })
    }

    /// A user right after a command, opened.
    async fn outcome(&self, id: UserId, outcome: Outcome) -> Result<(Profile, Position), Problem> {
        let (user, position) = user_of(outcome)?;
        let User { status, email, name, avatar, locale, preferences, verified, superadmin, .. } = user;
        let some = |sealed: Sealed| Some(sealed).filter(|sealed| !sealed.as_str().is_empty());
        let preferences = self.open(id, Purpose::Preferences, preferences.as_ref()).await?;
        let profile = Profile {
            id,
            email: self.open(id, Purpose::Email, some(email).as_ref()).await?,
            name: self.open(id, Purpose::Name, some(name).as_ref()).await?,
            avatar: self.open(id, Purpose::Avatar, avatar.as_ref()).await?,
            locale: self.open(id, Purpose::Locale, locale.as_ref()).await?,
            preferences: preferences.and_then(|text| serde_json::from_str(&text).ok()),
            status: status.as_str().to_owned(),
            verified,
            superadmin,
            second_factor: user.second_factor,
            last_sign_in: user.last_sign_in,
        };
        Ok((profile, position))
    }

    /// Changes what somebody says about themselves.
    pub async fn change_profile(
        &self,
        user: UserId,
        change: ProfileChange,
        origin: &Origin,
    ) -> Result<(Profile, Position), Problem> {
        let preferences = match change.preferences {
            Change::Set(preferences) => {
                let text = serde_json::to_string(preferences.as_map()).map_err(Problem::internal)?;
                if text.len() > MOST_PREFERENCES {
                    let detail = format!("preferences have at most {MOST_PREFERENCES} bytes of JSON");
                    return Err(Problem::new(code::INVALID_METADATA, detail).at("preferences"));
                }
                Change::Set(text)
            }
            Change::Keep => Change::Keep,
            Change::Clear => Change::Clear,
        };
        let name = match change.name {
            Some(name) => Some(self.seal(user, Purpose::Name, name.as_str()).await?),
            None => None,
        };
        let change = PersonalChange {
            name,
            avatar: self
                .seal_change(user, Purpose::Avatar, change.avatar, |avatar| avatar.to_string())
                .await?,
            locale: self
                .seal_change(user, Purpose::Locale, change.locale, |tag| tag.as_str().to_owned())
                .await?,
            preferences: self.seal_change(user, Purpose::Preferences, preferences, |text| text).await?,
        };
        let outcome = self.act(user, UserCommand::ChangeProfile(change), origin, None).await?;
        self.outcome(user, outcome).await
    }

    async fn seal_change<T>(
        &self,
        user: UserId,
        purpose: Purpose,
        change: Change<T>,
        text: impl FnOnce(T) -> String,
    ) -> Result<Change<Sealed>, Problem> {
        Ok(match change {
            Change::Keep => Change::Keep,
            Change::Clear => Change::Clear,
            Change::Set(value) => Change::Set(self.seal(user, purpose, &text(value)).await?),
        })
    }

    /// The tenants that somebody belongs to, by slug.
    pub async fn memberships(&self, user: UserId) -> Result<Vec<Membership>, Problem> {
        let found = self.reader.user(user).memberships().await?;
        Ok(found.into_iter().map(Membership::from).collect())
    }

    /// Shuts somebody out: the event first, so that no session can begin, then the sessions.
    pub async fn suspend_user(
        &self,
        user: UserId,
        reason: Reason,
        by: &str,
        origin: &Origin,
    ) -> Result<(Profile, Position), Problem> {
        let suspend = UserCommand::Suspend { reason };
        let outcome = self.act_as(by, "superadmin", user, suspend, origin, None).await;
        // Repeated after it was cut off: the sessions may still be there.
        self.sessions.revoke_all(user, None, RevocationReason::Suspended).await?;
        let outcome = outcome?;
        let revoke = UserCommand::RevokeSessions { reason: RevocationReason::Suspended };
        self.act_as(by, "superadmin", user, revoke, origin, None).await?;
        self.outcome(user, outcome).await
    }

    /// Lets somebody in again.
    pub async fn resume_user(
        &self,
        user: UserId,
        by: &str,
        origin: &Origin,
    ) -> Result<(Profile, Position), Problem> {
        let outcome = self.act_as(by, "superadmin", user, UserCommand::Resume, origin, None).await?;
        self.outcome(user, outcome).await
    }

    /// Leaves a tenant. The last owner stays.
    pub async fn leave(&self, user: UserId, tenant: TenantId, origin: &Origin) -> Result<Position, Problem> {
        let own = user.to_string();
        let outcome = self.leave_as(user, tenant, By { actor: &own, role: "user" }, origin, None).await?;
        self.settle(outcome.position).await;
        Ok(outcome.position)
    }

    pub(super) async fn leave_as(
        &self,
        user: UserId,
        tenant: TenantId,
        by: By<'_>,
        origin: &Origin,
        once: Option<String>,
    ) -> Result<Outcome, Problem> {
        let request = commands::Request {
            tenant,
            command: commands::Command::Tenant(domain::tenant::TenantCommand::Leave { user }),
            context: super::context(by.actor, by.role, origin),
            key: once.map(super::key),
        };
        Ok(self.pipeline.submit(request).await?)
    }
}
