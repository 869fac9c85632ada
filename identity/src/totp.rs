//! The second factor: time-based one-time passwords (RFC 6238) and recovery codes.
//!
//! SHA-1, six digits, steps of 30 seconds, one step of skew either way: what every authenticator app speaks. A code is
//! accepted for a later step than the last one, so none is accepted twice, not even at the same time. The secret is
//! sealed for its user. A wrong code costs the one-time token of the sign-in (see [`crate::one_time`]), so guessing means
//! giving the password again each time.

mod recovery;

use std::sync::Arc;

use domain::{Clock, TenantId, UserId};
use sqlx::PgPool;
use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

use crate::token::{RandomError, random};
use crate::vault::{Purpose, Vault, VaultError};

pub use recovery::{RECOVERY_CODES, RecoveryCode};

/// Why the second factor could not be set up or checked.
#[derive(Debug, thiserror::Error)]
pub enum SecondFactorError {
    /// The database.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// Sealing or revealing the secret.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The stored secret is none, or the account's name cannot be part of an address.
    #[error("the second factor cannot be read or shown: {0}")]
    Malformed(String),
}

/// A second factor that waits to be confirmed by a code.
#[derive(Debug)]
pub struct Enrolment {
    /// The secret in base 32, to be typed in. Shown once.
    pub secret: Zeroizing<String>,
    /// `otpauth://totp/...`, to be shown as a QR code.
    pub url: Zeroizing<String>,
}

/// Begins an enrolment: what became of it.
#[derive(Debug)]
pub enum Enrolled {
    /// It waits for its first code.
    Waiting(Enrolment),
    /// The user has a second factor already; it has to be disabled first.
    Already,
    /// There is no such account.
    Unknown,
}

/// The second factors of all users. Cheap to clone.
#[derive(Clone)]
pub struct SecondFactor {
    pool: PgPool,
    vault: Vault,
    clock: Arc<dyn Clock>,
    issuer: Arc<str>,
}

impl SecondFactor {
    /// Works on a pool that acts as `journal::Role::Identity`. `issuer` is what authenticator apps call this
    /// installation; colons are left out.
    pub fn new(pool: PgPool, vault: Vault, clock: Arc<dyn Clock>, issuer: &str) -> Self {
        Self { pool, vault, clock, issuer: issuer.replace(':', "").into() }
    }

    /// Draws a secret for the user, which counts once it is [confirmed](Self::confirm). One that was not confirmed is
    /// replaced. `account` is what the app shows beside it: the email.
    ///
    /// # Errors
    /// [`SecondFactorError`].
    pub async fn enrol(&self, user: UserId, account: &str) -> Result<Enrolled, SecondFactorError> {
        let secret = random::<20>()?;
        let totp = totp(secret.as_slice(), &account.replace(':', ""), &self.issuer)?;
        let url = totp.to_url().map_err(|error| SecondFactorError::Malformed(error.to_string()))?;
        let sealed = self
            .vault
            .seal_secret(TenantId::PLATFORM, Purpose::TotpSecret, user.0, secret.as_slice())
            .await?;
        let done = sqlx::query!(
            "UPDATE identity.accounts SET totp_secret = $2, totp_step = NULL
             WHERE user_id = $1 AND totp_confirmed_at IS NULL",
            user.0,
            sealed,
        )
        .execute(&self.pool)
        .await?;
        if done.rows_affected() > 0 {
            let secret = Zeroizing::new(totp.secret().to_base32());
            return Ok(Enrolled::Waiting(Enrolment { secret, url: Zeroizing::new(url) }));
        }
        let exists = sqlx::query_scalar!(
            "SELECT true AS \"exists!\" FROM identity.accounts WHERE user_id = $1",
            user.0
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(if exists.is_some() { Enrolled::Already } else { Enrolled::Unknown })
    }

    /// Confirms the enrolment by its first code: from now on the second factor is asked for. Gives the recovery codes, to
    /// be shown once. `None` when the code is wrong or nothing waits for one.
    ///
    /// # Errors
    /// [`SecondFactorError`].
    pub async fn confirm(
        &self,
        user: UserId,
        code: &str,
    ) -> Result<Option<Vec<RecoveryCode>>, SecondFactorError> {
        let Some((sealed, step)) = self.step(user, false, code).await? else {
            return Ok(None);
        };
        let codes = RecoveryCode::draw_all()?;
        let now = self.clock.now();
        let mut transaction = journal::begin(&self.pool, None).await?;
        // The secret that was confirmed, not one that took its place meanwhile.
        let done = sqlx::query!(
            "UPDATE identity.accounts SET totp_confirmed_at = $3, totp_step = $4
             WHERE user_id = $1 AND totp_secret = $2 AND totp_confirmed_at IS NULL",
            user.0,
            sealed,
            now,
            step,
        )
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(None);
        }
        recovery::replace(&mut transaction, user, &codes, now).await?;
        transaction.commit().await?;
        Ok(Some(codes))
    }

