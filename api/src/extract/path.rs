//! What stands in the path of an address.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::web::Path;
use actix_web::{FromRequest, HttpRequest};
use domain::catalogue::Governed;
use domain::{
    ApplicationId, ExecutionId, InvitationId, KeyId, LevelName, SessionId, Slug, TransactionId, UserId,
    UserRef, WalletPath,
};
use uuid::Uuid;

use crate::field::Checked;
use crate::problem::{Code, Problem, code};

/// The wallet that the address names; `:` and `@` may be percent-encoded.
#[derive(Debug)]
pub struct WalletAt(pub WalletPath);

/// The transaction that the address names.
#[derive(Debug)]
pub struct TransactionAt(pub TransactionId);

/// The tenant that the address names.
#[derive(Debug)]
pub struct TenantAt(pub Slug);

/// The one variable segment of the path, decoded; `None` where it is not UTF-8.
fn segment(request: &HttpRequest) -> Option<String> {
    Path::<String>::extract(request).into_inner().ok().map(Path::into_inner)
}

impl FromRequest for WalletAt {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let path = WalletPath::check(&segment(request).unwrap_or_default());
        ready(path.map(Self).map_err(|wrong| Problem::from(wrong).at("path")))
    }
}

impl FromRequest for TransactionAt {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    /// What is not an id is not the id of a transaction.
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = segment(request).and_then(|text| Uuid::try_parse(&text).ok());
        let absent = || Problem::new(code::TRANSACTION_NOT_FOUND, "the transaction does not exist");
        ready(id.map(|id| Self(TransactionId(id))).ok_or_else(absent))
    }
}

impl FromRequest for TenantAt {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let slug = Slug::check(&segment(request).unwrap_or_default());
        ready(slug.map(Self).map_err(|wrong| Problem::from(wrong).at("slug")))
    }
}

/// The provider that the address names.
#[derive(Debug)]
pub struct ProviderAt(pub String);

impl FromRequest for ProviderAt {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let absent = || Problem::new(code::PROVIDER_NOT_FOUND, "there is no such provider");
        ready(segment(request).map(Self).ok_or_else(absent))
    }
}

/// What the address names, by a name of this kind.
#[derive(Debug)]
pub struct Named<T>(pub T);

impl<T: Checked> FromRequest for Named<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let name = T::check(&segment(request).unwrap_or_default());
        ready(name.map(Self).map_err(|wrong| Problem::from(wrong).at("name")))
    }
}

/// The level, user or wallet that the address names. What it is is asked by the handler: who has no credential is not told.
#[derive(Debug)]
pub struct GovernedAt {
    kind: String,
    name: String,
}

impl GovernedAt {
    /// For whom a policy is.
    pub fn governed(&self) -> Result<Governed, Problem> {
        let governed = match self.kind.as_str() {
            "level" => LevelName::check(&self.name).map(Governed::Level),
            "user" => UserRef::check(&self.name).map(Governed::User),
            "wallet" => WalletPath::check(&self.name).map(Governed::Wallet),
            _ => {
                let detail = "a policy is for a level, a user or a wallet";
                return Err(Problem::new(code::POLICY_NOT_FOUND, detail));
            }
        };
        governed.map_err(|wrong| Problem::from(wrong).at("name"))
    }
}

impl FromRequest for GovernedAt {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let parts = Path::<(String, String)>::extract(request).into_inner().ok().map(Path::into_inner);
        let (kind, name) = parts.unwrap_or_default();
        ready(Ok(Self { kind, name }))
    }
}

/// What is not an id is the id of nothing.
fn id(text: Option<&str>, absent: Code) -> Result<Uuid, Problem> {
    let id = text.and_then(|text| Uuid::try_parse(text).ok());
    id.ok_or_else(|| Problem::new(absent, "there is nothing with this id"))
}

macro_rules! at {
    ($($(#[$meta:meta])* $at:ident $id:ident $name:literal $absent:ident;)*) => {
        $(
            $(#[$meta])*
            #[derive(Debug)]
            pub struct $at(pub $id);

            impl FromRequest for $at {
                type Error = Problem;
                type Future = Ready<Result<Self, Problem>>;

                fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                    ready(id(request.match_info().get($name), code::$absent).map($id).map(Self))
                }
            }
        )*
    };
}

at! {
    /// The user that the address names as `{user}`.
    MemberAt UserId "user" MEMBER_NOT_FOUND;
    /// The user that the address names as `{id}`.
    UserAt UserId "id" USER_NOT_FOUND;
    /// The session that the address names.
    SessionAt SessionId "id" SESSION_NOT_FOUND;
    /// The invitation that the address names.
    InvitationAt InvitationId "id" INVITATION_NOT_FOUND;
    /// The execution that the address names.
    ExecutionAt ExecutionId "id" EXECUTION_NOT_FOUND;
    /// The application that the address names.
    ApplicationAt ApplicationId "id" APPLICATION_NOT_FOUND;
}

/// The key that the address names, of an application.
#[derive(Debug)]
pub struct KeyAt {
    /// The application.
    pub application: ApplicationId,
    /// The key.
    pub key: KeyId,
}

impl FromRequest for KeyAt {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let part = |name| request.match_info().get(name);
        let application = id(part("id"), code::APPLICATION_NOT_FOUND).map(ApplicationId);
        let key = id(part("key"), code::KEY_NOT_FOUND).map(KeyId);
        ready(application.and_then(|application| Ok(Self { application, key: key? })))
    }
}
