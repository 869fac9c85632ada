//! Levels of service.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use commands::Command;
use domain::catalogue::{CatalogueCommand, Level};
use domain::{FeatureName, LevelName};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{self, Answer};
use crate::extract::{After, Document, Named, NoQuery, Nothing, Read, Write};
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::{LevelBody, List, catalogue_of};

/// What a level is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutLevel {
    /// Its place among the levels: higher is more.
    #[schema(example = 2, maximum = 65535)]
    pub tier: u16,
    /// What it includes and what not, in the tenant's own words.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, bool>, example = json!({"priority_support": true}))]
    pub features: BTreeMap<FeatureName, bool>,
}

impl Document for PutLevel {}

fn absent(name: &LevelName) -> Problem {
    Problem::new(code::LEVEL_NOT_FOUND, format!("there is no level {name}"))
}

/// Lists the levels by name, all of them.
#[utoipa::path(get, path = "/v1/levels", tag = "Policies", params(After), responses(
    (status = 200, description = "Levels", body = List<LevelBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(Read { view, .. }: Read<NoQuery>) -> Answer {
    let (catalogue, position) = view.catalogue().await?;
    let items = catalogue.levels.values().map(LevelBody::from).collect();
    view.answer(position, &List { items, next: None })
}

/// Shows a level.
#[utoipa::path(get, path = "/v1/levels/{name}", tag = "Policies",
    params(("name" = String, Path, format = "level-name", description = "The level's name"), After), responses(
    (status = 200, description = "The level", body = LevelBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn get(Read { view, .. }: Read<NoQuery>, Named(name): Named<LevelName>) -> Answer {
    let (catalogue, position) = view.catalogue().await?;
    let level = catalogue.levels.get(&name).ok_or_else(|| absent(&name))?;
    view.answer(position, &LevelBody::from(level))
}

/// Defines a level, or defines it anew.
#[utoipa::path(put, path = "/v1/levels/{name}", tag = "Policies", request_body = PutLevel,
    params(("name" = String, Path, format = "level-name", description = "The level's name"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The level", body = LevelBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn put(Write { body, writer }: Write<PutLevel>, Named(name): Named<LevelName>) -> Answer {
    let level = Level { name: name.clone(), tier: body.tier, features: body.features };
    let outcome = writer.submit(Command::Catalogue(CatalogueCommand::DefineLevel(level))).await?;
    answer::done(outcome, StatusCode::OK, |resource| {
        let catalogue = catalogue_of(resource)?;
        catalogue.levels.get(&name).map(LevelBody::from).ok_or_else(|| absent(&name))
    })
}

/// Removes a level that no policy is for.
#[utoipa::path(delete, path = "/v1/levels/{name}", tag = "Policies",
    params(("name" = String, Path, format = "level-name", description = "The level's name"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 204, description = "The level is gone"),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn remove(Write { writer, .. }: Write<Nothing>, Named(name): Named<LevelName>) -> Answer {
    let outcome = writer.submit(Command::Catalogue(CatalogueCommand::RemoveLevel { name })).await?;
    Ok(answer::gone(&outcome))
}
