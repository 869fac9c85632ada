//! The description of the API, generated from the code.

mod forms;
mod problems;

use std::collections::BTreeSet;

use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, RefOr, Required, Schema};
use utoipa::{Modify, OpenApi};

use crate::problem::ProblemBody;
use crate::{health, sdk, v1};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Counterfoil",
        description = "An event-sourced, multi-tenant, double-entry ledger. Amounts are decimal strings; errors are \
                       problem details (RFC 9457) with stable codes.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        v1::auth::sign_up::sign_up, v1::auth::sign_up::verify_email, v1::auth::sign_in::sign_in,
        v1::auth::second_factor::second_factor, v1::auth::refresh::refresh, v1::auth::sign_out::sign_out,
        v1::auth::password::forgot, v1::auth::password::reset, v1::auth::bootstrap::bootstrap,
        v1::auth::oidc::start, v1::auth::oidc::callback, v1::jwks::jwks,
        v1::me::profile::get, v1::me::profile::change, v1::me::profile::erase, v1::me::password::change,
        v1::me::sessions::list, v1::me::sessions::end, v1::me::second_factor::begin,
        v1::me::second_factor::confirm, v1::me::second_factor::end, v1::me::tenants::list, v1::me::tenants::leave,
        v1::tenants::create, v1::tenants::list, v1::tenants::get,
        v1::tenant::get, v1::tenant::change, v1::tenant::suspend, v1::tenant::resume, v1::tenant::close,
        v1::members::list, v1::members::change, v1::members::remove,
        v1::invitations::invite, v1::invitations::list, v1::invitations::withdraw, v1::invitations::accept,
        v1::applications::create::create, v1::applications::list::list, v1::applications::list::get,
        v1::applications::change::change, v1::applications::change::archive,
        v1::applications::keys::issue, v1::applications::keys::list, v1::applications::keys::rotate,
        v1::applications::keys::revoke,
        v1::users::list, v1::users::suspend, v1::users::resume, v1::users::erase,
        v1::assets::register, v1::assets::list,
        v1::wallets::open::open, v1::wallets::list::list, v1::wallets::get::get,
        v1::wallets::status::freeze, v1::wallets::status::unfreeze, v1::wallets::status::close,
        v1::wallets::adjust::adjust, v1::wallets::balance::balance, v1::wallets::entries::entries,
        v1::transactions::create::create, v1::transactions::list::list, v1::transactions::get::get,
        v1::transactions::step::settle, v1::transactions::step::release, v1::transactions::step::reverse,
        v1::transactions::batch::batch,
        v1::balances::sums, v1::balances::trial_balance,
        v1::levels::list, v1::levels::get, v1::levels::put, v1::levels::remove,
        v1::policies::list, v1::policies::get, v1::policies::put, v1::policies::remove,
        v1::metering::get, v1::metering::put,
        v1::allowances::list, v1::allowances::get, v1::allowances::put, v1::allowances::grant,
        v1::providers::list, v1::providers::get, v1::providers::put, v1::providers::remove,
        v1::models::list, v1::models::get, v1::models::put, v1::models::remove,
        v1::prices::list, v1::prices::put, v1::prices::import,
        v1::platform::list_providers, v1::platform::get_provider, v1::platform::put_provider,
        v1::platform::remove_provider, v1::platform::list_models, v1::platform::get_model, v1::platform::put_model,
        v1::platform::remove_model, v1::platform::list_prices, v1::platform::put_price, v1::platform::import_prices,
        v1::executions::create::create, v1::executions::list::list, v1::executions::list::get,
        v1::executions::cancel::cancel, v1::executions::import::import,
        v1::analytics::usage::usage, v1::analytics::latency::latency, v1::analytics::top_spenders::top_spenders,
        v1::analytics::burn_rate::burn_rate,
        sdk::openai_chat, sdk::openai_responses, sdk::openai_embeddings, sdk::openai_models,
        sdk::anthropic_messages, sdk::anthropic_count_tokens, sdk::gemini,
        v1::events::events, v1::audit::audit, v1::access_log::list,
        health::alive, health::ready, health::metrics,
    ),
    components(schemas(ProblemBody)),
    security(("bearer" = [])),
    modifiers(&Bearer, &Details)
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.bearer_format = Some("JWT".to_owned());
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// What handlers say in a word, spelled out.
struct Details;

impl Modify for Details {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        forms::explain(description);
        let optional = bodies_without_needs(description);
        for (path, item) in &mut description.paths.paths {
            for (method, operation) in problems::operations(item) {
                forms::explain_parameters(operation);
                problems::spell_out(path, &method, operation);
                let body = operation.request_body.as_mut().filter(|body| names(body, &optional));
                if let Some(RefOr::T(body)) = body {
                    body.required = Some(Required::False);
                }
            }
        }
        problems::describe(description.components.get_or_insert_default());
    }
}

/// The bodies that need no field. No body at all is one without fields.
fn bodies_without_needs(description: &utoipa::openapi::OpenApi) -> BTreeSet<String> {
    let schemas = description.components.iter().flat_map(|components| &components.schemas);
    schemas
        .filter(|(_, schema)| matches!(schema, RefOr::T(Schema::Object(body)) if body.required.is_empty()))
        .map(|(name, _)| format!("#/components/schemas/{name}"))
        .collect()
}

/// Whether the schema of a body is one of these.
fn names(body: &RefOr<RequestBody>, references: &BTreeSet<String>) -> bool {
    let RefOr::T(body) = body else { return false };
    body.content.values().any(|content| match content {
        RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. }) => {
            references.contains(&schema.ref_location)
        }
        _ => false,
    })
}

/// The description of the API, OpenAPI 3.1.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_description_in_the_docs_is_that_of_the_code() {
        let mut text = super::openapi().to_pretty_json().unwrap();
        text.push('\n');
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == text, "docs/openapi.json is not what `counterfoil openapi` prints");
    }

    #[test]
    fn every_route_describes_its_problems_status_by_status() {
        let description = serde_json::to_value(super::openapi()).unwrap();
        for (path, item) in description["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let responses = operation["responses"].as_object().unwrap();
                let ours = path.starts_with("/v1/") || path.starts_with("/.well-known/");
                assert_eq!(responses.contains_key("500"), ours, "{method} {path}");
                assert!(!responses.contains_key("default"), "{method} {path}: anything would be described");
            }
        }
    }

    #[test]
    fn a_body_of_which_nothing_is_needed_can_be_left_out() {
        let description = serde_json::to_value(super::openapi()).unwrap();
        let required = |path: &str| description["paths"][path]["post"]["requestBody"]["required"].clone();
        assert_eq!(required("/v1/transactions/{id}/settle"), false);
        assert_eq!(required("/v1/applications/{id}/keys/{key}/rotate"), false);
        assert_eq!(required("/v1/transactions"), true);
    }

    #[test]
    fn what_comes_of_a_sign_in_is_one_thing_and_not_two() {
        let description = serde_json::to_value(super::openapi()).unwrap();
        let schema = |name: &str| description["components"]["schemas"][name].clone();
        let has_more = |name: &str| {
            let (known, all) = (schema("CookieSession"), schema(name));
            let known = known["properties"].as_object().unwrap().clone();
            all["required"]
                .as_array()
                .unwrap()
                .iter()
                .any(|field| !known.contains_key(field.as_str().unwrap()))
        };
        assert!(has_more("Tokens") && has_more("SecondFactorDue"));
        assert_eq!(schema("CookieSession")["additionalProperties"], false);
    }
}
