//! What people do: sign up, sign in, change what is theirs, and leave.
//!
//! Two stores take part. The journal has what happened, for good; the identity store has what one signs in with, which
//! must be forgettable. Nothing commits in both at once, so every flow has an order in which it can be cut off anywhere
//! and begun again:
//!
//! 1. The account row comes first and fixes the user's id. Without a password and without a link to a provider it lets
//!    nobody in and counts as unfinished: the next attempt with the address goes on with its id.
//! 2. Then the events, each under a key that follows from that id (`register <user>`), so that a repetition finds what is
//!    there. Keys of our own have a space, which no caller's key can have.
//! 3. Last what lets somebody in: the password, the link.
//!
//! What takes something away goes the other way round: first what lets somebody in, or the key of the personal data,
//! then the event, and last the rows that a repetition would need ([`erase`]).

mod enrol;
mod erase;
mod invitation;
mod letters;
mod password;
mod profile;
mod provider;
mod second_factor;
mod sign_in;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use commands::{Command, Context, IdempotencyKey, Outcome, Pipeline, Request};
use domain::user::UserCommand;
use domain::{Clock, Ids, Sealed, TenantId, User, UserId};
use identity::access_log::AccessReader;
use identity::invited::Invited;
use identity::key_uses::KeyUses;
use identity::vault::{Purpose, Vault};
use identity::{Accounts, Mailer, Oidc, OneTime, Passwords, SecondFactor, Sessions};
use journal::Position;
use projections::Reader;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::credential::{PublicKey, SessionKeys};
use crate::person::Email;
use crate::problem::{Problem, code};

pub use enrol::NewPerson;
pub use invitation::INVITATION_HOURS;
pub use profile::{Membership, Profile};
pub use second_factor::BegunSecondFactor;
pub use sign_in::{SeenSession, Step, Tokens};

/// How many errands may be under way; more are refused.
const ERRANDS: usize = 256;
/// How long an answer waits for the read models, so that the next request finds what this one made.
const SETTLE: Duration = Duration::from_secs(2);

/// The parts that people are served with.
pub struct Parts {
    /// Takes commands.
    pub pipeline: Pipeline,
    /// Answers questions.
    pub reader: Reader,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn Ids>,
    /// Keeps what is personal.
    pub vault: Vault,
    /// What one signs in with.
    pub accounts: Accounts,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// Who is signed in.
    pub sessions: Sessions,
    /// Tokens that are good once.
    pub one_time: OneTime,
    /// Second factors.
    pub second_factor: SecondFactor,
    /// Who was invited by which address.
    pub invited: Invited,
    /// Who read what.
    pub reads: AccessReader,
    /// Providers to sign in at.
    pub oidc: Oidc,
    /// Sends mail.
    pub mailer: Mailer,
    /// When API keys were last used.
    pub key_uses: KeyUses,
    /// Signs access tokens.
    pub keys: SessionKeys,
    /// How it is to be.
    pub settings: PeopleSettings,
}

/// How people are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeopleSettings {
    /// The address under which people reach the installation, without a slash at its end. Links in mails begin with it.
    pub public_url: String,
    /// For how long an access token is good.
    pub access: TimeDelta,
    /// Whether everybody who is signed in may create tenants.
    pub self_service_tenants: bool,
}

/// Serves people. Shared by all threads.
pub struct People {
    parts: Parts,
    errands: Arc<Semaphore>,
}

impl std::fmt::Debug for People {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("People").field("settings", &self.parts.settings).finish_non_exhaustive()
    }
}

impl std::ops::Deref for People {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The address. Personal: it is sealed where it is kept.
    pub address: Option<String>,
    /// What the client calls itself. Personal too.
    pub user_agent: Option<String>,
    /// The id of the request.
    pub request_id: String,
    /// The W3C trace context.
    pub traceparent: Option<String>,
}

impl Origin {
    /// The program itself, doing `job`.
    pub fn system(job: &str) -> Self {
        Self { request_id: job.to_owned(), ..Self::default() }
    }
}

