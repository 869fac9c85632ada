//! Calls of models, as the ledger sees them: what was asked for, held, used and paid.

pub mod cancel;
pub mod create;
pub mod import;
pub mod list;
