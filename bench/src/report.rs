//! What was measured, round by round, and what it comes to.

use std::collections::BTreeMap;
use std::io::Write as _;

use hdrhistogram::Histogram;

use crate::measure::{Case, Failure, Sample};

/// All samples of a run.
#[derive(Debug, Default)]
pub struct Report {
    cases: BTreeMap<Case, Vec<Sample>>,
}

impl Report {
    /// Takes a sample.
    pub fn add(&mut self, sample: Sample) {
        self.cases.entry(sample.case.clone()).or_default().push(sample);
    }

    /// The median of a case's rounds, in units per second.
    pub fn median(&self, case: &Case) -> Option<f64> {
        let mut rates: Vec<f64> = self.cases.get(case)?.iter().map(|sample| sample.per_second).collect();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    }

    /// Writes a line for each case to standard output.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn print(&self) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        for (case, samples) in &self.cases {
            let unit = samples.first().map_or("", |sample| sample.unit);
            let (rate, taken) = (self.median(case).unwrap_or_default(), self.latencies(case)?);
            let (p50, p99) = (taken.value_at_quantile(0.5), taken.value_at_quantile(0.99));
            writeln!(
                out,
                "{:10} {:30} {:5} callers {rate:10.0} {unit}/s  p50 {p50} us, p99 {p99} us",
                case.part, case.name, case.callers
            )?;
        }
        Ok(())
    }

    /// The latencies of all rounds of a case together, in microseconds.
    ///
    /// # Errors
    /// None: all histograms have the same bounds.
    pub fn latencies(&self, case: &Case) -> Result<Histogram<u64>, Failure> {
        let mut all = crate::measure::latencies()?;
        for sample in self.cases.get(case).into_iter().flatten() {
            all.add(&sample.latencies)?;
        }
        Ok(all)
    }
}
