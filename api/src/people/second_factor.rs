//! The second factor of somebody who is signed in.
//!
//! The account row decides whether a second factor is asked for; the events say so afterwards. Where the event of a step
//! was cut off, the next step of the same kind records it.

use domain::UserId;
use domain::user::UserCommand;
use identity::totp::{Enrolled, Enrolment};
use zeroize::Zeroizing;

use super::{Origin, People, tolerate};
use crate::person::{Email, Proof, Secret};
use crate::problem::{Problem, code};

/// What an authenticator needs.
pub struct BegunSecondFactor {
    /// The secret, in base32.
    pub secret: Zeroizing<String>,
    /// The same as an address.
    pub uri: Zeroizing<String>,
}

impl People {
    /// Draws a secret that counts once it is confirmed.
    pub async fn begin_second_factor(
        &self,
        user: UserId,
        password: Option<&Secret>,
    ) -> Result<BegunSecondFactor, Problem> {
        self.confirm_password(user, password, "password").await?;
        let email = self.profile(user).await?.value.email.unwrap_or_default();
        match self.second_factor.enrol(user, &email).await? {
            Enrolled::Waiting(Enrolment { secret, url }) => Ok(BegunSecondFactor { secret, uri: url }),
            Enrolled::Already => {
                Err(Problem::new(code::SECOND_FACTOR_ENABLED, "there is a second factor already"))
            }
            Enrolled::Unknown => Err(Problem::internal(format!("the user {user} has no account"))),
        }
    }

    /// Confirms it by its first code, and gives the recovery codes.
    pub async fn confirm_second_factor(
        &self,
        user: UserId,
        code: &Secret,
        origin: &Origin,
    ) -> Result<Vec<String>, Problem> {
        let codes = self.second_factor.confirm(user, code.as_str()).await?.ok_or_else(wrong)?;
        let enabled = self.act(user, UserCommand::EnableSecondFactor, origin, None).await;
        tolerate(enabled, &[code::SECOND_FACTOR_ENABLED])?;
        Ok(codes.iter().map(|code| code.shown().to_string()).collect())
    }

    /// The blind index of the email of a user, where they have one.
    pub async fn index_of(&self, user: UserId) -> Result<Option<[u8; 32]>, Problem> {
        let email = self.profile(user).await?.value.email;
        match email.and_then(|email| Email::new(&email).ok()) {
            Some(email) => self.index(&email).await.map(Some),
            None => Ok(None),
        }
    }

    /// Ends it, and its recovery codes.
    pub async fn end_second_factor(
        &self,
        user: UserId,
        proof: &Proof,
        origin: &Origin,
    ) -> Result<(), Problem> {
        self.prove(user, proof, origin).await?;
        self.second_factor.disable(user).await?;
        let disabled = self.act(user, UserCommand::DisableSecondFactor, origin, None).await;
        tolerate(disabled, &[code::SECOND_FACTOR_NOT_ENABLED])?;
        Ok(())
    }

    /// Checks the second factor. A code is good once, a recovery code too.
    pub(super) async fn prove(&self, user: UserId, proof: &Proof, origin: &Origin) -> Result<(), Problem> {
        match proof {
            Proof::Code(code) => {
                if !self.second_factor.check(user, code.as_str()).await? {
                    return Err(wrong());
                }
            }
            Proof::Recovery(code) => {
                self.second_factor.recover(user, code.as_str()).await?.ok_or_else(wrong)?;
                let used = self.act(user, UserCommand::UseRecoveryCode, origin, None).await;
                tolerate(used, &[code::SECOND_FACTOR_NOT_ENABLED])?;
            }
        }
        Ok(())
    }
}

fn wrong() -> Problem {
    Problem::new(code::SECOND_FACTOR_WRONG, "the code is wrong, or was used before")
}
