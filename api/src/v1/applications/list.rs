use domain::ApplicationId;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::answer::Answer;
use crate::cursor::Cursor;
use crate::extract::{After, ApplicationAt, Limit, NoQuery, Parameters, Read};
use crate::field::Field;
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::{ApplicationBody, List};

const LIST: &str = "applications";

/// Which applications to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListApplications {
    /// Where to go on: `next` of an earlier answer.
    #[param(value_type = Option<String>, format = "cursor")]
    cursor: Option<Field<Cursor>>,
    /// How many at the most, 1 to 100; 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Field<Limit>>,
}

impl Parameters for ListApplications {}

/// Lists the tenant's applications, oldest first, those that are archived included.
#[utoipa::path(get, path = "/v1/applications", tag = "Applications", params(ListApplications, After), responses(
    (status = 200, description = "Applications", body = List<ApplicationBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(Read { query, view }: Read<ListApplications>) -> Answer {
    let limit = query.limit.map_or(Limit::default(), |limit| limit.0).0;
    let after = query.cursor.map(|cursor| cursor.0.last(LIST)).transpose()?.map(ApplicationId);
    let found = view.ledger().applications(after, limit).await?;
    let items = found.value.into_iter().map(ApplicationBody::from).collect();
    view.answer(found.position, &List::page(LIST, items, limit, |last: &ApplicationBody| last.id.to_string()))
}

/// Shows an application.
#[utoipa::path(get, path = "/v1/applications/{id}", tag = "Applications",
    params(("id" = uuid::Uuid, Path, description = "The application's id"), After), responses(
    (status = 200, description = "The application", body = ApplicationBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn get(Read { view, .. }: Read<NoQuery>, ApplicationAt(id): ApplicationAt) -> Answer {
    let found = view.ledger().application(id).await?;
    let absent = || Problem::new(code::APPLICATION_NOT_FOUND, "the application does not exist");
    view.answer_or(found, absent, |application, _| Ok(ApplicationBody::from(application)))
}
