//! Every address of the API: one table of method, pattern, what it needs, and its handler. Registration, the checks
//! of roles and the tests go by this table.

use std::collections::HashMap;
use std::sync::LazyLock;

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpMessage as _, HttpRequest, Route};

use crate::access::Access;
use crate::answer::Answer;
use crate::problem::{Problem, code};
use crate::{health, sdk, v1};

/// One line of the table.
pub struct Line {
    /// The method.
    pub method: Method,
    /// The address, variable parts in braces.
    pub pattern: &'static str,
    /// What it needs.
    pub access: Access,
    handler: fn() -> Route,
}

macro_rules! table {
    ($($method:ident $pattern:literal $access:ident $handler:path;)*) => {
        &[$(Line {
            method: Method::$method,
            pattern: $pattern,
            access: Access::$access,
            handler: || web::method(Method::$method).to($handler),
        }),*]
    };
}

/// Where a pattern with a variable part could also match a fixed one, the fixed one stands first.
///
/// An auditor reads everything of the tenant. What else there is to read belongs to somebody else, which is said where it
/// stands.
pub const TABLE: &[Line] = table! {
    GET "/healthz" Public health::alive;
    GET "/readyz" Public health::ready;
    GET "/metrics" Public health::metrics;
    GET "/.well-known/jwks.json" Public v1::jwks::jwks;
    POST "/v1/auth/sign-up" Public v1::auth::sign_up::sign_up;
    POST "/v1/auth/verify-email" Public v1::auth::sign_up::verify_email;
    POST "/v1/auth/sign-in" Public v1::auth::sign_in::sign_in;
    POST "/v1/auth/second-factor" Public v1::auth::second_factor::second_factor;
    POST "/v1/auth/refresh" Public v1::auth::refresh::refresh;
    POST "/v1/auth/sign-out" SignedIn v1::auth::sign_out::sign_out;
    POST "/v1/auth/password/forgot" Public v1::auth::password::forgot;
    POST "/v1/auth/password/reset" Public v1::auth::password::reset;
    POST "/v1/auth/bootstrap" Public v1::auth::bootstrap::bootstrap;
    GET "/v1/auth/oidc/{provider}/start" Public v1::auth::oidc::start;
    GET "/v1/auth/oidc/{provider}/callback" Public v1::auth::oidc::callback;
    // One's own profile, sessions and tenants are one's own: nobody reads those of others, an auditor as little as an owner.
    GET "/v1/me" SignedIn v1::me::profile::get;
    PATCH "/v1/me" SignedIn v1::me::profile::change;
    DELETE "/v1/me" SignedIn v1::me::profile::erase;
    POST "/v1/me/password" SignedIn v1::me::password::change;
    GET "/v1/me/sessions" SignedIn v1::me::sessions::list;
    DELETE "/v1/me/sessions/{id}" SignedIn v1::me::sessions::end;
    POST "/v1/me/second-factor/confirm" SignedIn v1::me::second_factor::confirm;
    POST "/v1/me/second-factor" SignedIn v1::me::second_factor::begin;
    DELETE "/v1/me/second-factor" SignedIn v1::me::second_factor::end;
    GET "/v1/me/tenants" SignedIn v1::me::tenants::list;
    DELETE "/v1/me/tenants/{slug}" SignedIn v1::me::tenants::leave;
    // All users and all tenants are the platform's: who sees them sees other tenants.
    GET "/v1/users" Platform v1::users::list;
    DELETE "/v1/users/{id}" Platform v1::users::erase;
    POST "/v1/users/{id}/suspend" Platform v1::users::suspend;
    POST "/v1/users/{id}/resume" Platform v1::users::resume;
    POST "/v1/tenants" Found v1::tenants::create;
    GET "/v1/tenants" Platform v1::tenants::list;
    GET "/v1/tenants/{slug}" Platform v1::tenants::get;
    GET "/v1/tenant" Read v1::tenant::get;
    PATCH "/v1/tenant" Administer v1::tenant::change;
    POST "/v1/tenant/suspend" Platform v1::tenant::suspend;
    POST "/v1/tenant/resume" Platform v1::tenant::resume;
    POST "/v1/tenant/close" Owner v1::tenant::close;
    GET "/v1/members" Inspect v1::members::list;
    PATCH "/v1/members/{user}" People v1::members::change;
    DELETE "/v1/members/{user}" People v1::members::remove;
    POST "/v1/invitations/accept" SignedIn v1::invitations::accept;
    POST "/v1/invitations" People v1::invitations::invite;
    GET "/v1/invitations" Inspect v1::invitations::list;
    DELETE "/v1/invitations/{id}" People v1::invitations::withdraw;
    POST "/v1/applications" Keys v1::applications::create::create;
    GET "/v1/applications" Inspect v1::applications::list::list;
    GET "/v1/applications/{id}" Inspect v1::applications::list::get;
    PATCH "/v1/applications/{id}" Keys v1::applications::change::change;
    POST "/v1/applications/{id}/archive" Keys v1::applications::change::archive;
    POST "/v1/applications/{id}/keys" Keys v1::applications::keys::issue;
    GET "/v1/applications/{id}/keys" Inspect v1::applications::keys::list;
    POST "/v1/applications/{id}/keys/{key}/rotate" Keys v1::applications::keys::rotate;
    DELETE "/v1/applications/{id}/keys/{key}" Keys v1::applications::keys::revoke;
    POST "/v1/assets" Administer v1::assets::register;
    GET "/v1/assets" Read v1::assets::list;
    POST "/v1/wallets" Administer v1::wallets::open::open;
    GET "/v1/wallets" Read v1::wallets::list::list;
    GET "/v1/wallets/{path}" Read v1::wallets::get::get;
    POST "/v1/wallets/{path}/freeze" Administer v1::wallets::status::freeze;
    POST "/v1/wallets/{path}/unfreeze" Administer v1::wallets::status::unfreeze;
    POST "/v1/wallets/{path}/close" Administer v1::wallets::status::close;
    POST "/v1/wallets/{path}/adjust" Administer v1::wallets::adjust::adjust;
    GET "/v1/wallets/{path}/balance" Read v1::wallets::balance::balance;
    GET "/v1/wallets/{path}/entries" Read v1::wallets::entries::entries;
    POST "/v1/transactions/batch" Transact v1::transactions::batch::batch;
    POST "/v1/transactions" Transact v1::transactions::create::create;
    GET "/v1/transactions" Read v1::transactions::list::list;
    GET "/v1/transactions/{id}" Read v1::transactions::get::get;
    POST "/v1/transactions/{id}/settle" Transact v1::transactions::step::settle;
    POST "/v1/transactions/{id}/release" Transact v1::transactions::step::release;
    POST "/v1/transactions/{id}/reverse" Transact v1::transactions::step::reverse;
    GET "/v1/balances" Read v1::balances::sums;
    GET "/v1/trial-balance" Read v1::balances::trial_balance;
    GET "/v1/levels" Read v1::levels::list;
    GET "/v1/levels/{name}" Read v1::levels::get;
    PUT "/v1/levels/{name}" Administer v1::levels::put;
    DELETE "/v1/levels/{name}" Administer v1::levels::remove;
    GET "/v1/policies" Read v1::policies::list;
    GET "/v1/policies/{kind}/{name}" Read v1::policies::get;
    PUT "/v1/policies/{kind}/{name}" Administer v1::policies::put;
    DELETE "/v1/policies/{kind}/{name}" Administer v1::policies::remove;
    GET "/v1/metering" Read v1::metering::get;
    PUT "/v1/metering" Administer v1::metering::put;
    GET "/v1/allowances" Read v1::allowances::list;
    GET "/v1/allowances/{path}" Read v1::allowances::get;
    PUT "/v1/allowances/{path}" Administer v1::allowances::put;
    POST "/v1/allowances/{path}/grants" Administer v1::allowances::grant;
    GET "/v1/providers" Read v1::providers::list;
    GET "/v1/providers/{name}" Read v1::providers::get;
    PUT "/v1/providers/{name}" Administer v1::providers::put;
    DELETE "/v1/providers/{name}" Administer v1::providers::remove;
    GET "/v1/models" Read v1::models::list;
    GET "/v1/models/{alias}" Read v1::models::get;
    PUT "/v1/models/{alias}" Administer v1::models::put;
    DELETE "/v1/models/{alias}" Administer v1::models::remove;
    GET "/v1/prices" Read v1::prices::list;
    PUT "/v1/prices" Administer v1::prices::put;
    POST "/v1/prices/import" Administer v1::prices::import;
    // What the platform offers to all tenants is its own. What a tenant had of it stands in its executions.
    GET "/v1/platform/providers" Platform v1::platform::list_providers;
    GET "/v1/platform/providers/{name}" Platform v1::platform::get_provider;
    PUT "/v1/platform/providers/{name}" Platform v1::platform::put_provider;
    DELETE "/v1/platform/providers/{name}" Platform v1::platform::remove_provider;
    GET "/v1/platform/models" Platform v1::platform::list_models;
    GET "/v1/platform/models/{alias}" Platform v1::platform::get_model;
    PUT "/v1/platform/models/{alias}" Platform v1::platform::put_model;
    DELETE "/v1/platform/models/{alias}" Platform v1::platform::remove_model;
    GET "/v1/platform/prices" Platform v1::platform::list_prices;
    PUT "/v1/platform/prices" Platform v1::platform::put_price;
    POST "/v1/platform/prices/import" Platform v1::platform::import_prices;
    POST "/v1/executions/import" Administer v1::executions::import::import;
    POST "/v1/executions" Execute v1::executions::create::create;
    GET "/v1/executions" Read v1::executions::list::list;
    GET "/v1/executions/{id}" Read v1::executions::list::get;
    POST "/v1/executions/{id}/cancel" Execute v1::executions::cancel::cancel;
    GET "/v1/analytics/usage" Read v1::analytics::usage::usage;
    GET "/v1/analytics/latency" Read v1::analytics::latency::latency;
    GET "/v1/analytics/top-spenders" Read v1::analytics::top_spenders::top_spenders;
    GET "/v1/analytics/burn-rate" Read v1::analytics::burn_rate::burn_rate;
    POST "/openai/v1/chat/completions" Execute sdk::openai_chat;
    POST "/openai/v1/responses" Execute sdk::openai_responses;
    POST "/openai/v1/embeddings" Execute sdk::openai_embeddings;
    // For SDKs that are about to call: what can be called at this moment, and nothing that anybody has done.
    GET "/openai/v1/models" Execute sdk::openai_models;
    POST "/anthropic/v1/messages" Execute sdk::anthropic_messages;
    POST "/anthropic/v1/messages/count_tokens" Execute sdk::anthropic_count_tokens;
    POST "/gemini/{version}/models/{call}" Execute sdk::gemini;
    GET "/v1/events" Audit v1::events::events;
    GET "/v1/audit" Audit v1::audit::audit;
    GET "/v1/access-log" Audit v1::access_log::list;
};

