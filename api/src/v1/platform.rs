//! What the platform offers to all tenants: providers, models and prices of its own. Operators of the platform write
//! them; a tenant's own entry of the same name takes the place of the platform's.

use domain::{ModelName, ProviderName};

use super::models::{self, PutModel};
use super::prices::{self, ImportPrices, ImportedBody, ListPrices, PutPrice};
use super::providers::{self, PutProvider};
use crate::answer::Answer;
use crate::extract::{After, Named, NoQuery, Nothing, Read, Repeatable, Write};
use crate::problem::Problems;
use crate::resource::{List, ModelBody, PriceBody, ProviderBody};

/// Lists the providers that all tenants can use.
#[utoipa::path(get, path = "/v1/platform/providers", tag = "Platform",
    params(After),
    responses((status = 200, description = "Providers", body = List<ProviderBody>), Problems))]
pub async fn list_providers(read: Read<NoQuery>) -> Answer {
    providers::list(read).await
}

/// Shows a provider of the platform.
#[utoipa::path(get, path = "/v1/platform/providers/{name}", tag = "Platform",
    params(("name" = String, Path, format = "provider-name", description = "The provider's name"), After),
    responses((status = 200, description = "The provider", body = ProviderBody), Problems))]
pub async fn get_provider(read: Read<NoQuery>, name: Named<ProviderName>) -> Answer {
    providers::get(read, name).await
}

/// Defines a provider that all tenants can use, or defines it anew.
#[utoipa::path(put, path = "/v1/platform/providers/{name}", tag = "Platform", request_body = PutProvider,
    params(("name" = String, Path, format = "provider-name", description = "The provider's name"), Repeatable),
    responses((status = 200, description = "The provider", body = ProviderBody), Problems))]
pub async fn put_provider(write: Write<PutProvider>, name: Named<ProviderName>) -> Answer {
    providers::put(write, name).await
}

/// Removes a provider of the platform.
#[utoipa::path(delete, path = "/v1/platform/providers/{name}", tag = "Platform",
    params(("name" = String, Path, format = "provider-name", description = "The provider's name"), Repeatable),
    responses((status = 204, description = "The provider is gone"), Problems))]
pub async fn remove_provider(write: Write<Nothing>, name: Named<ProviderName>) -> Answer {
    providers::remove(write, name).await
}

/// Lists the models that all tenants can use.
#[utoipa::path(get, path = "/v1/platform/models", tag = "Platform",
    params(After),
    responses((status = 200, description = "Models", body = List<ModelBody>), Problems))]
pub async fn list_models(read: Read<NoQuery>) -> Answer {
    models::list(read).await
}

/// Shows a model of the platform.
#[utoipa::path(get, path = "/v1/platform/models/{alias}", tag = "Platform",
    params(("alias" = String, Path, format = "model-name", description = "The model's name"), After),
    responses((status = 200, description = "The model", body = ModelBody), Problems))]
pub async fn get_model(read: Read<NoQuery>, name: Named<ModelName>) -> Answer {
    models::get(read, name).await
}

/// Defines a model that all tenants can use, or defines it anew.
#[utoipa::path(put, path = "/v1/platform/models/{alias}", tag = "Platform", request_body = PutModel,
    params(("alias" = String, Path, format = "model-name", description = "The model's name"), Repeatable),
    responses((status = 200, description = "The model", body = ModelBody), Problems))]
pub async fn put_model(write: Write<PutModel>, name: Named<ModelName>) -> Answer {
    models::put(write, name).await
}

/// Removes a model of the platform.
#[utoipa::path(delete, path = "/v1/platform/models/{alias}", tag = "Platform",
    params(("alias" = String, Path, format = "model-name", description = "The model's name"), Repeatable),
    responses((status = 204, description = "The model is gone"), Problems))]
pub async fn remove_model(write: Write<Nothing>, name: Named<ModelName>) -> Answer {
    models::remove(write, name).await
}

/// Lists the prices that hold for all tenants.
#[utoipa::path(get, path = "/v1/platform/prices", tag = "Platform",
    params(ListPrices, After),
    responses((status = 200, description = "Prices", body = List<PriceBody>), Problems))]
pub async fn list_prices(read: Read<ListPrices>) -> Answer {
    prices::list(read).await
}

/// Sets what a model costs at a provider of the platform, from now on.
#[utoipa::path(put, path = "/v1/platform/prices", tag = "Platform", request_body = PutPrice,
    params(Repeatable),
    responses((status = 200, description = "The price, with its version", body = PriceBody), Problems))]
pub async fn put_price(write: Write<PutPrice>) -> Answer {
    prices::put(write).await
}

/// Sets up to 1,000 prices of the platform, one after the other.
#[utoipa::path(post, path = "/v1/platform/prices/import", tag = "Platform", request_body = ImportPrices,
    params(Repeatable),
    responses((status = 200, description = "How many were set", body = ImportedBody), Problems))]
pub async fn import_prices(write: Write<ImportPrices>) -> Answer {
    prices::import(write).await
}
