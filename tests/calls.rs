//! The gateway over real HTTP, with fake providers that speak the providers' own formats and fail in every way.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
#![expect(clippy::print_stdout, reason = "a test of kills says what each kill met")]

mod support;

#[path = "calls/doors.rs"]
mod doors;
#[path = "calls/faults.rs"]
mod faults;
#[path = "calls/instances.rs"]
mod instances;
#[path = "calls/kills.rs"]
mod kills;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "gateway/provider.rs"]
mod provider;
#[path = "calls/providers.rs"]
mod providers;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "support/http.rs"]
mod server;
#[path = "calls/slow.rs"]
mod slow;
#[path = "calls/trace.rs"]
mod trace;
#[path = "calls/world.rs"]
mod world;
