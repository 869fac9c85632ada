//! Every route of the description is asked for by everybody that there is, and lets in whom the table of permissions
//! lets in. A route that is new is asked for too. Users and programs are in tests/people/.

use api::{Access, Rights, Role};
use reqwest::Method;
use serde_json::Value;

use crate::routes::{ask, expect, guarded};
use crate::server::{Server, send};

#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_in_the_roles_that_the_table_names_and_nobody_else() {
    let server = Server::start().await;
    let owner = server.tenant("acme").await;
    let routes = guarded(&owner).await;
    for role in Role::ALL {
        let client = server.client(&server.token("acme", role.as_str()));
        for route in &routes {
            let let_in = route.lets_in(&Rights::Role(role));
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
    for route in &guarded(&owner).await {
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
async fn the_description_says_of_each_route_whether_it_needs_a_credential() {
    let server = Server::start().await;
    let client = server.client("");
    let description = send(client.anonymous(Method::GET, "/openapi.json")).await.body;
    for (method, pattern, access) in api::permissions() {
        let operation = &description["paths"][pattern][method.to_lowercase()];
        let open = operation["security"]
            .as_array()
            .is_some_and(|ways| ways.contains(&Value::Object(serde_json::Map::default())));
        assert_eq!(open, access == Access::Public, "{method} {pattern}");
    }
}
