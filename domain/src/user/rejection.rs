/// Why a command to a user is refused, in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserRejection {
    /// No such user.
    #[error("the user does not exist")]
    NotFound,
    /// The id is taken.
    #[error("a user with this id exists already")]
    AlreadyExists,
    /// They are gone for good.
    #[error("the user has been erased")]
    Erased,
    /// They are suspended.
    #[error("the user is suspended")]
    Suspended,
    /// They cannot be resumed, for they are not suspended.
    #[error("the user is not suspended")]
    NotSuspended,
    /// The email address is known to be theirs.
    #[error("the email address is verified already")]
    AlreadyVerified,
    /// The change changes nothing.
    #[error("there is nothing to change")]
    NothingToChange,
    /// They have a second factor.
    #[error("a second factor is enabled already")]
    SecondFactorEnabled,
    /// They have no second factor.
    #[error("no second factor is enabled")]
    SecondFactorNotEnabled,
    /// They can sign in by this issuer.
    #[error("an identity of this issuer is linked already")]
    IdentityLinked,
    /// They cannot sign in by this issuer.
    #[error("no identity of this issuer is linked")]
    IdentityNotLinked,
    /// They run the installation.
    #[error("the user is a superadmin already")]
    AlreadySuperadmin,
    /// They do not run the installation.
    #[error("the user is not a superadmin")]
    NotSuperadmin,
}

impl UserRejection {
    /// The stable code of this rejection.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "user_not_found",
            Self::AlreadyExists => "user_exists",
            Self::Erased => "user_erased",
            Self::Suspended => "user_suspended",
            Self::NotSuspended => "user_not_suspended",
            Self::AlreadyVerified => "email_already_verified",
            Self::NothingToChange => "nothing_to_change",
            Self::SecondFactorEnabled => "second_factor_enabled",
            Self::SecondFactorNotEnabled => "second_factor_not_enabled",
            Self::IdentityLinked => "identity_linked",
            Self::IdentityNotLinked => "identity_not_linked",
            Self::AlreadySuperadmin => "already_superadmin",
            Self::NotSuperadmin => "not_superadmin",
        }
    }
}
