use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Change, Event, Reason, Sealed, SessionId, SubjectId, WebAddress};

/// What changes in what is known of a user.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PersonalChange {
    /// Another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Sealed>,
    /// Another picture, or none any more.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub avatar: Change<Sealed>,
    /// Another language and country, or none any more.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub locale: Change<Sealed>,
    /// Other preferences, or none any more.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub preferences: Change<Sealed>,
}

/// How somebody showed who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignInMethod {
    /// By their password.
    Password,
    /// By their password and a code of their second factor.
    Totp,
    /// By their password and a recovery code.
    RecoveryCode,
    /// By an OpenID issuer.
    OpenId,
    /// By the link that makes the first superadmin.
    Bootstrap,
}

impl SignInMethod {
    /// Every method.
    pub const ALL: [Self; 5] =
        [Self::Password, Self::Totp, Self::RecoveryCode, Self::OpenId, Self::Bootstrap];

    /// The method as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Totp => "totp",
            Self::RecoveryCode => "recovery_code",
            Self::OpenId => "open_id",
            Self::Bootstrap => "bootstrap",
        }
    }
}

/// Why all sessions of a user ended at once. A word and no text, so that nothing personal gets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationReason {
    /// They wanted it so.
    Requested,
    /// Their password is another one.
    PasswordChanged,
    /// Their second factor is another one, or gone.
    SecondFactorChanged,
    /// A refresh token was presented that had been used before.
    TokenReused,
    /// They were suspended.
    Suspended,
    /// They were erased.
    Erased,
}

/// What was destroyed when a user was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The receipt's own id.
    pub id: Uuid,
    /// When the keys were destroyed.
    pub erased_at: DateTime<Utc>,
    /// Whose keys: the user's, and those of the invitations that were sent to them.
    pub subjects: Vec<SubjectId>,
}

/// What happened to a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserEvent {
    /// The user came into being.
    Registered {
        /// Their email address.
        email: Sealed,
        /// Their name.
        name: Sealed,
        /// Their language and country.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        locale: Option<Sealed>,
    },
    /// The email address is theirs.
    EmailVerified {},
    /// What is known of them changed.
    ProfileChanged(PersonalChange),
    /// They have another email address, not verified yet.
    EmailChanged {
        /// The new one.
        email: Sealed,
    },
    /// They have another password.
    PasswordChanged {},
    /// They signed in.
    SignedIn {
        /// The session that began.
        session: SessionId,
        /// How.
        method: SignInMethod,
        /// When.
        at: DateTime<Utc>,
    },
    /// A session ended.
    SignedOut {
        /// Which.
        session: SessionId,
    },
    /// All their sessions ended.
    SessionsRevoked {
        /// Why.
        reason: RevocationReason,
    },
    /// They need a second factor from here on.
    SecondFactorEnabled {},
    /// They need none any more.
    SecondFactorDisabled {},
    /// A recovery code stood in for the second factor, and is used up.
    RecoveryCodeUsed {},
    /// They can sign in by an OpenID issuer.
    IdentityLinked {
        /// The issuer.
        issuer: WebAddress,
        /// Who they are to the issuer.
        subject: Sealed,
    },
    /// They no longer can.
    IdentityUnlinked {
        /// The issuer.
        issuer: WebAddress,
    },
    /// They run the installation from here on.
    SuperadminGranted {},
    /// They no longer do.
    SuperadminRevoked {},
    /// They cannot sign in from here on.
    Suspended {
        /// Why.
        reason: Reason,
    },
    /// They can sign in again.
    Resumed {},
    /// The keys to what was known of them were destroyed.
    Erased {
        /// Which, and when.
        receipt: Receipt,
    },
}

impl Event for UserEvent {
    fn kind(&self) -> &'static str {
        match self {
            Self::Registered { .. } => "registered",
            Self::EmailVerified {} => "email_verified",
            Self::ProfileChanged(_) => "profile_changed",
            Self::EmailChanged { .. } => "email_changed",
            Self::PasswordChanged {} => "password_changed",
            Self::SignedIn { .. } => "signed_in",
            Self::SignedOut { .. } => "signed_out",
            Self::SessionsRevoked { .. } => "sessions_revoked",
            Self::SecondFactorEnabled {} => "second_factor_enabled",
            Self::SecondFactorDisabled {} => "second_factor_disabled",
            Self::RecoveryCodeUsed {} => "recovery_code_used",
            Self::IdentityLinked { .. } => "identity_linked",
            Self::IdentityUnlinked { .. } => "identity_unlinked",
            Self::SuperadminGranted {} => "superadmin_granted",
            Self::SuperadminRevoked {} => "superadmin_revoked",
            Self::Suspended { .. } => "suspended",
            Self::Resumed {} => "resumed",
            Self::Erased { .. } => "erased",
        }
    }
}

impl DomainEvent for UserEvent {
    fn event_type(&self) -> String {
        self.kind().to_owned()
    }

    fn event_version(&self) -> String {
        Self::VERSION.to_string()
    }
}
