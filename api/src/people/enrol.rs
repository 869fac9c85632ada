//! How somebody becomes a user.

use std::sync::Arc;

use chrono::TimeDelta;
use domain::user::UserCommand;
use domain::{Label, TenantId, UserId};
use identity::accounts::{Account, Reserved};
use identity::mail::Letter;
use identity::one_time::OneTimeUse;
use identity::password::{NewPassword, PasswordHash};
use identity::token::Token;
use identity::vault::Purpose;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::erase::By;
use super::{Origin, People, tolerate};
use crate::person::{Email, Locale, Secret};
use crate::problem::{Problem, code};

/// For how long the address of a sign-up can be confirmed, in hours.
const VERIFY_HOURS: i64 = 24;
/// For how long the link of the first start works, in hours.
const BOOTSTRAP_HOURS: i64 = 24;
/// For how long an operator may take to choose a password, in hours.
const FIRST_PASSWORD_HOURS: i64 = 24;

/// Somebody who is to be a user, and reads mail at the address: that has been shown.
#[derive(Debug, Clone, Copy)]
pub struct NewPerson<'a> {
    /// The address.
    pub email: &'a Email,
    /// What others read.
    pub name: &'a str,
    /// The language that is preferred.
    pub locale: Option<&'a str>,
}

/// What a sign-up waits with until its address is confirmed. The password goes with the token, so that whoever opens the
/// mail of a sign-up gets the password of that sign-up, and not one that a stranger chose before.
#[derive(Serialize, Deserialize)]
struct SignedUp {
    email: String,
    name: String,
    locale: Option<String>,
    hash: String,
}

impl People {
    /// Takes a sign-up on. What comes of it is told by mail alone. The password is hashed before the answer, whether the
    /// address is known or not: where that is too much work, the caller hears of it.
    pub async fn sign_up(
        self: &Arc<Self>,
        email: Email,
        password: &Secret,
        name: Label,
        locale: Option<Locale>,
    ) -> Result<(), Problem> {
        let hash = self.passwords.hash(&chosen(password, &email)?).await?;
        self.errand("sign-up", |people| async move {
            let index = people.index(&email).await?;
            let account = people.accounts.by_email(&index).await?;
            if let Some(account) = &account
                && people.is_finished(account).await?
            {
                people.mail(&Letter::AlreadyRegistered { to: email.as_str() }.mail()).await;
                return Ok(());
            }
            let signed_up = SignedUp {
                email: email.as_str().to_owned(),
                name: name.to_string(),
                locale: locale.map(|locale| locale.as_str().to_owned()),
                hash: hash.as_str().to_owned(),
            };
            let (whose, lifetime) = (Some(addressee(&index)), TimeDelta::hours(VERIFY_HOURS));
            let token = people.one_time.issue(OneTimeUse::VerifyEmail, whose, &signed_up, lifetime).await?;
            people.mail_verification(email.as_str(), &token, VERIFY_HOURS).await;
            Ok(())
        })
    }

    /// Makes the account of a sign-up whose address is confirmed by the token of its mail.
    ///
    /// The token is taken first, so it works once. Whoever is cut off afterwards signs up again.
    pub async fn verify_email(&self, token: &Secret, origin: &Origin) -> Result<UserId, Problem> {
        let taken = self.one_time.take::<SignedUp>(OneTimeUse::VerifyEmail, token.as_str()).await?;
        let SignedUp { email, name, locale, hash } = taken.ok_or_else(no_token)?;
        let email = Email::new(&email).map_err(Problem::internal)?;
        let hash = PasswordHash::parse(&hash).map_err(Problem::internal)?;
        let person = NewPerson { email: &email, name: &name, locale: locale.as_deref() };
        let user = self.enrol(&person, origin).await?;
        // Also where they sign in at a provider: the password may be a stranger's, who signed up before they did.
        if let Some(account) = self.accounts.by_id(user).await?
            && self.is_finished(&account).await?
        {
            return Err(Problem::new(code::EMAIL_TAKEN, "there is an account with this address already"));
        }
        self.accounts.set_password(user, &hash).await?;
        Ok(user)
    }

