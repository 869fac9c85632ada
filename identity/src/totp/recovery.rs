//! Recovery codes: ten, for those who have lost the device. Each works once.

use std::fmt;

use chrono::{DateTime, Utc};
use domain::UserId;
use sqlx::{Postgres, Transaction};
use zeroize::Zeroizing;

use super::{SecondFactor, SecondFactorError};
use crate::token::{RandomError, random, sha256};

/// How many a user gets.
pub const RECOVERY_CODES: usize = 10;

/// Letters that nobody confuses: no `i`, `l`, `o`, `u`, as in Crockford's base 32.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Letters of a code; five bits each.
const LENGTH: usize = 16;

/// A recovery code: 80 random bits as `xxxx-xxxx-xxxx-xxxx`. Stored as its SHA-256, which is enough for what cannot be
/// guessed.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    fn draw() -> Result<Self, RandomError> {
        let bytes = random::<LENGTH>()?;
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        for byte in bytes.iter() {
            // 32 divides 256: every letter is as likely.
            let letter = LETTERS.get(usize::from(byte % 32)).copied().unwrap_or_default();
            text.push(char::from(letter));
        }
        Ok(Self(text))
    }

    pub(super) fn draw_all() -> Result<Vec<Self>, RandomError> {
        (0..RECOVERY_CODES).map(|_| Self::draw()).collect()
    }

    /// Reads what somebody types: in any case, with blanks and hyphens or without, `o` for zero and `i` or `l` for one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut code = Zeroizing::new(String::with_capacity(LENGTH));
        for letter in text.chars().filter(|letter| !matches!(letter, ' ' | '-')) {
            let letter = match letter.to_ascii_lowercase() {
                'o' => '0',
                'i' | 'l' => '1',
                other => other,
            };
            let known = u8::try_from(letter).is_ok_and(|byte| LETTERS.contains(&byte));
            if !known || code.len() == LENGTH {
                return None;
            }
            code.push(letter);
        }
        (code.len() == LENGTH).then_some(Self(code))
    }

    /// The text to show, in groups of four.
    pub fn shown(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(LENGTH + LENGTH / 4));
        for (index, letter) in self.0.chars().enumerate() {
            if index > 0 && index % 4 == 0 {
                text.push('-');
            }
            text.push(letter);
        }
        text
    }

    fn digest(&self) -> [u8; 32] {
        sha256(self.0.as_bytes())
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(..)")
    }
}

impl SecondFactor {
    /// Uses a recovery code up. Gives how many are left; `None` when it is none of the user's, or was used before.
    ///
    /// # Errors
    /// The database.
    pub async fn recover(&self, user: UserId, code: &str) -> Result<Option<u64>, SecondFactorError> {
        let Some(code) = RecoveryCode::parse(code) else {
            return Ok(None);
        };
        let used = sqlx::query!(
            "UPDATE identity.recovery_codes SET used_at = $3
             WHERE user_id = $1 AND digest = $2 AND used_at IS NULL",
            user.0,
            &code.digest()[..],
            self.clock.now(),
        )
        .execute(&self.pool)
        .await?;
        if used.rows_affected() == 0 {
            return Ok(None);
        }
        self.recovery_codes_left(user).await.map(Some)
    }

    /// How many recovery codes the user has not used yet.
    ///
    /// # Errors
    /// The database.
    pub async fn recovery_codes_left(&self, user: UserId) -> Result<u64, SecondFactorError> {
        let left = sqlx::query_scalar!(
            "SELECT count(*) AS \"left!\" FROM identity.recovery_codes WHERE user_id = $1 AND used_at IS NULL",
            user.0,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(left).unwrap_or_default())
    }

    /// Replaces the user's recovery codes by new ones, to be shown once. `None` when the user has no second factor.
    ///
    /// # Errors
    /// [`SecondFactorError`].
    pub async fn renew_recovery_codes(
        &self,
        user: UserId,
    ) -> Result<Option<Vec<RecoveryCode>>, SecondFactorError> {
        let codes = RecoveryCode::draw_all()?;
        let mut transaction = journal::begin(&self.pool, None).await?;
        let has = sqlx::query_scalar!(
            "SELECT true AS \"has!\" FROM identity.accounts
             WHERE user_id = $1 AND totp_confirmed_at IS NOT NULL FOR UPDATE",
            user.0,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        if has.is_none() {
            transaction.rollback().await?;
            return Ok(None);
        }
        replace(&mut transaction, user, &codes, self.clock.now()).await?;
        transaction.commit().await?;
        Ok(Some(codes))
    }
}

/// Puts these codes in the place of all others of the user, whose account's row the transaction holds.
pub(super) async fn replace(
    transaction: &mut Transaction<'_, Postgres>,
    user: UserId,
    codes: &[RecoveryCode],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM identity.recovery_codes WHERE user_id = $1", user.0)
        .execute(&mut **transaction)
        .await?;
    let digests: Vec<Vec<u8>> = codes.iter().map(|code| code.digest().to_vec()).collect();
    sqlx::query!(
        "INSERT INTO identity.recovery_codes (user_id, digest, created_at)
         SELECT $1, digest, $3 FROM unnest($2::bytea[]) AS digest",
        user.0,
        &digests[..],
        now,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_code_reads_as_it_is_shown_and_as_people_type_it() {
        let code = RecoveryCode::draw().unwrap();
        let shown = code.shown();
        assert_eq!(shown.len(), 19);
        assert_eq!(RecoveryCode::parse(&shown), Some(code.clone()));
        assert_eq!(RecoveryCode::parse(&shown.to_uppercase().replace('-', " ")), Some(code));
        let confused = RecoveryCode::parse("OIL0-0000-0000-0000").unwrap();
        assert_eq!(confused.shown().as_str(), "0110-0000-0000-0000");
    }

    #[test]
    fn ten_codes_are_ten() {
        let codes = RecoveryCode::draw_all().unwrap();
        let different: std::collections::BTreeSet<_> = codes.iter().map(RecoveryCode::digest).collect();
        assert_eq!(different.len(), RECOVERY_CODES);
    }

    #[test]
    fn a_code_does_not_show_itself() {
        let code = RecoveryCode::draw().unwrap();
        assert!(!format!("{code:?}").contains(code.shown().as_str()));
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_read_or_refused(text in "[0-9a-zA-Zä -]{0,24}") {
            if let Some(code) = RecoveryCode::parse(&text) {
                prop_assert_eq!(RecoveryCode::parse(&code.shown()), Some(code));
            }
        }
    }
}
