use chrono::{DateTime, Utc};
use domain::user::Receipt;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::people::{BegunSecondFactor, Membership, Profile, SeenSession, Step, Tokens};

/// That something was taken on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Accepted)]
pub struct AcceptedBody {
    /// What happens next, for people.
    #[schema(example = "if the address can be used, a mail is on its way")]
    pub detail: String,
}

impl AcceptedBody {
    /// A mail follows, or not.
    pub fn mail() -> Self {
        Self { detail: "if the address can be used, a mail is on its way".to_owned() }
    }
}

/// A user's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Person)]
pub struct PersonBody {
    /// The id.
    pub user: Uuid,
}

/// What came of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = SignedIn)]
pub enum SignInBody {
    /// Signed in: the tokens.
    Tokens(TokensBody),
    /// Signed in: the tokens are in cookies.
    Cookies(CookiesBody),
    /// The second factor is due.
    SecondFactor(DueBody),
}

/// The tokens of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Tokens)]
pub struct TokensBody {
    /// To be sent as `Authorization: Bearer ...`.
    pub access_token: String,
    /// How it is sent.
    #[schema(example = "Bearer")]
    pub token_type: String,
    /// For how many seconds the access token is good.
    #[schema(example = 600)]
    pub expires_in: i64,
    /// Good once, for the next tokens.
    pub refresh_token: String,
    /// The session.
    pub session: Uuid,
    /// When the session ends, however often it is refreshed.
    pub session_expires_at: DateTime<Utc>,
    /// Whose it is.
    pub user: Uuid,
}

/// A session whose tokens are in cookies: nothing else, so that nobody takes the tokens themselves for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CookieSession)]
pub struct CookiesBody {
    /// For how many seconds the access token is good.
    #[schema(example = 600)]
    pub expires_in: i64,
    /// The session.
    pub session: Uuid,
    /// When the session ends, however often it is refreshed.
    pub session_expires_at: DateTime<Utc>,
    /// Whose it is.
    pub user: Uuid,
}

/// The second factor is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SecondFactorDue)]
pub struct DueBody {
    /// For `/v1/auth/second-factor`, good for one try.
    pub second_factor_token: String,
    /// For how many seconds it is good.
    #[schema(example = 300)]
    pub expires_in: i64,
}

impl SignInBody {
    /// What the answer says of a step; the tokens only where no cookie has them.
    pub fn new(step: Step, cookies: bool) -> Self {
        match step {
            Step::SecondFactor { token, seconds } => Self::SecondFactor(DueBody {
                second_factor_token: token.as_str().to_owned(),
                expires_in: seconds,
            }),
            Step::SignedIn(Tokens { access, access_seconds, refresh, session, user, expires_at, .. }) => {
                let (session, user) = (session.0, user.0);
                if cookies {
                    return Self::Cookies(CookiesBody {
                        expires_in: access_seconds,
                        session,
                        session_expires_at: expires_at,
                        user,
                    });
                }
                Self::Tokens(TokensBody {
                    access_token: access.as_str().to_owned(),
                    token_type: "Bearer".to_owned(),
                    expires_in: access_seconds,
                    refresh_token: refresh.as_str().to_owned(),
                    session,
                    session_expires_at: expires_at,
                    user,
                })
            }
        }
    }
}

/// A person who has an account. Of one who was erased nothing is left but the id.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserBody {
    /// The user's id.
    pub id: Uuid,
    /// The address.
    #[schema(example = "ada@example.com")]
    pub email: Option<String>,
    /// What others read.
    #[schema(example = "Ada Lovelace")]
    pub name: Option<String>,
    /// The address of a picture.
    pub avatar: Option<String>,
    /// The language that is preferred.
    #[schema(example = "en-GB")]
    pub locale: Option<String>,
    /// The application's own settings.
    #[schema(value_type = Option<Object>)]
    pub preferences: Option<Value>,
    /// `active`, `suspended` or `erased`.
    #[schema(example = "active")]
    pub status: String,
    /// Whether the address was confirmed.
    pub verified: bool,
    /// Whether this person operates the platform.
    pub superadmin: bool,
    /// Whether a sign-in asks for a second factor.
    pub second_factor: bool,
    /// When this person signed in last.
    pub last_sign_in: Option<DateTime<Utc>>,
}

