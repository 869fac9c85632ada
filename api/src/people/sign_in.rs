//! Sign-in, sessions, and what keeps them going.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use domain::user::{RevocationReason, SignInMethod, UserCommand};
use domain::{SessionId, UserId};
use identity::accounts::Account;
use identity::mail::Letter;
use identity::one_time::OneTimeUse;
use identity::sessions::{Refresh, Session, SignIn, Started};
use identity::token::Token;
use identity::vault::Purpose;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::enrol::no_token;
use super::{Origin, People};
use crate::person::{Proof, Secret};
use crate::problem::{Problem, code};

/// How long somebody may take to show the second factor, in seconds.
const STEP_SECONDS: i64 = 300;

/// What came of a step of a sign-in.
pub enum Step {
    /// Signed in.
    SignedIn(Tokens),
    /// The second factor is due.
    SecondFactor {
        /// For the next step, good for one try.
        token: Token,
        /// For how long, in seconds.
        seconds: i64,
    },
}

/// The tokens of a session.
pub struct Tokens {
    /// Who is signed in.
    pub user: UserId,
    /// In which session.
    pub session: SessionId,
    /// The access token.
    pub access: Zeroizing<String>,
    /// For how long it is good, in seconds.
    pub access_seconds: i64,
    /// The refresh token.
    pub refresh: Token,
    /// For how long the session goes on, in seconds.
    pub refresh_seconds: i64,
    /// When the session ends.
    pub expires_at: DateTime<Utc>,
}

/// A session, as its owner sees it.
pub struct SeenSession {
    /// The session.
    pub session: Session,
    /// What the client called itself.
    pub user_agent: Option<String>,
    /// The address it began from.
    pub address: Option<String>,
}

/// Who has taken the first step.
#[derive(Serialize, Deserialize)]
struct Halfway {
    user: UserId,
    /// Since when there has been the password that was shown.
    #[serde(default)]
    since: Option<DateTime<Utc>>,
}

impl People {
    /// Signs in with a password. An address that is not known costs the same work as a wrong password, and gets the same
    /// answer.
    pub async fn sign_in(
        &self,
        index: &[u8; 32],
        password: &Secret,
        origin: &Origin,
    ) -> Result<Step, Problem> {
        let account = self.accounts.by_email(index).await?;
        let stored = account.as_ref().and_then(|account| account.password.as_ref());
        let verdict = self.passwords.check(password.as_str(), stored).await?;
        let Some(account) = account.filter(|_| verdict.ok) else { return Err(refused()) };
        if verdict.rehash
            && let Some(old) = &account.password
        {
            let new = self.passwords.rehash(password.as_str()).await?;
            self.accounts.rehash(account.user, old, &new).await?;
        }
        self.first_step(&account, SignInMethod::Password, origin).await
    }

    /// Goes on with somebody who has shown who they are: by a session, or by the second factor where one is asked for.
    pub(super) async fn first_step(
        &self,
        account: &Account,
        method: SignInMethod,
        origin: &Origin,
    ) -> Result<Step, Problem> {
        let (user, since) = (account.user, account.password_set_at);
        if !account.second_factor {
            return self.begin_session(user, since, method, origin).await.map(Step::SignedIn);
        }
        let (halfway, lifetime) = (Halfway { user, since }, TimeDelta::seconds(STEP_SECONDS));
        let token = self.one_time.issue(OneTimeUse::SecondFactor, Some(user), &halfway, lifetime).await?;
        Ok(Step::SecondFactor { token, seconds: STEP_SECONDS })
    }

    /// Takes the second step. The token of the first is used up whatever comes of it, so that every guess costs a password.
    pub async fn second_step(&self, token: &Secret, proof: &Proof, origin: &Origin) -> Result<Step, Problem> {
        let taken = self.one_time.take::<Halfway>(OneTimeUse::SecondFactor, token.as_str()).await?;
        let Halfway { user, since } = taken.ok_or_else(no_token)?;
        self.prove(user, proof, origin).await?;
        let method = match proof {
            Proof::Code(_) => SignInMethod::Totp,
            Proof::Recovery(_) => SignInMethod::RecoveryCode,
        };
        self.begin_session(user, since, method, origin).await.map(Step::SignedIn)
    }

