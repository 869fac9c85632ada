//! The run as a file for programs: `bench.json`.

use std::path::Path;

use serde::Serialize;

use super::Report;
use super::beside::{Beside, beside};
use crate::measure::Failure;
use crate::targets::Verdict;

/// Where and with what a run took place.
#[derive(Debug, Clone, Serialize)]
pub struct Environment {
    /// When it began, UTC.
    pub date: String,
    /// `quick`, `full` or `long`.
    pub extent: &'static str,
    /// The commit, where git knows it.
    pub commit: String,
    /// The model of the processor.
    pub processor: String,
    /// How many of its threads the program may use.
    pub cores: usize,
    /// The machine's memory, in MiB.
    pub memory_mib: u64,
    /// How long one flush of 8 KiB to the disk takes, in microseconds, median of many.
    pub flush_us: f64,
    /// The version of the operating system's kernel.
    pub kernel: String,
    /// The version of PostgreSQL.
    pub postgres: String,
    /// The version of nats-server.
    pub nats: String,
    /// Settings of PostgreSQL that the numbers depend on.
    pub settings: Vec<(String, String)>,
}

#[derive(Serialize)]
struct File<'a> {
    environment: &'a Environment,
    cases: Vec<CaseLine<'a>>,
    facts: Vec<FactLine<'a>>,
    gateway: Vec<Beside>,
    targets: &'a [Verdict],
}

#[derive(Serialize)]
struct CaseLine<'a> {
    part: &'a str,
    name: &'a str,
    callers: usize,
    unit: &'a str,
    per_second: f64,
    rounds: &'a [f64],
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<Latency>,
}

#[derive(Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

#[derive(Serialize)]
struct FactLine<'a> {
    part: &'a str,
    name: &'a str,
    unit: &'a str,
    value: f64,
    rounds: &'a [f64],
}

/// Writes everything to `path`.
///
/// # Errors
/// The file cannot be written.
pub fn write_json(
    path: &Path,
    environment: &Environment,
    report: &Report,
    targets: &[Verdict],
) -> Result<(), Failure> {
    let cases = report.entries().iter().map(|entry| CaseLine {
        part: entry.case.part,
        name: &entry.case.name,
        callers: entry.case.callers,
        unit: entry.unit,
        per_second: entry.median(),
        rounds: &entry.rates,
        latency_ms: entry.quantile(0.5).map(|p50| {
            let part = |part| entry.quantile(part).unwrap_or_default();
            Latency { p50, p90: part(0.9), p99: part(0.99), p999: part(0.999), max: part(1.0) }
        }),
    });
    let facts = report.facts().iter().map(|fact| FactLine {
        part: fact.case.part,
        name: &fact.case.name,
        unit: fact.unit,
        value: fact.median(),
        rounds: &fact.values,
    });
    let gateway = beside(report);
    let file = File { environment, cases: cases.collect(), facts: facts.collect(), gateway, targets };
    std::fs::write(path, serde_json::to_string_pretty(&file)? + "\n")?;
    Ok(())
}
