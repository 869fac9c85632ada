//! Who looked at what.

use identity::access_log::{AccessFilter, Place};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::Answer;
use crate::cursor::Cursor;
use crate::extract::{Limit, Parameters, Read};
use crate::field::Field;
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::{AccessBody, List};

const LIST: &str = "access-log";

/// Which accesses to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListAccess {
    /// Only what this user, key or operator asked for.
    actor: Option<String>,
    /// Only what operators of the platform did here from outside.
    #[serde(default)]
    crossing: bool,
    /// Where to go on: `next` of an earlier answer.
    #[param(value_type = Option<String>, format = "cursor")]
    cursor: Option<Field<Cursor>>,
    /// How many at the most, 1 to 100; 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Field<Limit>>,
}

fn place(cursor: &Cursor) -> Result<Place, Problem> {
    let refused = || Problem::new(code::INVALID_CURSOR, "the cursor was not made by this list").at("cursor");
    AccessBody::placed(&cursor.last::<String>(LIST)?).ok_or_else(refused)
}

impl Parameters for ListAccess {
    const WAITS: bool = false;
}

/// Lists who read what, newest first. What an operator of the platform did here stands in it too.
///
/// Lines are written in batches, within about a second, and kept as long as the installation is configured to.
#[utoipa::path(get, path = "/v1/access-log", tag = "Audit", params(ListAccess), responses(
    (status = 200, description = "Accesses", body = List<AccessBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(Read { query, view }: Read<ListAccess>) -> Answer {
    let limit = query.limit.map_or(Limit::default(), |limit| limit.0).0;
    let before = query.cursor.map(|cursor| place(&cursor.0)).transpose()?;
    let filter = AccessFilter { actor: query.actor, crossing: query.crossing, ..AccessFilter::default() };
    let found = view.people().reads.page(view.tenant(), &filter, before, limit).await?;
    let items = found.into_iter().map(AccessBody::from).collect();
    view.answer_now(&List::page(LIST, items, limit, AccessBody::place))
}
