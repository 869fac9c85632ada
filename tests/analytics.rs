//! What is told of metered calls is what the journal says and what the ledger has, to the last token and the last unit.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

#[path = "analytics/burn.rs"]
mod burn;
#[path = "analytics/lists.rs"]
mod lists;
#[path = "analytics/plans.rs"]
mod plans;
#[path = "analytics/sums.rs"]
mod sums;
#[path = "analytics/truth.rs"]
mod truth;
#[path = "analytics/world.rs"]
mod world;
