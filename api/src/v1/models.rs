//! Models, by the names they are called by.

use actix_web::http::StatusCode;
use commands::Command;
use domain::catalogue::{CatalogueCommand, Model, Route};
use domain::{ModelName, ProviderName};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{self, Answer};
use crate::extract::{After, Document, Named, NoQuery, Nothing, Read, Write};
use crate::field::{Field, Object};
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::{List, ModelBody, catalogue_of};

/// Where a model is found.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutRoute {
    /// The provider.
    #[schema(value_type = String, format = "provider-name", example = "openai")]
    pub provider: Field<ProviderName>,
    /// What the provider calls it. No part between slashes is empty, `.` or `..`.
    #[schema(value_type = String, format = "model-name", example = "gpt-5")]
    pub model: Field<ModelName>,
    /// Lower ones are asked first; 0 where nothing is said.
    #[serde(default)]
    #[schema(maximum = 65535)]
    pub priority: u16,
    /// Its share among those of the same priority; 1 where nothing is said.
    #[serde(default = "one")]
    #[schema(maximum = 65535)]
    pub weight: u16,
}

fn one() -> u16 {
    1
}

/// What a model is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutModel {
    /// Where it is found.
    #[schema(value_type = Vec<PutRoute>, min_items = 1, max_items = 20)]
    pub routes: Vec<Object<PutRoute>>,
    /// The most tokens that it answers with, where that is known.
    #[serde(default)]
    #[schema(example = 16384, minimum = 1, maximum = 1_000_000_000)]
    pub max_output_tokens: Option<u64>,
}

/// More tokens than any answer has.
const MOST_TOKENS: u64 = 1_000_000_000;

impl Document for PutModel {}

fn absent(name: &ModelName) -> Problem {
    Problem::new(code::MODEL_NOT_FOUND, format!("there is no model {name}"))
}

/// Lists the tenant's models by name, all of them.
#[utoipa::path(get, path = "/v1/models", tag = "Providers", params(After), responses(
    (status = 200, description = "Models", body = List<ModelBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(Read { view, .. }: Read<NoQuery>) -> Answer {
    let (catalogue, position) = view.catalogue().await?;
    let items = catalogue.models.values().map(ModelBody::from).collect();
    view.answer(position, &List { items, next: None })
}

/// Shows a model.
#[utoipa::path(get, path = "/v1/models/{alias}", tag = "Providers",
    params(("alias" = String, Path, format = "model-name", description = "The name the model is called by"), After), responses(
    (status = 200, description = "The model", body = ModelBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn get(Read { view, .. }: Read<NoQuery>, Named(name): Named<ModelName>) -> Answer {
    let (catalogue, position) = view.catalogue().await?;
    let model = catalogue.models.get(&name).ok_or_else(|| absent(&name))?;
    view.answer(position, &ModelBody::from(model))
}

/// Defines a model, or defines it anew.
#[utoipa::path(put, path = "/v1/models/{alias}", tag = "Providers", request_body = PutModel,
    params(("alias" = String, Path, format = "model-name", description = "The name the model is called by"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The model", body = ModelBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn put(Write { body, writer }: Write<PutModel>, Named(alias): Named<ModelName>) -> Answer {
    if body.max_output_tokens.is_some_and(|most| !(1..=MOST_TOKENS).contains(&most)) {
        let detail = format!("an answer has 1 to {MOST_TOKENS} tokens");
        return Err(Problem::new(code::INVALID_BODY, detail).at("max_output_tokens"));
    }
    for (place, Object(route)) in body.routes.iter().enumerate() {
        // Providers take it as a part of an address.
        if route.model.0.as_str().split('/').any(|part| matches!(part, "" | "." | "..")) {
            let detail =
                "between the slashes of a provider's name for a model is neither nothing nor `.` nor `..`";
            return Err(Problem::new(code::INVALID_MODEL, detail).at(format!("routes[{place}].model")));
        }
    }
    let route = |Object(route): Object<PutRoute>| Route {
        provider: route.provider.0,
        model: route.model.0,
        priority: route.priority,
        weight: route.weight,
    };
    let routes = body.routes.into_iter().map(route).collect();
    let model = Model { alias: alias.clone(), routes, max_output_tokens: body.max_output_tokens };
    let outcome = writer.submit(Command::Catalogue(CatalogueCommand::DefineModel(model))).await?;
    writer.catalogue_changed(outcome.position).await;
    answer::done(outcome, StatusCode::OK, |resource| {
        let catalogue = catalogue_of(resource)?;
        catalogue.models.get(&alias).map(ModelBody::from).ok_or_else(|| absent(&alias))
    })
}

/// Removes a model.
#[utoipa::path(delete, path = "/v1/models/{alias}", tag = "Providers",
    params(("alias" = String, Path, format = "model-name", description = "The name the model is called by"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 204, description = "The model is gone"),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn remove(Write { writer, .. }: Write<Nothing>, Named(alias): Named<ModelName>) -> Answer {
    let outcome = writer.submit(Command::Catalogue(CatalogueCommand::RemoveModel { alias })).await?;
    writer.catalogue_changed(outcome.position).await;
    Ok(answer::gone(&outcome))
}
