//! The ledger in a world that one number decides: the real pipeline, relay, sweeper and projectors over simulated
//! servers, a simulated clock and a network on which everything goes wrong. docs/RELIABILITY.md says what is
//! simulated and how; a seed that fails is run again by the command that it prints.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test stops at the first surprise, and its report is for a reader"
)]

#[path = "simulation/broker.rs"]
mod broker;
#[path = "simulation/chance.rs"]
mod chance;
#[path = "simulation/check.rs"]
mod check;
#[path = "simulation/contract.rs"]
mod contract;
#[path = "simulation/history.rs"]
mod history;
#[path = "simulation/node.rs"]
mod node;
#[path = "simulation/run.rs"]
mod run;
#[path = "simulation/sequential.rs"]
mod sequential;
#[path = "simulation/store.rs"]
mod store;
#[path = "simulation/views.rs"]
mod views;
#[path = "simulation/workload.rs"]
mod workload;
#[path = "simulation/world.rs"]
mod world;

mod support;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use run::{Report, run};
use tokio::time::Instant;

/// Commands that the clients of one seed ask for, retries not counted.
const COMMANDS: usize = 4_000;

/// Fails with all that was broken, and with how to see it again.
fn assert_kept(report: &Report) {
    let first: Vec<_> = report.violations.iter().take(10).collect();
    assert!(
        report.violations.is_empty(),
        "seed {} breaks {} promises:\n{first:#?}\n{}",
        report.seed,
        report.violations.len(),
        again(report),
    );
}

fn again(report: &Report) -> String {
    format!("again: SIMULATE_SEED={} SIMULATE_COMMANDS={} make simulate", report.seed, report.asked)
}

#[test]
fn every_promise_is_kept_whatever_goes_wrong() {
    for seed in 0..24 {
        assert_kept(&run(seed, 150));
    }
}

#[test]
fn a_seed_decides_everything() {
    for seed in [3, 5, 11] {
        assert_eq!(run(seed, 250), run(seed, 250), "two runs of seed {seed}");
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// `make simulate`: seeds from `SIMULATE_FIRST` on for `SIMULATE_SECONDS`, or `SIMULATE_SEED` alone.
#[test]
#[ignore = "runs for as long as it is told to"]
fn as_many_seeds_as_there_is_time_for() {
    let commands = number("SIMULATE_COMMANDS").map_or(COMMANDS, |count| usize::try_from(count).unwrap());
    if let Some(seed) = number("SIMULATE_SEED") {
        let report = run(seed, commands);
        println!("{report:#?}");
        return assert_kept(&report);
    }
    let time = Duration::from_secs(number("SIMULATE_SECONDS").unwrap_or(60));
    let first = number("SIMULATE_FIRST").unwrap_or(0);
    let (next, total) = (AtomicU64::new(first), Mutex::new(Total::default()));
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while began.elapsed() < time {
                    let report = run(next.fetch_add(1, Ordering::Relaxed), commands);
                    total.lock().unwrap().add(report);
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    total.print(first, threads, began.elapsed());
    for report in &total.failed {
        println!("{}", again(report));
    }
    total.failed.iter().for_each(assert_kept);
}

/// What many seeds came to.
#[derive(Default)]
struct Total {
    seeds: u64,
    commands: usize,
    accepted: usize,
    refused: BTreeMap<&'static str, u64>,
    unanswered: usize,
    events: i64,
    faults: BTreeMap<&'static str, u64>,
    failed: Vec<Report>,
}

impl Total {
    fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.commands += report.commands;
        self.accepted += report.accepted;
        for (code, count) in &report.refused {
            *self.refused.entry(code).or_default() += count;
        }
        self.unanswered += report.unanswered;
        self.events += report.events;
        for (name, count) in &report.faults {
            *self.faults.entry(name).or_default() += count;
        }
        if !report.violations.is_empty() {
            self.failed.push(report);
        }
    }

    fn print(&self, first: u64, threads: usize, time: Duration) {
        let milliseconds = u64::try_from(time.as_millis()).unwrap().max(1);
        let per_minute = u64::try_from(self.commands).unwrap() * 60_000 / milliseconds;
        println!("seeds {first}..{} on {threads} threads in {} s", first + self.seeds, time.as_secs());
        println!("{} commands, {per_minute} a minute, {} events", self.commands, self.events);
        let refused: u64 = self.refused.values().sum();
        println!("{} accepted, {refused} refused, {} unanswered", self.accepted, self.unanswered);
        println!("  refused: {:?}", self.refused);
        for (name, count) in &self.faults {
            println!("  {count:>9} times {name}");
        }
        println!("{} seeds failed", self.failed.len());
    }
}
