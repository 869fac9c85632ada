//! How resources look in JSON. One renderer each, for the answers of commands and of questions alike, so that
//! both give the same.

mod access;
mod allowance;
mod analytics;
mod application;
mod asset;
mod balance;
mod catalogue;
mod execution;
mod journal;
mod list;
mod member;
mod person;
mod tenant;
mod transaction;
mod wallet;

pub use access::AccessBody;
pub use allowance::AllowanceBody;
pub use analytics::{AnalysisBody, BurnRateBody, LatencyRowBody, SpenderBody, UsageRowBody};
pub use application::{ApplicationBody, IssuedKeyBody, KeyBody};
pub use asset::AssetBody;
pub use balance::{BalanceBody, SumBody, SumsBody, TrialBalanceBody, TrialBody};
pub use catalogue::{
    LevelBody, MeteringBody, ModelBody, PolicyBody, PriceBody, ProviderBody, catalogue_of,
};
pub use execution::ExecutionBody;
pub use journal::{AuditBody, EntryBody, EventBody};
pub use list::List;
pub use member::{InvitationBody, MemberBody};
pub use person::{
    AcceptedBody, ErasedBody, MembershipBody, PersonBody, RecoveryCodesBody, SecondFactorBody, SessionBody,
    SignInBody, UserBody,
};
pub use tenant::{TenantBody, TenantProfileBody};
pub use transaction::TransactionBody;
pub use wallet::WalletBody;