    /// Whether `code` is right now, and was not used before.
    ///
    /// # Errors
    /// [`SecondFactorError`].
    pub async fn check(&self, user: UserId, code: &str) -> Result<bool, SecondFactorError> {
        let Some((sealed, step)) = self.step(user, true, code).await? else {
            return Ok(false);
        };
        let done = sqlx::query!(
            "UPDATE identity.accounts SET totp_step = $3
             WHERE user_id = $1 AND totp_secret = $2 AND totp_confirmed_at IS NOT NULL
               AND (totp_step IS NULL OR totp_step < $3)",
            user.0,
            sealed,
            step,
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Removes the second factor and its recovery codes. False when there was none, confirmed or not.
    ///
    /// # Errors
    /// The database.
    pub async fn disable(&self, user: UserId) -> Result<bool, SecondFactorError> {
        let mut transaction = journal::begin(&self.pool, None).await?;
        let done = sqlx::query!(
            "UPDATE identity.accounts SET totp_secret = NULL, totp_confirmed_at = NULL, totp_step = NULL
             WHERE user_id = $1 AND totp_secret IS NOT NULL",
            user.0,
        )
        .execute(&mut *transaction)
        .await?;
        recovery::replace(&mut transaction, user, &[], self.clock.now()).await?;
        transaction.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// The stored secret, still sealed, and the step that `code` is right for; `None` when it is right for none.
    async fn step(
        &self,
        user: UserId,
        confirmed: bool,
        code: &str,
    ) -> Result<Option<(Vec<u8>, i64)>, SecondFactorError> {
        let stored = sqlx::query_scalar!(
            "SELECT totp_secret FROM identity.accounts
             WHERE user_id = $1 AND (totp_confirmed_at IS NOT NULL) = $2",
            user.0,
            confirmed,
        )
        .fetch_optional(&self.pool)
        .await?
        .flatten();
        let Some(stored) = stored else {
            return Ok(None);
        };
        let secret =
            self.vault.reveal_secret(TenantId::PLATFORM, Purpose::TotpSecret, user.0, &stored).await?;
        let step = matching_step(&totp(&secret, "", &self.issuer)?, code, self.clock.now().timestamp());
        Ok(step.map(|step| (stored, step)))
    }
}

impl std::fmt::Debug for SecondFactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecondFactor").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

fn totp(secret: &[u8], account: &str, issuer: &str) -> Result<Totp, SecondFactorError> {
    Builder::new()
        .with_secret(secret)
        .with_account_name(account)
        .with_issuer(Some(issuer))
        .build()
        .map_err(|error| SecondFactorError::Malformed(error.to_string()))
}

/// The step that `code` is right for at this time, given in seconds since 1970, or one step before or after.
fn matching_step(totp: &Totp, code: &str, at: i64) -> Option<i64> {
    // People type blanks in between, as apps show them. What else is no digit makes it wrong.
    let digits: String = code.chars().take(16).filter(|letter| *letter != ' ').collect();
    if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let step = totp.check(&digits, u64::try_from(at).ok()?)?;
    i64::try_from(step).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The secret of RFC 6238, appendix B.
    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn codes_are_those_of_the_rfc() {
        let totp = totp(SECRET, "", "Counterfoil").unwrap();
        // The appendix has eight digits; six are their end.
        for (at, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(matching_step(&totp, code, at), Some(at / 30), "{at}");
        }
    }

    #[test]
    fn one_step_of_skew_is_borne_and_not_two() {
        let totp = totp(SECRET, "", "Counterfoil").unwrap();
        let (at, code) = (1_234_567_890, "005924");
        for (late, right) in [(-60, false), (-30, true), (0, true), (30, true), (60, false)] {
            assert_eq!(matching_step(&totp, code, at + late).is_some(), right, "{late}");
        }
        assert_eq!(matching_step(&totp, " 005 924", at), Some(at / 30));
    }

    #[test]
    fn the_address_names_the_account_and_the_installation() {
        let totp = totp(SECRET, "ada@example.com", "Counterfoil").unwrap();
        let url = totp.to_url().unwrap();
        assert!(
            url.starts_with("otpauth://totp/Counterfoil:ada%40example.com?secret=GEZDGNBVGY3TQOJQ"),
            "{url}"
        );
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_right_or_wrong(code in any::<String>(), at in any::<i64>()) {
            let totp = totp(SECRET, "", "Counterfoil").unwrap();
            // One string in a million is right; none makes it fail.
            prop_assert!(code.trim().len() == 6 || matching_step(&totp, &code, at % 100_000_000_000).is_none());
        }
    }
}
