//! Password hashes as they are stored: PHC strings of Argon2id, and hashes of bcrypt from elsewhere.

use std::fmt;
use std::str::FromStr as _;

use argon2::password_hash::PasswordVerifier as _;
use argon2::{Algorithm, Argon2, Params, Version};

use super::{LANES, MEMORY, PASSES};

/// The most memory in KiB, passes and lanes of a hash that is checked: more would be a way to stop the server.
const MOST: (u32, u32, u32) = (65_536, 10, 4);
/// The highest cost of a bcrypt hash that is accepted, about a second of work.
const HIGHEST_COST: u32 = 14;

/// Not a hash that passwords can be checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a hash of Argon2id or of bcrypt, or one that takes too much work")]
pub struct UnknownHash;

/// A stored hash of a password: a PHC string of Argon2id, or `$2a$`, `$2b$`, `$2y$` of bcrypt. Does not show itself in
/// `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Checks that `text` is such a hash, and one that takes a bounded amount of work.
    ///
    /// # Errors
    /// [`UnknownHash`].
    pub fn parse(text: &str) -> Result<Self, UnknownHash> {
        let known = if is_bcrypt(text) {
            bcrypt::HashParts::from_str(text)
                .is_ok_and(|parts| (4..=HIGHEST_COST).contains(&parts.get_cost()))
        } else {
            text.len() <= 256 && argon2id(text).is_some_and(|(_, params)| is_bounded(&params))
        };
        if known { Ok(Self(text.to_owned())) } else { Err(UnknownHash) }
    }

    /// The text to store.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the hash of `password`. Takes its time: call it on a thread for blocking work.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        if is_bcrypt(&self.0) {
            // Only the first 72 bytes count, as they did where the hash was made.
            return bcrypt::verify(password, &self.0).unwrap_or(false);
        }
        argon2id(&self.0).is_some_and(|(hash, _)| Argon2::default().verify_password(password, &hash).is_ok())
    }

    /// Whether a new hash would be a better one.
    pub(super) fn is_outdated(&self) -> bool {
        argon2id(&self.0).is_none_or(|(_, params)| {
            (params.m_cost(), params.t_cost(), params.p_cost()) != (MEMORY, PASSES, LANES)
        })
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

fn is_bcrypt(text: &str) -> bool {
    ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix))
}

/// A complete hash of Argon2id of the present version, with its parameters.
fn argon2id(text: &str) -> Option<(argon2::PasswordHash, Params)> {
    let hash = argon2::PasswordHash::new(text).ok()?;
    let is = Algorithm::try_from(hash.algorithm.as_str()).ok()? == Algorithm::Argon2id
        && hash.version == Some(Version::V0x13.into())
        && hash.salt.is_some()
        && hash.hash.is_some();
    let params = Params::try_from(&hash).ok()?;
    is.then_some((hash, params))
}

fn is_bounded(params: &Params) -> bool {
    params.m_cost() <= MOST.0 && params.t_cost() <= MOST.1 && params.p_cost() <= MOST.2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BCRYPT: &str = "$2y$12$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3u";
    const ARGON2: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
                          CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

    #[test]
    fn hashes_of_both_kinds_are_kept_as_they_are() {
        for text in [BCRYPT, ARGON2] {
            assert_eq!(PasswordHash::parse(text).unwrap().as_str(), text);
        }
        assert!(PasswordHash::parse(BCRYPT).unwrap().is_outdated());
        assert!(!PasswordHash::parse(ARGON2).unwrap().is_outdated());
    }

    #[test]
    fn hashes_of_too_much_work_or_of_other_kinds_are_refused() {
        for text in [
            &BCRYPT.replace("$12$", "$15$"),
            &BCRYPT.replace("$12$", "$03$"),
            &BCRYPT.replace("$2y$", "$2x$"),
            &ARGON2.replace("m=19456", "m=1048576"),
            &ARGON2.replace("t=2", "t=1000"),
            &ARGON2.replace("argon2id", "argon2i"),
            &ARGON2.replace("v=19", "v=16"),
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA",
            "$6$rounds=5000$salt$hash",
            "hunter2",
            "",
        ] {
            assert_eq!(PasswordHash::parse(text).err(), Some(UnknownHash), "{text}");
        }
    }

    #[test]
    fn a_hash_does_not_show_itself() {
        assert!(!format!("{:?}", PasswordHash::parse(BCRYPT).unwrap()).contains("2y"));
    }

    proptest! {
        #[test]
        fn whatever_is_imported_is_read_or_refused(
            text in r"(\$(2[abxy]|argon2id|argon2i)\$)?(v=[0-9]{1,3}\$)?[0-9a-zA-Z=,$./ä]{0,80}",
        ) {
            if let Ok(hash) = PasswordHash::parse(&text) {
                prop_assert_eq!(hash.as_str(), text);
            }
        }
    }
}
