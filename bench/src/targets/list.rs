//! The list of targets.

use projections::Kind;

use super::{Bound, Measure, Quantity, TRANSFER, Target, ceiling};
use crate::growth::size;
use crate::measure::Case;

fn quantile(part: &'static str, name: impl Into<String>, callers: usize, quantile: f64) -> Quantity {
    Quantity { case: Case::new(part, name, callers), measure: Measure::Quantile(quantile), times: 1.0 }
}

fn rate(part: &'static str, name: impl Into<String>, callers: usize) -> Quantity {
    Quantity { case: Case::new(part, name, callers), measure: Measure::Rate, times: 1.0 }
}

fn at_least(bound: f64, claim: impl Into<String>, of: Quantity, over: Quantity) -> Target {
    Target { claim: claim.into(), of, over: vec![over], bound: Bound::AtLeast(bound) }
}

/// The whole list.
pub fn all() -> Vec<Target> {
    let mut targets = journal();
    targets.extend(pipeline());
    targets.extend(http());
    targets.extend(peers());
    targets.extend(minute());
    targets.extend(lag());
    targets.extend(growth());
    targets
}

fn journal() -> Vec<Target> {
    let sizes = crate::ceiling::CONNECTIONS
        .into_iter()
        .flat_map(|connections| crate::ceiling::SIZES.into_iter().map(move |size| (size, connections)));
    sizes
        .map(|(size, connections)| {
            at_least(
                0.8,
                format!("journal append of {size} on {connections} connections, of the ceiling"),
                rate("journal", format!("append of {size}"), connections),
                rate("ceiling", format!("unnest of {size}"), connections),
            )
        })
        .collect()
}

/// Names of cases that several parts have.
const UNIFORM: &str = "transfers, 1,000 wallets";
const HOT: &str = "transfers, one hot wallet";
const BULK: &str = "1000 transfers a call";

fn pipeline() -> Vec<Target> {
    let ceiling = || Quantity { case: ceiling(), measure: Measure::Rate, times: 1.0 };
    let mut targets = Vec::new();
    for (callers, bound) in [(64, 0.45), (256, 0.6), (1_024, 0.6)] {
        let claim = format!("pipeline events from {callers} callers, of the ceiling");
        let events = rate("pipeline", UNIFORM, callers).times(TRANSFER);
        targets.push(at_least(bound, claim, events, ceiling()));
    }
    for callers in [64, 256, 1_024] {
        let uniform = rate("pipeline", UNIFORM, callers);
        let more = [
            (HOT, 0.9, "a hot wallet, of uniform", 1.0),
            (
                "transfers, more wallets than the cache holds",
                0.5,
                "ten times the wallets that the cache holds, of uniform",
                1.0,
            ),
            ("hold + settle", 0.45, "hold + settle, of two transfers", 0.5),
        ];
        for (name, bound, claim, times) in more {
            let claim = format!("{claim}, {callers} callers");
            let over = uniform.clone().times(times);
            targets.push(at_least(bound, claim, rate("pipeline", name, callers), over));
        }
    }
    targets
}

fn http() -> Vec<Target> {
    let mut targets = Vec::new();
    for callers in [1, 16, 64, 256] {
        let claim = format!("HTTP single transfers, of the pipeline, {callers} connections");
        let (of, over) = (rate("http", UNIFORM, callers), rate("pipeline", UNIFORM, callers));
        targets.push(at_least(0.6, claim, of, over));
    }
    for callers in [1, 4] {
        let claim = format!("HTTP bulk of 1,000, of the pipeline's, {callers} connections");
        targets.push(at_least(0.6, claim, rate("http", BULK, callers), rate("pipeline", BULK, callers)));
    }
    for callers in [1, 16, 64] {
        let claim = format!("balance reads, of pgbench -S, {callers} clients");
        let (of, over) = (rate("reads", "balances", callers), rate("pgbench", "select-only", callers));
        targets.push(at_least(0.4, claim, of, over));
    }
    targets
}

/// Against the faster one of the two ways in which postgres-es can store.
fn peers() -> Vec<Target> {
    let callers = crate::minute::CONNECTIONS;
    let mut targets = Vec::new();
    for (case, name, cala, postgres_es) in
        [(UNIFORM, "HTTP transfers", 6.0, 3.0), (HOT, "HTTP transfers on one hot wallet", 10.0, 50.0)]
    {
        let ours = || rate("minute", case, callers);
        let claim = |peer: &str| format!("{name}, of {peer}, {callers} connections");
        targets.push(at_least(cala, claim("cala-ledger"), ours(), rate("cala-ledger", case, callers)));
        let stores = ["", ", snapshots"].map(|store| rate("postgres-es", format!("{case}{store}"), callers));
        let bound = Bound::AtLeast(postgres_es);
        targets.push(Target { claim: claim("postgres-es"), of: ours(), over: stores.to_vec(), bound });
    }
    targets
}

fn minute() -> Vec<Target> {
    let value = |load: &str, what: &str| Quantity {
        case: crate::minute::fact(load, what),
        measure: Measure::Value,
        times: 1.0,
    };
    let mut targets = Vec::new();
    for (_, load) in crate::minute::LOADS {
        for follower in Kind::ALL.map(Kind::name).into_iter().chain(["the relay"]) {
            let lag = value(load, &format!("largest lag of {follower}"));
            let claim = format!("largest lag of {follower} in ms, a minute of {load}");
            targets.push(Target { claim, of: lag, over: Vec::new(), bound: Bound::AtMost(1_000.0) });
        }
        let claim = format!("memory of the server at the end, of that after a third, {load}");
        let (of, over) = (value(load, "memory at the end"), vec![value(load, "memory after a third")]);
        targets.push(Target { claim, of, over, bound: Bound::AtMost(1.1) });
    }
    targets
}

fn lag() -> Vec<Target> {
    let mut targets = Vec::new();
    for kind in Kind::ALL {
        let name = kind.name();
        let lag = quantile("lag", format!("{name} at two thirds of the load"), crate::lag::PACED, 0.99);
        let claim = format!("lag of {name} in ms, p99, at two thirds of the sustained load");
        targets.push(Target { claim, of: lag, over: Vec::new(), bound: Bound::AtMost(100.0) });
    }
    for kind in Kind::ALL {
        let name = kind.name();
        let bound = if kind == Kind::Balances { 50_000.0 } else { 20_000.0 };
        let rebuild = rate("lag", format!("rebuild of {name}"), 1);
        let claim = format!("rebuild of {name}, events a second");
        targets.push(Target { claim, of: rebuild, over: Vec::new(), bound: Bound::AtLeast(bound) });
    }
    targets
}

fn growth() -> Vec<Target> {
    let [small, large] = [1_000, 1_000_000].map(size);
    let cost = |what: &str, of: &str| quantile("growth", format!("{what}, {of} wallets"), 1, 0.5);
    let start = Quantity { case: crate::startup::fact(1_000_000), measure: Measure::Value, times: 1.0 };
    let claim = "start-up with a million wallets, in ms".to_owned();
    let start = Target { claim, of: start, over: Vec::new(), bound: Bound::AtMost(2_000.0) };
    let costs =
        ["command", "command with nothing cached", "balance", "page of wallets", "page of transactions"]
            .into_iter()
            .map(|what| Target {
                claim: format!("cost of a {what} with {large} wallets, of that with {small}"),
                of: cost(what, &large),
                over: vec![cost(what, &small)],
                bound: Bound::AtMost(1.3),
            });
    costs.chain([start]).collect()
}
