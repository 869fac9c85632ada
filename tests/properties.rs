//! Random sequences of commands through the pipeline on a real Postgres: however they are cut into batches, however
//! little the writer remembers, and from whatever snapshot it begins, the answers are those of a model of a few
//! lines, and the journal is the same but for random ids.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "properties/books.rs"]
mod books;
#[path = "properties/model.rs"]
mod model;
#[path = "properties/sequence.rs"]
mod sequence;
mod support;

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use books::{Rooms, Run, Shape, in_words};
use model::Model;
use sequence::{Segment, sequences};

/// Seeds that failed are kept beside this file, printed, and tried first from then on.
fn config() -> ProptestConfig {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/properties.regressions");
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(seeds))),
        max_shrink_time: 60_000,
        ..ProptestConfig::with_cases(
            std::env::var("PROPTEST_CASES").map_or(8, |cases| cases.parse().unwrap()),
        )
    }
}

/// The same sequence one by one; in random batches with hardly any memory; in the largest batches; and by a program
/// that is started anew again and again, from snapshots anywhere in the streams. Some look every key up, some only
/// those that the journal refuses.
fn shapes(batches: Vec<usize>, cuts: Vec<usize>) -> [Shape; 4] {
    let one_by_one =
        Shape { name: "one by one", batches: vec![1], cache: 1_000, trusting: false, snapshots: None };
    let trusting = Shape { trusting: true, ..one_by_one.clone() };
    [
        Shape { name: "in random batches", batches: batches.clone(), cache: 2, ..trusting.clone() },
        Shape { name: "in one batch", batches: vec![usize::MAX], ..trusting },
        Shape { name: "from snapshots", batches, snapshots: Some(cuts), ..one_by_one.clone() },
        one_by_one,
    ]
}

/// The answers and the balances are the model's.
fn expect_of_model(sequence: &[Segment], run: &Run) {
    let mut model = Model::default();
    let mut answers = run.answers.iter();
    for segment in sequence {
        model.clock += segment.clock;
        for job in &segment.jobs {
            for (request, expected) in job.iter().zip(model.job(job)) {
                let (answer, detail) = answers.next().unwrap();
                assert_eq!(*answer, expected, "{request:?} was answered {detail}");
            }
        }
        assert_eq!(model.trial_balance(), [0, 0], "the model itself");
    }
    let known = run.wallets.iter().map(|(path, wallet)| (*path, in_words(wallet)));
    let expected = model.accounts.iter().map(|(path, account)| (*path, account.in_words()));
    assert_eq!(known.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[test]
fn however_commands_are_batched_they_come_to_what_the_model_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rooms = RefCell::new(Rooms::default());
    let batches = prop::collection::vec(1..6_usize, 1..5);
    let cuts = prop::collection::vec(0..9_usize, 1..5);
    proptest!(config(), |(sequence in sequences(), batches in batches, cuts in cuts)| {
        let [shapes @ .., one_by_one] = shapes(batches, cuts);
        let mut rooms = rooms.borrow_mut();
        let first = runtime.block_on(rooms.run(&one_by_one, &sequence));
        expect_of_model(&sequence, &first);
        for shape in shapes {
            let run = runtime.block_on(rooms.run(&shape, &sequence));
            for (run, first) in run.answers.iter().zip(&first.answers) {
                prop_assert_eq!(run, first, "an answer {}", shape.name);
            }
            prop_assert_eq!(run.answers.len(), first.answers.len());
            prop_assert_eq!(&run.events, &first.events, "the journal {}", shape.name);
        }
    });
}
