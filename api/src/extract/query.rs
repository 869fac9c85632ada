//! Query parameters: those that are known, each once.

use std::collections::BTreeMap;

use actix_web::web::Query;
use journal::Position;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::field::{Checked, Wrong};
use crate::problem::{Code, Problem, code};

/// The most that a list returns at once.
const MOST: i64 = 100;
/// The longest wait that can be asked for, in milliseconds: an hour.
const LONGEST_WAIT: u64 = 60 * 60 * 1000;
/// What a list returns where nothing is said.
const USUAL: i64 = 50;

/// What can be asked for in a query string. `after` and `wait_ms` belong to every read and are not part of it.
pub trait Parameters: DeserializeOwned + 'static {
    /// Whether `after` waits for the read models; otherwise it is a parameter like the others.
    const WAITS: bool = true;

    /// Takes `metadata[key]=value`; `false` where there is no such filter.
    fn metadata(&mut self, _filters: BTreeMap<String, String>) -> bool {
        false
    }
}

/// No parameters but those of every read.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}

impl Parameters for NoQuery {}

/// What every read of a read model takes.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only the documentation reads it")]
pub struct After {
    /// Wait until the read models reflect this position, such as `p3:1841`.
    #[param(value_type = Option<String>, format = "position")]
    after: Option<String>,
    /// How long to wait at the most, in milliseconds; the server has a limit of its own.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 3_600_000)]
    wait_ms: Option<u64>,
}

/// How many items a list returns at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub i64);

impl Default for Limit {
    fn default() -> Self {
        Self(USUAL)
    }
}

impl Checked for Limit {
    const CODE: Code = code::INVALID_LIMIT;
    const EXPECTED: &'static str = "a limit is a whole number from 1 to 100";

    fn check(text: &str) -> Result<Self, Wrong> {
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        let limit = text.parse().ok().filter(|limit| plain && (1..=MOST).contains(limit));
        limit.map(Self).ok_or_else(|| Wrong::new(Self::CODE, Self::EXPECTED))
    }
}

impl Checked for Position {
    const CODE: Code = code::INVALID_POSITION;
    const EXPECTED: &'static str = "a position is written p<partition>:<position>, such as p3:1841";

    fn check(text: &str) -> Result<Self, Wrong> {
        text.parse().map_err(|error| Wrong::new(Self::CODE, error))
    }
}

/// A query string, taken apart.
#[derive(Debug)]
pub struct Asked<Q> {
    /// What the route knows.
    pub query: Q,
    /// What to wait for.
    pub after: Option<Position>,
    /// For how long at the most, in milliseconds.
    pub wait_ms: Option<u64>,
}

/// Takes a query string apart.
pub fn parse<Q: Parameters>(text: &str) -> Result<Asked<Q>, Problem> {
    let mut after = None;
    let mut wait_ms = None;
    let mut filters = BTreeMap::new();
    let mut rest = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        let repeated = match name.as_ref() {
            "after" if Q::WAITS => {
                let position = Position::check(&value).map_err(|wrong| Problem::from(wrong).at("after"))?;
                after.replace(position).is_some()
            }
            "wait_ms" if Q::WAITS => wait_ms.replace(milliseconds(&value)?).is_some(),
            other => match other.strip_prefix("metadata[").and_then(|key| key.strip_suffix(']')) {
                Some(key) => filters.insert(key.to_owned(), value.into_owned()).is_some(),
                None => {
                    rest.append_pair(&name, &value);
                    false
                }
            },
        };
        if repeated {
            return Err(Problem::new(code::INVALID_QUERY, "the parameter is given twice").at(name));
        }
    }
    let mut query = Query::<Q>::from_query(&rest.finish())
        .map_err(|error| match error {
            actix_web::error::QueryPayloadError::Deserialize(error) => {
                let mut problem = Problem::from_query(&error.to_string());
                if Q::WAITS && problem.detail.starts_with("unknown field") {
                    problem.detail += "; `after` and `wait_ms` are known too";
                }
                problem
            }
            error => Problem::new(code::INVALID_QUERY, error.to_string()),
        })?
        .into_inner();
    if !filters.is_empty() && !query.metadata(filters) {
        return Err(Problem::new(code::INVALID_QUERY, "there is no filter by metadata here").at("metadata"));
    }
    Ok(Asked { query, after, wait_ms })
}

fn milliseconds(text: &str) -> Result<u64, Problem> {
    let plain = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|wait| plain && *wait <= LONGEST_WAIT).ok_or_else(|| {
        let detail = format!("wait_ms is a whole number of milliseconds, {LONGEST_WAIT} at the most");
        Problem::new(code::INVALID_QUERY, detail).at("wait_ms")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Field;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct List {
        limit: Option<Field<Limit>>,
        asset: Option<Field<domain::AssetCode>>,
        #[serde(skip)]
        metadata: BTreeMap<String, String>,
    }

    impl Parameters for List {
        fn metadata(&mut self, filters: BTreeMap<String, String>) -> bool {
            self.metadata = filters;
            true
        }
    }

    #[test]
    fn known_parameters_are_read() {
        let asked = parse::<List>("limit=7&after=p3:9&asset=USD&metadata%5Bo+k%5D=a%26b&wait_ms=20").unwrap();
        assert_eq!(asked.query.limit.unwrap().0, Limit(7));
        assert_eq!(asked.query.asset.unwrap().0.as_str(), "USD");
        assert_eq!(asked.query.metadata["o k"], "a&b");
        assert_eq!(asked.after.unwrap().to_string(), "p3:9");
        assert_eq!(asked.wait_ms, Some(20));
    }

    #[test]
    fn what_is_not_known_or_not_right_is_refused_with_its_code() {
        let cases = [
            ("colour=red", "invalid_query"),
            ("asset=USD&asset=EUR", "invalid_query"),
            ("after=p1:1&after=p1:1", "invalid_query"),
            ("metadata[a]=1&metadata[a]=2", "invalid_query"),
            ("wait_ms=-1", "invalid_query"),
            ("wait_ms=", "invalid_query"),
            ("wait_ms=3600001", "invalid_query"),
            ("limit=0", "invalid_limit"),
            ("limit=101", "invalid_limit"),
            ("limit=%2B5", "invalid_limit"),
            ("limit=", "invalid_limit"),
            ("asset=", "invalid_asset"),
            ("asset=usd", "invalid_asset"),
            ("after=3:1", "invalid_position"),
        ];
        for (text, code) in cases {
            assert_eq!(parse::<List>(text).unwrap_err().code.name, code, "{text}");
        }
        assert!(parse::<List>("colour=red").unwrap_err().detail.contains("`wait_ms`"));
    }
}
