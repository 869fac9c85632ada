//! Mail: over SMTP, or without a mail server as files in a directory.
//!
//! SMTP is spoken over TLS (`smtps://user:password@host:465`, or `smtp://host:587?tls=required` for STARTTLS). Without
//! TLS only to this machine. What the server does not take for the moment is tried again; whether it was taken for good
//! nobody can say.

mod directory;
mod letter;
mod smtp;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use domain::{Clock, Ids};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};
use uuid::Uuid;

pub use letter::{Letter, LinkLetter};

use directory::Directory;
use smtp::Smtp;

/// Waits before the second, third and fourth attempt.
const AGAIN_AFTER: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15)];

/// Where mail goes.
#[derive(Debug, Clone)]
pub struct MailOptions {
    /// The address of the SMTP server with its credentials; empty to write files.
    pub smtp_url: String,
    /// A file of PEM certificates to trust besides the system's, for a mail server with a private authority.
    pub smtp_authority: Option<PathBuf>,
    /// The sender: `Counterfoil <noreply@example.com>`.
    pub from: String,
    /// Where files are written when there is no SMTP server.
    pub directory: PathBuf,
}

/// A message to one person.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The address alone, without a name.
    pub to: String,
    /// The subject, one line.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The same as HTML.
    pub html: Option<String>,
    /// What it is about, if that may end before it is read: by this its file is found.
    pub about: Option<Uuid>,
}

/// Why a mail was not sent, or none can be.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The configuration is of no use.
    #[error("mail: {0}")]
    Setup(String),
    /// The message cannot be written: its address or subject is malformed.
    #[error("a mail cannot be written: {0}")]
    Message(String),
    /// The server does not take it, or is not there; several attempts were made.
    #[error("the mail server: {0}")]
    Server(String),
    /// The file cannot be written.
    #[error("the mail directory: {0}")]
    Directory(#[from] std::io::Error),
}

/// Sends mail. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mailer(Arc<Inner>);

struct Inner {
    from: Mailbox,
    way: Way,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
}

#[derive(Debug)]
enum Way {
    Smtp(Smtp),
    Directory(Directory),
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailer")
            .field("from", &self.from.email)
            .field("way", &self.way)
            .finish_non_exhaustive()
    }
}

impl Mailer {
    /// Checks the configuration; connects to nobody yet. Makes the directory when it is used.
    ///
    /// # Errors
    /// [`MailError::Setup`] or [`MailError::Directory`].
    pub fn open(options: &MailOptions, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Result<Self, MailError> {
        let from = options
            .from
            .parse()
            .map_err(|error| MailError::Setup(format!("the sender `{}`: {error}", options.from)))?;
        let way = if options.smtp_url.is_empty() {
            Way::Directory(Directory::open(&options.directory)?)
        } else {
            Way::Smtp(Smtp::open(&options.smtp_url, options.smtp_authority.as_deref())?)
        };
        Ok(Self(Arc::new(Inner { from, way, clock, ids })))
    }

    /// Where mail goes, for people: the server without its credentials, or the directory.
    pub fn describe(&self) -> String {
        match &self.0.way {
            Way::Smtp(smtp) => smtp.describe(),
            Way::Directory(directory) => directory.describe(),
        }
    }

    /// Destroys the mails to this address that were written as files: part of erasing somebody. What a mail server has
    /// taken is not ours any more.
    ///
    /// # Errors
    /// [`MailError::Directory`].
    pub async fn forget(&self, address: &str) -> Result<(), MailError> {
        match &self.0.way {
            Way::Directory(directory) => directory.forget(address).await,
            Way::Smtp(_) => Ok(()),
        }
    }

    /// Destroys the mails about something that has ended, where they were written as files.
    ///
    /// # Errors
    /// [`MailError::Directory`].
    pub async fn forget_about(&self, what: Uuid) -> Result<(), MailError> {
        match &self.0.way {
            Way::Directory(directory) => directory.forget_about(what).await,
            Way::Smtp(_) => Ok(()),
        }
    }

    /// Sends a mail. Tries up to four times within a minute while the server cannot be reached or defers, so a handler
    /// that answers somebody waiting runs it in a task of its own.
    ///
    /// # Errors
    /// [`MailError`].
    pub async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = self.0.message(mail)?;
        match &self.0.way {
            Way::Directory(directory) => directory.write(&message, mail, self.0.clock.now()).await,
            Way::Smtp(smtp) => {
                let mut waits = AGAIN_AFTER.iter();
                loop {
                    let refused = match smtp.send(&message).await {
                        Ok(()) => return Ok(()),
                        Err(refused) => refused,
                    };
                    // Servers repeat the address that they refuse; it does not belong into a log.
                    let reason = refused.reason.replace(&mail.to, "(the address)");
                    let Some(wait) = waits.next().filter(|_| refused.passing) else {
                        return Err(MailError::Server(reason));
                    };
                    tracing::warn!(reason, ?wait, "the mail server does not take a mail now");
                    tokio::time::sleep(*wait).await;
                }
            }
        }
    }
}

impl Inner {
    fn message(&self, mail: &Mail) -> Result<Message, MailError> {
        let failed = |error: &dyn std::fmt::Display| MailError::Message(error.to_string());
        // Line breaks would begin another header. The library encodes what it must, and this leaves it nothing to decide.
        if mail.subject.chars().any(char::is_control) {
            return Err(MailError::Message("the subject has control characters".to_owned()));
        }
        let to: Address = mail.to.parse().map_err(|error| failed(&error))?;
        let id = format!("<{}@{}>", self.ids.next().simple(), self.from.email.domain());
        let builder = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(mail.subject.clone())
            .date(SystemTime::from(self.clock.now()))
            .message_id(Some(id));
        match &mail.html {
            None => builder.singlepart(SinglePart::plain(mail.text.clone())),
            Some(html) => {
                builder.multipart(MultiPart::alternative_plain_html(mail.text.clone(), html.clone()))
            }
        }
        .map_err(|error| failed(&error))
    }
}
