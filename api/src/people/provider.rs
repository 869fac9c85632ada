//! Sign-in at a provider.

use domain::user::{SignInMethod, UserCommand};
use domain::{UserId, WebAddress};
use identity::accounts::{Link, Linked};
use identity::oidc::{Callback, Identified};
use identity::vault::Purpose;

use super::{NewPerson, Origin, People, Step, tolerate};
use crate::person::{Email, Secret};
use crate::problem::{Problem, code};

/// What stands behind the ticket of a browser that is to be led to the application afterwards.
const WITH_COOKIES: &str = ".c";

/// The way to a provider.
pub struct Journey {
    /// Where the browser goes.
    pub address: String,
    /// What it keeps meanwhile.
    pub ticket: String,
}

impl People {
    /// Where the application is that a browser is led to.
    pub fn home(&self) -> &str {
        &self.settings.public_url
    }

    /// Sends a browser to a provider.
    pub async fn set_out(&self, provider: &str, cookies: bool) -> Result<Journey, Problem> {
        let begun = self.oidc.start(provider, None).await?;
        let mark = if cookies { WITH_COOKIES } else { "" };
        Ok(Journey { address: begun.url, ticket: format!("{}{mark}", begun.binding.as_str()) })
    }

    /// Takes a browser back. Also says whether it wants cookies.
    pub async fn come_back(
        &self,
        provider: &str,
        callback: Callback,
        ticket: &Secret,
        origin: &Origin,
    ) -> Result<(Step, bool), Problem> {
        let (binding, cookies) = match ticket.as_str().strip_suffix(WITH_COOKIES) {
            Some(binding) => (binding, true),
            None => (ticket.as_str(), false),
        };
        let callback = Callback { binding: binding.to_owned(), ..callback };
        let identified = self.oidc.finish(provider, &callback).await?;
        let user = self.recognise(&identified, origin).await?;
        let account = self.accounts.by_id(user).await?;
        let account = account.ok_or_else(|| Problem::internal(format!("the user {user} has no account")))?;
        Ok((self.first_step(&account, SignInMethod::OpenId, origin).await?, cookies))
    }

    /// Who it is: whoever is linked already; else whoever has the address, which the provider must vouch for; else
    /// somebody new.
    async fn recognise(&self, identified: &Identified, origin: &Origin) -> Result<UserId, Problem> {
        let index = self.vault.blind(Purpose::OidcSubject, &identified.handle()).await?;
        if let Some(user) = self.accounts.linked(&index).await? {
            return Ok(user);
        }
        let unproven = || {
            let detail = "the provider does not vouch for an email address, so there can be no account";
            Problem::new(code::PROVIDER_EMAIL_UNVERIFIED, detail)
        };
        let email = identified.email.as_deref().filter(|_| identified.email_verified);
        let email = Email::new(email.ok_or_else(unproven)?).map_err(|_| unproven())?;
        let name = identified.name.as_deref().and_then(|name| domain::Label::new(name).ok());
        let name = name.map_or_else(|| mailbox(&email).to_owned(), |name| name.to_string());
        let person = NewPerson { email: &email, name: &name, locale: None };
        let user = self.enrol(&person, origin).await?;
        self.link_identity(user, identified, index, origin).await?;
        Ok(user)
    }

    /// Links somebody at a provider with a user: the event first, then what lets them in.
    async fn link_identity(
        &self,
        user: UserId,
        identified: &Identified,
        index: [u8; 32],
        origin: &Origin,
    ) -> Result<(), Problem> {
        let subject = self.seal(user, Purpose::OidcSubject, &identified.subject).await?;
        let issuer = WebAddress::new(&identified.issuer).map_err(Problem::internal)?;
        let command = UserCommand::LinkIdentity { issuer, subject: subject.clone() };
        tolerate(self.act(user, command, origin, None).await, &[code::IDENTITY_LINKED])?;
        let link = Link { index, issuer: identified.issuer.clone(), subject };
        match self.accounts.link(user, &link).await? {
            Linked::Done => Ok(()),
            Linked::Taken(_) | Linked::Another => {
                let detail = "the account of this address is linked with somebody else at this provider";
                Err(Problem::new(code::PROVIDER_REFUSED, detail))
            }
        }
    }
}

/// What stands before the `@`, as a name for want of a better one.
fn mailbox(email: &Email) -> &str {
    email.as_str().split('@').next().unwrap_or_default()
}
