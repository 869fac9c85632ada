//! Providers of models. Their credentials are written and never shown.

use actix_web::http::StatusCode;
use commands::Command;
use domain::ProviderName;
use domain::catalogue::{CatalogueCommand, Dialect, Provider, Timeouts};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::{self, Answer};
use crate::extract::{After, Document, Named, NoQuery, Nothing, Read, Write};
use crate::field::{BaseAddress, Clearable, Credential, Field, Object};
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::{List, ProviderBody, catalogue_of};

/// How long a provider may take, in milliseconds. What is left out is as usual.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutTimeouts {
    /// To be reached.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3_600_000)]
    pub connect_ms: Option<u32>,
    /// Until the first token of an answer.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3_600_000)]
    pub first_token_ms: Option<u32>,
    /// From one token to the next.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3_600_000)]
    pub between_tokens_ms: Option<u32>,
    /// For a whole answer.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3_600_000)]
    pub total_ms: Option<u32>,
}

/// What a provider is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutProvider {
    /// Which shape it speaks: `openai`, `anthropic` or `gemini`.
    #[schema(value_type = String, format = "dialect", example = "openai")]
    pub dialect: Field<Dialect>,
    /// Its base address, as its SDK is given it: `http` or `https`, without a query.
    #[schema(value_type = String, format = "base-address", example = "https://api.openai.com/v1")]
    pub base_url: Field<BaseAddress>,
    /// The key by which it knows us: left out it stays, null takes it away. It is kept encrypted and never shown. Where
    /// the address changes it must be given again: what is kept for one place is not sent to another.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "credential")]
    pub credential: Clearable<Credential>,
    /// Lower ones are asked first where the routes of a model say nothing; 0 where nothing is said.
    #[serde(default)]
    #[schema(maximum = 65535)]
    pub priority: u16,
    /// How long it may take.
    #[serde(default)]
    #[schema(value_type = Option<PutTimeouts>)]
    pub timeouts: Option<Object<PutTimeouts>>,
    /// Whether it is asked at all; it is where nothing is said.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

impl Document for PutProvider {}

fn absent(name: &ProviderName) -> Problem {
    Problem::new(code::PROVIDER_NOT_FOUND, format!("there is no provider {name}"))
}

fn timeouts(given: Option<Object<PutTimeouts>>) -> Timeouts {
    let usual = Timeouts::default();
    let Some(Object(given)) = given else { return usual };
    Timeouts {
        connect_ms: given.connect_ms.unwrap_or(usual.connect_ms),
        first_token_ms: given.first_token_ms.unwrap_or(usual.first_token_ms),
        between_tokens_ms: given.between_tokens_ms.unwrap_or(usual.between_tokens_ms),
        total_ms: given.total_ms.unwrap_or(usual.total_ms),
    }
}

/// Lists the tenant's providers by name, all of them.
#[utoipa::path(get, path = "/v1/providers", tag = "Providers", params(After), responses(
    (status = 200, description = "Providers", body = List<ProviderBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(Read { view, .. }: Read<NoQuery>) -> Answer {
    let (catalogue, position) = view.catalogue().await?;
    let items = catalogue.providers.values().map(ProviderBody::from).collect();
    view.answer(position, &List { items, next: None })
}

/// Shows a provider, without its credential.
#[utoipa::path(get, path = "/v1/providers/{name}", tag = "Providers",
    params(("name" = String, Path, format = "provider-name", description = "The provider's name"), After), responses(
    (status = 200, description = "The provider", body = ProviderBody),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn get(Read { view, .. }: Read<NoQuery>, Named(name): Named<ProviderName>) -> Answer {
    let (catalogue, position) = view.catalogue().await?;
    let provider = catalogue.providers.get(&name).ok_or_else(|| absent(&name))?;
    view.answer(position, &ProviderBody::from(provider))
}

/// Defines a provider, or defines it anew.
#[utoipa::path(put, path = "/v1/providers/{name}", tag = "Providers", request_body = PutProvider,
    params(("name" = String, Path, format = "provider-name", description = "The provider's name"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The provider", body = ProviderBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn put(Write { body, writer }: Write<PutProvider>, Named(name): Named<ProviderName>) -> Answer {
    let BaseAddress(base_url) = body.base_url.0;
    let credential = match body.credential.into() {
        domain::Change::Keep => writer.credential_of(&name, &base_url).await?,
        domain::Change::Clear => None,
        domain::Change::Set(given) => Some(writer.seal_credential(&name, given.as_str()).await?),
    };
    let provider = Provider {
        name: name.clone(),
        dialect: body.dialect.0,
        base_url,
        credential,
        priority: body.priority,
        timeouts: timeouts(body.timeouts),
        enabled: body.enabled,
    };
    let outcome =
        writer.submit(Command::Catalogue(CatalogueCommand::DefineProvider(Box::new(provider)))).await?;
    writer.catalogue_changed(outcome.position).await;
    answer::done(outcome, StatusCode::OK, |resource| {
        let catalogue = catalogue_of(resource)?;
        catalogue.providers.get(&name).map(ProviderBody::from).ok_or_else(|| absent(&name))
    })
}

/// Removes a provider that no model leads to.
#[utoipa::path(delete, path = "/v1/providers/{name}", tag = "Providers",
    params(("name" = String, Path, format = "provider-name", description = "The provider's name"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 204, description = "The provider is gone"),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn remove(Write { writer, .. }: Write<Nothing>, Named(name): Named<ProviderName>) -> Answer {
    let outcome = writer.submit(Command::Catalogue(CatalogueCommand::RemoveProvider { name })).await?;
    writer.catalogue_changed(outcome.position).await;
    Ok(answer::gone(&outcome))
}
