//! Which passwords may be chosen.

use std::collections::BTreeSet;
use std::fmt;

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

/// Fewest characters.
const SHORTEST: usize = 12;
/// Most characters.
const LONGEST: usize = 128;
/// Fewer different characters than this are a pattern.
const DIFFERENT: usize = 5;

/// Those of twelve characters and more that lists of leaked passwords have most often, in lower case.
const COMMONEST: [&str; 56] = [
    "000000000000",
    "111111111111",
    "1111111111111",
    "112233445566",
    "121212121212",
    "123123123123",
    "1234567890-=",
    "123456789012",
    "1234567890123",
    "12345678901234",
    "123456789abc",
    "1234567890qwe",
    "1234567890qwer",
    "123456789qwe",
    "123456789qwer",
    "123456789abcd",
    "123456qwerty",
    "12345qwert12345",
    "1q2w3e4r5t6y",
    "1q2w3e4r5t6y7u",
    "1q2w3e4r5t6y7u8i",
    "1qaz2wsx3edc",
    "1qaz2wsx3edc4rfv",
    "abc123456789",
    "abcd12345678",
    "abcdefghijkl",
    "administrator",
    "administrator1",
    "adminadmin123",
    "changeme1234",
    "changemenow1",
    "correcthorsebatterystaple",
    "iloveyou1234",
    "letmein12345",
    "passw0rd1234",
    "password!123",
    "password1234",
    "password12345",
    "password123456",
    "password123!",
    "password1234!",
    "passwordpassword",
    "passwort1234",
    "q1w2e3r4t5y6",
    "q1w2e3r4t5y6u7",
    "qazwsxedcrfv",
    "qwerty123456",
    "qwerty1234567",
    "qwertyqwerty",
    "qwertyuiop[]",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwertyuiopas",
    "unknown12345",
    "welcome12345",
    "zxcvbnm12345",
];

/// Why a password may not be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Under 12 characters.
    #[error("a password must have at least {SHORTEST} characters")]
    TooShort,
    /// Over 128 characters.
    #[error("a password must have at most {LONGEST} characters")]
    TooLong,
    /// One that everybody tries first.
    #[error("this password is one of the commonest")]
    TooCommon,
    /// The email address or the name in it.
    #[error("a password must not be the email address")]
    Email,
}

/// A text in the one form that all ways to type it have in common (NFKC): an `ü` is an `ü`, whether the keyboard sends one
/// character for it or two.
pub(super) fn normal(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.nfkc().collect())
}

/// A password that somebody has chosen and may: 12 to 128 characters of any kind, not one of the commonest, not a
/// pattern of a few characters, not the email address. It is kept in its normal form.
pub struct NewPassword(Zeroizing<String>);

impl NewPassword {
    /// Checks `text` for the user of `email`.
    ///
    /// # Errors
    /// [`WeakPassword`], the first that applies in the order of its variants.
    pub fn new(text: &str, email: &str) -> Result<Self, WeakPassword> {
        // Before the characters are counted: a body of a megabyte is not worth a walk.
        if text.len() > 4 * LONGEST {
            return Err(WeakPassword::TooLong);
        }
        let text = normal(text);
        match text.chars().count() {
            ..SHORTEST => return Err(WeakPassword::TooShort),
            SHORTEST..=LONGEST => {}
            _ => return Err(WeakPassword::TooLong),
        }
        let lower = Zeroizing::new(text.to_lowercase());
        let different: BTreeSet<char> = lower.chars().collect();
        if different.len() < DIFFERENT || COMMONEST.contains(&lower.as_str()) {
            return Err(WeakPassword::TooCommon);
        }
        let email = email.trim().to_lowercase();
        let name = email.split('@').next().unwrap_or_default();
        if !email.is_empty() && (*lower == email || *lower == name) {
            return Err(WeakPassword::Email);
        }
        Ok(Self(text))
    }

    /// The password itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPassword(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str) -> Option<WeakPassword> {
        NewPassword::new(text, "Kunigunde.Meier@example.com").err()
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(check("elf Zeichen"), Some(WeakPassword::TooShort));
        assert_eq!(check("zwölf Zeiche"), None);
        assert_eq!(check(&"äöüßabc".repeat(18)), None);
        assert_eq!(check(&"äöüßabc".repeat(19)), Some(WeakPassword::TooLong));
        assert_eq!(check(&"x".repeat(1_000_000)), Some(WeakPassword::TooLong));
    }

    #[test]
    fn what_everybody_tries_first_is_refused() {
        for common in COMMONEST {
            assert!(common.chars().count() >= SHORTEST, "{common} is refused for its length anyway");
            assert_eq!(check(common), Some(WeakPassword::TooCommon), "{common}");
            assert_eq!(check(&common.to_uppercase()), Some(WeakPassword::TooCommon), "{common}");
        }
        assert_eq!(check("abababababab"), Some(WeakPassword::TooCommon));
    }

    #[test]
    fn the_email_is_no_password() {
        assert_eq!(check("kunigunde.meier@EXAMPLE.com"), Some(WeakPassword::Email));
        assert_eq!(check("Kunigunde.Meier"), Some(WeakPassword::Email));
        assert_eq!(check("Kunigunde.Meier?"), None);
    }

    #[test]
    fn a_password_does_not_show_itself() {
        let password = NewPassword::new("correct horse battery", "").unwrap();
        assert!(!format!("{password:?}").contains("horse"));
    }

    proptest! {
        #[test]
        fn whatever_is_chosen_is_kept_in_its_normal_form_or_refused(text in any::<String>(), email in any::<String>()) {
            if let Ok(password) = NewPassword::new(&text, &email) {
                let (once, twice) = (normal(&text), normal(password.as_str()));
                prop_assert_eq!(password.as_str(), once.as_str());
                prop_assert_eq!(password.as_str(), twice.as_str());
            }
        }
    }
}