    /// The user of this address, made if there is none. May be cut off anywhere and repeated. Lets nobody in by itself.
    pub async fn enrol(&self, person: &NewPerson<'_>, origin: &Origin) -> Result<UserId, Problem> {
        match self.try_enrol(person, origin).await {
            // Somebody of this address was erased, and that was cut off: it is finished now.
            Err((Some(user), problem)) if problem.code == code::USER_ERASED => {
                self.destroy(user, vec![user.into()], By::PROGRAM, &Origin::system("erasure")).await?;
                self.try_enrol(person, origin).await.map_err(|(_, problem)| problem)
            }
            enrolled => enrolled.map_err(|(_, problem)| problem),
        }
    }

    async fn try_enrol(
        &self,
        person: &NewPerson<'_>,
        origin: &Origin,
    ) -> Result<UserId, (Option<UserId>, Problem)> {
        let index = self.index(person.email).await.map_err(|problem| (None, problem))?;
        let new = UserId(self.ids.next());
        let reserved = self.accounts.reserve(&index, new).await;
        let user = match reserved.map_err(|error| (None, error.into()))? {
            Reserved::New => new,
            Reserved::Taken(user) => {
                if self.is_erased(user).await.map_err(|problem| (None, problem))? {
                    return Err((Some(user), Problem::new(code::USER_ERASED, "the user has been erased")));
                }
                user
            }
        };
        self.register(user, person, origin).await.map_err(|problem| (Some(user), problem))?;
        Ok(user)
    }

    async fn register(&self, user: UserId, person: &NewPerson<'_>, origin: &Origin) -> Result<(), Problem> {
        let known = self.reader.user(user).profile().await?.value;
        if known.is_some_and(|known| known.verified) {
            return Ok(());
        }
        let register = UserCommand::Register {
            email: self.seal(user, Purpose::Email, person.email.as_str()).await?,
            name: self.seal(user, Purpose::Name, person.name).await?,
            locale: self.seal_some(user, Purpose::Locale, person.locale).await?,
        };
        let registered = self.act(user, register, origin, Some(format!("register {user}"))).await?;
        let verified = self.act(user, UserCommand::VerifyEmail, origin, Some(format!("verify {user}"))).await;
        let verified = tolerate(verified, &[code::EMAIL_ALREADY_VERIFIED])?;
        self.settle(verified.map_or(registered.position, |outcome| outcome.position)).await;
        Ok(())
    }

    /// Whether an account lets somebody in.
    pub(super) async fn is_finished(&self, account: &Account) -> Result<bool, Problem> {
        let gets_in = account.password.is_some() || !self.accounts.links(account.user).await?.is_empty();
        // What is left of somebody whose erasure was cut off is nobody's.
        Ok(gets_in && !self.is_erased(account.user).await?)
    }

    /// Whether somebody operates the platform, so that nobody needs to be let in by a link.
    pub async fn has_superadmin(&self) -> Result<bool, Problem> {
        let mut after = None;
        loop {
            let page = self.reader.platform().users(after, 100).await?.value;
            let Some(last) = page.last() else { return Ok(false) };
            after = Some(last.id);
            if page.iter().any(|user| user.superadmin) {
                return Ok(true);
            }
        }
    }

    /// A token that makes one superadmin. Every program that starts gives one; when one was used, all are gone.
    pub async fn bootstrap_token(&self) -> Result<Token, Problem> {
        let lifetime = TimeDelta::hours(BOOTSTRAP_HOURS);
        Ok(self.one_time.issue(OneTimeUse::Bootstrap, None, &(), lifetime).await?)
    }

