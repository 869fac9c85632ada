//! Passwords that are forgotten, changed, or asked for once more.

use std::sync::Arc;

use chrono::TimeDelta;
use domain::user::{RevocationReason, UserCommand};
use domain::{SessionId, UserId};
use identity::mail::Letter;
use identity::one_time::OneTimeUse;
use identity::password::PasswordHash;
use identity::token::Token;
use serde::{Deserialize, Serialize};

use super::enrol::{chosen, no_token};
use super::{Origin, People, tolerate};
use crate::person::{Email, Secret};
use crate::problem::{Problem, code};

/// For how long a password can be reset, in hours.
const RESET_HOURS: i64 = 1;

/// Whose password may be chosen anew.
#[derive(Serialize, Deserialize)]
struct Forgotten {
    user: UserId,
}

impl People {
    /// Sends somebody a way back in, where there is such an account. Older ones are worth nothing any more.
    pub fn forgot(self: &Arc<Self>, email: Email) -> Result<(), Problem> {
        self.errand("forgotten password", |people| async move {
            let index = people.index(&email).await?;
            let Some(account) = people.accounts.by_email(&index).await? else { return Ok(()) };
            if people.reader.user(account.user).profile().await?.value.is_none() {
                return Ok(());
            }
            let token = people.reset_token(account.user, RESET_HOURS).await?;
            people.mail_reset(email.as_str(), &token, RESET_HOURS).await;
            Ok(())
        })
    }

    /// A token by which the user chooses a password.
    pub(super) async fn reset_token(&self, user: UserId, hours: i64) -> Result<Token, Problem> {
        self.one_time.withdraw(OneTimeUse::ResetPassword, Some(user)).await?;
        let (forgotten, lifetime) = (Forgotten { user }, TimeDelta::hours(hours));
        Ok(self.one_time.issue(OneTimeUse::ResetPassword, Some(user), &forgotten, lifetime).await?)
    }

    /// Sets the password of whoever has the token. The token is taken first; then the password is
    /// [replaced](Self::replace). Whoever is cut off asks for another mail.
    pub async fn reset(
        self: &Arc<Self>,
        token: &Secret,
        password: &Secret,
        origin: &Origin,
    ) -> Result<(), Problem> {
        // Before the token is used up: what anybody can see to be too weak.
        chosen(password, &Email::default())?;
        let taken = self.one_time.take::<Forgotten>(OneTimeUse::ResetPassword, token.as_str()).await?;
        let Forgotten { user } = taken.ok_or_else(no_token)?;
        let email = self.profile(user).await?.value.email;
        let email = email.and_then(|email| Email::new(&email).ok()).unwrap_or_default();
        let hash = self.passwords.hash(&chosen(password, &email)?).await?;
        if !self.replace(user, &hash, None).await? {
            return Err(no_token());
        }
        let verified = self.act(user, UserCommand::VerifyEmail, origin, Some(format!("verify {user}"))).await;
        tolerate(verified, &[code::EMAIL_ALREADY_VERIFIED, code::USER_SUSPENDED])?;
        self.password_changed(user, &email, origin).await
    }

    /// Changes the password of somebody who is signed in. All other sessions end.
    pub async fn change_password(
        self: &Arc<Self>,
        user: UserId,
        session: SessionId,
        current: Option<&Secret>,
        new: &Secret,
        origin: &Origin,
    ) -> Result<(), Problem> {
        self.confirm_password(user, current, "current").await?;
        let email = self.profile(user).await?.value.email;
        let email = email.and_then(|email| Email::new(&email).ok()).unwrap_or_default();
        let new = chosen(new, &email).map_err(|problem| problem.at("new"))?;
        let hash = self.passwords.hash(&new).await?;
        self.replace(user, &hash, Some(session)).await?;
        self.password_changed(user, &email, origin).await
    }

    /// Replaces the password and ends all sessions but `except`: those that there are before the password changes, so
    /// that whoever is cut off has lost them at least, and those that the old one began meanwhile. False when there is no
    /// such account.
    async fn replace(
        &self,
        user: UserId,
        hash: &PasswordHash,
        except: Option<SessionId>,
    ) -> Result<bool, Problem> {
        let reason = RevocationReason::PasswordChanged;
        self.sessions.revoke_all(user, except, reason).await?;
        let replaced = self.accounts.set_password(user, hash).await?;
        self.sessions.revoke_all(user, except, reason).await?;
        Ok(replaced)
    }

    async fn password_changed(
        self: &Arc<Self>,
        user: UserId,
        email: &Email,
        origin: &Origin,
    ) -> Result<(), Problem> {
        self.one_time.withdraw(OneTimeUse::ResetPassword, Some(user)).await?;
        let recorded = self.act(user, UserCommand::ChangePassword, origin, None).await;
        tolerate(recorded, &[code::USER_SUSPENDED])?;
        if !email.as_str().is_empty() {
            self.mail_later(Letter::PasswordChanged { to: email.as_str() }.mail());
        }
        Ok(())
    }

    /// Asks for the password once more, where there is one: whoever finds an open browser cannot take the account.
    pub(super) async fn confirm_password(
        &self,
        user: UserId,
        given: Option<&Secret>,
        field: &str,
    ) -> Result<(), Problem> {
        let account = self.accounts.by_id(user).await?;
        let Some(stored) = account.and_then(|account| account.password) else { return Ok(()) };
        let missing = || Problem::new(code::MISSING_FIELD, "the present password is needed").at(field);
        let given = given.ok_or_else(missing)?;
        if self.passwords.check(given.as_str(), Some(&stored)).await?.ok {
            return Ok(());
        }
        Err(Problem::new(code::WRONG_PASSWORD, "this is not the present password").at(field))
    }
}
