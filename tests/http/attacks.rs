//! A catalogue of attacks. None of them gets anything, none of them breaks anything.

use std::collections::BTreeMap;

use api::credential::{Claims, Role, Signer};
use domain::Clock as _;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::injection::everywhere;
use crate::server::{Server, send};
use crate::{fund, transfer};

/// Sends bytes as they are and reads what comes back until the server closes or says nothing more.
async fn raw(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0_u8; 16 * 1024];
    let patience = std::time::Duration::from_millis(1_500);
    while let Ok(Ok(count @ 1..)) = tokio::time::timeout(patience, stream.read(&mut buffer)).await {
        answer.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of a raw answer; 0 where the connection was closed without one.
fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_our_own_key_signed_is_refused_unless_all_of_it_is_right() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    let signer = Signer::open(&server.signing_key(), "counterfoil", "counterfoil").unwrap();
    let now = counterfoil::system::SystemClock.now().timestamp();
    let good = Claims {
        sub: "alice".into(),
        tenant: "acme".into(),
        role: Role::Owner,
        iss: "counterfoil".into(),
        aud: vec!["counterfoil".into()],
        iat: now,
        exp: now + 600,
        nbf: None,
        jti: "1".into(),
    };
    let ask = async |claims: Claims| {
        let answer = server.client(&signer.sign(&claims).unwrap()).get("/v1/assets").await;
        (answer.status, answer.body["code"].as_str().unwrap_or_default().to_owned())
    };
    let refused = |code: &str| (401, code.to_owned());
    assert_eq!(ask(good.clone()).await.0, 200);
    assert_eq!(ask(Claims { exp: now - 60, ..good.clone() }).await, refused("token_expired"));
    assert_eq!(ask(Claims { nbf: Some(now + 300), ..good.clone() }).await, refused("token_invalid"));
    assert_eq!(ask(Claims { iat: now + 300, ..good.clone() }).await, refused("token_invalid"));
    assert_eq!(ask(Claims { aud: vec!["another".into()], ..good.clone() }).await, refused("token_invalid"));
    assert_eq!(ask(Claims { aud: Vec::new(), ..good.clone() }).await, refused("token_invalid"));
    assert_eq!(ask(Claims { iss: "another".into(), ..good.clone() }).await, refused("token_invalid"));
    assert_eq!(ask(Claims { sub: String::new(), ..good.clone() }).await, refused("token_malformed"));
    for tenant in ["", "@platform", "Acme", "acme/../bolt", "acme' OR '1'='1"] {
        let claims = Claims { tenant: tenant.into(), ..good.clone() };
        assert_eq!(ask(claims).await, refused("token_malformed"), "{tenant}");
    }
    // Two credentials, of which the second is good, are none.
    let two = acme.request(Method::GET, "/v1/assets").header("Authorization", "Bearer x");
    assert_eq!(send(two).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_switched_in_the_body_or_the_query_is_not_reached() {
    let server = Server::on(crate::support::Database::with_partitions(1).await);
    let (acme, bolt) = (server.tenant("acme").await, server.tenant("bolt").await);
    for number in 0..3 {
        fund(&bolt, &format!("bolts-{number}"), "5.00").await;
        fund(&acme, &format!("acmes-{number}"), "1.00").await;
    }
    let before = (acme.state().await, bolt.state().await);
    let bolt_id = domain::TenantId::of(&domain::Slug::new("bolt").unwrap()).to_string();
    for extra in [json!({"tenant": "bolt"}), json!({"tenant_id": bolt_id}), json!({"partition": 0})] {
        let mut body = transfer("@world", "acmes-0", "1");
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let answer = acme.post("/v1/transactions", body).await;
        assert_eq!((answer.status, answer.text("/code")), (422, "unknown_field"), "{extra}");
    }
    for parameter in ["tenant=bolt", "tenant_id=x", "slug=bolt"] {
        let answer = acme.get(&format!("/v1/wallets?{parameter}")).await;
        assert_eq!((answer.status, answer.text("/code")), (422, "invalid_query"), "{parameter}");
    }
    assert_eq!((acme.state().await, bolt.state().await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_in_any_text_of_any_request_is_a_text() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    let bolt = server.tenant("bolt").await;
    fund(&bolt, "safe", "5.00").await;
    let before = bolt.state().await;
    let superadmin = server.client(&server.token("acme", "superadmin"));
    let tried = everywhere(&acme, |pattern| {
        let operates = ["/v1/tenants", "/v1/users"].iter().any(|start| pattern.starts_with(start));
        if operates { &superadmin } else { &acme }
    });
    assert!(tried.await > 500);
    assert_eq!(bolt.state().await, before);
    assert_eq!(acme.get("/v1/trial-balance").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_climbs_leads_nowhere() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    fund(&acme, "a", "1.00").await;
    for path in [
        "/v1/wallets/../../../../etc/passwd",
        "/v1/wallets/..%2f..%2f..%2fetc%2fpasswd",
        "/v1/wallets/%2e%2e/%2e%2e/etc/passwd",
        "/v1/wallets/....//....//etc/passwd",
        "/v1/wallets/..\\..\\windows\\win.ini",
        "/v1/wallets/%252e%252e%252fetc%252fpasswd",
        "/v1/wallets/a%00.json",
        "/v1/wallets/../tenants",
        "/docs/../../../../etc/passwd",
        "/docs/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/docs/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/v1//wallets",
        "/v1/wallets/a/../../tenants",
        "/v1;/wallets",
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            acme.token
        );
        let answer = raw(&server, request.as_bytes()).await;
        assert!((400..500).contains(&status(&answer)), "{path}: {answer}");
        assert!(!answer.contains("root:"), "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_cannot_be_put_into_an_answer_nor_a_request_into_another() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    let authorization = format!("Authorization: Bearer {}", acme.token);
    let get = |extra: &str| {
        format!("GET /v1/assets HTTP/1.1\r\nHost: x\r\n{authorization}\r\n{extra}Connection: close\r\n\r\n")
    };
    assert_eq!(status(&raw(&server, get("").as_bytes()).await), 200);
    for extra in [
        "X-Request-Id: a%0d%0aSet-Cookie: evil=1\r\n",
        "X-Request-Id: a\r\n\tSet-Cookie: evil=1\r\n",
        "X-Request-Id: a\rSet-Cookie: evil=1\r\n",
        "X-Request-Id: a\u{0}b\r\n",
        "Idempotency-Key: a\r\n",
        "traceparent: 00-evil\r\n",
        "Origin: https://evil.example\r\n",
        "X-Forwarded-For: 1.2.3.4\r\n",
    ] {
        let answer = raw(&server, get(extra).as_bytes()).await;
        let head = answer.split("\r\n\r\n").next().unwrap_or_default().to_lowercase();
        assert!(!head.lines().any(|line| line.starts_with("set-cookie")), "{extra:?}: {answer}");
        assert!(!head.contains("evil"), "{extra:?}: {answer}");
        assert!(!head.contains("access-control-allow"), "{extra:?}: {answer}");
    }
    // Two lengths, or a length and chunks: where one server sees one request, another sees two.
    let smuggled = "GET /v1/audit HTTP/1.1\r\nHost: x\r\n\r\n";
    for lengths in [
        format!("Content-Length: 0\r\nContent-Length: {}\r\n", smuggled.len()),
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
        "Content-Length: +5\r\n".to_owned(),
        "Content-Length: -1\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n".to_owned(),
    ] {
        let request = format!(
            "POST /v1/assets HTTP/1.1\r\nHost: x\r\n{authorization}\r\nContent-Type: application/json\r\n{lengths}\r\n\
             0\r\n\r\n{smuggled}"
        );
        let answer = raw(&server, request.as_bytes()).await;
        assert!(!answer.contains("200 OK") && !answer.contains("201 Created"), "{lengths:?}: {answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 2, "{lengths:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_whatever_it_is() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    let before = acme.state().await;
    let get = |path: String| acme.request(Method::GET, &path);
    let refused = async |request, code: &str| {
        let answer = send(request).await;
        assert_eq!(answer.text("/code"), code, "{answer:?}");
    };
    refused(get(format!("/v1/wallets?prefix={}", "a".repeat(9_000))), "uri_too_long").await;
    refused(get(format!("/v1/wallets/{}", "a".repeat(9_000))), "uri_too_long").await;
    refused(get("/v1/assets".into()).header("X-Large", "a".repeat(17_000)), "headers_too_large").await;
    let many = (0..60).fold(get("/v1/assets".into()), |request, number| {
        request.header(format!("X-Many-{number}"), "a".repeat(300))
    });
    refused(many, "headers_too_large").await;
    // More than the server reads of a head at all.
    for head in [format!("X: {}\r\n", "a".repeat(400_000)), "X: a\r\n".repeat(5_000)] {
        let answer =
            raw(&server, format!("GET /v1/assets HTTP/1.1\r\nHost: x\r\n{head}\r\n").as_bytes()).await;
        assert!(status(&answer) == 0 || (400..500).contains(&status(&answer)), "{answer}");
    }
    let token = server.client(&"a".repeat(10_000));
    assert_eq!(token.get("/v1/assets").await.text("/code"), "token_malformed");
    // Deeper than anybody reads, and more of them than fit.
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let wide = format!("{{\"postings\":[{}]}}", "{},".repeat(100_000) + "{}");
    for body in [deep, wide] {
        let request =
            acme.request(Method::POST, "/v1/transactions").header("Content-Type", "application/json");
        let answer = send(request.body(body)).await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
    assert_eq!(acme.state().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_at_keys_is_slowed_down_and_others_are_not() {
    let settings = [
        ("COUNTERFOIL_LIMITS__ADDRESS_BURST", "20"),
        ("COUNTERFOIL_LIMITS__ADDRESS_PER_SECOND", "1"),
        ("COUNTERFOIL_API__TRUSTED_PROXIES", r#"["127.0.0.0/8"]"#),
    ];
    let server = Server::configured(&settings).await;
    let acme = server.tenant("acme").await;
    let application = acme.made("/v1/applications", json!({"name": "Checkout"})).await;
    let keys = format!("/v1/applications/{}/keys", application.text("/id"));
    let right = acme.made(&keys, json!({"scopes": ["read"]})).await.text("/key").to_owned();
    let from = async |address: &str, key: &str| {
        let request = server.client(key).request(Method::GET, "/v1/assets");
        request.header("X-Forwarded-For", address).send().await.unwrap()
    };
    let guess = |number: u32| format!("cf_live_{number:020x}_{}", "A".repeat(43));
    let mut refused = BTreeMap::new();
    for number in 0..100 {
        let response = from("203.0.113.1", &guess(number)).await;
        let headers = response.headers().clone();
        assert_eq!(headers["RateLimit-Limit"], "20");
        let limited = response.status() == 429;
        assert_eq!(headers.contains_key("Retry-After"), limited);
        *refused.entry(response.status().as_u16()).or_insert(0) += 1;
    }
    assert_eq!(refused.keys().copied().collect::<Vec<_>>(), [401, 429]);
    assert!(refused[&401] < 50, "{refused:?}");
    // Beyond the limit no key is looked up, so that it does not tell whether it would have been a right one.
    let mut held = 0;
    for number in 100..150 {
        from("203.0.113.1", &guess(number)).await;
        let response = from("203.0.113.1", &right).await;
        if response.status() == 429 {
            held += 1;
            assert!(response.headers()["Retry-After"].to_str().unwrap().parse::<u32>().unwrap() >= 1);
            assert_eq!(response.headers()["RateLimit-Remaining"], "0");
        } else {
            assert_eq!(response.status(), 200);
        }
        assert_eq!(from("203.0.113.2", &right).await.status(), 200, "others are not held up");
    }
    assert!(held > 10, "{held}");
    assert_eq!(from("203.0.113.1", acme.token()).await.status(), 200, "a signature is not looked up");
    let mut late = from("203.0.113.1", &right).await.status();
    for _ in 0..100 {
        if late == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        late = from("203.0.113.1", &right).await.status();
    }
    assert_eq!(late, 200, "once the guessing ends the address is served again");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_browsers_what_not_to_do_with_it() {
    let server = Server::start().await;
    let acme = server.tenant("acme").await;
    let large = "a".repeat(9_000);
    for (path, token) in [
        ("/v1/assets", acme.token.as_str()),
        ("/v1/assets", "nonsense"),
        ("/v1/nothing", ""),
        ("/healthz", ""),
        ("/metrics", ""),
        ("/openapi.json", ""),
        ("/docs/", ""),
        ("/docs/problems", ""),
        (&format!("/{large}"), ""),
    ] {
        let response = server.client(token).request(Method::GET, path).send().await.unwrap();
        let said = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(said("X-Content-Type-Options").as_deref(), Some("nosniff"), "{path}");
        assert_eq!(said("X-Frame-Options").as_deref(), Some("DENY"), "{path}");
        assert_eq!(said("Referrer-Policy").as_deref(), Some("no-referrer"), "{path}");
        let policy = said("Content-Security-Policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe-eval"),
            "{path}: {policy}"
        );
        assert_eq!(policy.contains("script-src"), path.starts_with("/docs"), "{path}: {policy}");
        assert_eq!(said("Strict-Transport-Security"), None, "{path}: this server speaks plain HTTP");
        assert_eq!(said("Access-Control-Allow-Origin"), None, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_sites_that_are_configured_may_ask_in_a_browser() {
    let server =
        Server::configured(&[("COUNTERFOIL_API__CORS_ORIGINS", r#"["https://app.example.com"]"#)]).await;
    let acme = server.tenant("acme").await;
    let ask = async |method: Method, origin: &'static str, asked: &'static str| {
        let request = acme.request(method, "/v1/assets").header("Origin", origin);
        let request = request.header("Access-Control-Request-Method", asked);
        let response =
            request.header("Access-Control-Request-Headers", "authorization").send().await.unwrap();
        let allowed = response.headers().get("Access-Control-Allow-Origin").cloned();
        (response.status().as_u16(), allowed.map(|value| value.to_str().unwrap().to_owned()))
    };
    let ours = Some("https://app.example.com".to_owned());
    assert_eq!(ask(Method::OPTIONS, "https://app.example.com", "POST").await, (200, ours.clone()));
    assert_eq!(ask(Method::GET, "https://app.example.com", "GET").await, (200, ours));
    for origin in
        ["https://evil.example", "https://app.example.com.evil.example", "http://app.example.com", "null"]
    {
        assert_eq!(ask(Method::GET, origin, "GET").await, (200, None), "{origin}");
        let (status, allowed) = ask(Method::OPTIONS, origin, "POST").await;
        assert!(status >= 400 && allowed.is_none(), "{origin}: {status}");
    }
    assert!(ask(Method::OPTIONS, "https://app.example.com", "TRACE").await.0 >= 400);
}
