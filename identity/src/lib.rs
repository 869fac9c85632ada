//! Who somebody is, and what must be forgettable: keys, passwords, sessions, secrets.
//!
//! Facts about people are events (see the domain); here is what has to change or to go: accounts and their passwords,
//! sessions, one-time tokens, second factors, links with OpenID providers. Every table of schema `identity` is written
//! here and nowhere else, on a pool that acts as `journal::Role::Identity`. It knows no HTTP server and no commands.

pub mod access_log;
pub mod accounts;
mod chain;
pub mod invited;
pub mod kept;
pub mod key_uses;
pub mod mail;
pub mod oidc;
pub mod one_time;
pub mod password;
pub mod sessions;
pub mod signing;
pub mod token;
pub mod totp;
pub mod vault;

pub use accounts::Accounts;
pub use kept::KeptResponses;
pub use mail::{Mail, Mailer};
pub use oidc::Oidc;
pub use one_time::{OneTime, OneTimeUse};
pub use password::Passwords;
pub use sessions::Sessions;
pub use token::Token;
pub use totp::SecondFactor;
