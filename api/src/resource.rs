//! How resources look in JSON. One renderer each, for the answers of commands and of questions alike, so that
//! both give the same.

mod asset;
mod balance;
mod journal;
mod list;
mod tenant;
mod transaction;
mod wallet;

pub use asset::AssetBody;
pub use balance::{BalanceBody, SumBody, SumsBody, TrialBalanceBody, TrialBody};
pub use journal::{AuditBody, EntryBody, EventBody};
pub use list::List;
pub use tenant::TenantBody;
pub use transaction::TransactionBody;
pub use wallet::WalletBody;
