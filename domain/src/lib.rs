//! What is true: the aggregates of the ledger, their events and their rejections.
//!
//! This crate decides and folds, nothing else. It performs no I/O, reads no clock, draws no random
//! numbers, knows no SQL and no HTTP. Time arrives as an argument, ids are given or derived from names.
//!
//! Each aggregate is a [`cqrs_es::Aggregate`]: a command becomes events or a rejection, and folding an
//! event cannot fail. The ledger has three:
//!
//! - [`Tenant`]: who owns everything else, and which assets exist;
//! - [`Wallet`]: one balance of one asset;
//! - [`Transaction`]: an atomic set of postings between wallets, perhaps held before it is settled.
//!
//! and those who come to it have two:
//!
//! - [`User`]: a person who signs in, whose personal data is only ever here as ciphertext ([`Sealed`]);
//! - [`Application`]: a program of a tenant, and its API keys.
//!
//! What usage is, what it costs and who may use how much is decided by three more:
//!
//! - [`Catalogue`]: what a tenant offers: levels of service, policies, providers, models and prices;
//! - [`Allowance`]: what a wallet was granted, and what it owes;
//! - [`Execution`]: one metered call, from its request to its settlement.
//!
//! A transaction and the wallets it touches decide separately and are committed together; the sums are
//! kept by [`transaction::legs`], which turns postings into what each wallet has to bear.

pub mod allowance;
pub mod application;
pub mod backtest;
pub mod catalogue;
mod change;
pub mod event;
pub mod execution;
mod id;
mod metadata;
mod money;
mod name;
mod price;
mod role;
mod secret;
pub mod tenant;
pub mod transaction;
mod usage;
pub mod user;
pub mod wallet;
mod web;

pub use allowance::Allowance;
pub use application::Application;
pub use catalogue::Catalogue;
pub use change::Change;
pub use event::{DecodeError, Event};
pub use execution::Execution;
pub use id::{
    AllowanceId, ApplicationId, CatalogueId, ExecutionId, GrantId, InvitationId, KeyId, Partition, SessionId,
    SubjectId, TenantId, TransactionId, UserId, WalletId,
};
pub use metadata::{Metadata, MetadataError};
pub use money::{Amount, MoneyError, Scale};
pub use name::{
    AssetCode, Description, FeatureName, Label, LevelName, ModelName, NameError, ProviderName, Reason,
    Reference, Slug, TenantName, UserRef, WalletPath, ZoneName,
};
pub use price::{Price, Rates};
pub use role::Role;
pub use secret::{Digest, PublicId, Sealed};
pub use tenant::Tenant;
pub use transaction::Transaction;
pub use usage::{MOST_TOKENS, Usage, UsageSource};
pub use user::User;
pub use wallet::Wallet;
pub use web::{Colour, DomainName, Network, WebAddress};

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Where the time comes from. The program has one implementation that reads the machine's clock; tests
/// bring their own.
pub trait Clock: Send + Sync {
    /// The present moment, truncated to microseconds, the finest that the journal keeps.
    fn now(&self) -> DateTime<Utc>;
}

/// Where new ids come from.
pub trait Ids: Send + Sync {
    /// An id that was never returned before. Ids that sort by time keep the journal's indexes compact.
    fn next(&self) -> Uuid;
}

/// The moment in which a command is decided; the `Services` of every aggregate. It becomes the
/// `recorded_at` of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub DateTime<Utc>);
