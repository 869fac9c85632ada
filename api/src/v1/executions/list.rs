use chrono::{DateTime, Utc};
use domain::execution::ExecutionStatus;
use domain::{ApplicationId, ModelName, ProviderName, UserRef, WalletPath};
use projections::ExecutionFilter;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::answer::Answer;
use crate::cursor::Cursor;
use crate::extract::{After, ExecutionAt, Limit, NoQuery, Parameters, Read};
use crate::field::Field;
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::{ExecutionBody, List};

const LIST: &str = "executions";

/// Which executions to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListExecutions {
    /// Only those of this status: `running`, `completed`, `failed`, `cancelled` or `expired`.
    #[param(value_type = Option<String>, format = "execution-status")]
    status: Option<Field<ExecutionStatus>>,
    /// Only those that this wallet pays for.
    #[param(value_type = Option<String>, format = "wallet-path")]
    wallet: Option<Field<WalletPath>>,
    /// Only those of this application.
    #[param(value_type = Option<Uuid>)]
    application: Option<Uuid>,
    /// Only those for this user.
    #[param(value_type = Option<String>, format = "user-ref")]
    user: Option<Field<UserRef>>,
    /// Only those for which this model was asked.
    #[param(value_type = Option<String>, format = "model-name")]
    model: Option<Field<ModelName>>,
    /// Only those that this provider answered last.
    #[param(value_type = Option<String>, format = "provider-name")]
    provider: Option<Field<ProviderName>>,
    /// Only those recorded at this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Field<DateTime<Utc>>>,
    /// Only those recorded before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Field<DateTime<Utc>>>,
    /// Where to go on: `next` of an earlier answer.
    #[param(value_type = Option<String>, format = "cursor")]
    cursor: Option<Field<Cursor>>,
    /// How many at the most, 1 to 100; 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Field<Limit>>,
}

impl Parameters for ListExecutions {}

/// Lists calls of models, newest first.
#[utoipa::path(get, path = "/v1/executions", tag = "Executions", params(ListExecutions, After), responses(
    (status = 200, description = "Executions", body = List<ExecutionBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(Read { query, view }: Read<ListExecutions>) -> Answer {
    let limit = query.limit.map_or(Limit::default(), |limit| limit.0).0;
    let before = query.cursor.map(|cursor| cursor.0.last::<i64>(LIST)).transpose()?;
    let filter = ExecutionFilter {
        status: query.status.map(|field| field.0),
        wallet: query.wallet.map(|field| field.0),
        application: query.application.map(ApplicationId),
        user: query.user.map(|field| field.0),
        model: query.model.map(|field| field.0),
        provider: query.provider.map(|field| field.0),
        requested_from: query.from.map(|field| field.0),
        requested_to: query.to.map(|field| field.0),
    };
    let found = view.ledger().executions(&filter, before, limit).await?;
    let last = found.value.last().map(|execution| execution.position).unwrap_or_default();
    let items = found.value.into_iter().map(ExecutionBody::from).collect();
    view.answer(found.position, &List::page(LIST, items, limit, |_| last.to_string()))
}

/// Shows a call of a model.
#[utoipa::path(get, path = "/v1/executions/{id}", tag = "Executions",
    params(("id" = Uuid, Path, description = "The execution's id"), After), responses(
    (status = 200, description = "The execution", body = ExecutionBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn get(Read { view, .. }: Read<NoQuery>, ExecutionAt(id): ExecutionAt) -> Answer {
    let found = view.ledger().execution(id).await?;
    let absent = || Problem::new(code::EXECUTION_NOT_FOUND, "the execution does not exist");
    view.answer_or(found, absent, |execution, _| Ok(ExecutionBody::from(execution)))
}
