//! What is to be reached, as ratios within a run, and whether it was.

mod list;

use std::fmt;

use serde::{Serialize, Serializer};

use crate::measure::Case;
use crate::report::{Entry, Report};

/// The events of a transfer.
const TRANSFER: f64 = 3.0;

/// What the ceiling of a run is: 500 rows a statement, one connection.
pub fn ceiling() -> Case {
    Case::new("ceiling", "unnest of 500", 1)
}

/// How many rows of the journal one unit of a case is, for cases of our own.
pub fn events_of(part: &str, unit: &str) -> Option<f64> {
    match (part, unit) {
        ("ceiling" | "journal", _) => Some(1.0),
        ("pipeline" | "http", "transfers") => Some(TRANSFER),
        ("pipeline" | "http", "pairs") => Some(2.0 * TRANSFER),
        _ => None,
    }
}

/// A number of a run.
#[derive(Debug, Clone)]
pub struct Quantity {
    case: Case,
    measure: Measure,
    times: f64,
}

#[derive(Debug, Clone, Copy)]
enum Measure {
    /// Units in a second.
    Rate,
    /// The time within which this part of the operations was done, in milliseconds.
    Quantile(f64),
    /// A fact.
    Value,
}

impl Quantity {
    fn in_report(&self, report: &Report) -> Option<f64> {
        let value = match self.measure {
            Measure::Rate => report.entry(&self.case).map(Entry::median),
            Measure::Quantile(part) => report.entry(&self.case)?.quantile(part),
            Measure::Value => report.value(&self.case),
        };
        value.map(|value| value * self.times)
    }

    fn times(self, times: f64) -> Self {
        Self { times, ..self }
    }
}

/// Which side of a number is good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// It or more.
    AtLeast(f64),
    /// It or less.
    AtMost(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }

    fn number(self) -> f64 {
        let (Self::AtLeast(bound) | Self::AtMost(bound)) = self;
        bound
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, ">= {bound}"),
            Self::AtMost(bound) => write!(f, "<= {bound}"),
        }
    }
}

impl Serialize for Bound {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is to be reached.
#[derive(Debug, Clone)]
pub struct Target {
    claim: String,
    of: Quantity,
    /// What the number is divided by: the largest of these that was measured; by nothing where the bound is absolute.
    over: Vec<Quantity>,
    bound: Bound,
}

/// What became of a target.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// What was to be reached.
    pub claim: String,
    /// Its bound.
    pub bound: Bound,
    /// What was measured; nothing where the run did not contain it.
    pub value: Option<f64>,
}

impl Verdict {
    /// Whether it was measured and not reached.
    pub fn is_missed(&self) -> bool {
        self.value.is_some_and(|value| !self.bound.holds(value))
    }

    /// In words.
    pub fn words(&self) -> String {
        match self.value {
            None => "not measured".to_owned(),
            Some(value) if self.bound.holds(value) => "reached".to_owned(),
            Some(value) => {
                let bound = self.bound.number();
                format!("missed by {:.0} %", ((value - bound) / bound * 100.0).abs())
            }
        }
    }
}

/// Every target with what the run says to it.
pub fn judge(report: &Report) -> Vec<Verdict> {
    let verdict = |target: Target| {
        let value = target.of.in_report(report);
        let over = target.over.iter().filter_map(|over| over.in_report(report)).max_by(f64::total_cmp);
        let value = if target.over.is_empty() { value } else { value.zip(over).map(|(of, over)| of / over) };
        Verdict { claim: target.claim, bound: target.bound, value }
    };
    list::all().into_iter().map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_says_how_far_off_a_number_is() {
        let verdict = |bound, value| Verdict { claim: String::new(), bound, value };
        assert_eq!(verdict(Bound::AtLeast(0.8), Some(0.8)).words(), "reached");
        assert_eq!(verdict(Bound::AtLeast(0.8), Some(0.6)).words(), "missed by 25 %");
        assert_eq!(verdict(Bound::AtMost(100.0), Some(150.0)).words(), "missed by 50 %");
        assert_eq!(verdict(Bound::AtMost(100.0), None).words(), "not measured");
        assert!(!verdict(Bound::AtMost(100.0), None).is_missed());
        assert!(verdict(Bound::AtMost(100.0), Some(100.5)).is_missed());
    }
}
