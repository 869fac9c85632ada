//! What the mails say.

use super::Mail;

/// A mail whose point is a link that works once and for a while.
#[derive(Debug, Clone, Copy)]
pub struct LinkLetter<'a> {
    /// To whom.
    pub to: &'a str,
    /// The whole address, token included.
    pub link: &'a str,
    /// For how many hours it works.
    pub hours: i64,
}

/// The mails that the program writes.
#[derive(Debug, Clone, Copy)]
pub enum Letter<'a> {
    /// After a sign-up: shows that somebody reads this address.
    VerifyEmail(LinkLetter<'a>),
    /// After a sign-up with an address that has an account already. The answer to the request does not tell.
    AlreadyRegistered {
        /// To whom.
        to: &'a str,
    },
    /// To somebody who forgot the password.
    ResetPassword(LinkLetter<'a>),
    /// Afterwards, so that nobody's password changes unnoticed.
    PasswordChanged {
        /// To whom.
        to: &'a str,
    },
    /// From a tenant to somebody who may join it.
    Invitation {
        /// The link.
        link: LinkLetter<'a>,
        /// The tenant's name.
        tenant: &'a str,
        /// The role, as people call it.
        role: &'a str,
    },
    /// All sessions of an account were ended because a refresh token came twice.
    TokenReused {
        /// To whom.
        to: &'a str,
    },
}

impl Letter<'_> {
    /// The mail.
    pub fn mail(&self) -> Mail {
        match *self {
            Self::VerifyEmail(letter) => with_link(
                letter,
                "Confirm your email address",
                "Somebody, probably you, signed up with this address. To confirm it, open",
            ),
            Self::AlreadyRegistered { to } => plain(
                to,
                "You have an account already",
                "Somebody, probably you, tried to sign up with this address, which has an account already. Sign in with it, \
                 or ask for a new password if you forgot yours. If it was not you, there is nothing to do.",
            ),
            Self::ResetPassword(letter) => with_link(
                letter,
                "Choose a new password",
                "Somebody, probably you, asked for a new password. To choose one, open",
            ),
            Self::PasswordChanged { to } => plain(
                to,
                "Your password was changed",
                "The password of your account was changed, and every other session was ended. If it was not you, ask for \
                 a new password at once.",
            ),
            Self::Invitation { link, tenant, role } => with_link(
                link,
                // A tenant's name is somebody's text: it stands in the body, where it can pretend nothing.
                "You are invited",
                &format!("You are invited to join {tenant} as {role}. To accept, open"),
            ),
            Self::TokenReused { to } => plain(
                to,
                "A session of yours was ended",
                "A token of one of your sessions was used a second time. Somebody may have copied it, so that session was \
                 ended. Sign in again; if you did not expect this, change your password.",
            ),
        }
    }
}

fn with_link(letter: LinkLetter<'_>, subject: &str, sentence: &str) -> Mail {
    let LinkLetter { to, link, hours } = letter;
    let hours = if hours == 1 { "hour".to_owned() } else { format!("{hours} hours") };
    let end =
        format!("The link works once, within the next {hours}. If you did not expect this mail, ignore it.");
    Mail {
        to: to.to_owned(),
        subject: subject.to_owned(),
        text: format!("{sentence}\n\n{link}\n\n{end}\n"),
        html: Some(format!(
            "<p>{}</p>\n<p><a href=\"{}\">{}</a></p>\n<p>{end}</p>\n",
            escaped(sentence),
            escaped(link),
            escaped(link),
        )),
        about: None,
    }
}

fn plain(to: &str, subject: &str, text: &str) -> Mail {
    let text = format!("{text}\n");
    Mail { to: to.to_owned(), subject: subject.to_owned(), text, html: None, about: None }
}

/// Text as it stands in HTML, between tags and in attributes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_name_cannot_write_html_or_headers() {
        let link = LinkLetter { to: "ada@example.com", link: "https://x.example/?a=1&b=2", hours: 72 };
        let tenant = "<a href='https://evil.example'>Acme</a>";
        let mail = Letter::Invitation { link, tenant, role: "member" }.mail();
        let html = mail.html.unwrap();
        assert!(!html.contains("evil.example'>"), "{html}");
        assert!(html.contains("a=1&amp;b=2"), "{html}");
        assert!(mail.text.contains("https://x.example/?a=1&b=2"), "{}", mail.text);
        assert!(!mail.subject.contains("Acme"));
    }
}
