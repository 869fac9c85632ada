//! Puts the last run into docs/PERFORMANCE.md: its tables between two markers, its plots beside it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::measure::Failure;

const BEGIN: &str = "<!-- the last run begins -->";
const END: &str = "<!-- the last run ends -->";
/// The plots, with what they show.
const PLOTS: [(&str, &str); 4] = [
    ("throughput.svg", "Transfers per second against callers"),
    ("latency.svg", "Latency distributions"),
    ("gateway.svg", "Latency distributions of calls of a model, directly and through the gateway"),
    ("growth.svg", "Cost by the size of the ledger"),
];

/// Copies what lies in `results` into `document`, and the plots into the directory `performance` beside it.
///
/// # Errors
/// There is no run in `results`, or the document has no markers.
pub fn publish(results: &Path, document: &Path) -> Result<(), Failure> {
    let tables = fs::read_to_string(results.join("bench.md"))
        .map_err(|error| format!("{}: {error}; is there a run?", results.display()))?;
    let plots = document.with_file_name("performance");
    fs::create_dir_all(&plots)?;
    let mut run = tables;
    for (file, title) in PLOTS {
        let from = results.join(file);
        if from.exists() {
            fs::copy(&from, plots.join(file))?;
            writeln!(run, "\n![{title}](performance/{file})")?;
        }
    }
    let text = fs::read_to_string(document)?;
    fs::write(document, between(&text, &run)?)?;
    Ok(())
}

/// The text with `run` between its markers.
fn between(text: &str, run: &str) -> Result<String, Failure> {
    let missing = || format!("the document has no place for the run: {BEGIN} and {END}");
    let (before, rest) = text.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", run.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_between_the_markers_is_replaced() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb");
        let new = between(&text, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\n\nnew\n\n{END}\nb"));
        assert_eq!(between(&new, "new").unwrap(), new);
        between("no markers", "new").unwrap_err();
    }
}
