//! Transactions.

pub mod batch;
pub mod create;
pub mod get;
pub mod list;
pub mod step;
