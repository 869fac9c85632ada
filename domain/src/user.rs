//! The user: a person who signs in. Which tenants they belong to is the tenants' to say.
//!
//! Everything personal is sealed under a key of the user. When that key is destroyed the stream stays whole and can
//! still be folded; what was in it cannot be read any more.

mod command;
mod event;
mod rejection;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

pub use command::UserCommand;
pub use event::{PersonalChange, Receipt, RevocationReason, SignInMethod, UserEvent};
pub use rejection::UserRejection;

use crate::{Moment, Sealed, WebAddress};

/// Whether a user can sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    /// There never was such a user.
    #[default]
    Absent,
    /// They can.
    Active,
    /// They cannot until they are resumed.
    Suspended,
    /// They are gone, and with them the key to what was known of them.
    Erased,
}

impl UserStatus {
    /// The status as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Erased => "erased",
        }
    }
}

/// A user's state. The default is a user that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct User {
    /// Whether they can sign in.
    pub status: UserStatus,
    /// Their email address.
    pub email: Sealed,
    /// Their name.
    pub name: Sealed,
    /// Where a picture of them is.
    pub avatar: Option<Sealed>,
    /// Their language and country.
    pub locale: Option<Sealed>,
    /// What they prefer; the interface alone knows what it means.
    pub preferences: Option<Sealed>,
    /// Whether they have shown that the email address is theirs.
    pub verified: bool,
    /// Whether they run the installation.
    pub superadmin: bool,
    /// Whether they need a second factor to sign in.
    pub second_factor: bool,
    /// When they signed in last.
    pub last_sign_in: Option<DateTime<Utc>>,
    /// The OpenID issuers by which they can sign in.
    pub issuers: Arc<BTreeSet<WebAddress>>,
}

impl User {
    /// Whether the user was registered (they may be erased since).
    pub fn exists(&self) -> bool {
        self.status != UserStatus::Absent
    }

    /// Decides a command at the moment `now`.
    ///
    /// # Errors
    /// The first [`UserRejection`] that applies, in the order of that enum.
    pub fn decide(&self, command: UserCommand, now: DateTime<Utc>) -> Result<UserEvent, UserRejection> {
        use UserRejection as Rejected;
        if let UserCommand::Register { email, name, locale } = command {
            if self.exists() {
                return Err(Rejected::AlreadyExists);
            }
            return Ok(UserEvent::Registered { email, name, locale });
        }
        self.changeable(&command)?;
        match command {
            UserCommand::Register { .. } => Err(Rejected::AlreadyExists),
            UserCommand::VerifyEmail if self.verified => Err(Rejected::AlreadyVerified),
            UserCommand::VerifyEmail => Ok(UserEvent::EmailVerified {}),
            UserCommand::ChangeProfile(change) if change == PersonalChange::default() => {
                Err(Rejected::NothingToChange)
            }
            UserCommand::ChangeProfile(change) => Ok(UserEvent::ProfileChanged(change)),
            UserCommand::ChangeEmail { email } => Ok(UserEvent::EmailChanged { email }),
            UserCommand::ChangePassword => Ok(UserEvent::PasswordChanged {}),
            UserCommand::SignIn { session, method } => Ok(UserEvent::SignedIn { session, method, at: now }),
            UserCommand::SignOut { session } => Ok(UserEvent::SignedOut { session }),
            UserCommand::RevokeSessions { reason } => Ok(UserEvent::SessionsRevoked { reason }),
            UserCommand::EnableSecondFactor if self.second_factor => Err(Rejected::SecondFactorEnabled),
            UserCommand::EnableSecondFactor => Ok(UserEvent::SecondFactorEnabled {}),
            UserCommand::DisableSecondFactor | UserCommand::UseRecoveryCode if !self.second_factor => {
                Err(Rejected::SecondFactorNotEnabled)
            }
            UserCommand::DisableSecondFactor => Ok(UserEvent::SecondFactorDisabled {}),
            UserCommand::UseRecoveryCode => Ok(UserEvent::RecoveryCodeUsed {}),
            UserCommand::LinkIdentity { issuer, .. } if self.issuers.contains(&issuer) => {
                Err(Rejected::IdentityLinked)
            }
            UserCommand::LinkIdentity { issuer, subject } => {
                Ok(UserEvent::IdentityLinked { issuer, subject })
            }
            UserCommand::UnlinkIdentity { issuer } if !self.issuers.contains(&issuer) => {
                Err(Rejected::IdentityNotLinked)
            }
            UserCommand::UnlinkIdentity { issuer } => Ok(UserEvent::IdentityUnlinked { issuer }),
            UserCommand::GrantSuperadmin if self.superadmin => Err(Rejected::AlreadySuperadmin),
            UserCommand::GrantSuperadmin => Ok(UserEvent::SuperadminGranted {}),
            UserCommand::RevokeSuperadmin if !self.superadmin => Err(Rejected::NotSuperadmin),
            UserCommand::RevokeSuperadmin => Ok(UserEvent::SuperadminRevoked {}),
            UserCommand::Suspend { reason } => Ok(UserEvent::Suspended { reason }),
            UserCommand::Resume => Ok(UserEvent::Resumed {}),
            UserCommand::Erase { receipt } => Ok(UserEvent::Erased { receipt }),
        }
    }

