//! Passwords: hashed with Argon2id, checked with equal work whether or not there is anything to check.
//!
//! Parameters are the first of the equivalent ones that OWASP's Password Storage Cheat Sheet recommends for Argon2id
//! (<https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>): 19 MiB, two passes, one lane.
//! A hash takes about 30 ms and its memory; so at most [`PasswordOptions::threads`] are computed at a time, so many more
//! wait, and whoever comes after them is told that it is [busy](PasswordError::Busy).
//!
//! Hashes of bcrypt are accepted, because imported users have them, and flagged for re-hashing. One takes longer than
//! Argon2id does: every refusal takes at least [`PasswordOptions::refusal`], so that the time does not tell which user
//! exists and was imported. That covers the usual costs, up to 12; dearer hashes show until their user has signed in.

mod policy;
mod stored;

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

pub use policy::{NewPassword, WeakPassword};
pub use stored::{PasswordHash, UnknownHash};

use policy::normal;

use crate::token::{RandomError, random};

/// Memory in KiB, passes, lanes.
pub(crate) const MEMORY: u32 = 19_456;
/// How often the memory is passed over.
pub(crate) const PASSES: u32 = 2;
/// How many lanes it has.
pub(crate) const LANES: u32 = 1;
/// What is longer than this is no password of anybody; it is refused at the price of any other.
const LONGEST: usize = 1_024;

/// How much work for passwords goes on at a time.
#[derive(Debug, Clone, Copy)]
pub struct PasswordOptions {
    /// How many hashes are computed at a time. Each takes a core and 19 MiB.
    pub threads: usize,
    /// How many wait for that.
    pub queue: usize,
    /// The least time that a refusal takes.
    pub refusal: Duration,
}

impl Default for PasswordOptions {
    fn default() -> Self {
        Self { threads: 2, queue: 64, refusal: Duration::from_millis(400) }
    }
}

/// Why a password could not be hashed or checked.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many others are waiting already. Ask again.
    #[error("too many passwords are being checked")]
    Busy,
    /// No randomness for the salt.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The algorithm failed.
    #[error("the password cannot be hashed: {0}")]
    Algorithm(String),
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is the password.
    pub ok: bool,
    /// Whether the stored hash should be replaced by one of today's parameters, now that the password is known.
    pub rehash: bool,
}

/// Hashes and checks passwords. Cheap to clone; clones share the limits.
#[derive(Debug, Clone)]
pub struct Passwords {
    computing: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    refusal: Duration,
    /// A hash of a random password that nobody knows, checked when there is no other.
    dummy: PasswordHash,
}

impl Passwords {
    /// Begins. Computes one hash, blocking for some 30 ms.
    ///
    /// # Errors
    /// No randomness, or no memory.
    pub fn new(options: &PasswordOptions) -> Result<Self, PasswordError> {
        let unknown = random::<32>()?;
        let threads = options.threads.max(1);
        Ok(Self {
            computing: Arc::new(Semaphore::new(threads)),
            admitted: Arc::new(Semaphore::new(threads.saturating_add(options.queue))),
            refusal: options.refusal,
            dummy: hash(unknown.as_slice())?,
        })
    }

    /// The hash to store.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn hash(&self, password: &NewPassword) -> Result<PasswordHash, PasswordError> {
        self.hash_text(password.as_str()).await
    }

    /// The hash of a password that was accepted earlier, when [`Verdict::rehash`] asks for it: the policy of today does
    /// not hinder anybody from signing in.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn rehash(&self, accepted: &str) -> Result<PasswordHash, PasswordError> {
        self.hash_text(&normal(accepted)).await
    }

    async fn hash_text(&self, text: &str) -> Result<PasswordHash, PasswordError> {
        let text = Zeroizing::new(text.to_owned());
        self.compute(move || hash(text.as_bytes())).await?
    }

    /// Whether `given` is the password of `stored`, in its normal form or, as other systems may have hashed it, just as it
    /// was typed. Without `stored`, when there is no such user or it has no password, the same work is done in vain.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn check(&self, given: &str, stored: Option<&PasswordHash>) -> Result<Verdict, PasswordError> {
        let earliest = Instant::now() + self.refusal;
        let possible = stored.is_some() && given.len() <= LONGEST;
        let against = stored.unwrap_or(&self.dummy).clone();
        let text = if given.len() <= LONGEST { given } else { "" };
        let (normal, typed) = (normal(text), Zeroizing::new(text.to_owned()));
        let matches = move || {
            let same = against.matches(normal.as_bytes());
            let as_typed = !same && *normal != *typed && against.matches(typed.as_bytes());
            (same || as_typed, as_typed || against.is_outdated())
        };
        let (matches, rehash) = self.compute(matches).await?;
        let ok = matches && possible;
        if !ok {
            sleep_until(earliest).await;
        }
        Ok(Verdict { ok, rehash: ok && rehash })
    }

    /// Runs `work` on a thread for blocking work, when it is its turn. The turn lasts until the work is done, also when
    /// the one who asked has gone.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let turn = Arc::clone(&self.computing).acquire_owned().await.map_err(|_| PasswordError::Busy)?;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop((turn, admitted));
            done
        })
        .await
        .map_err(|error| PasswordError::Algorithm(error.to_string()))
    }
}

