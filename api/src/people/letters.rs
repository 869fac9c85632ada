//! Mails, and the links in them.

use std::sync::Arc;

use identity::mail::{Letter, LinkLetter, Mail};
use identity::token::Token;

use super::People;

impl People {
    /// The address of a page that takes a token.
    fn link(&self, page: &str, token: &str) -> String {
        format!("{}/{page}?token={token}", self.settings.public_url)
    }

    /// Sends a mail whose point is a link. The token stands alone too, for those who use no page.
    pub(super) async fn mail_link(
        &self,
        to: &str,
        page: &str,
        token: &str,
        hours: i64,
        letter: impl FnOnce(LinkLetter<'_>) -> Mail,
    ) {
        let link = self.link(page, token);
        let mut mail = letter(LinkLetter { to, link: &link, hours });
        mail.text.push_str("\nThe token alone, to be posted to the API:\n\n");
        mail.text.push_str(token);
        mail.text.push('\n');
        self.mail(&mail).await;
    }

    /// Asks an address whether it is whoever signed up.
    pub(super) async fn mail_verification(&self, to: &str, token: &Token, hours: i64) {
        let letter = |link: LinkLetter<'_>| Letter::VerifyEmail(link).mail();
        self.mail_link(to, "verify-email", token.as_str(), hours, letter).await;
    }

    /// Gives somebody a way back in.
    pub(super) async fn mail_reset(&self, to: &str, token: &Token, hours: i64) {
        let letter = |link: LinkLetter<'_>| Letter::ResetPassword(link).mail();
        self.mail_link(to, "reset-password", token.as_str(), hours, letter).await;
    }

    /// Sends a mail; one that cannot be sent is told to the log, for nobody waits for it.
    pub(super) async fn mail(&self, mail: &Mail) {
        if let Err(error) = self.mailer.send(mail).await {
            metrics::counter!("counterfoil_mails_total", "sent" => "no").increment(1);
            tracing::error!(%error, subject = mail.subject, "a mail could not be sent");
        } else {
            metrics::counter!("counterfoil_mails_total", "sent" => "yes").increment(1);
        }
    }

    /// Sends a mail after the answer was given.
    pub(super) fn mail_later(self: &Arc<Self>, mail: Mail) {
        let sending = self.errand("mail", |people| async move {
            people.mail(&mail).await;
            Ok(())
        });
        if let Err(problem) = sending {
            tracing::error!(%problem, "a mail is not sent: there are too many");
        }
    }
}