impl From<Profile> for UserBody {
    fn from(profile: Profile) -> Self {
        Self {
            id: profile.id.0,
            email: profile.email,
            name: profile.name,
            avatar: profile.avatar,
            locale: profile.locale,
            preferences: profile.preferences,
            status: profile.status,
            verified: profile.verified,
            superadmin: profile.superadmin,
            second_factor: profile.second_factor,
            last_sign_in: profile.last_sign_in,
        }
    }
}

/// That a person was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Erased)]
pub struct ErasedBody {
    /// The receipt's id; the journal has it too.
    pub receipt: Uuid,
    /// When the keys were destroyed.
    pub erased_at: DateTime<Utc>,
    /// Whose keys: the user's, and those of invitations that were sent to the same address.
    pub subjects: Vec<Uuid>,
}

impl From<Receipt> for ErasedBody {
    fn from(receipt: Receipt) -> Self {
        let subjects = receipt.subjects.into_iter().map(|subject| subject.0).collect();
        Self { receipt: receipt.id, erased_at: receipt.erased_at, subjects }
    }
}

/// Where somebody is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionBody {
    /// The session's id.
    pub id: Uuid,
    /// Whether it is the one that asks.
    pub current: bool,
    /// How it began: `password`, `totp`, `recovery_code`, `open_id`, `bootstrap`.
    #[schema(example = "password")]
    pub method: Option<String>,
    /// What the browser or program called itself.
    pub user_agent: Option<String>,
    /// The address it began from.
    pub address: Option<String>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it was refreshed last.
    pub refreshed_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

impl SessionBody {
    /// A session, as `current` sees it.
    pub fn new(seen: SeenSession, current: domain::SessionId) -> Self {
        let SeenSession { session, user_agent, address } = seen;
        Self {
            id: session.id.0,
            current: session.id == current,
            method: session.method.map(|method| method.as_str().to_owned()),
            user_agent,
            address,
            created_at: session.created_at,
            refreshed_at: session.refreshed_at,
            expires_at: session.expires_at,
        }
    }
}

/// What an authenticator needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SecondFactorSecret)]
pub struct SecondFactorBody {
    /// The secret, in base32, for typing.
    #[schema(example = "JBSWY3DPEHPK3PXP...")]
    pub secret: String,
    /// The same as an address that authenticators read from a QR code.
    #[schema(example = "otpauth://totp/Counterfoil:ada%40example.com?secret=...")]
    pub uri: String,
}

impl From<BegunSecondFactor> for SecondFactorBody {
    fn from(begun: BegunSecondFactor) -> Self {
        Self { secret: begun.secret.as_str().to_owned(), uri: begun.uri.as_str().to_owned() }
    }
}

/// The recovery codes, shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = RecoveryCodes)]
pub struct RecoveryCodesBody {
    /// Each is good once, in the place of the authenticator.
    pub recovery_codes: Vec<String>,
}

/// A tenant that one is a member of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Membership)]
pub struct MembershipBody {
    /// The tenant's id.
    pub tenant: Uuid,
    /// Its short name, for `X-Tenant-Slug`.
    #[schema(example = "acme")]
    pub slug: String,
    /// Its display name.
    #[schema(example = "Acme Ltd")]
    pub name: String,
    /// One's role there.
    #[schema(example = "member")]
    pub role: String,
    /// `active`, `suspended` or `closed`.
    #[schema(example = "active")]
    pub status: String,
}

impl From<Membership> for MembershipBody {
    fn from(membership: Membership) -> Self {
        Self {
            tenant: membership.tenant.0,
            slug: membership.slug,
            name: membership.name,
            role: membership.role.as_str().to_owned(),
            status: membership.status.as_str().to_owned(),
        }
    }
}
