//! What is true: the aggregates of the ledger, their events and their rejections.
//!
//! This crate decides and folds, nothing else. It performs no I/O, reads no clock, draws no random
//! numbers, knows no SQL and no HTTP. Time arrives as an argument, ids are given or derived from names.
//!
//! Each aggregate is a [`cqrs_es::Aggregate`]: a command becomes events or a rejection, and folding an
//! event cannot fail. The three of them:
//!
//! - [`Tenant`]: who owns everything else, and which assets exist;
//! - [`Wallet`]: one balance of one asset;
//! - [`Transaction`]: an atomic set of postings between wallets, perhaps held before it is settled.
//!
//! A transaction and the wallets it touches decide separately and are committed together; the sums are
//! kept by [`transaction::legs`], which turns postings into what each wallet has to bear.

pub mod event;
mod id;
mod metadata;
mod money;
mod name;
pub mod tenant;
pub mod transaction;
pub mod wallet;

pub use event::{DecodeError, Event};
pub use id::{Partition, TenantId, TransactionId, WalletId};
pub use metadata::{Metadata, MetadataError};
pub use money::{Amount, MoneyError, Scale};
pub use name::{AssetCode, NameError, Reason, Reference, Slug, TenantName, WalletPath};
pub use tenant::Tenant;
pub use transaction::Transaction;
pub use wallet::Wallet;

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
