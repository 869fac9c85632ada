/// Why a command to an application is refused, in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplicationRejection {
    /// No such application.
    #[error("the application does not exist")]
    NotFound,
    /// The id is taken.
    #[error("an application with this id exists already")]
    AlreadyExists,
    /// It ended.
    #[error("the application is archived")]
    Archived,
    /// The change changes nothing.
    #[error("there is nothing to change")]
    NothingToChange,
    /// It has no such key.
    #[error("the key does not exist")]
    KeyNotFound,
    /// The key was revoked.
    #[error("the key has been revoked")]
    KeyRevoked,
    /// The key expired.
    #[error("the key has expired")]
    KeyExpired,
    /// The id or the public id is taken.
    #[error("a key with this id exists already")]
    KeyExists,
    /// The key would be dead from the beginning.
    #[error("the key must expire in the future")]
    ExpiryInThePast,
    /// The key could do nothing.
    #[error("a key needs a scope")]
    NoScopes,
    /// The key is bound to too many addresses.
    #[error("a key is bound to at most {} addresses", super::MAX_ADDRESSES)]
    TooManyAddresses,
    /// There are as many keys alive as an application can have.
    #[error("an application has at most {} keys that are alive", super::MAX_LIVE_KEYS)]
    TooManyKeys,
}

impl ApplicationRejection {
    /// The stable code of this rejection.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "application_not_found",
            Self::AlreadyExists => "application_exists",
            Self::Archived => "application_archived",
            Self::NothingToChange => "nothing_to_change",
            Self::KeyNotFound => "key_not_found",
            Self::KeyRevoked => "key_revoked",
            Self::KeyExpired => "key_expired",
            Self::KeyExists => "key_exists",
            Self::ExpiryInThePast => "expiry_in_the_past",
            Self::NoScopes => "no_scopes",
            Self::TooManyAddresses => "too_many_addresses",
            Self::TooManyKeys => "too_many_keys",
        }
    }
}