/// Where what belongs to the platform and to no tenant begins.
const PLATFORM: &str = "/v1/platform/";

/// Where a request leads. Worked out once for each, because it takes a look at all patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched {
    /// The pattern; `none` where nothing is there.
    pub pattern: &'static str,
    /// What it needs; `None` for what is not in the table.
    pub access: Option<Access>,
}

impl Matched {
    /// Whether it leads to what belongs to the platform and to no tenant.
    pub fn is_of_platform(&self) -> bool {
        self.pattern.starts_with(PLATFORM)
    }

    /// Where the request leads. What was found first is kept with it.
    pub fn of(request: &HttpRequest) -> Self {
        if let Some(known) = request.extensions().get::<Self>() {
            return *known;
        }
        // A path without variable parts is its own pattern, and stands in the table before those that match it too.
        let pattern = known_pattern(request.path()).or_else(|| {
            request.match_pattern().map(|pattern| known_pattern(&pattern).unwrap_or(DOCUMENTATION))
        });
        let access = pattern.and_then(|pattern| access(request.method(), pattern));
        let matched = Self { pattern: pattern.unwrap_or("none"), access };
        request.extensions_mut().insert(matched);
        matched
    }
}

/// What the pages under `/docs` and the description are called: they are not in the table.
const DOCUMENTATION: &str = "/docs";

