//! What it looks like: the read models, their queries, and what keeps them up to date.
//!
//! [`Reader`] answers questions, each in one snapshot of the database and with the position it reflects. Its
//! queries cost by what they return: every list follows an index. What can be derived from the journal (a
//! wallet's entries, the audit log, a balance at a point in time) is read there and not copied.
//!
//! Queries name the tables of the read models without their schema: a rebuild fills tables of the same names
//! in another schema, found through the search path, and swaps them.

mod decoded;
mod due;
mod latency;
mod models;
mod names;
mod progress;
mod reader;
mod rebuild;
mod runtime;
mod status;
mod usage;
mod verify;

pub use decoded::{Body, Decoded};
pub use due::Due;
pub use latency::Percentiles;
pub use models::Fault;
pub use names::InvitationStatus;
pub use progress::{Kind, Mark, Progress, State};
pub use reader::{
    AllowanceFilter, AllowanceView, Analysis, ApiKeyView, ApplicationView, AssetSum, AuditFilter, AuditView,
    BalanceView, BurnRate, CatalogueView, Consumption, Dimension, EntryView, ExecutionFilter, ExecutionView,
    Granularity, Group, InvitationView, Lagging, LatencyRow, MemberView, Membership, PlatformReader,
    PointInTime, PresentedInvitation, PresentedKey, ReadError, Reader, Reflected, Spender, TenantReader,
    TenantView, TransactionFilter, TransactionView, TrialBalance, UsageFilter, UsageQuestion, UsageRow,
    UserReader, UserView, WalletFilter, WalletView, Window, WindowError,
};
pub use rebuild::{RebuildError, RebuildProgress, RebuildReport, rebuild};
pub use runtime::{
    Arrived, Feeding, Projectors, Runtime, Settings, Source, SourceError, Subscription, Views,
};
pub use status::{ProjectionStatus, status};
pub use verify::{Difference, VerifyError, VerifyProgress, VerifyReport, verify};
