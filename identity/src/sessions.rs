//! Sessions: from a sign-in until they expire, are revoked, or a refresh token of theirs is presented twice.
//!
//! A session has one refresh token that counts, the newest. Refreshing spends it and gives the next. One that was spent
//! already has been in two hands: whose, nobody can tell, so the whole session is revoked. That is strict. Two
//! requests that refresh with the same token at the same time end the session as well, whichever came first, and its
//! owner signs in again; a client refreshes in one place.
//!
//! A session lasts from its start to its end, however often it is refreshed. Times are the clock's.

mod refresh;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use domain::user::{RevocationReason, SignInMethod};
use domain::{Clock, Ids, Sealed, SessionId, UserId};
use sqlx::PgPool;

use crate::token::{RandomError, Token};

pub use refresh::Refresh;

/// How long a session lasts unless it is configured.
pub const SESSION_LASTS: TimeDelta = TimeDelta::days(7);
/// How long a session is remembered after its end, so that its refresh tokens are still known when they come again.
const REMEMBERED: TimeDelta = TimeDelta::days(7);
/// The most sessions a user has at a time. With one more, the one that was used longest ago ends.
const MOST_SESSIONS: i64 = 50;

/// Why a session could not be looked up or changed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The database.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// No randomness for a token.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Whose sign-in a session begins with.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// Who signs in.
    pub user: UserId,
    /// By which method.
    pub method: SignInMethod,
    /// The client's `User-Agent`, sealed for the user.
    pub user_agent: Option<Sealed>,
    /// The client's address, sealed for the user.
    pub address: Option<Sealed>,
}

/// A session that has begun.
#[derive(Debug)]
pub struct Started {
    /// Its id.
    pub session: SessionId,
    /// Its first refresh token, to be shown once.
    pub refresh: Token,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// Sessions that ended because the user had too many.
    pub displaced: Vec<SessionId>,
}

/// A session that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// How its user signed in; `None` when a newer program wrote it.
    pub method: Option<SignInMethod>,
    /// The client's `User-Agent` at that time.
    pub user_agent: Option<Sealed>,
    /// The client's address at that time.
    pub address: Option<Sealed>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was last refreshed.
    pub refreshed_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// The sessions of all users. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    lasts: TimeDelta,
}

