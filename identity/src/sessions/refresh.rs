//! Refreshing: one token is spent, the next is given, and a spent one ends the session.

use chrono::{DateTime, Utc};
use domain::{SessionId, UserId};

use super::{SessionError, Sessions};
use crate::token::Token;

/// What became of a refresh token.
#[derive(Debug)]
pub enum Refresh {
    /// It was the newest, and is spent now.
    Refreshed {
        /// Whose session it is.
        user: UserId,
        /// Which session goes on.
        session: SessionId,
        /// The next refresh token, to be shown once.
        refresh: Token,
        /// When the session ends all the same.
        expires_at: DateTime<Utc>,
    },
    /// It had been spent before. The session it belongs to is revoked, with every token of it.
    Reused {
        /// Whose session it was.
        user: UserId,
        /// Which session it was.
        session: SessionId,
        /// Whether the session went on until now; otherwise it had ended already.
        ended: bool,
    },
    /// Its session has expired or was revoked.
    Ended,
    /// It is not known.
    Unknown,
}

impl Sessions {
    /// Spends a refresh token and gives the next one.
    ///
    /// The row of the token decides between two that come at the same time: the second waits for the first, finds the
    /// token spent, and ends the session. Locks are taken in one order, token before session.
    ///
    /// # Errors
    /// [`SessionError`]. The token is not spent then, unless the answer of the commit was lost; in that case it counts as
    /// spent, and presenting it again ends the session.
    pub async fn refresh(&self, presented: &str) -> Result<Refresh, SessionError> {
        let Some(presented) = Token::parse(presented) else {
            return Ok(Refresh::Unknown);
        };
        let (digest, now) = (presented.digest(), self.clock.now());
        let mut transaction = journal::begin(&self.pool, None).await?;
        let spent = sqlx::query_scalar!(
            "UPDATE identity.refresh_tokens SET spent_at = $2 WHERE digest = $1 AND spent_at IS NULL
             RETURNING session_id",
            &digest[..],
            now,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(session) = spent else {
            transaction.rollback().await?;
            return self.reused(&digest).await;
        };
        let goes_on = sqlx::query!(
            "UPDATE identity.sessions SET refreshed_at = $2
             WHERE session_id = $1 AND revoked_at IS NULL AND expires_at > $2
             RETURNING user_id, expires_at",
            session,
            now,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(found) = goes_on else {
            transaction.rollback().await?;
            return Ok(Refresh::Ended);
        };
        let refresh = Token::draw()?;
        sqlx::query!(
            "INSERT INTO identity.refresh_tokens (digest, session_id, issued_at) VALUES ($1, $2, $3)",
            &refresh.digest()[..],
            session,
            now,
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Refresh::Refreshed {
            user: UserId(found.user_id),
            session: SessionId(session),
            refresh,
            expires_at: found.expires_at,
        })
    }

    /// Ends the session of a token that was spent before.
    async fn reused(&self, digest: &[u8; 32]) -> Result<Refresh, SessionError> {
        let now = self.clock.now();
        let found = sqlx::query!(
            "WITH whose AS (
                 SELECT session_id, user_id FROM identity.refresh_tokens JOIN identity.sessions USING (session_id)
                 WHERE digest = $1
             ), ended AS (
                 UPDATE identity.sessions SET revoked_at = $2, revoked_for = 'token_reused'
                 WHERE session_id = (SELECT session_id FROM whose) AND revoked_at IS NULL AND expires_at > $2
                 RETURNING session_id
             )
             SELECT session_id, user_id, EXISTS (SELECT FROM ended) AS \"ended!\" FROM whose",
            &digest[..],
            now,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(found.map_or(Refresh::Unknown, |row| Refresh::Reused {
            user: UserId(row.user_id),
            session: SessionId(row.session_id),
            ended: row.ended,
        }))
    }
}
