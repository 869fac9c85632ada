//! What was measured, round by round, and what it comes to.

mod beside;
mod file;
mod plots;
mod table;

use std::time::Duration;

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};

use crate::measure::{Case, Failure, Sample};

pub use file::{Environment, write_json};
pub use plots::write_plots;
pub use table::{beside_markdown, environment_markdown, markdown, targets_markdown};

/// All samples of a run, in the order in which their cases first came.
pub struct Report {
    entries: Vec<Entry>,
    facts: Vec<Fact>,
    bar: ProgressBar,
}

/// The rounds of a case.
pub struct Entry {
    /// Which case.
    pub case: Case,
    /// What is counted.
    pub unit: &'static str,
    /// In a second, one for each round.
    pub rates: Vec<f64>,
    /// Of all rounds together, in microseconds.
    pub latencies: Histogram<u64>,
}

/// Something measured that is not a rate: a size, a time.
pub struct Fact {
    /// Of which case.
    pub case: Case,
    /// In what it is measured.
    pub unit: &'static str,
    /// One value for each round that measured it.
    pub values: Vec<f64>,
}

impl Report {
    /// An empty one, which shows on standard error how far the run is: it takes about `estimate`.
    ///
    /// # Errors
    /// None: the bar's template is well formed.
    pub fn new(estimate: Duration) -> Result<Self, Failure> {
        let bar = ProgressBar::new(estimate.as_secs());
        let template = "{elapsed_precise} of about {len}s [{bar:30}] {wide_msg}";
        bar.set_style(ProgressStyle::with_template(template)?.progress_chars("=> "));
        bar.enable_steady_tick(Duration::from_millis(500));
        Ok(Self { entries: Vec::new(), facts: Vec::new(), bar })
    }

    /// Says what comes next.
    pub fn announce(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
    }

    /// Corrects how long the whole run will take.
    pub fn estimate(&self, whole: Duration) {
        self.bar.set_length(whole.as_secs());
    }

    /// Takes a sample.
    pub fn add(&mut self, sample: Sample) {
        let Sample { case, unit, per_second, latencies } = sample;
        self.bar.set_position(self.bar.elapsed().as_secs());
        let Case { part, name, callers } = &case;
        self.bar.set_message(format!("{part}: {name}, {callers} callers: {per_second:.0} {unit}/s"));
        match self.entries.iter_mut().find(|entry| entry.case == case) {
            Some(entry) => {
                entry.rates.push(per_second);
                // All histograms have the same bounds, so nothing can be lost.
                let _ = entry.latencies.add(latencies);
            }
            None => self.entries.push(Entry { case, unit, rates: vec![per_second], latencies }),
        }
    }

    /// Takes something measured that is not a rate.
    pub fn fact(&mut self, case: Case, unit: &'static str, value: f64) {
        self.bar.set_position(self.bar.elapsed().as_secs());
        self.bar.set_message(format!("{}: {}: {value:.2} {unit}", case.part, case.name));
        match self.facts.iter_mut().find(|fact| fact.case == case) {
            Some(fact) => fact.values.push(value),
            None => self.facts.push(Fact { case, unit, values: vec![value] }),
        }
    }

    /// The rounds of every case.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All that is not a rate.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The rounds of one case.
    pub fn entry(&self, case: &Case) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.case == *case)
    }

    /// The median of a fact's rounds.
    pub fn value(&self, case: &Case) -> Option<f64> {
        self.facts.iter().find(|fact| fact.case == *case).map(Fact::median)
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Entry {
    /// The median of the rounds, in units per second.
    pub fn median(&self) -> f64 {
        median(&self.rates)
    }

    /// The time within which this part of the operations was done, in milliseconds; `None` where times were not taken.
    pub fn quantile(&self, part: f64) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a minute has 60,000,000 microseconds")]
        let milliseconds = self.latencies.value_at_quantile(part) as f64 / 1_000.0;
        (!self.latencies.is_empty()).then_some(milliseconds)
    }
}

impl Fact {
    /// The median of the rounds.
    pub fn median(&self) -> f64 {
        median(&self.values)
    }
}

/// The middle one; of an even number the upper of the two in the middle.
fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
