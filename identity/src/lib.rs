//! Who somebody is, and what must be forgettable: keys, passwords, sessions, secrets.

pub mod access_log;
pub mod signing;
pub mod vault;
