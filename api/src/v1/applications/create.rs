use actix_web::http::StatusCode;
use commands::Command;
use domain::application::{ApplicationCommand, Details};
use domain::{ApplicationId, Description, Label, Metadata, WebAddress};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{self, Answer};
use crate::extract::{Document, Write};
use crate::field::Field;
use crate::problem::ProblemBody;
use crate::resource::ApplicationBody;

/// An application to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApplication {
    /// Its name.
    #[schema(value_type = String, format = "label", example = "Checkout")]
    pub name: Field<Label>,
    /// What it is for.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "description", example = "Takes the payments of the web shop.")]
    pub description: Option<Field<Description>>,
    /// What kind it is, in the tenant's own words.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "label", example = "payments")]
    pub category: Option<Field<Label>>,
    /// The address of its icon.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "web-address", example = "https://acme.example/checkout.svg")]
    pub icon: Option<Field<WebAddress>>,
    /// What it was made from, in the tenant's own words.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "label", example = "web-shop")]
    pub template: Option<Field<Label>>,
    /// The caller's own facts.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub metadata: Field<Metadata>,
}

impl Document for CreateApplication {}

/// Creates an application.
#[utoipa::path(post, path = "/v1/applications", tag = "Applications", request_body = CreateApplication,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 201, description = "The application was created", body = ApplicationBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn create(Write { body, writer }: Write<CreateApplication>) -> Answer {
    let id = ApplicationId(writer.new_id("application"));
    let command = ApplicationCommand::Create(Details {
        name: body.name.0,
        description: body.description.map(|description| description.0),
        category: body.category.map(|category| category.0),
        icon: body.icon.map(|icon| icon.0),
        template: body.template.map(|template| template.0),
        metadata: body.metadata.0,
    });
    let outcome = writer.submit(Command::Application { id, command }).await?;
    answer::done(outcome, StatusCode::CREATED, ApplicationBody::try_from)
}
