//! What those get who show nothing: an answer, at a pace, and no word about what lies behind.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::server::Server;

/// Asks without a credential from an address: status, headers and body.
async fn ask(server: &Server, from: &str, path: &str) -> (u16, reqwest::header::HeaderMap, Value) {
    let request = server.client("").anonymous(Method::GET, path).header("X-Forwarded-For", from);
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    (status, headers, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_credential_is_told_how_often_they_may_ask_and_held_to_it() {
    let settings = [
        ("COUNTERFOIL_LIMITS__ANONYMOUS_BURST", "20"),
        ("COUNTERFOIL_LIMITS__ANONYMOUS_PER_SECOND", "1"),
        ("COUNTERFOIL_API__TRUSTED_PROXIES", r#"["127.0.0.0/8"]"#),
    ];
    let server = Server::configured(&settings).await;
    let acme = server.tenant("acme").await;
    for (number, (path, status)) in [
        ("/readyz", 200),
        ("/metrics", 200),
        ("/openapi.json", 200),
        ("/docs/problems", 200),
        ("/.well-known/jwks.json", 200),
        ("/v1/wallets", 401),
        ("/v1/nothing", 404),
        ("/nothing", 404),
    ]
    .into_iter()
    .enumerate()
    {
        let from = format!("203.0.113.{number}");
        let (answered, headers, _) = ask(&server, &from, path).await;
        assert_eq!(answered, status, "{path}");
        assert_eq!(headers["RateLimit-Limit"], "20", "{path}");
        assert!(headers.contains_key("RateLimit-Remaining") && headers.contains_key("RateLimit-Reset"));
        let mut limited = 0;
        for _ in 0..60 {
            let (answered, headers, body) = ask(&server, &from, path).await;
            if answered == 429 {
                limited += 1;
                assert_eq!(body["code"], "rate_limited", "{path}");
                assert!(headers["Retry-After"].to_str().unwrap().parse::<u32>().unwrap() >= 1, "{path}");
                assert_eq!(headers["RateLimit-Remaining"], "0", "{path}");
            } else {
                assert_eq!(answered, status, "{path}");
            }
        }
        assert!(limited > 10, "{path}: {limited}");
        assert_eq!(ask(&server, &from, "/healthz").await.0, 200, "a sign of life is for everybody");
        let own = acme.request(Method::GET, "/v1/wallets").header("X-Forwarded-For", &from);
        assert_eq!(own.send().await.unwrap().status(), 200, "who shows a credential is not held up");
    }
    assert_eq!(ask(&server, "198.51.100.1", "/readyz").await.0, 200, "another address has its own count");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_of_monitoring_at_once_is_within_what_is_usual() {
    let server = Server::start().await;
    for _ in 0..60 {
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(ask(&server, "", path).await.0, 200, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readyz_says_which_part_is_gone_and_not_why() {
    let server = Server::start().await;
    let (status, _, body) = ask(&server, "", "/readyz").await;
    assert_eq!((status, &body["state"]), (200, &Value::from("ok")), "{body}");
    let mut session = PgConnection::connect(server.database.url()).await.unwrap();
    session.execute("ALTER TABLE views.checkpoints RENAME TO checkpoints_elsewhere").await.unwrap();
    let mut last = Value::Null;
    for _ in 0..100 {
        let (status, _, body) = ask(&server, "", "/readyz").await;
        last = body;
        if status == 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let failed: Vec<&Value> =
        last["checks"].as_array().unwrap().iter().filter(|check| check["state"] == "failed").collect();
    assert_eq!(failed.len(), 1, "{last}");
    assert_eq!((&failed[0]["name"], &failed[0]["detail"]), (&"database".into(), &"gives no answer".into()));
    let said = last.to_string();
    assert!(!said.contains("checkpoints") && !said.contains("relation"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_configured_site_may_use_every_method_of_the_table() {
    let site = "https://app.example.com";
    let server =
        Server::configured(&[("COUNTERFOIL_API__CORS_ORIGINS", r#"["https://app.example.com"]"#)]).await;
    let mut methods = BTreeSet::new();
    for (method, pattern, _) in api::permissions() {
        let request = server.client("").anonymous(Method::OPTIONS, pattern).header("Origin", site);
        let request = request.header("Access-Control-Request-Method", method);
        let request = request.header("Access-Control-Request-Headers", "authorization,content-type");
        let response = request.send().await.unwrap();
        let status = response.status();
        let allowed = response.headers().get("Access-Control-Allow-Methods").cloned();
        let allowed = allowed.as_ref().map_or("", |value| value.to_str().unwrap());
        assert_eq!(status, 200, "{method} {pattern}: {allowed}");
        assert!(allowed.split(',').any(|word| word.trim() == method), "{method} {pattern}: {allowed}");
        methods.insert(method);
    }
    assert!(methods.contains("PUT") && methods.len() >= 5, "{methods:?}");
}
