//! Every route of the served description, to be asked for by everybody that there is.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot read the description fails")]

use std::collections::BTreeMap;

use api::Access;
use reqwest::Method;

use crate::server::{Answer, Client, send};

/// A route of the description, with something plausible in the place of what is variable.
pub struct Route {
    pub method: Method,
    pub pattern: String,
    pub path: String,
    pub access: Access,
}

/// All routes that need a credential. Each that is described must be in the table of permissions, and the table must have
/// no other.
pub async fn guarded(client: &Client) -> Vec<Route> {
    let description = client.get("/openapi.json").await.body;
    let mut table: BTreeMap<(String, String), Access> = api::permissions()
        .map(|(method, pattern, access)| ((method.to_owned(), pattern.to_owned()), access))
        .collect();
    let mut routes = Vec::new();
    for (pattern, item) in description["paths"].as_object().expect("the description has paths") {
        for method in item.as_object().expect("a path has methods").keys() {
            let method = method.to_uppercase();
            let access = table.remove(&(method.clone(), pattern.clone()));
            let access = access.unwrap_or_else(|| panic!("{method} {pattern} has no line in the table"));
            let method = Method::from_bytes(method.as_bytes()).expect("a method has its form");
            routes.push(Route { method, path: filled(pattern), pattern: pattern.clone(), access });
        }
    }
    assert!(table.is_empty(), "not described: {table:?}");
    // Those that SDKs call answer in the shapes of providers; tests/calls/ asks for them.
    routes.retain(|route| route.access != Access::Public && route.pattern.starts_with("/v1/"));
    assert!(routes.len() > 50, "the description is not whole");
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
pub async fn ask(client: &Client, route: &Route, headers: &[(&str, &str)]) -> Answer {
    let request = client.request(route.method.clone(), &route.path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let writes = route.method != Method::GET;
    send(if writes { request.header("Content-Type", "application/json").body("{") } else { request }).await
}

/// Asserts that the answer shows that the caller was let in, or that they were not.
pub fn expect(answer: &Answer, let_in: bool, who: &str, route: &Route) {
    let code = answer.body["code"].as_str().unwrap_or_default();
    let what = format!("{who}: {} {} -> {} {code}", route.method, route.pattern, answer.status);
    if let_in {
        assert!(!matches!(answer.status, 401 | 403 | 429) && answer.status < 500, "{what}");
    } else {
        assert_eq!((answer.status, code), (403, "forbidden"), "{what}");
    }
}