/// Argon2id with the parameters of today.
fn hash(password: &[u8]) -> Result<PasswordHash, PasswordError> {
    let failed = |error: &dyn std::fmt::Display| PasswordError::Algorithm(error.to_string());
    let params = Params::new(MEMORY, PASSES, LANES, None).map_err(|error| failed(&error))?;
    let salt = random::<16>()?;
    let made = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password, salt.as_slice())
        .map_err(|error| failed(&error))?;
    PasswordHash::parse(&made.to_string()).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords(threads: usize, queue: usize, refusal: Duration) -> Passwords {
        Passwords::new(&PasswordOptions { threads, queue, refusal }).unwrap()
    }

    fn new(text: &str) -> NewPassword {
        NewPassword::new(text, "someone@example.com").unwrap()
    }

    #[tokio::test]
    async fn a_password_matches_its_hash_and_no_other_does() {
        let passwords = passwords(2, 8, Duration::ZERO);
        let hash = passwords.hash(&new("correct horse battery")).await.unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        let right = passwords.check("correct horse battery", Some(&hash)).await.unwrap();
        assert_eq!(right, Verdict { ok: true, rehash: false });
        for wrong in ["correct horse batterz", "", "CORRECT HORSE BATTERY", &"x".repeat(LONGEST + 1)] {
            assert!(!passwords.check(wrong, Some(&hash)).await.unwrap().ok, "{wrong}");
        }
    }

    #[tokio::test]
    async fn nothing_matches_where_there_is_no_hash() {
        let passwords = passwords(1, 1, Duration::ZERO);
        let nobody = passwords.check("correct horse battery", None).await.unwrap();
        assert_eq!(nobody, Verdict { ok: false, rehash: false });
    }

    #[tokio::test]
    async fn imported_bcrypt_hashes_match_and_are_to_be_replaced() {
        let passwords = passwords(1, 1, Duration::ZERO);
        // As libxcrypt makes them.
        for (text, password) in [
            ("$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.", ""),
            ("$2a$06$abcdefghijklmnopqrstuubFCV0uIZoi4oQp2Wu3dG5ivg8jgo.Ui", "U*U"),
            ("$2b$05$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.", "correct horse battery"),
            ("$2y$07$BCryptRequires22Chrcte/VlQH0piJtjXl.0t1XkA8pw9dMXTpOq", "rasmuslerdorf"),
        ] {
            let hash = PasswordHash::parse(text).unwrap();
            let verdict = passwords.check(password, Some(&hash)).await.unwrap();
            assert_eq!(verdict, Verdict { ok: true, rehash: true }, "{text}");
            assert!(!passwords.check("another", Some(&hash)).await.unwrap().ok);
        }
    }

    #[tokio::test]
    async fn a_password_is_the_same_however_its_letters_are_composed() {
        let passwords = passwords(1, 1, Duration::ZERO);
        let (one, two) = ("gr\u{fc}ne Stra\u{df}enbahn", "gru\u{308}ne Stra\u{df}enbahn");
        assert_ne!(one, two);
        for (chosen, typed) in [(one, two), (two, one)] {
            let hash = passwords.hash(&new(chosen)).await.unwrap();
            assert_eq!(
                passwords.check(typed, Some(&hash)).await.unwrap(),
                Verdict { ok: true, rehash: false }
            );
        }
        // Another system hashed it as it came.
        let imported = PasswordHash::parse(&bcrypt::hash(two, 4).unwrap()).unwrap();
        assert!(passwords.check(two, Some(&imported)).await.unwrap().ok);
        let elsewhere = hash(two.as_bytes()).unwrap();
        let verdict = passwords.check(two, Some(&elsewhere)).await.unwrap();
        assert_eq!(verdict, Verdict { ok: true, rehash: true }, "it gets its normal form");
        assert!(passwords.check(two, Some(&passwords.rehash(two).await.unwrap())).await.unwrap().ok);
    }

    #[tokio::test]
    async fn a_weaker_argon2_hash_is_to_be_replaced() {
        let passwords = passwords(1, 1, Duration::ZERO);
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8_192, 1, 1, None).unwrap())
            .hash_password_with_salt(b"correct horse battery", &[7; 16])
            .unwrap();
        let hash = PasswordHash::parse(&weak.to_string()).unwrap();
        let verdict = passwords.check("correct horse battery", Some(&hash)).await.unwrap();
        assert_eq!(verdict, Verdict { ok: true, rehash: true });
    }

    #[tokio::test(start_paused = true)]
    async fn every_refusal_takes_the_same_time_at_least() {
        let floor = Duration::from_secs(3);
        let passwords = passwords(1, 1, floor);
        let hash = passwords.hash(&new("correct horse battery")).await.unwrap();
        for stored in [Some(&hash), None] {
            let began = Instant::now();
            assert!(!passwords.check("something else", stored).await.unwrap().ok);
            assert!(began.elapsed() >= floor);
        }
        let began = Instant::now();
        assert!(passwords.check("correct horse battery", Some(&hash)).await.unwrap().ok);
        assert!(began.elapsed() < floor, "the right password need not wait");
    }

    #[tokio::test]
    async fn whoever_comes_when_the_queue_is_full_is_told_so() {
        let passwords = passwords(1, 2, Duration::ZERO);
        let checks = (0..20).map(|_| {
            let passwords = passwords.clone();
            tokio::spawn(async move { passwords.check("correct horse battery", None).await })
        });
        let (mut busy, mut done) = (0, 0);
        for check in checks.collect::<Vec<_>>() {
            match check.await.unwrap() {
                Err(PasswordError::Busy) => busy += 1,
                other => {
                    other.unwrap();
                    done += 1;
                }
            }
        }
        assert!(done >= 3, "one computed, two waited, at least: {done}");
        assert!(busy > 0, "the rest were refused");
        assert!(!passwords.check("again", None).await.unwrap().ok, "and then there is room again");
    }
}
