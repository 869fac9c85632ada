//! What an import did, for the person who ran it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::charge::Outcome;
use super::price::Tariff;
use super::trace::BadRow;

/// The most lines of a kind that are listed.
const MOST_LISTED: usize = 20;

/// Why an import ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Every row has been taken.
    Finished,
    /// By an interrupt.
    Interrupted,
    /// By something that would have failed every further row.
    Stopped(String),
}

/// Counts of one import.
#[derive(Debug, Default)]
pub struct Tally {
    rows: u64,
    settled: u64,
    replayed: u64,
    free: u64,
    unfinished: u64,
    bad: Listed,
    refused: Listed,
    codes: BTreeSet<String>,
    context_tokens: u128,
    generated_tokens: u128,
    cost: i128,
    cost_overflowed: bool,
}

/// The first of many lines, and how many there were.
#[derive(Debug, Default)]
struct Listed {
    first: Vec<String>,
    count: u64,
}

impl Listed {
    fn add(&mut self, line: String) {
        self.count += 1;
        if self.first.len() < MOST_LISTED {
            self.first.push(line);
        }
    }
}

impl Tally {
    /// A row was taken from the file.
    pub fn taken(&mut self) {
        self.rows += 1;
    }

    /// A line was not a row.
    pub fn bad(&mut self, row: &BadRow) {
        self.bad.add(row.to_string());
    }

    /// Rows were under way when the import ended.
    pub fn unfinished(&mut self, rows: usize) {
        self.unfinished += rows as u64;
    }

    /// A row came to its end.
    pub fn add(&mut self, outcome: Outcome) {
        let usage = match outcome {
            Outcome::Settled { usage, cost, replayed } => {
                self.settled += 1;
                self.replayed += u64::from(replayed);
                match self.cost.checked_add(cost) {
                    Some(sum) => self.cost = sum,
                    None => self.cost_overflowed = true,
                }
                usage
            }
            Outcome::Free { usage } => {
                self.free += 1;
                usage
            }
            Outcome::TooDear { row } => return self.bad(&row),
            Outcome::Refused { line, step, problem } => {
                self.refused.add(format!("line {line}: {step}: {problem}"));
                self.codes.insert(problem.code);
                return;
            }
            Outcome::Stop(_) => return self.unfinished(1),
        };
        self.context_tokens += u128::from(usage.context_tokens);
        self.generated_tokens += u128::from(usage.generated_tokens);
    }

    /// The exit status: 0 all done, 1 some rows were bad or refused, 3 stopped before the end, 130 interrupted.
    #[must_use]
    pub fn exit_status(&self, end: &End) -> u8 {
        match end {
            End::Interrupted => 130,
            End::Stopped(_) => 3,
            End::Finished if self.bad.count > 0 || self.refused.count > 0 => 1,
            End::Finished => 0,
        }
    }
}

/// A tally with what is needed to write it out.
pub struct Summary<'a> {
    /// The counts.
    pub tally: &'a Tally,
    /// How the import ended.
    pub end: &'a End,
    /// For the digits of the cost.
    pub tariff: &'a Tariff,
    /// Code of the asset.
    pub asset: &'a str,
    /// How long it took.
    pub elapsed: Duration,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = self.tally;
        writeln!(f, "rows read         {}", tally.rows)?;
        writeln!(
            f,
            "settled           {} (of these already there before: {})",
            tally.settled, tally.replayed
        )?;
        writeln!(f, "free              {}", tally.free)?;
        writeln!(f, "bad               {}", tally.bad.count)?;
        writeln!(f, "refused           {}", tally.refused.count)?;
        if tally.unfinished > 0 {
            writeln!(f, "unfinished        {}", tally.unfinished)?;
        }
        writeln!(f, "context tokens    {}", tally.context_tokens)?;
        writeln!(f, "generated tokens  {}", tally.generated_tokens)?;
        if tally.cost_overflowed {
            writeln!(f, "cost settled      more than an amount can hold")?;
        } else {
            let cost = self.tariff.decimal(tally.cost);
            writeln!(f, "cost settled      {cost} {}", self.asset)?;
        }
        let millis = self.elapsed.as_millis();
        let rate = u128::from(tally.rows) * 1000 / millis.max(1);
        writeln!(f, "time              {}.{} s, {rate} rows/s", millis / 1000, millis % 1000 / 100)?;
        self.lists(f)?;
        self.ending(f)
    }
}

impl Summary<'_> {
    fn lists(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, list) in [("bad rows", &self.tally.bad), ("refused rows", &self.tally.refused)] {
            if list.count == 0 {
                continue;
            }
            writeln!(f, "{title}:")?;
            for line in &list.first {
                writeln!(f, "  {line}")?;
            }
            let rest = list.count.saturating_sub(list.first.len() as u64);
            if rest > 0 {
                writeln!(f, "  and {rest} more")?;
            }
        }
        Ok(())
    }

    fn ending(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes = &self.tally.codes;
        if codes.contains("idempotency_key_reused") {
            writeln!(
                f,
                "idempotency_key_reused: these rows were imported before at other prices or with another \
                 --max-output-tokens. They were not charged again. To continue an import, give the values it was \
                 begun with."
            )?;
        }
        if codes.contains("insufficient_funds") {
            writeln!(
                f,
                "insufficient_funds: the wallet could not cover the most these rows could cost. Fund it and run \
                 the same command again; rows that are settled are not charged again."
            )?;
        }
        match self.end {
            End::Finished => Ok(()),
            End::Interrupted => writeln!(f, "Interrupted. {CONTINUE}"),
            End::Stopped(why) => writeln!(f, "Stopped: {why}\n{CONTINUE}"),
        }
    }
}

const CONTINUE: &str =
    "Run the same command again to continue: what is settled is recognised and not charged again.";
