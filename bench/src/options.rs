//! What the command line takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::world::Extent;

/// Measures Counterfoil beside the database's own limits and other ledgers.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    /// Every part in under three minutes: few cases, one round
    #[arg(long, conflicts_with = "long")]
    quick: bool,
    /// The full extent, and growth up to ten million events
    #[arg(long)]
    long: bool,
    /// Only these parts; may be given several times
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
    /// Where the servers of the run keep their data: a directory that does not exist yet, and is removed at the end.
    /// By default a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where the results are written
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub out: PathBuf,
    /// Measure nothing: put the last run of --out into this document, which has markers for it
    #[arg(long, value_name = "FILE")]
    pub publish: Option<PathBuf>,
    /// Fail if a target is missed
    #[arg(long)]
    pub check: bool,
    /// What the benchmark starts itself for.
    #[command(subcommand)]
    pub hidden: Option<Hidden>,
}

/// What the benchmark starts itself for.
#[derive(Debug, Subcommand)]
pub enum Hidden {
    /// Make load: the job comes on standard input, the findings go to standard output
    #[command(hide = true)]
    Load,
    /// Answer calls of models, until standard input ends
    #[command(hide = true)]
    Provider,
}

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The best possible appends.
    Ceiling,
    /// Our append.
    Journal,
    /// Commands in process.
    Pipeline,
    /// The whole server.
    Http,
    /// Balance reads in process and over HTTP, beside pgbench.
    Reads,
    /// Calls of a model through the gateway, beside direct ones.
    Gateway,
    /// postgres-es.
    PostgresEs,
    /// cala-ledger.
    #[value(name = "cala-ledger")]
    Cala,
    /// A minute of load over HTTP: whether everything keeps up.
    Minute,
    /// Read models behind the journal, and their rebuild.
    Lag,
    /// Small and large ledgers, and how long the program takes to start on them.
    Growth,
    /// What a transfer takes on the disk and on the wire.
    Bytes,
}

impl Part {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ceiling => "ceiling",
            Self::Journal => "journal",
            Self::Pipeline => "pipeline",
            Self::Http => "http",
            Self::Reads => "reads",
            Self::Gateway => "gateway",
            Self::PostgresEs => "postgres-es",
            Self::Cala => "cala-ledger",
            Self::Minute => "minute",
            Self::Lag => "lag",
            Self::Growth => "growth",
            Self::Bytes => "bytes",
        }
    }

    /// About how long its rounds take together, for the first estimate.
    fn seconds(self, extent: Extent) -> u64 {
        let (quick, full) = match self {
            Self::Ceiling | Self::Journal => (6, 120),
            Self::Pipeline => (20, 300),
            Self::Http => (15, 260),
            Self::Reads => (12, 120),
            Self::Gateway => (25, 360),
            Self::PostgresEs => (8, 190),
            Self::Cala => (8, 150),
            Self::Lag => (20, 240),
            Self::Minute => (20, 150),
            Self::Growth => (30, 480),
            Self::Bytes => (5, 15),
        };
        if extent == Extent::Quick { quick } else { full }
    }
}

impl Options {
    /// How much is done.
    pub fn extent(&self) -> Extent {
        match (self.quick, self.long) {
            (true, _) => Extent::Quick,
            (_, true) => Extent::Long,
            _ => Extent::Full,
        }
    }

    /// What is measured, in the order of the report.
    pub fn parts(&self) -> Vec<Part> {
        let wanted = |part: &&Part| self.only.is_empty() || self.only.contains(part);
        Part::value_variants().iter().filter(wanted).copied().collect()
    }

    /// About how long that takes.
    pub fn estimate(&self) -> Duration {
        Duration::from_secs(self.parts().iter().map(|part| part.seconds(self.extent())).sum())
    }

    /// Where the servers' data lies.
    pub fn data(&self) -> PathBuf {
        let temporary = || std::env::temp_dir().join(format!("counterfoil-bench-{}", std::process::id()));
        self.data.clone().unwrap_or_else(temporary)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        Options::command().debug_assert();
        let options = Options::try_parse_from(["bench", "--quick", "--only", "lag", "--only", "http"]);
        assert_eq!(options.map(|options| options.parts()).ok(), Some(vec![Part::Http, Part::Lag]));
    }
}
