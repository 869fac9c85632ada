//! The gateway beside direct calls: what it adds, and what is left of the throughput.

use serde::Serialize;

use super::{Entry, Report};
use crate::gateway::Setup;
use crate::load::Side;

/// What the gateway does to calls of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Beside {
    /// Which calls: `streamed, 20 ms`.
    pub name: String,
    /// From how many connections.
    pub connections: usize,
    /// Calls a second, directly and through the gateway.
    pub per_second: [f64; 2],
    /// The second of them, of the first.
    pub ratio: f64,
    /// How much later a part of the calls is answered through the gateway than the same part directly, in milliseconds.
    pub added_ms: Added,
}

/// Differences of quantiles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Added {
    /// The median.
    pub p50: f64,
    /// Nine in ten take no longer.
    pub p90: f64,
    /// All but one in a hundred take no longer.
    pub p99: f64,
}

/// Everything that was measured on both sides.
pub fn beside(report: &Report) -> Vec<Beside> {
    Setup::all()
        .flat_map(|setup| [false, true].map(|first| (setup, first)))
        .filter_map(|(setup, first)| {
            let entry = |side| report.entry(&setup.case(side, first));
            compared(entry(Side::Direct)?, entry(Side::Gateway)?)
        })
        .collect()
}

fn compared(direct: &Entry, gateway: &Entry) -> Option<Beside> {
    let added = |part| Some(gateway.quantile(part)? - direct.quantile(part)?);
    let [of, over] = [gateway.median(), direct.median()];
    Some(Beside {
        name: direct.case.name.strip_suffix(": direct")?.to_owned(),
        connections: direct.case.callers,
        per_second: [over, of],
        ratio: of / over.max(1e-9),
        added_ms: Added { p50: added(0.5)?, p90: added(0.9)?, p99: added(0.99)? },
    })
}
