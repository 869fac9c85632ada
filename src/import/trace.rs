//! The rows of a usage trace, read one line at a time.
//!
//! A line is a record: no field of a trace holds a line end, so an unbalanced quote spoils its own line and no
//! other. What is kept between lines is one count per distinct row (needed to tell identical requests apart), so
//! memory grows with the number of different rows and not with the length of lines.

use std::collections::HashMap;
use std::io::{self, BufRead};

use chrono::{DateTime, Utc};
use thiserror::Error;

mod line;
mod timestamp;

use line::{Line, Lines};

/// The longest line that is looked at, in bytes, its line end not counted.
pub const MAX_LINE: usize = 64 * 1024;

const COLUMNS: [&str; 3] = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"];

/// What a row says: when a request was made and what it used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Usage {
    /// When the request was made, whole microseconds.
    pub at: DateTime<Utc>,
    /// Tokens that went in.
    pub context_tokens: u64,
    /// Tokens that came out.
    pub generated_tokens: u64,
}

/// A row and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its line in the file, the header being line 1.
    pub line: u64,
    /// What it says.
    pub usage: Usage,
    /// How many rows before it say the same.
    pub occurrence: u64,
}

/// A line that is not a row, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct BadRow {
    /// The line in the file, the header being line 1.
    pub line: u64,
    /// What is wrong with it, in words for the person who has to mend it.
    pub reason: String,
}

/// Why a file is not a trace at all.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The file cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// The first line does not name the columns.
    #[error("the first line must name the columns TIMESTAMP, ContextTokens and GeneratedTokens: {0}")]
    Header(String),
}

/// An open trace; as an iterator it yields every row, good or bad, until the end or an error of reading.
pub struct Trace<R> {
    lines: Lines<R>,
    columns: Columns,
    seen: HashMap<Usage, u64>,
    failed: bool,
}

/// Where the columns stand, and how many fields a record has.
#[derive(Debug, Clone, Copy)]
struct Columns {
    timestamp: usize,
    context: usize,
    generated: usize,
    count: usize,
}

impl<R: BufRead> Trace<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When nothing can be read, or the first line does not name each column once.
    pub fn open(reader: R) -> Result<Self, TraceError> {
        let mut lines = Lines::new(reader, MAX_LINE);
        let header = match lines.next_line()? {
            Line::End => return Err(TraceError::Header("the file is empty".to_owned())),
            Line::TooLong => return Err(TraceError::Header("it is too long".to_owned())),
            Line::Text(text) => text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
        };
        let columns = Columns::find(header).map_err(TraceError::Header)?;
        Ok(Self { lines, columns, seen: HashMap::new(), failed: false })
    }
}

/// The number of lines after the header that are not blank, for the progress bar.
///
/// # Errors
/// When the reader fails.
pub fn count_rows(reader: impl BufRead) -> io::Result<u64> {
    let mut lines = Lines::new(reader, MAX_LINE);
    let mut rows = 0_u64;
    loop {
        match lines.next_line()? {
            Line::End => return Ok(rows.saturating_sub(1)),
            Line::Text(text) if text.trim_ascii().is_empty() => {}
            Line::Text(_) | Line::TooLong => rows += 1,
        }
    }
}

impl<R: BufRead> Iterator for Trace<R> {
    type Item = io::Result<Result<Row, BadRow>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let parsed = loop {
            match self.lines.next_line() {
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
                Ok(Line::End) => return None,
                Ok(Line::TooLong) => break Err(format!("it is longer than {MAX_LINE} bytes")),
                Ok(Line::Text(text)) if text.trim_ascii().is_empty() => {}
                Ok(Line::Text(text)) => break self.columns.usage(text),
            }
        };
        let line = self.lines.number();
        Some(Ok(match parsed {
            Err(reason) => Err(BadRow { line, reason }),
            Ok(usage) => {
                let count = self.seen.entry(usage).or_insert(0);
                let occurrence = *count;
                *count += 1;
                Ok(Row { line, usage, occurrence })
            }
        }))
    }
}

impl Columns {
    fn find(header: &[u8]) -> Result<Self, String> {
        let fields = fields(header)?;
        let position = |name: &str| {
            let mut found = fields
                .iter()
                .enumerate()
                .filter(|(_, field)| field.trim_ascii().eq_ignore_ascii_case(name.as_bytes()));
            match (found.next(), found.next()) {
                (Some((index, _)), None) => Ok(index),
                (None, _) => Err(format!("{name} is missing")),
                (Some(_), Some(_)) => Err(format!("{name} is there more than once")),
            }
        };
        let [timestamp, context, generated] = COLUMNS;
        Ok(Self {
            timestamp: position(timestamp)?,
            context: position(context)?,
            generated: position(generated)?,
            count: fields.len(),
        })
    }

    fn usage(self, line: &[u8]) -> Result<Usage, String> {
        let fields = fields(line)?;
        if fields.len() != self.count {
            return Err(format!("{} fields where the header has {}", fields.len(), self.count));
        }
        let field = |index: usize, name: &str| {
            std::str::from_utf8(fields.get(index).unwrap_or_default())
                .map(str::trim)
                .map_err(|_| format!("{name} is not UTF-8"))
        };
        let [timestamp, context, generated] = COLUMNS;
        let at = timestamp::parse(field(self.timestamp, timestamp)?)
            .map_err(|reason| format!("{timestamp} {reason}"))?;
        let tokens =
            |index, name: &str| tokens(field(index, name)?).map_err(|reason| format!("{name} {reason}"));
        Ok(Usage {
            at,
            context_tokens: tokens(self.context, context)?,
            generated_tokens: tokens(self.generated, generated)?,
        })
    }
}

/// Splits one line by the rules of CSV.
fn fields(line: &[u8]) -> Result<csv::ByteRecord, String> {
    if line.contains(&b'\r') {
        return Err("a carriage return in the middle of it".to_owned());
    }
    let mut record = csv::ByteRecord::new();
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(line.len().max(1))
        .from_reader(line)
        .read_byte_record(&mut record)
        .map_err(|error| error.to_string())?;
    Ok(record)
}

fn tokens(text: &str) -> Result<u64, String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.strip_prefix('-') {
        _ if digits(text) => text.parse().map_err(|_| format!("is too large: {}", shown(text))),
        Some(rest) if digits(rest) => Err(format!("is negative: {}", shown(text))),
        _ => Err(format!("is not a whole number: {}", shown(text))),
    }
}

/// A field as an error message shows it: quoted, escaped, and no longer than a line of a terminal bears.
fn shown(text: &str) -> String {
    const MOST: usize = 40;
    if text.chars().nth(MOST).is_none() {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(MOST).collect();
    format!("{start:?}...")
}

#[cfg(test)]
mod tests;