    /// Whether the user is there, and the command one that their status allows: a suspended user can be let in again
    /// and loses what lets them in, but gains nothing.
    fn changeable(&self, command: &UserCommand) -> Result<(), UserRejection> {
        match self.status {
            UserStatus::Absent => Err(UserRejection::NotFound),
            UserStatus::Erased => Err(UserRejection::Erased),
            UserStatus::Active if *command == UserCommand::Resume => Err(UserRejection::NotSuspended),
            UserStatus::Suspended if !command.suits_the_suspended() => Err(UserRejection::Suspended),
            UserStatus::Active | UserStatus::Suspended => Ok(()),
        }
    }

    fn change(&mut self, change: PersonalChange) {
        let PersonalChange { name, avatar, locale, preferences } = change;
        if let Some(name) = name {
            self.name = name;
        }
        avatar.apply(&mut self.avatar);
        locale.apply(&mut self.locale);
        preferences.apply(&mut self.preferences);
    }
}

impl Aggregate for User {
    const TYPE: &'static str = "user";
    type Command = UserCommand;
    type Event = UserEvent;
    type Error = UserRejection;
    type Services = Moment;

    async fn handle(
        &mut self,
        command: UserCommand,
        moment: &Moment,
        sink: &EventSink<Self>,
    ) -> Result<(), UserRejection> {
        let event = self.decide(command, moment.0)?;
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, event: UserEvent) {
        match event {
            UserEvent::Registered { email, name, locale } => {
                *self = Self { status: UserStatus::Active, email, name, locale, ..Self::default() };
            }
            UserEvent::EmailVerified {} => self.verified = true,
            UserEvent::ProfileChanged(change) => self.change(change),
            UserEvent::EmailChanged { email } => {
                self.email = email;
                self.verified = false;
            }
            UserEvent::SignedIn { at, .. } => self.last_sign_in = Some(at),
            UserEvent::SecondFactorEnabled {} => self.second_factor = true,
            UserEvent::SecondFactorDisabled {} => self.second_factor = false,
            UserEvent::IdentityLinked { issuer, .. } => {
                Arc::make_mut(&mut self.issuers).insert(issuer);
            }
            UserEvent::IdentityUnlinked { issuer } => {
                Arc::make_mut(&mut self.issuers).remove(&issuer);
            }
            UserEvent::SuperadminGranted {} => self.superadmin = true,
            UserEvent::SuperadminRevoked {} => self.superadmin = false,
            UserEvent::Suspended { .. } => self.status = UserStatus::Suspended,
            UserEvent::Resumed {} => self.status = UserStatus::Active,
            UserEvent::Erased { .. } => *self = Self { status: UserStatus::Erased, ..Self::default() },
            UserEvent::PasswordChanged {}
            | UserEvent::SignedOut { .. }
            | UserEvent::SessionsRevoked { .. }
            | UserEvent::RecoveryCodeUsed {} => {}
        }
    }
}

#[cfg(test)]
mod tests;