    /// Begins a session: the row first, then the event. A session whose event is refused is over before anybody has seen
    /// a token of it, and so is one of a password that was replaced meanwhile: whoever replaces it ends the sessions that
    /// have a row, and those that get theirs later are found here.
    async fn begin_session(
        &self,
        user: UserId,
        since: Option<DateTime<Utc>>,
        method: SignInMethod,
        origin: &Origin,
    ) -> Result<Tokens, Problem> {
        let begun = SignIn {
            user,
            method,
            user_agent: self.seal_some(user, Purpose::UserAgent, origin.user_agent.as_deref()).await?,
            address: self.seal_some(user, Purpose::Address, origin.address.as_deref()).await?,
        };
        let Started { session, refresh, expires_at, .. } = self.sessions.start(begun).await?;
        if self.accounts.by_id(user).await?.is_none_or(|account| account.password_set_at != since) {
            self.sessions.revoke(user, session).await?;
            return Err(refused());
        }
        let command = UserCommand::SignIn { session, method };
        if let Err(problem) = self.act(user, command, origin, Some(format!("sign-in {session}"))).await {
            self.sessions.revoke(user, session).await?;
            let gone = [code::USER_NOT_FOUND, code::USER_ERASED].contains(&problem.code);
            return Err(if gone { refused() } else { problem });
        }
        self.tokens(user, session, refresh, expires_at)
    }

    fn tokens(
        &self,
        user: UserId,
        session: SessionId,
        refresh: Token,
        expires_at: DateTime<Utc>,
    ) -> Result<Tokens, Problem> {
        let (clock, ids) = (self.clock.as_ref(), self.ids.as_ref());
        let left = expires_at - clock.now();
        // No access token outlives its session.
        let lifetime = self.settings.access.min(left);
        let access = self.keys.issue(user, session, lifetime, clock, ids).map_err(Problem::internal)?;
        Ok(Tokens {
            user,
            session,
            access: Zeroizing::new(access),
            access_seconds: lifetime.num_seconds(),
            refresh,
            refresh_seconds: left.num_seconds(),
            expires_at,
        })
    }

    /// Gives the next tokens of a session. A refresh token that was used before has been in two hands: its session ends,
    /// and its owner is told.
    pub async fn refresh(self: &Arc<Self>, token: &Secret, origin: &Origin) -> Result<Step, Problem> {
        match self.sessions.refresh(token.as_str()).await? {
            Refresh::Refreshed { user, session, refresh, expires_at } => {
                self.tokens(user, session, refresh, expires_at).map(Step::SignedIn)
            }
            Refresh::Reused { user, session, ended } => {
                tracing::warn!(%user, %session, "a refresh token was used a second time; its session is over");
                if ended {
                    let command = UserCommand::RevokeSessions { reason: RevocationReason::TokenReused };
                    let once = Some(format!("reused {session}"));
                    self.act_as("system", "system", user, command, origin, once).await?;
                    if let Some(to) = self.profile(user).await?.value.email {
                        self.mail_later(Letter::TokenReused { to: &to }.mail());
                    }
                }
                Err(not_refreshed())
            }
            Refresh::Ended | Refresh::Unknown => Err(not_refreshed()),
        }
    }

    /// Ends a session of this user. The event comes first, under the session's key, so that a repetition finds both; the
    /// session ends also where the event cannot be recorded.
    pub async fn end_session(
        &self,
        user: UserId,
        session: SessionId,
        origin: &Origin,
    ) -> Result<(), Problem> {
        let alive = self.sessions.alive(session).await?;
        if alive.is_none_or(|alive| alive.user != user) {
            return Err(Problem::new(code::SESSION_NOT_FOUND, "the session does not exist, or is over"));
        }
        let command = UserCommand::SignOut { session };
        let recorded = self.act(user, command, origin, Some(format!("sign-out {session}"))).await;
        self.sessions.revoke(user, session).await?;
        recorded.map(drop)
    }

    /// The sessions of a user that go on.
    pub async fn sessions_of(&self, user: UserId) -> Result<Vec<SeenSession>, Problem> {
        let mut seen = Vec::new();
        for session in self.sessions.list(user).await? {
            let user_agent = self.open(user, Purpose::UserAgent, session.user_agent.as_ref()).await?;
            let address = self.open(user, Purpose::Address, session.address.as_ref()).await?;
            seen.push(SeenSession { session, user_agent, address });
        }
        Ok(seen)
    }
}

/// One answer for every sign-in that fails.
fn refused() -> Problem {
    Problem::new(code::SIGN_IN_FAILED, "the address or the password is wrong")
}

/// One answer for every refresh token that is not taken.
fn not_refreshed() -> Problem {
    Problem::new(code::REFRESH_TOKEN_INVALID, "the refresh token is not valid; sign in again")
}
