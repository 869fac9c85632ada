//! What stands in the path of an address.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::web::Path;
use actix_web::{FromRequest, HttpRequest};
use domain::{Slug, TransactionId, WalletPath};
use uuid::Uuid;

use crate::field::Checked;
use crate::problem::{Problem, code};

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