fn by_pattern() -> &'static HashMap<&'static str, Vec<&'static Line>> {
    static LINES: LazyLock<HashMap<&str, Vec<&Line>>> = LazyLock::new(|| {
        TABLE.iter().fold(HashMap::new(), |mut lines, line| {
            lines.entry(line.pattern).or_insert_with(Vec::new).push(line);
            lines
        })
    });
    &LINES
}

fn known_pattern(text: &str) -> Option<&'static str> {
    by_pattern().get_key_value(text).map(|(pattern, _)| *pattern)
}

fn access(method: &Method, pattern: &str) -> Option<Access> {
    let line = by_pattern().get(pattern)?.iter().find(|line| line.method == *method)?;
    Some(line.access)
}

/// Every route with what it needs: method, pattern, access.
pub fn permissions() -> impl Iterator<Item = (&'static str, &'static str, Access)> {
    TABLE.iter().map(|line| (line.method.as_str(), line.pattern, line.access))
}

/// Registers the table. A known address with another method is answered with the methods that it knows.
pub fn register(config: &mut ServiceConfig) {
    let mut seen: Vec<&str> = Vec::new();
    for line in TABLE {
        if seen.contains(&line.pattern) {
            continue;
        }
        seen.push(line.pattern);
        let alike = TABLE.iter().filter(|other| other.pattern == line.pattern);
        let resource =
            alike.fold(web::resource(line.pattern), |resource, line| resource.route((line.handler)()));
        config.service(resource.default_service(web::to(other_method)));
    }
}

