//! The tables, as Markdown that can be read as it stands.

use std::fmt::Write as _;

use super::beside::beside;
use super::{Entry, Environment, Report};
use crate::measure::Case;
use crate::targets::{Verdict, events_of};

/// Every case with its rate, its times, and how it compares with the ceiling; then all other facts.
pub fn markdown(report: &Report) -> String {
    let ceiling = report.entry(&crate::targets::ceiling()).map(Entry::median);
    let mut rows = vec![
        ["part", "case", "callers", "per second", "rounds", "p50", "p90", "p99", "max", "of the ceiling"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for entry in report.entries() {
        let Case { part, name, callers } = &entry.case;
        let lowest = entry.rates.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = entry.rates.iter().copied().fold(0.0, f64::max);
        let share = match (ceiling, events_of(part, entry.unit)) {
            (Some(ceiling), Some(events)) => format!("{:.2}", entry.median() * events / ceiling),
            _ => String::new(),
        };
        rows.push(vec![
            (*part).to_owned(),
            name.clone(),
            callers.to_string(),
            format!("{} {}", grouped(entry.median()), entry.unit),
            format!("{} - {}", grouped(lowest), grouped(highest)),
            time(entry.quantile(0.5)),
            time(entry.quantile(0.9)),
            time(entry.quantile(0.99)),
            time(entry.quantile(1.0)),
            share,
        ]);
    }
    let mut text = table(&rows);
    if !report.facts().is_empty() {
        let mut rows = vec![["part", "what", "value"].map(str::to_owned).to_vec()];
        for fact in report.facts() {
            let value = format!("{} {}", number(fact.median()), fact.unit);
            rows.push(vec![fact.case.part.to_owned(), fact.case.name.clone(), value]);
        }
        text.push('\n');
        text.push_str(&table(&rows));
    }
    text
}

/// Where and with what the run took place.
pub fn environment_markdown(environment: &Environment) -> String {
    let settings: Vec<String> =
        environment.settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    // The rest of what PostgreSQL says is how it was compiled.
    let postgres: Vec<&str> = environment.postgres.split(' ').take(2).collect();
    format!(
        "Run of {} UTC ({}), commit {}.\n\n\
         - {}, {} threads, {} MiB of memory, {}; a flush of 8 KiB takes {:.0} us\n\
         - {}: {}\n\
         - {}\n",
        environment.date,
        environment.extent,
        environment.commit,
        environment.processor,
        environment.cores,
        environment.memory_mib,
        environment.kernel,
        environment.flush_us,
        postgres.join(" "),
        settings.join(", "),
        environment.nats,
    )
}

/// Every target with what was measured and whether it was reached.
pub fn targets_markdown(verdicts: &[Verdict]) -> String {
    let mut rows = vec![["target", "bound", "measured", "verdict"].map(str::to_owned).to_vec()];
    for verdict in verdicts {
        let measured = verdict.value.map_or_else(String::new, number);
        rows.push(vec![verdict.claim.clone(), verdict.bound.to_string(), measured, verdict.words()]);
    }
    table(&rows)
}

/// What the gateway adds to direct calls; nothing where it was not measured.
pub fn beside_markdown(report: &Report) -> String {
    let mut rows = vec![
        [
            "through the gateway",
            "connections",
            "direct",
            "gateway",
            "ratio",
            "added, p50",
            "added, p90",
            "added, p99",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    rows.extend(beside(report).into_iter().map(|row| {
        let [direct, gateway] = row.per_second.map(|rate| format!("{} calls/s", grouped(rate)));
        let added = row.added_ms;
        let mut cells =
            vec![row.name, row.connections.to_string(), direct, gateway, format!("{:.3}", row.ratio)];
        cells.extend([added.p50, added.p90, added.p99].map(|added| time(Some(added))));
        cells
    }));
    if rows.len() > 1 { table(&rows) } else { String::new() }
}

/// Rows under a heading, the first row, with columns as wide as they need to be.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            let numeric = column > 1 && index > 0 && cell.starts_with(|first: char| first.is_ascii_digit());
            if numeric { format!("{cell:>width$}") } else { format!("{cell:width$}") }
        });
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} |", cells.collect::<Vec<_>>().join(" | "));
        if index == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            let _ = writeln!(text, "| {} |", rules.join(" | "));
        }
    }
    text
}

/// A time in milliseconds, in the unit that reads best.
fn time(milliseconds: Option<f64>) -> String {
    match milliseconds {
        None => String::new(),
        Some(time) if time.abs() < 1.0 => format!("{:.0} us", time * 1_000.0),
        Some(time) if time.abs() < 100.0 => format!("{time:.1} ms"),
        Some(time) => format!("{time:.0} ms"),
    }
}

fn number(value: f64) -> String {
    if value.abs() >= 1_000.0 { grouped(value) } else { format!("{value:.2}") }
}

/// A whole number with commas between its thousands.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_told_apart() {
        assert_eq!(grouped(7.4), "7");
        assert_eq!(grouped(999.6), "1,000");
        assert_eq!(grouped(1_234_567.0), "1,234,567");
    }
}
