//! What a handler is given: who asks, for what, and the part of the ledger that is theirs. There is no other way
//! to the pipeline or the read models, so a handler cannot reach another tenant.

mod body;
mod headers;
mod path;
mod query;
mod read;
pub mod sdk;
mod visitor;
mod write;
mod writer;

#[cfg(test)]
pub use body::parse;
pub use body::{Document, Nothing};
pub use headers::{POSITION, REPLAYED, REQUEST_ID, Repeatable, RequestId, sane_request_id};
pub use path::{
    ApplicationAt, ExecutionAt, GovernedAt, InvitationAt, KeyAt, MemberAt, Named, ProviderAt, SessionAt,
    TenantAt, TransactionAt, UserAt, WalletAt,
};
pub use query::{After, Limit, NoQuery, Parameters};
pub use read::{Platform, Read, View, state};
pub use visitor::{Anonymous, AnonymousAsking, Asks, Operate, Person, PersonAsks};
pub use write::{Write, Writer};
