//! The audit log.

use projections::AuditFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::Answer;
use crate::cursor::Cursor;
use crate::extract::{After, Limit, Parameters, Read};
use crate::field::Field;
use crate::problem::ProblemBody;
use crate::resource::{AuditBody, List};

const LIST: &str = "audit";

/// Which commands to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListAudit {
    /// Only what this subject asked for.
    actor: Option<String>,
    /// Only commands of this name, such as `post_transaction`.
    command: Option<String>,
    /// Where to go on: `next` of an earlier answer.
    #[param(value_type = Option<String>, format = "cursor")]
    cursor: Option<Field<Cursor>>,
    /// How many at the most, 1 to 100; 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Field<Limit>>,
}

impl Parameters for ListAudit {}

/// Lists the commands that changed something, newest first: who, what, when, from where.
#[utoipa::path(get, path = "/v1/audit", tag = "Audit", params(ListAudit, After), responses(
    (status = 200, description = "Commands", body = List<AuditBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn audit(Read { query, view }: Read<ListAudit>) -> Answer {
    let limit = query.limit.map_or(Limit::default(), |limit| limit.0).0;
    let before = query.cursor.map(|cursor| cursor.0.last(LIST)).transpose()?;
    let filter = AuditFilter { actor: query.actor, command: query.command };
    let found = view.ledger().audit(&filter, before, limit).await?;
    let last = found.value.last().map(|last| last.first);
    let partition = found.position.partition;
    let items = found.value.into_iter().map(|line| AuditBody::new(line, partition)).collect();
    let page = List::page(LIST, items, limit, |_| last.unwrap_or_default().to_string());
    view.answer(found.position, &page)
}