    /// Makes the first superadmin; once there is one, the link is worth nothing. The password is that of an account that is new; an older one keeps its own.
    pub async fn bootstrap(
        &self,
        token: &Secret,
        email: &Email,
        password: &Secret,
        name: Option<Label>,
        origin: &Origin,
    ) -> Result<UserId, Problem> {
        let password = chosen(password, email)?;
        // A program that was started while it had not yet read everything may have printed a link too many.
        self.catch_up().await;
        if self.has_superadmin().await? {
            return Err(no_token());
        }
        let hash = self.passwords.hash(&password).await?;
        self.one_time.take::<()>(OneTimeUse::Bootstrap, token.as_str()).await?.ok_or_else(no_token)?;
        let name = name.map_or_else(|| "Operator".to_owned(), |name| name.to_string());
        let user = self.enrol(&NewPerson { email, name: &name, locale: None }, origin).await?;
        self.make_superadmin(user, origin).await?;
        let account = self.accounts.by_id(user).await?;
        if account.is_some_and(|account| account.password.is_none()) {
            self.accounts.set_password(user, &hash).await?;
        }
        self.one_time.withdraw(OneTimeUse::Bootstrap, None).await?;
        Ok(user)
    }

    /// Makes a superadmin of the user with this address, who is made if there is none. The token lets them choose a
    /// password.
    pub async fn create_admin(&self, email: &Email, name: &str) -> Result<(UserId, Option<Token>), Problem> {
        let origin = Origin::system("admin create");
        let user = self.enrol(&NewPerson { email, name, locale: None }, &origin).await?;
        self.make_superadmin(user, &origin).await?;
        self.one_time.withdraw(OneTimeUse::Bootstrap, None).await?;
        let account = self.accounts.by_id(user).await?;
        if account.is_some_and(|account| account.password.is_some()) {
            return Ok((user, None));
        }
        Ok((user, Some(self.reset_token(user, FIRST_PASSWORD_HOURS).await?)))
    }

    /// Takes from the user with this address what a superadmin may. `None` where there is no such user, false where it
    /// was none.
    pub async fn revoke_admin(&self, email: &Email) -> Result<Option<(UserId, bool)>, Problem> {
        let Some(account) = self.accounts.by_email(&self.index(email).await?).await? else {
            return Ok(None);
        };
        let (user, origin) = (account.user, Origin::system("admin revoke"));
        let revoked =
            self.act_as("system", "system", user, UserCommand::RevokeSuperadmin, &origin, None).await;
        let revoked = tolerate(revoked, &[code::NOT_SUPERADMIN])?;
        if let Some(revoked) = &revoked {
            self.settle(revoked.position).await;
        }
        Ok(Some((user, revoked.is_some())))
    }

    async fn make_superadmin(&self, user: UserId, origin: &Origin) -> Result<(), Problem> {
        let granted = self.act_as("system", "system", user, UserCommand::GrantSuperadmin, origin, None).await;
        if let Some(granted) = tolerate(granted, &[code::ALREADY_SUPERADMIN])? {
            self.settle(granted.position).await;
        }
        Ok(())
    }

    /// Takes over a user of another system with the hash of their password, Argon2 or bcrypt. `false` where there is an
    /// account with this address, which stays as it is.
    pub async fn import(&self, person: &NewPerson<'_>, hash: &PasswordHash) -> Result<bool, Problem> {
        let index = self.index(person.email).await?;
        let account = self.accounts.by_email(&index).await?;
        if let Some(account) = &account
            && self.is_finished(account).await?
        {
            return Ok(false);
        }
        let user = self.enrol(person, &Origin::system("users import")).await?;
        Ok(self.accounts.set_password(user, hash).await?)
    }
}

/// In whose name sign-ups with an address wait, which nobody is yet: an id that follows from the index of the address, so
/// that they are found when its owner is erased.
pub(super) fn addressee(index: &[u8; 32]) -> UserId {
    UserId(Uuid::new_v5(&TenantId::PLATFORM.0, index))
}

/// Checks a new password.
pub(super) fn chosen(password: &Secret, email: &Email) -> Result<NewPassword, Problem> {
    NewPassword::new(password.as_str(), email.as_str())
        .map_err(|weak| Problem::new(code::WEAK_PASSWORD, weak.to_string()).at("password"))
}

/// A token that is not known, was used, or is too old: which of them is nobody's business.
pub(super) fn no_token() -> Problem {
    Problem::new(code::ONE_TIME_TOKEN_INVALID, "the token is not known, was used, or has expired").at("token")
}
