//! The faults: the real program, PostgreSQL and nats-server as processes, under load from clients that keep every
//! answer, while all of them are killed, stopped, cut off, filled up and wiped. docs/RELIABILITY.md explains it.
//!
//! `FAULT_SEED` repeats a run and `FAULT_KILLS` says how many faults there are (`make test-faults`); without them each
//! kind of fault comes once.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable,
    reason = "a test stops at the first surprise"
)]
#![expect(clippy::print_stdout, reason = "a run of half an hour says how far it is, and which seed it tries")]

#[path = "faults/checker.rs"]
mod checker;
#[path = "faults/fault.rs"]
mod fault;
#[path = "faults/leftover_append.rs"]
mod leftover_append;
#[path = "faults/load.rs"]
mod load;
#[path = "faults/model.rs"]
mod model;
#[path = "faults/overload.rs"]
mod overload;
#[path = "faults/proxy.rs"]
mod proxy;
#[path = "faults/reader.rs"]
mod reader;
#[path = "faults/record.rs"]
mod record;
#[path = "faults/round.rs"]
mod round;
#[path = "faults/seed.rs"]
mod seed;
#[path = "faults/world.rs"]
mod world;

use counterfoil::system::SystemIds;
use domain::Ids as _;
use fault::Fault;
use round::{Totals, assert_nothing_is_lost};
use seed::Seed;
use world::Arrangement;

/// Faults between two looks of the checker.
const ROUND: usize = 10;
/// Faults in the life of one world.
const WORLD: usize = 50;

/// One world at a time: recoveries are timed, and worlds are busy.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text}")))
}

fn first_seed() -> u64 {
    number("FAULT_SEED").unwrap_or_else(|| SystemIds.next().as_u64_pair().1 % 1_000_000)
}

/// The faults of one world, by rounds.
fn plan(arrangement: Arrangement, seed: &mut Seed, faults: usize) -> Vec<Vec<Fault>> {
    let all: Vec<Fault> = (0..faults).map(|_| Fault::pick(arrangement, seed)).collect();
    all.chunks(ROUND).map(<[Fault]>::to_vec).collect()
}

/// Every kind of fault once, in an order that the seed decides.
fn each_kind_once(arrangement: Arrangement, seed: &mut Seed) -> Vec<Vec<Fault>> {
    let mut all = Fault::all(arrangement).to_vec();
    seed.shuffle(&mut all);
    all.chunks(all.len().div_ceil(2)).map(<[Fault]>::to_vec).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_whatever_is_killed() {
    let _alone = ALONE.lock().await;
    let first = first_seed();
    let Some(kills) = number("FAULT_KILLS") else {
        let mut seed = Seed::new(first);
        println!("FAULT_SEED={first}: each kind of fault once");
        let plan = each_kind_once(Arrangement::Apart, &mut seed);
        println!("{}", assert_nothing_is_lost(Arrangement::Apart, &seed, plan).await);
        return;
    };
    let mut totals = Totals::default();
    let (kills, mut number) = (usize::try_from(kills).unwrap(), first);
    // What came to nothing does not count.
    while totals.faults.done() < kills {
        let faults = (kills - totals.faults.done()).min(WORLD);
        let arrangement = if number % 3 == 2 { Arrangement::Whole } else { Arrangement::Apart };
        println!("world {arrangement:?}: FAULT_SEED={number} FAULT_KILLS={faults} make test-faults");
        let mut seed = Seed::new(number);
        let plan = plan(arrangement, &mut seed, faults);
        totals.add(assert_nothing_is_lost(arrangement, &seed, plan).await);
        println!("{totals}");
        number += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_everything_runs_in_one_process() {
    let _alone = ALONE.lock().await;
    if number("FAULT_KILLS").is_some() {
        println!("skipped: part of the long form");
        return;
    }
    let first = first_seed();
    let mut seed = Seed::new(first);
    println!("FAULT_SEED={first}: each kind of fault once, on `counterfoil up`");
    let plan = each_kind_once(Arrangement::Whole, &mut seed);
    println!("{}", assert_nothing_is_lost(Arrangement::Whole, &seed, plan).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_one_stands_still_for_longer_than_the_time_outs() {
    let _alone = ALONE.lock().await;
    if number("FAULT_KILLS").is_some() {
        println!("skipped: part of the short form");
        return;
    }
    let first = first_seed();
    println!(
        "FAULT_SEED={first}: PostgreSQL, nats-server, its connections and the program stand still for 12 s each"
    );
    let plan = fault::OUTLASTING.iter().map(|fault| vec![*fault]).collect();
    println!("{}", assert_nothing_is_lost(Arrangement::Apart, &Seed::new(first), plan).await);
}
