//! A tenant's programs, and the keys they call with.

pub mod change;
pub mod create;
pub mod keys;
pub mod list;
