//! Random commands to each aggregate, judged by a model of a few lines: the same decisions with the same codes, the
//! same state afterwards; and whatever was decided, its events alone, or a snapshot and the events behind it, give
//! the same state again, both in the form in which the database keeps them. And texts of strangers, read or refused.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

#[path = "properties/allowance.rs"]
mod allowance;
#[path = "properties/members.rs"]
mod members;
#[path = "properties/metering.rs"]
mod metering;
#[path = "properties/price.rs"]
mod price;
#[path = "properties/programs.rs"]
mod programs;
#[path = "properties/tenant.rs"]
mod tenant;
#[path = "properties/texts.rs"]
mod texts;
#[path = "properties/transaction.rs"]
mod transaction;
#[path = "properties/users.rs"]
mod users;
#[path = "properties/wallet.rs"]
mod wallet;

use std::fmt::Debug;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::{Amount, Event, Scale, event};
use proptest::test_runner::{Config, FileFailurePersistence};

/// Seeds that failed are kept beside this file, printed, and tried first from then on. `PROPTEST_CASES` asks for more
/// cases than each property tries by itself, never for fewer.
fn config(cases: u32) -> Config {
    let more = std::env::var("PROPTEST_CASES").map_or(0, |cases| cases.parse().unwrap());
    let cases = cases.max(more);
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/properties.regressions");
    Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(seeds))),
        ..Config::with_cases(cases)
    }
}

fn cents(minor: i64) -> Amount {
    Amount::from_minor(minor.into(), Scale::new(2).unwrap())
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

/// What a decision came to, in the model's words, and its event in the form in which it is read back.
fn decided<E: Event + PartialEq, R>(
    decision: Result<E, R>,
    code: impl Fn(&R) -> &'static str,
    kept: &mut Vec<E>,
) -> Result<E, &'static str> {
    let happened = decision.map_err(|rejection| code(&rejection))?;
    let payload = event::encode(&happened).unwrap();
    kept.push(event::decode(happened.kind(), E::VERSION, &payload).unwrap());
    Ok(happened)
}

fn fold<A: Aggregate<Event: Clone>>(from: A, events: &[A::Event]) -> A {
    events.iter().cloned().fold(from, |mut state, event| {
        state.apply(event);
        state
    })
}

/// The kept events give the live state again: from the first one on, and from a snapshot at every cut.
fn assert_replays<A: Aggregate<Event: Clone> + PartialEq + Debug>(kept: &[A::Event], live: &A) {
    assert_eq!(fold(A::default(), kept), *live, "replay");
    for cut in 0..=kept.len() {
        let (head, tail) = kept.split_at(cut);
        let snapshot = serde_json::to_string(&fold(A::default(), head)).unwrap();
        // As jsonb the order of the fields is lost.
        let snapshot: serde_json::Value = serde_json::from_str(&snapshot).unwrap();
        let snapshot: A = serde_json::from_str(&snapshot.to_string()).unwrap();
        assert_eq!(fold(snapshot, tail), *live, "a snapshot after {cut} events, and the rest");
    }
}
