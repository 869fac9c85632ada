//! What calls of models came to: usage and cost, how long they took, who spends most, and how long it lasts.

pub mod burn_rate;
pub mod latency;
mod question;
pub mod top_spenders;
pub mod usage;

use std::collections::BTreeSet;

use projections::{Dimension, Granularity};

use crate::field::{Checked, Wrong};
use crate::problem::{Code, code};

pub use question::{Counted, Spenders};

/// The most rows of an answer.
const MOST_ROWS: u32 = 10_000;

/// By what calls are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dimensions(pub BTreeSet<Dimension>);

impl Checked for Dimensions {
    const CODE: Code = code::INVALID_QUERY;
    const EXPECTED: &'static str =
        "calls are told apart by application, wallet, user, provider, model and outcome, joined by commas";

    fn check(text: &str) -> Result<Self, Wrong> {
        let named = |name| Dimension::named(name).ok_or_else(|| Wrong::new(Self::CODE, Self::EXPECTED));
        text.split(',').map(named).collect::<Result<_, _>>().map(Self)
    }
}

impl Checked for Dimension {
    const CODE: Code = code::INVALID_QUERY;
    const EXPECTED: &'static str = "it is application, wallet, user, provider, model or outcome";

    fn check(text: &str) -> Result<Self, Wrong> {
        Self::named(text).ok_or_else(|| Wrong::new(Self::CODE, Self::EXPECTED))
    }
}

impl Checked for Granularity {
    const CODE: Code = code::INVALID_QUERY;
    const EXPECTED: &'static str = "a granularity is hour, day or total";

    fn check(text: &str) -> Result<Self, Wrong> {
        Self::named(text).ok_or_else(|| Wrong::new(Self::CODE, Self::EXPECTED))
    }
}