impl People {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        Self { parts, errands: Arc::new(Semaphore::new(ERRANDS)) }
    }

    /// The keys that access tokens are signed with at present.
    pub fn published_keys(&self) -> Vec<PublicKey> {
        self.keys.published()
    }

    /// The blind index of an address: what an account is found by.
    pub async fn index(&self, email: &Email) -> Result<[u8; 32], Problem> {
        Ok(self.vault.blind(Purpose::Email, email.as_str()).await?)
    }

    /// A digest that nobody makes without the key of the blind indexes, of one that everybody makes.
    pub async fn blinded(&self, digest: &[u8]) -> Result<Vec<u8>, Problem> {
        // No address has a blank, so this is the index of none.
        let text = digest.iter().fold("request ".to_owned(), |text, byte| format!("{text}{byte:02x}"));
        Ok(self.vault.blind(Purpose::Email, &text).await?.to_vec())
    }

    /// Has something recorded about a user. With `once`, a repetition finds the first.
    async fn act(
        &self,
        user: UserId,
        command: UserCommand,
        origin: &Origin,
        once: Option<String>,
    ) -> Result<Outcome, Problem> {
        self.act_as(&user.to_string(), "user", user, command, origin, once).await
    }

    /// The same, asked for by somebody else.
    async fn act_as(
        &self,
        actor: &str,
        role: &str,
        user: UserId,
        command: UserCommand,
        origin: &Origin,
        once: Option<String>,
    ) -> Result<Outcome, Problem> {
        let request = Request {
            tenant: TenantId::PLATFORM,
            command: Command::User { id: user, command },
            context: context(actor, role, origin),
            key: once.map(key),
        };
        Ok(self.pipeline.submit(request).await?)
    }

    /// Seals a personal field of a user.
    async fn seal(&self, user: UserId, purpose: Purpose, plain: &str) -> Result<Sealed, Problem> {
        Ok(self.vault.seal(TenantId::PLATFORM, user.into(), purpose, plain).await?)
    }

    /// Seals a personal field that may be absent.
    async fn seal_some(
        &self,
        user: UserId,
        purpose: Purpose,
        plain: Option<&str>,
    ) -> Result<Option<Sealed>, Problem> {
        match plain {
            Some(plain) if !plain.is_empty() => self.seal(user, purpose, plain).await.map(Some),
            _ => Ok(None),
        }
    }

    /// Opens a personal field of a user; nothing where it was erased.
    pub async fn open(
        &self,
        user: UserId,
        purpose: Purpose,
        sealed: Option<&Sealed>,
    ) -> Result<Option<String>, Problem> {
        match sealed {
            Some(sealed) if !sealed.as_str().is_empty() => {
                Ok(self.vault.reveal(TenantId::PLATFORM, user.into(), purpose, sealed).await?)
            }
            _ => Ok(None),
        }
    }

    /// Waits until the next request would find what was made. One that does not is answered as if it was asked earlier.
    pub async fn settle(&self, position: Position) {
        if let Err(lagging) = self.reader.wait(position, SETTLE).await {
            tracing::debug!(%lagging, "answered before the read models were there");
        }
    }

    /// Waits until what is read of users is what is recorded.
    pub async fn catch_up(&self) {
        match self.reader.tenant(TenantId::PLATFORM).events(i64::MAX - 1, 1).await {
            Ok(head) => self.settle(head.position).await,
            Err(error) => tracing::debug!(%error, "the head of the journal is not known"),
        }
    }

    /// Does something after the answer was given, so that the answer does not tell how much there was to do.
    fn errand<F: Future<Output = Result<(), Problem>> + Send + 'static>(
        self: &Arc<Self>,
        name: &'static str,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<(), Problem> {
        let busy = || Problem::new(code::OVERLOADED, "there is too much to do at the moment").retry(2);
        let turn = Arc::clone(&self.errands).try_acquire_owned().map_err(|_| busy())?;
        let work = work(Arc::clone(self));
        tokio::spawn(async move {
            if let Err(problem) = work.await {
                tracing::warn!(name, %problem, "an errand has failed");
            }
            drop(turn);
        });
        Ok(())
    }
}

/// Who asked, for the audit log. No address: it is personal, and the journal keeps everything.
fn context(actor: &str, role: &str, origin: &Origin) -> Context {
    Context {
        actor: actor.to_owned(),
        role: role.to_owned(),
        source: None,
        request_id: origin.request_id.clone(),
        traceparent: origin.traceparent.clone(),
    }
}

/// A key of our own. What it stands for follows from it, so it is its own fingerprint.
fn key(text: String) -> IdempotencyKey {
    IdempotencyKey { fingerprint: Sha256::digest(text.as_bytes()).to_vec(), key: text }
}

/// The user that a command came to.
fn user_of(outcome: Outcome) -> Result<(User, Position), Problem> {
    match outcome.resource {
        commands::Resource::User(_, user) => Ok((user, outcome.position)),
        _ => Err(Problem::internal("a command for a user came to something else")),
    }
}

/// Takes a rejection with one of these codes for what was wanted.
fn tolerate(result: Result<Outcome, Problem>, codes: &[code::Code]) -> Result<Option<Outcome>, Problem> {
    match result {
        Ok(outcome) => Ok(Some(outcome)),
        Err(problem) if codes.contains(&problem.code) => Ok(None),
        Err(problem) => Err(problem),
    }
}
