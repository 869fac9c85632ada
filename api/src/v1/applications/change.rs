use actix_web::http::StatusCode;
use commands::Command;
use domain::application::{ApplicationChange, ApplicationCommand};
use domain::{Description, Label, Metadata, WebAddress};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{self, Answer};
use crate::extract::{ApplicationAt, Document, Nothing, Write};
use crate::field::{Clearable, Field};
use crate::problem::ProblemBody;
use crate::resource::ApplicationBody;

/// What is to change. What is left out stays; null takes a field away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeApplication {
    /// Its name.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "label", example = "Checkout 2")]
    pub name: Option<Field<Label>>,
    /// What it is for.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "description")]
    pub description: Clearable<Description>,
    /// What kind it is.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "label")]
    pub category: Clearable<Label>,
    /// The address of its icon.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "web-address")]
    pub icon: Clearable<WebAddress>,
    /// What it was made from.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "label")]
    pub template: Clearable<Label>,
    /// The caller's own facts, all of them.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Field<Metadata>>,
}

impl Document for ChangeApplication {}

/// Changes an application.
#[utoipa::path(patch, path = "/v1/applications/{id}", tag = "Applications", request_body = ChangeApplication,
    params(("id" = uuid::Uuid, Path, description = "The application's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The application as it is now", body = ApplicationBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn change(
    Write { body, writer }: Write<ChangeApplication>,
    ApplicationAt(id): ApplicationAt,
) -> Answer {
    let command = ApplicationCommand::Change(ApplicationChange {
        name: body.name.map(|name| name.0),
        description: body.description.into(),
        category: body.category.into(),
        icon: body.icon.into(),
        template: body.template.into(),
        metadata: body.metadata.map(|metadata| metadata.0),
    });
    let outcome = writer.submit(Command::Application { id, command }).await?;
    answer::done(outcome, StatusCode::OK, ApplicationBody::try_from)
}

/// Archives an application for good. All of its keys are revoked with it.
#[utoipa::path(post, path = "/v1/applications/{id}/archive", tag = "Applications",
    params(("id" = uuid::Uuid, Path, description = "The application's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The application is archived", body = ApplicationBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn archive(Write { writer, .. }: Write<Nothing>, ApplicationAt(id): ApplicationAt) -> Answer {
    let command = ApplicationCommand::Archive;
    let outcome = writer.submit(Command::Application { id, command }).await?;
    answer::done(outcome, StatusCode::OK, ApplicationBody::try_from)
}
