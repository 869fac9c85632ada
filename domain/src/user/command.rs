use super::{PersonalChange, Receipt, RevocationReason, SignInMethod};
use crate::{Reason, Sealed, SessionId, WebAddress};

/// What can be asked of a user. Passwords, tokens and secrets are no part of it: they are checked before, and what
/// came of it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserCommand {
    /// Bring the user into being.
    Register {
        /// Their email address.
        email: Sealed,
        /// Their name.
        name: Sealed,
        /// Their language and country.
        locale: Option<Sealed>,
    },
    /// Record that the email address is theirs.
    VerifyEmail,
    /// Change what is known of them.
    ChangeProfile(PersonalChange),
    /// Change the email address; it has to be verified anew.
    ChangeEmail {
        /// The new one.
        email: Sealed,
    },
    /// Record that the password is another one.
    ChangePassword,
    /// Record a sign-in.
    SignIn {
        /// The session it began.
        session: SessionId,
        /// How it was done.
        method: SignInMethod,
    },
    /// Record that a session ended.
    SignOut {
        /// Which.
        session: SessionId,
    },
    /// Record that all sessions ended.
    RevokeSessions {
        /// Why.
        reason: RevocationReason,
    },
    /// Ask for a second factor from here on.
    EnableSecondFactor,
    /// Ask for none any more.
    DisableSecondFactor,
    /// Record that a recovery code stood in for the second factor.
    UseRecoveryCode,
    /// Let them sign in by an OpenID issuer.
    LinkIdentity {
        /// The issuer.
        issuer: WebAddress,
        /// Who they are to the issuer.
        subject: Sealed,
    },
    /// Do not let them any more.
    UnlinkIdentity {
        /// The issuer.
        issuer: WebAddress,
    },
    /// Let them run the installation.
    GrantSuperadmin,
    /// Do not let them any more.
    RevokeSuperadmin,
    /// Do not let them sign in.
    Suspend {
        /// Why. Kept in plain text for good, so nothing personal.
        reason: Reason,
    },
    /// Let them sign in again.
    Resume,
    /// Record that their keys were destroyed.
    Erase {
        /// What was destroyed, and when.
        receipt: Receipt,
    },
}

impl UserCommand {
    /// The command's name in the audit log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Register { .. } => "register_user",
            Self::VerifyEmail => "verify_email",
            Self::ChangeProfile(_) => "change_profile",
            Self::ChangeEmail { .. } => "change_email",
            Self::ChangePassword => "change_password",
            Self::SignIn { .. } => "sign_in",
            Self::SignOut { .. } => "sign_out",
            Self::RevokeSessions { .. } => "revoke_sessions",
            Self::EnableSecondFactor => "enable_second_factor",
            Self::DisableSecondFactor => "disable_second_factor",
            Self::UseRecoveryCode => "use_recovery_code",
            Self::LinkIdentity { .. } => "link_identity",
            Self::UnlinkIdentity { .. } => "unlink_identity",
            Self::GrantSuperadmin => "grant_superadmin",
            Self::RevokeSuperadmin => "revoke_superadmin",
            Self::Suspend { .. } => "suspend_user",
            Self::Resume => "resume_user",
            Self::Erase { .. } => "erase_user",
        }
    }

    pub(super) const fn suits_the_suspended(&self) -> bool {
        matches!(
            self,
            Self::Resume
                | Self::Erase { .. }
                | Self::SignOut { .. }
                | Self::RevokeSessions { .. }
                | Self::RevokeSuperadmin
                | Self::UnlinkIdentity { .. }
        )
    }
}
