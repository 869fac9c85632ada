//! Tenants that people create for themselves, and what others learn from trying to.

use serde_json::{Value, json};

use crate::server::{Answer, Client};
use crate::{person, self_service};

async fn found(founder: &Client, key: &str, slug: &str) -> Answer {
    founder.post_once("/v1/tenants", key, json!({"slug": slug, "name": "Acme"})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_founds_the_tenant_that_operators_take_for_the_platform() {
    let server = self_service().await;
    let eve = person(&server, "eve@example.com", "Eve").await;
    let refused = found(&eve, "k", "platform").await;
    assert_eq!((refused.status, refused.text("/code")), (409, "tenant_exists"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_founds_a_tenant_that_there_is_learns_nothing_of_the_keys_that_it_used() {
    let server = self_service().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    let made = found(&ada, "founding", "acme").await;
    assert_eq!((made.status, made.replayed), (201, false), "{made:?}");
    let again = found(&ada, "founding", "acme").await;
    assert_eq!(again, Answer { replayed: true, ..made.clone() });
    // What a tenant uses for itself is another thing than what its founder used before there was one.
    for key in ["k", "founding"] {
        let asset = ada.post_once("/v1/assets", key, json!({"code": key.to_uppercase(), "scale": 2})).await;
        assert_eq!((asset.status, asset.replayed), (201, false), "{asset:?}");
    }
    let other = ada.post_once("/v1/tenants", "founding", json!({"slug": "acme", "name": "Another"})).await;
    assert_eq!((other.status, other.text("/code")), (409, "idempotency_key_reused"));

    let eve = person(&server, "eve@example.com", "Eve").await;
    let mut said: Vec<Value> = Vec::new();
    for key in ["unused", "k", "founding"] {
        let refused = found(&eve, key, "acme").await;
        assert_eq!((refused.status, refused.text("/code")), (409, "tenant_exists"), "{key}: {refused:?}");
        let mut body = refused.body;
        body.as_object_mut().unwrap().remove("request_id");
        said.push(body);
    }
    assert!(said.iter().all(|body| *body == said[0]), "{said:?}");
    // The same key is another one in the hands of somebody else.
    let bolt = found(&eve, "founding", "bolt").await;
    assert_eq!((bolt.status, bolt.replayed), (201, false), "{bolt:?}");
    assert_eq!(found(&ada, "founding", "acme").await, Answer { replayed: true, ..made });
}
