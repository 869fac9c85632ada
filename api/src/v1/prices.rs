//! What models cost. A price that is set again is a new version: what was used before keeps what it cost.

use actix_web::http::StatusCode;
use commands::Command;
use domain::catalogue::{Catalogue, CatalogueCommand};
use domain::{Amount, AssetCode, ModelName, ProviderName, Rates};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::answer::{self, Answer};
use crate::app::Limits;
use crate::cursor::Cursor;
use crate::extract::{After, Document, Limit, Parameters, Read, Write};
use crate::field::{Field, Object};
use crate::problem::{Problem, ProblemBody, code};
use crate::resource::{List, PriceBody, catalogue_of};

const LIST: &str = "prices";
/// The most prices that are imported at once.
const MOST: usize = 1_000;

/// What tokens cost, in the asset per 1,000,000 of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutRates {
    /// Of input that is neither read from a cache nor written to one.
    #[schema(value_type = String, format = "amount", example = "3")]
    pub input: Field<Amount>,
    /// Of output.
    #[schema(value_type = String, format = "amount", example = "15")]
    pub output: Field<Amount>,
    /// Of input read from a cache; as of input where nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "amount", example = "0.3")]
    pub cache_read: Option<Field<Amount>>,
    /// Of input written to a cache for the usual time; as of input where nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "amount", example = "3.75")]
    pub cache_write: Option<Field<Amount>>,
    /// Of input written to a cache for long; as of `cache_write` where nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "amount", example = "6")]
    pub cache_write_long: Option<Field<Amount>>,
    /// Of reasoning; as of output where nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "amount")]
    pub reasoning: Option<Field<Amount>>,
}

/// What a model costs at a provider.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutPrice {
    /// The provider.
    #[schema(value_type = String, format = "provider-name", example = "openai")]
    pub provider: Field<ProviderName>,
    /// What the provider calls the model.
    #[schema(value_type = String, format = "model-name", example = "gpt-5")]
    pub model: Field<ModelName>,
    /// The asset that it is paid in.
    #[schema(value_type = String, format = "asset-code", example = "USD")]
    pub asset: Field<AssetCode>,
    /// The rates.
    #[schema(value_type = PutRates)]
    pub rates: Object<PutRates>,
}

impl Document for PutPrice {}

impl From<PutPrice> for CatalogueCommand {
    fn from(price: PutPrice) -> Self {
        let Object(rates) = price.rates;
        let some = |rate: Option<Field<Amount>>| rate.map(|rate| rate.0);
        Self::SetPrice {
            provider: price.provider.0,
            model: price.model.0,
            asset: price.asset.0,
            rates: Rates {
                input: rates.input.0,
                output: rates.output.0,
                cache_read: some(rates.cache_read),
                cache_write: some(rates.cache_write),
                cache_write_long: some(rates.cache_write_long),
                reasoning: some(rates.reasoning),
            },
        }
    }
}

/// Which prices to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListPrices {
    /// Where to go on: `next` of an earlier answer.
    #[param(value_type = Option<String>, format = "cursor")]
    cursor: Option<Field<Cursor>>,
    /// How many at the most, 1 to 100; 50 by default.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<Field<Limit>>,
}

impl Parameters for ListPrices {}

/// Lists the prices that hold at present, by provider and model.
#[utoipa::path(get, path = "/v1/prices", tag = "Providers", params(ListPrices, After), responses(
    (status = 200, description = "Prices", body = List<PriceBody>),
    (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
))]
pub async fn list(Read { query, view }: Read<ListPrices>) -> Answer {
    let limit = query.limit.map_or(Limit::default(), |limit| limit.0).0;
    let after = query.cursor.map(|cursor| cursor.0.last::<String>(LIST)).transpose()?;
    let (catalogue, position) = view.catalogue().await?;
    let mut items: Vec<_> = catalogue
        .prices
        .iter()
        .flat_map(|(provider, prices)| {
            prices.iter().map(|(model, price)| PriceBody::new(provider, model, price))
        })
        .collect();
    items.sort_by_key(PriceBody::key);
    let behind = items.into_iter().filter(|item| after.as_ref().is_none_or(|after| item.key() > *after));
    let items = behind.take(usize::try_from(limit).unwrap_or_default()).collect();
    view.answer(position, &List::page(LIST, items, limit, PriceBody::key))
}