impl Sessions {
    /// Sessions that last so long, on a pool that acts as `journal::Role::Identity`.
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>, lasts: TimeDelta) -> Self {
        Self { pool, clock, ids, lasts }
    }

    /// Begins a session. Its id is new, whatever the client had before.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn start(&self, sign_in: SignIn) -> Result<Started, SessionError> {
        let (session, refresh, now) = (self.ids.next(), Token::draw()?, self.clock.now());
        let expires_at = now + self.lasts;
        let mut transaction = journal::begin(&self.pool, None).await?;
        sqlx::query!(
            "INSERT INTO identity.sessions
                 (session_id, user_id, method, user_agent, address, created_at, refreshed_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $6, $7)",
            session,
            sign_in.user.0,
            sign_in.method.as_str(),
            sign_in.user_agent.as_ref().map(Sealed::as_str),
            sign_in.address.as_ref().map(Sealed::as_str),
            now,
            expires_at,
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query!(
            "INSERT INTO identity.refresh_tokens (digest, session_id, issued_at) VALUES ($1, $2, $3)",
            &refresh.digest()[..],
            session,
            now,
        )
        .execute(&mut *transaction)
        .await?;
        let displaced = sqlx::query_scalar!(
            "UPDATE identity.sessions SET revoked_at = $2, revoked_for = 'displaced'
             WHERE session_id IN (
                 SELECT session_id FROM identity.sessions
                 WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2
                 ORDER BY refreshed_at DESC, session_id DESC
                 OFFSET $3
             )
             RETURNING session_id",
            sign_in.user.0,
            now,
            MOST_SESSIONS,
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        let displaced = displaced.into_iter().map(SessionId).collect();
        Ok(Started { session: SessionId(session), refresh, expires_at, displaced })
    }

    /// The session, while it goes on: neither expired nor revoked.
    ///
    /// # Errors
    /// The database.
    pub async fn alive(&self, session: SessionId) -> Result<Option<Session>, SessionError> {
        let row = sqlx::query_as!(
            Row,
            "SELECT session_id, user_id, method, user_agent, address, created_at, refreshed_at, expires_at
             FROM identity.sessions
             WHERE session_id = $1 AND revoked_at IS NULL AND expires_at > $2",
            session.0,
            self.clock.now(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Session::from))
    }

    /// The user's sessions that go on, the one refreshed last first.
    ///
    /// # Errors
    /// The database.
    pub async fn list(&self, user: UserId) -> Result<Vec<Session>, SessionError> {
        let rows = sqlx::query_as!(
            Row,
            "SELECT session_id, user_id, method, user_agent, address, created_at, refreshed_at, expires_at
             FROM identity.sessions
             WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2
             ORDER BY refreshed_at DESC, session_id DESC",
            user.0,
            self.clock.now(),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Session::from).collect())
    }

    /// Ends a session of this user. False when the user has no such session that goes on.
    ///
    /// # Errors
    /// The database.
    pub async fn revoke(&self, user: UserId, session: SessionId) -> Result<bool, SessionError> {
        let done = sqlx::query!(
            "UPDATE identity.sessions SET revoked_at = $3, revoked_for = 'requested'
             WHERE user_id = $1 AND session_id = $2 AND revoked_at IS NULL AND expires_at > $3",
            user.0,
            session.0,
            self.clock.now(),
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Ends every session of this user but `except`, for this reason, and says which ended.
    ///
    /// # Errors
    /// The database.
    pub async fn revoke_all(
        &self,
        user: UserId,
        except: Option<SessionId>,
        reason: RevocationReason,
    ) -> Result<Vec<SessionId>, SessionError> {
        let ended = sqlx::query_scalar!(
            "UPDATE identity.sessions SET revoked_at = $2, revoked_for = $4
             WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 AND session_id IS DISTINCT FROM $3
             RETURNING session_id",
            user.0,
            self.clock.now(),
            except.map(|session| session.0),
            word(reason),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(ended.into_iter().map(SessionId).collect())
    }

    /// Forgets sessions that expired a week ago, and says how many.
    ///
    /// # Errors
    /// The database.
    pub async fn sweep(&self) -> Result<u64, SessionError> {
        let done = sqlx::query!(
            "DELETE FROM identity.sessions WHERE expires_at < $1",
            self.clock.now() - REMEMBERED,
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("lasts", &self.lasts).finish_non_exhaustive()
    }
}

/// The reason as a word in the database.
fn word(reason: RevocationReason) -> &'static str {
    match reason {
        RevocationReason::Requested => "requested",
        RevocationReason::PasswordChanged => "password_changed",
        RevocationReason::SecondFactorChanged => "second_factor_changed",
        RevocationReason::TokenReused => "token_reused",
        RevocationReason::Suspended => "suspended",
        RevocationReason::Erased => "erased",
    }
}

struct Row {
    session_id: uuid::Uuid,
    user_id: uuid::Uuid,
    method: String,
    user_agent: Option<String>,
    address: Option<String>,
    created_at: DateTime<Utc>,
    refreshed_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<Row> for Session {
    fn from(row: Row) -> Self {
        // What is stored was sealed when it was written; should it be something else, it is shown as not known.
        let sealed = |text: Option<String>| text.and_then(|text| Sealed::new(&text).ok());
        Self {
            id: SessionId(row.session_id),
            user: UserId(row.user_id),
            method: SignInMethod::ALL.into_iter().find(|method| method.as_str() == row.method),
            user_agent: sealed(row.user_agent),
            address: sealed(row.address),
            created_at: row.created_at,
            refreshed_at: row.refreshed_at,
            expires_at: row.expires_at,
        }
    }
}
