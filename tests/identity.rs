//! Accounts, sessions, one-time tokens, second factors, mail and OpenID providers, on a real PostgreSQL, a real SMTP server
//! and a real OpenID provider.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

#[path = "identity/accounts.rs"]
mod accounts;
#[path = "identity/hostile.rs"]
mod hostile;
#[path = "identity/mail.rs"]
mod mail;
#[path = "identity/one_time.rs"]
mod one_time;
#[path = "identity/provider.rs"]
mod provider;
#[path = "identity/second_factor.rs"]
mod second_factor;
#[path = "identity/sessions.rs"]
mod sessions;
#[path = "identity/smtp.rs"]
mod smtp;
#[path = "identity/tools.rs"]
mod tools;
#[path = "identity/world.rs"]
mod world;