/// Sets what a model costs at a provider, from now on.
#[utoipa::path(put, path = "/v1/prices", tag = "Providers", request_body = PutPrice,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "The price, with its version", body = PriceBody),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn put(Write { body, writer }: Write<PutPrice>) -> Answer {
    let (provider, model) = (body.provider.0.clone(), body.model.0.clone());
    let outcome = writer.submit(Command::Catalogue(body.into())).await?;
    writer.catalogue_changed(outcome.position).await;
    answer::done(outcome, StatusCode::OK, |resource| {
        let catalogue = catalogue_of(resource)?;
        let price = catalogue.price(&provider, &model);
        let price = price.ok_or_else(|| Problem::internal("a price that was set is not there"))?;
        Ok(PriceBody::new(&provider, &model, price))
    })
}

/// Several prices.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportPrices {
    /// The prices, 1 to 1,000.
    #[schema(value_type = Vec<PutPrice>, min_items = 1, max_items = 1000)]
    pub prices: Vec<Object<PutPrice>>,
}

impl Document for ImportPrices {
    fn limit(limits: &Limits) -> usize {
        limits.batch_bytes
    }
}

/// What became of several prices.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportedBody {
    /// How many are new, or other than before.
    pub set: usize,
    /// How many were so already.
    pub unchanged: usize,
}

/// Sets up to 1,000 prices, one after the other. Those that are so already are left alone.
#[utoipa::path(post, path = "/v1/prices/import", tag = "Providers", request_body = ImportPrices,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    responses((status = 200, description = "How many were set", body = ImportedBody),
        (status = "default", description = "A problem; with `index` where one of the prices is meant, those before it \
            being set", body = ProblemBody, content_type = "application/problem+json")
    ))]
pub async fn import(Write { body, writer }: Write<ImportPrices>) -> Answer {
    if !(1..=MOST).contains(&body.prices.len()) {
        let detail = format!("1 to {MOST} prices are imported at once");
        return Err(Problem::new(code::TOO_MANY_AT_ONCE, detail).at("prices"));
    }
    let present = writer.catalogue().await?;
    let all = body.prices.len();
    let commands: Vec<(usize, CatalogueCommand)> = body
        .prices
        .into_iter()
        .map(|Object(price)| price.into())
        .enumerate()
        .filter(|(_, command)| !is_so(&present, command))
        .collect();
    let (places, commands): (Vec<usize>, Vec<Command>) =
        commands.into_iter().map(|(place, command)| (place, Command::Catalogue(command))).unzip();
    let outcomes = writer.submit_each(commands).await;
    let mut position = None;
    for (place, outcome) in places.iter().zip(outcomes) {
        match outcome {
            Ok(outcome) => position = Some(outcome.position),
            Err(failure) => {
                return Err(Problem { index: u32::try_from(*place).ok(), ..Problem::from(failure) });
            }
        }
    }
    if let Some(position) = position {
        writer.catalogue_changed(position).await;
    }
    let body = ImportedBody { set: places.len(), unchanged: all - places.len() };
    answer::written(StatusCode::OK, position, false, &body)
}

/// Whether a price is so already.
fn is_so(catalogue: &Catalogue, command: &CatalogueCommand) -> bool {
    let CatalogueCommand::SetPrice { provider, model, asset, rates } = command else { return false };
    let present = catalogue.price(provider, model);
    present.is_some_and(|present| present.asset == *asset && present.rates == *rates)
}
