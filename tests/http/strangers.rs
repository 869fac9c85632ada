//! What those get who show nothing: an answer, at a pace, and no word about what lies behind.

use std::collections::BTreeSet;

use reqwest::Method;

use crate::server::Server;

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
