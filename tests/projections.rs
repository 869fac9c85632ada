//! The read models on a real Postgres and a real nats-server: they equal the fold of the journal, whatever
//! happened on the way.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

#[path = "projections/faults.rs"]
mod faults;
#[path = "projections/gathered.rs"]
mod gathered;
#[path = "projections/holds.rs"]
mod holds;
#[path = "projections/isolation.rs"]
mod isolation;
#[path = "projections/people.rs"]
mod people;
#[path = "projections/points_in_time.rs"]
mod points_in_time;
#[path = "projections/rebuilds.rs"]
mod rebuilds;
#[path = "projections/snapshots.rs"]
mod snapshots;
#[path = "projections/views.rs"]
mod views;
#[path = "projections/world.rs"]
mod world;
