//! What the identity store says, as problems.

use identity::access_log::AccessLogError;
use identity::accounts::AccountError;
use identity::invited::InvitedError;
use identity::key_uses::KeyUseError;
use identity::oidc::OidcError;
use identity::one_time::OneTimeError;
use identity::password::PasswordError;
use identity::sessions::SessionError;
use identity::totp::SecondFactorError;
use identity::vault::VaultError;

use super::{Problem, code};

/// The database cannot be reached; what was asked for may be asked again.
fn unavailable(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "the identity store cannot be used");
    Problem::new(code::UNAVAILABLE, "the database cannot be used at the moment").retry(2)
}

macro_rules! of_store {
    ($($error:ident)*) => {
        $(impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                match error {
                    $error::Database(error) => unavailable(&error),
                    error => Self::internal(error),
                }
            }
        })*
    };
}

of_store! { AccountError SessionError }

impl From<InvitedError> for Problem {
    fn from(InvitedError::Database(error): InvitedError) -> Self {
        unavailable(&error)
    }
}

impl From<KeyUseError> for Problem {
    fn from(error: KeyUseError) -> Self {
        unavailable(&error)
    }
}

impl From<AccessLogError> for Problem {
    fn from(error: AccessLogError) -> Self {
        unavailable(&error)
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Database(error) => unavailable(&error),
            VaultError::Erased => Self::new(code::USER_ERASED, "the user has been erased"),
            error => Self::internal(error),
        }
    }
}

impl From<OneTimeError> for Problem {
    fn from(error: OneTimeError) -> Self {
        match error {
            OneTimeError::Database(error) => unavailable(&error),
            OneTimeError::Vault(error) => error.into(),
            error => Self::internal(error),
        }
    }
}

impl From<SecondFactorError> for Problem {
    fn from(error: SecondFactorError) -> Self {
        match error {
            SecondFactorError::Database(error) => unavailable(&error),
            SecondFactorError::Vault(error) => error.into(),
            error => Self::internal(error),
        }
    }
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => {
                Self::new(code::OVERLOADED, "too many passwords are being checked at the moment").retry(1)
            }
            error => Self::internal(error),
        }
    }
}

impl From<OidcError> for Problem {
    fn from(error: OidcError) -> Self {
        match error {
            OidcError::NoProvider => Self::new(code::PROVIDER_NOT_FOUND, "there is no such provider"),
            OidcError::State => {
                Self::new(code::PROVIDER_REFUSED, "the answer belongs to no sign-in that this browser began")
            }
            OidcError::Refused(reason) => {
                tracing::warn!(reason, "a provider did not identify anybody");
                Self::new(code::PROVIDER_REFUSED, "the provider did not identify anybody")
            }
            OidcError::Unavailable(reason) => {
                tracing::error!(reason, "a provider cannot be used");
                Self::new(code::UNAVAILABLE, "the provider cannot be reached at the moment").retry(5)
            }
            OidcError::OneTime(error) => error.into(),
            error => Self::internal(error),
        }
    }
}
