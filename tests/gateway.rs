//! The life of a call: a real ledger on one side, on the other providers that are real sockets and speak, stall, stumble
//! and break off as they are told.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

#[path = "gateway/answers.rs"]
mod answers;
#[path = "gateway/bounds.rs"]
mod bounds;
#[path = "gateway/faults.rs"]
mod faults;
#[path = "gateway/limits.rs"]
mod limits;
#[path = "gateway/notices.rs"]
mod notices;
#[path = "gateway/prices.rs"]
mod prices;
#[path = "gateway/provider.rs"]
mod provider;
#[path = "gateway/repeats.rs"]
mod repeats;
#[path = "gateway/slow.rs"]
mod slow;
#[path = "gateway/world.rs"]
mod world;