/// Nothing is at the address.
pub async fn nothing_here(request: HttpRequest) -> Answer {
    Err(Problem::new(code::ROUTE_NOT_FOUND, format!("there is nothing at {}", request.path())))
}

async fn other_method(request: HttpRequest) -> Answer {
    let pattern = request.match_pattern();
    let alike = TABLE.iter().filter(|line| Some(line.pattern) == pattern.as_deref());
    let methods: Vec<&str> = alike.map(|line| line.method.as_str()).collect();
    let allow = methods.join(", ");
    let detail = format!("{} is not known here, only {allow}", request.method());
    Err(Problem { allow: Some(allow.into_boxed_str()), ..Problem::new(code::METHOD_NOT_ALLOWED, detail) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::Role;

    use super::*;
    use crate::auth::Rights;

    #[test]
    fn every_route_is_documented_and_nothing_else() {
        let documented: BTreeSet<String> = serde_json::to_value(crate::openapi()).unwrap()["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                let methods: Vec<_> = item.as_object().unwrap().keys().collect();
                methods
                    .into_iter()
                    .map(|method| format!("{} {path}", method.to_uppercase()))
                    .collect::<Vec<_>>()
            })
            .collect();
        let known: BTreeSet<String> =
            TABLE.iter().map(|line| format!("{} {}", line.method, line.pattern)).collect();
        assert_eq!(documented, known);
    }

    #[test]
    fn only_what_lets_people_in_is_public_under_v1_and_no_write_is_a_readers() {
        for line in TABLE {
            let lets_in = line.pattern.starts_with("/v1/auth/") && line.pattern != "/v1/auth/sign-out";
            let public = lets_in || !(line.pattern.starts_with("/v1/") || sdk::is_address(line.pattern));
            assert_eq!(public, line.access == Access::Public, "{}", line.pattern);
            let reads = matches!(line.access, Access::Read | Access::Audit | Access::Inspect);
            assert!(!(reads && line.method != Method::GET), "{} {}", line.method, line.pattern);
        }
    }

    #[test]
    fn an_auditor_reads_everything_that_is_the_tenants_and_nothing_that_is_not() {
        let auditor = Rights::Role(Role::Auditor);
        let refused = TABLE.iter().filter(|line| !line.access.allows(&auditor));
        let reads: Vec<_> =
            refused.filter(|line| line.method == Method::GET).map(|line| line.pattern).collect();
        assert_eq!(
            reads,
            [
                "/v1/me",
                "/v1/me/sessions",
                "/v1/me/tenants",
                "/v1/users",
                "/v1/tenants",
                "/v1/tenants/{slug}",
                "/v1/platform/providers",
                "/v1/platform/providers/{name}",
                "/v1/platform/models",
                "/v1/platform/models/{alias}",
                "/v1/platform/prices",
                "/openai/v1/models",
            ]
        );
        let may = TABLE.iter().filter(|line| line.access != Access::Public && line.access.allows(&auditor));
        assert!(may.clone().all(|line| line.method == Method::GET), "an auditor writes nothing");
    }

    #[test]
    fn a_route_that_is_not_in_the_table_needs_what_nobody_has() {
        assert_eq!(access(&Method::PUT, "/v1/wallets"), None);
        assert_eq!(access(&Method::GET, "none"), None);
        assert_eq!(access(&Method::GET, "/v1/audit"), Some(Access::Audit));
    }
}
