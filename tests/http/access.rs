//! Every route of the description is asked for by everybody that there is, and lets in whom the table of permissions
//! lets in. A route that is new is asked for too.

use std::collections::BTreeMap;

use api::{Access, Rights, Role};
use reqwest::Method;
use serde_json::Value;

use crate::server::{Answer, Client, Server, send};

/// A route of the description, with something plausible in the place of what is variable.
struct Route {
    method: Method,
    pattern: String,
    path: String,
    access: Access,
}

/// All routes of the served description. Each must be in the table, and the table must have no other.
async fn routes(client: &Client) -> Vec<Route> {
    let description = client.get("/openapi.json").await.body;
    let mut table: BTreeMap<(String, String), Access> = api::permissions()
        .map(|(method, pattern, access)| ((method.to_owned(), pattern.to_owned()), access))
        .collect();
    let mut routes = Vec::new();
    for (pattern, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            let access = table.remove(&(method.clone(), pattern.clone()));
            let access = access.unwrap_or_else(|| panic!("{method} {pattern} has no line in the table"));
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            routes.push(Route { method, path: filled(pattern), pattern: pattern.clone(), access });
        }
    }
    assert!(table.is_empty(), "not described: {table:?}");
    assert!(routes.len() > 25, "the description is not whole");
    routes
}

fn filled(pattern: &str) -> String {
    let fill = |segment: &str| match segment {
        "{slug}" => "acme".to_owned(),
        "{path}" => "nowhere".to_owned(),
        "{provider}" => "nobody".to_owned(),
        variable if variable.starts_with('{') => "0199a3c4-5f0e-7d5b-9c2e-0f6d3c1b2a90".to_owned(),
        fixed => fixed.to_owned(),
    };
    pattern.split('/').map(fill).collect::<Vec<_>>().join("/")
}

/// Asks in such a way that whoever is let in changes nothing: what is sent is no JSON.
async fn ask(client: &Client, route: &Route, headers: &[(&str, &str)]) -> Answer {
    let request = client.request(route.method.clone(), &route.path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let writes = route.method != Method::GET;
    send(if writes { request.header("Content-Type", "application/json").body("{") } else { request }).await
}

/// That the answer shows that the caller was let in, or that they were not.
fn expect(answer: &Answer, let_in: bool, who: &str, route: &Route) {
    let code = answer.body["code"].as_str().unwrap_or_default();
    let what = format!("{who}: {} {} -> {} {code}", route.method, route.pattern, answer.status);
    if let_in {
        assert!(!matches!(answer.status, 401 | 403 | 429) && answer.status < 500, "{what}");
    } else {
        assert_eq!((answer.status, code), (403, "forbidden"), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_in_the_roles_that_the_table_names_and_nobody_else() {
    let server = Server::start().await;
    let owner = server.tenant("acme").await;
    let routes = routes(&owner).await;
    for role in Role::ALL {
        let client = server.client(&server.token("acme", role.as_str()));
        for route in routes.iter().filter(|route| route.access != Access::Public) {
            let let_in = route.access.allows(&Rights::Role(role));
            expect(&ask(&client, route, &[]).await, let_in, role.as_str(), route);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_that_needs_a_credential_answers_without_one_or_with_half_of_one() {
    let server = Server::start().await;
    let owner = server.tenant("acme").await;
    let half = owner.token.rsplit_once('.').unwrap().0.to_owned();
    let key = "cf_live_00000000000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for route in routes(&owner).await.iter().filter(|route| route.access != Access::Public) {
        let anonymous = send(owner.anonymous(route.method.clone(), &route.path)).await;
        assert_eq!((anonymous.status, anonymous.text("/code")), (401, "token_missing"), "{}", route.pattern);
        for (token, code) in
            [(half.as_str(), "token_malformed"), (key, "token_invalid"), ("cf_x", "token_malformed")]
        {
            let answer = ask(&server.client(token), route, &[]).await;
            let allowed = [Some(code), Some("rate_limited")];
            let said = answer.body["code"].as_str();
            assert!(allowed.contains(&said), "{token} {} {}: {answer:?}", route.method, route.pattern);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_of_another_tenant_reaches_nothing_whatever_the_request_names() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    let bolt = server.tenant("bolt").await;
    let before = acme.state().await;
    let theirs = [("X-Tenant-Slug", "acme")];
    let nobodys = [("X-Tenant-Slug", "nobody")];
    let nonsense = [("X-Tenant-Slug", "' OR 1=1 --")];
    let twice = [("X-Tenant-Slug", "bolt"), ("X-Tenant-Slug", "acme")];
    for route in routes(&acme).await.iter().filter(|route| route.access != Access::Public) {
        if !route.access.allows(&Rights::Role(Role::Owner)) {
            continue;
        }
        for headers in [&theirs[..], &nobodys, &nonsense, &twice] {
            let answer = ask(&bolt, route, headers).await;
            let what = format!("{headers:?} {} {}", route.method, route.pattern);
            // The same for a tenant that there is and one that there is not.
            assert_eq!((answer.status, answer.text("/code")), (403, "tenant_not_yours"), "{what}");
            assert_eq!(answer.text("/detail"), "the credential is not for this tenant", "{what}");
        }
        expect(
            &ask(&bolt, route, &[("X-Tenant-Slug", "bolt")]).await,
            true,
            "owner, naming their own",
            route,
        );
    }
    assert_eq!(acme.state().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_says_of_each_route_whether_it_needs_a_credential() {
    let server = Server::start().await;
    let client = server.client("");
    let description = send(client.anonymous(Method::GET, "/openapi.json")).await.body;
    for (method, pattern, access) in api::permissions() {
        let operation = &description["paths"][pattern][method.to_lowercase()];
        let open = operation["security"]
            .as_array()
            .is_some_and(|ways| ways.contains(&Value::Object(Default::default())));
        assert_eq!(open, access == Access::Public, "{method} {pattern}");
    }
}
