//! Lists of prices: what a file says, and where in it something is wrong.

use std::fmt;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::client::{Client, Failure, Problem};
use super::columns;

/// How many prices are sent at once.
const AT_ONCE: usize = 500;
/// The columns of a CSV file.
const COLUMNS: [&str; 9] = [
    "provider",
    "model",
    "asset",
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_long",
    "reasoning",
];
/// The first so many of them are needed, and have a value in each line.
const NEEDED: usize = 5;
/// The first so many of them say what is priced; the others are rates.
const NAMES: usize = 3;

/// A list of prices, as the API takes them, and where each stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceFile {
    file: String,
    /// The line of each price, where the file has one for each.
    lines: Option<Vec<u64>>,
    prices: Vec<Value>,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    line: Option<u64>,
    column: Option<String>,
    /// Where it stands in JSON: `prices[3].rates.input`.
    pointer: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column `{column}`")?;
        }
        if let Some(pointer) = &self.pointer {
            write!(f, ", `{pointer}`")?;
        }
        Ok(())
    }
}

/// Why prices are not imported.
#[derive(Debug, thiserror::Error)]
pub enum PriceFileError {
    /// The file is no list of prices.
    #[error("{file}{place}: {reason}")]
    Unreadable {
        /// Its name.
        file: String,
        /// Where.
        place: Place,
        /// Why not.
        reason: String,
    },
    /// The server refused one of them.
    #[error(
        "{file}{place}: {problem}\n  {}; correct it and import the file again, what is set already is left alone",
        if *.before == 0 { "nothing was set".to_owned() } else { format!("the {before} prices before it are set") }
    )]
    Refused {
        /// The name of the file.
        file: String,
        /// Where the price stands.
        place: Place,
        /// How many were set before.
        before: usize,
        /// What the server says.
        problem: Box<Problem>,
    },
    /// The server cannot be asked.
    #[error(transparent)]
    Server(#[from] Failure),
}

/// What is wrong, and where.
type Wrong = (Place, String);

impl PriceFile {
    /// Reads a file: JSON where it begins with a brace or a bracket, else CSV.
    ///
    /// # Errors
    /// [`PriceFileError::Unreadable`].
    pub fn read(file: &Path) -> Result<Self, PriceFileError> {
        let file_name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| (Place::default(), error.to_string()));
        text.and_then(|text| Self::parse(&file_name, &text))
            .map_err(|(place, reason)| PriceFileError::Unreadable { file: file_name, place, reason })
    }

    fn parse(file: &str, text: &str) -> Result<Self, Wrong> {
        let text = text.trim_start_matches('\u{feff}');
        let (lines, prices) = if text.trim_start().starts_with(['{', '[']) {
            (None, in_json(text).map_err(|reason| (Place::default(), reason))?)
        } else {
            let (lines, prices) = in_csv(text)?.into_iter().unzip();
            (Some(lines), prices)
        };
        if prices.is_empty() {
            return Err((Place::default(), "there is no price in it".to_owned()));
        }
        Ok(Self { file: file.to_owned(), lines, prices })
    }

    /// Where the price stands of which the server speaks, and how many were set before. `sent` is how many it was sent
    /// before in other parts.
    fn place_of(&self, problem: &Problem, sent: usize) -> (Place, usize) {
        let field = problem.errors.first().map_or("", |error| error.field.as_str());
        let in_part = field.strip_prefix("prices[").and_then(|rest| rest.split_once(']'));
        let named = in_part.and_then(|(index, rest)| Some((index.parse::<usize>().ok()?, rest)));
        let (index, rest, before) = match (problem.index, named) {
            (Some(index), _) => (sent + index, "", sent + index),
            // The form of all is looked at before any is set.
            (None, Some((index, rest))) => (sent + index, rest, sent),
            (None, None) => return (Place::default(), sent),
        };
        let place = match self.lines.as_ref().and_then(|lines| lines.get(index)) {
            Some(line) => {
                let last = rest.rsplit('.').next().filter(|name| COLUMNS.contains(name));
                Place { line: Some(*line), column: last.map(str::to_owned), pointer: None }
            }
            None => Place { pointer: Some(format!("prices[{index}]{rest}")), ..Place::default() },
        };
        (place, before)
    }
}

fn in_json(text: &str) -> Result<Vec<Value>, String> {
    let mut value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match value.get_mut("prices").map(Value::take) {
        Some(Value::Array(prices)) => Ok(prices),
        _ => Err("there is no list `prices` in it: {\"prices\": [...]} is expected".to_owned()),
    }
}

fn in_csv(text: &str) -> Result<Vec<(u64, Value)>, Wrong> {
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
    let unreadable = |error: csv::Error| {
        let line = error.position().map(csv::Position::line);
        (Place { line, ..Place::default() }, error.to_string())
    };
    let header = reader.headers().map_err(unreadable)?.clone();
    let first = header.position().map_or(1, |position| columns::line(text, position));
    columns::check(&header, &COLUMNS, NEEDED)
        .map_err(|(column, reason)| (Place { line: Some(first), column, ..Place::default() }, reason))?;
    let mut prices = Vec::new();
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        // Spreadsheets leave lines of commas behind.
        if record.iter().all(str::is_empty) {
            continue;
        }
        let line = record.position().map_or(0, |position| columns::line(text, position));
        let wrong = |column: Option<&str>, reason: String| {
            (Place { line: Some(line), column: column.map(str::to_owned), pointer: None }, reason)
        };
        if record.len() != header.len() {
            let reason = format!("it has {} fields, and the header names {}", record.len(), header.len());
            return Err(wrong(None, reason));
        }
        prices.push((
            line,
            price(&header, &record).map_err(|column| wrong(Some(column), "is empty".to_owned()))?,
        ));
    }
    Ok(prices)
}

/// A line as the API takes it, or the column that lacks its value.
fn price<'h>(header: &'h csv::StringRecord, record: &csv::StringRecord) -> Result<Value, &'h str> {
    let (mut price, mut rates) = (Map::new(), Map::new());
    for (name, value) in header.iter().zip(record) {
        let place = COLUMNS.iter().position(|column| *column == name).unwrap_or(COLUMNS.len());
        if value.is_empty() {
            if place < NEEDED {
                return Err(name);
            }
            continue;
        }
        let part = if place < NAMES { &mut price } else { &mut rates };
        part.insert(name.to_owned(), Value::String(value.to_owned()));
    }
    price.insert("rates".to_owned(), Value::Object(rates));
    Ok(Value::Object(price))
}

impl Client {
    /// Sets prices, and says how many were set and how many were so already.
    ///
    /// # Errors
    /// [`PriceFileError`]: refused by the server, with the place in the file, or out of its reach.
    pub async fn import_prices(&self, prices: &PriceFile) -> Result<(u64, u64), PriceFileError> {
        let (mut set, mut unchanged) = (0, 0);
        for (part, sent) in prices.prices.chunks(AT_ONCE).zip((0..).step_by(AT_ONCE)) {
            let said = match self.post(&["prices", "import"], &json!({"prices": part})).await {
                Ok(said) => said,
                Err(Failure::Refused(problem)) => {
                    let (place, before) = prices.place_of(&problem, sent);
                    let problem = Box::new(problem);
                    return Err(PriceFileError::Refused {
                        file: prices.file.clone(),
                        place,
                        before,
                        problem,
                    });
                }
                Err(failure) => return Err(failure.into()),
            };
            let count = |name: &str| said.get(name).and_then(Value::as_u64).unwrap_or_default();
            set += count("set");
            unchanged += count("unchanged");
        }
        Ok((set, unchanged))
    }
}

#[cfg(test)]
mod tests;
