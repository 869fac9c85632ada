//! What is wrong is named by a stable code, and nothing changes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Client, Server, send};
use crate::{fund, transfer, with};

const TRANSACTIONS: &str = "/v1/transactions";

/// A role, what it may not write, and what it may not read.
type Refused<'a> = (&'a str, Vec<(&'a str, Value)>, &'a [&'a str]);

/// That an answer is this problem.
fn expect_problem(answer: &Answer, status: u16, code: &str, what: &str) {
    assert_eq!((answer.status, answer.text("/code")), (status, code), "{what}: {answer:?}");
}

/// Sends a body as it is.
async fn raw(client: &Client, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = client.request(Method::POST, path).header("Content-Type", "application/json");
    send(request.body(body)).await
}

/// A tenant with 100.00 in the wallet `a`.
async fn funded(server: &Server) -> Client {
    let acme = server.tenant("acme").await;
    fund(&acme, "a", "100.00").await;
    acme
}

/// A posting whose amount is this JSON text.
fn amounting(text: &str) -> String {
    format!(r#"{{"postings":[{{"from":"a","to":"@revenue","asset":"USD","amount":{text}}}]}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_not_what_they_should_be_are_refused() {
    let server = Server::start().await;
    let acme = funded(&server).await;
    let before = acme.state().await;
    let (nines, behind) = ("9".repeat(40), format!("0.{}", "0".repeat(40)));
    let amounts = [
        ("1.5", "invalid_amount"),
        ("1", "invalid_amount"),
        ("1e2", "invalid_amount"),
        ("null", "invalid_amount"),
        ("\"\"", "invalid_amount"),
        ("\"1e2\"", "invalid_amount"),
        ("\"+1\"", "invalid_amount"),
        ("\" 1\"", "invalid_amount"),
        ("\"1,00\"", "invalid_amount"),
        ("\"NaN\"", "invalid_amount"),
        ("\"\\u0661\"", "invalid_amount"),
        ("\"-1\"", "amount_not_positive"),
        ("\"0\"", "amount_not_positive"),
        ("\"-0.00\"", "amount_not_positive"),
        ("\"1.001\"", "amount_too_precise"),
        ("\"1.000\"", "amount_too_precise"),
        (&format!("\"{behind}\""), "amount_too_precise"),
        (&format!("\"{nines}\""), "amount_too_large"),
        ("\"170141183460469231731687303715884105727\"", "amount_too_large"),
        (&nines, "invalid_amount"),
        ("\"100.01\"", "insufficient_funds"),
    ];
    for (text, code) in amounts {
        expect_problem(&raw(&acme, TRANSACTIONS, amounting(text)).await, 422, code, text);
    }
    let deep = format!(r#"{{"postings":[],"metadata":{}"#, r#"{"a":"#.repeat(50_000));
    let bodies: [(Vec<u8>, u16, &str); 14] = [
        (b"{".into(), 400, "malformed_json"),
        (b"nonsense".into(), 400, "malformed_json"),
        (b"{\"postings\":[]} {}".into(), 400, "malformed_json"),
        (b"\xff\xfe{}".into(), 400, "malformed_json"),
        (b"{\"reference\":\"\xff\",\"postings\":[]}".into(), 400, "malformed_json"),
        (deep.into(), 400, "malformed_json"),
        (Vec::new(), 422, "missing_field"),
        (b"[]".into(), 422, "invalid_body"),
        (b"null".into(), 422, "invalid_body"),
        (b"{\"postings\":{}}".into(), 422, "invalid_body"),
        (b"{\"postings\":[[\"a\",\"b\",\"1\",\"USD\"]]}".into(), 422, "invalid_body"),
        (b"{\"postings\":[],\"pending\":\"yes\"}".into(), 422, "invalid_body"),
        (b"{\"postings\":[],\"colour\":1}".into(), 422, "unknown_field"),
        (b"{\"postings\":[]}".into(), 422, "postings_empty"),
    ];
    for (body, status, code) in bodies {
        let what = String::from_utf8_lossy(&body).chars().take(60).collect::<String>();
        expect_problem(&raw(&acme, TRANSACTIONS, body).await, status, code, &what);
    }
    assert_eq!(acme.state().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_do_not_have_their_form_or_do_not_fit_are_refused() {
    let server = Server::start().await;
    let acme = funded(&server).await;
    acme.made("/v1/assets", json!({"code": "EUR", "scale": 2})).await;
    acme.made("/v1/wallets", json!({"path": "e", "asset": "EUR"})).await;
    acme.made(TRANSACTIONS, with(transfer("a", "@revenue", "1"), json!({"reference": "taken"}))).await;
    let before = acme.state().await;
    let one = || transfer("a", "@revenue", "1");
    let asset = |asset: &str| json!({"postings": [{"from": "a", "to": "@x", "amount": "1", "asset": asset}]});
    let many = json!({"postings": vec![one()["postings"][0].clone(); 501]});
    let mut nested = json!("x");
    for _ in 0..9 {
        nested = json!({"a": nested});
    }
    let cases = [
        (asset("NONE"), 422, "unknown_asset"),
        (asset("EUR"), 422, "asset_mismatch"),
        (asset("usd"), 422, "invalid_asset"),
        (asset(""), 422, "invalid_asset"),
        (many, 422, "postings_too_many"),
        (transfer("a", "a", "1"), 422, "posting_to_same_wallet"),
        (transfer("a", "nowhere", "1"), 404, "wallet_not_found"),
        (transfer("a b", "@x", "1"), 422, "invalid_path"),
        (transfer("a", "", "1"), 422, "invalid_path"),
        (transfer("a", "b::c", "1"), 422, "invalid_path"),
        (transfer("a", "@", "1"), 422, "invalid_path"),
        (transfer("a", "\u{0}", "1"), 422, "invalid_path"),
        (transfer("a", &"x".repeat(300), "1"), 422, "invalid_path"),
        (with(one(), json!({"reference": "taken"})), 409, "reference_taken"),
        (with(one(), json!({"reference": ""})), 422, "invalid_reference"),
        (with(one(), json!({"reference": "a\u{0}b"})), 422, "invalid_reference"),
        (with(one(), json!({"reference": "x".repeat(256)})), 422, "invalid_reference"),
        (with(one(), json!({"metadata": []})), 422, "invalid_metadata"),
        (with(one(), json!({"metadata": {"a": "\u{0}"}})), 422, "invalid_metadata"),
        (with(one(), json!({"metadata": {"\u{0}": 1}})), 422, "invalid_metadata"),
        (with(one(), json!({"metadata": {"a": f64::MAX}})), 422, "invalid_metadata"),
        (with(one(), json!({"metadata": {"a": "x".repeat(17_000)}})), 422, "invalid_metadata"),
        (with(one(), json!({"metadata": nested})), 422, "invalid_metadata"),
        (with(one(), json!({"effective_at": "yesterday"})), 422, "invalid_time"),
        (with(one(), json!({"effective_at": 1_769_860_800})), 422, "invalid_time"),
        (with(one(), json!({"expires_at": "2099-01-01T00:00:00Z"})), 422, "expiry_without_hold"),
        (
            with(one(), json!({"pending": true, "expires_at": "2020-01-01T00:00:00Z"})),
            422,
            "expiry_in_the_past",
        ),
    ];
    for (body, status, code) in cases {
        let what = body.to_string().chars().take(120).collect::<String>();
        expect_problem(&acme.post(TRANSACTIONS, body).await, status, code, &what);
    }
    let others = [
        ("/v1/assets", json!({"code": "X", "scale": 19}), 422, "invalid_scale"),
        ("/v1/assets", json!({"code": "X", "scale": 2.5}), 422, "invalid_scale"),
        ("/v1/assets", json!({"code": "USD", "scale": 2}), 409, "asset_exists"),
        ("/v1/wallets", json!({"path": "a", "asset": "USD"}), 409, "wallet_exists"),
        ("/v1/wallets", json!({"path": "b", "asset": "NONE"}), 422, "unknown_asset"),
        ("/v1/wallets", json!({"path": "b/c", "asset": "USD"}), 422, "invalid_path"),
        ("/v1/wallets", json!({"path": "..", "asset": "USD"}), 422, "invalid_path"),
        ("/v1/wallets", json!({"path": "bücher", "asset": "USD"}), 422, "invalid_path"),
        ("/v1/wallets", json!({"path": "b", "asset": "USD", "minimum": 0}), 422, "invalid_amount"),
        ("/v1/wallets", json!({"path": "b", "asset": "USD", "minimum": "0.001"}), 422, "amount_too_precise"),
        ("/v1/wallets/a/close", json!({}), 409, "wallet_not_empty"),
        ("/v1/wallets/a/freeze", json!({"why": "x"}), 422, "unknown_field"),
    ];
    for (path, body, status, code) in others {
        let what = format!("{path} {body}");
        expect_problem(&acme.post(path, body).await, status, code, &what);
    }
    // No posting is blamed for what is in none.
    let policy = json!({"mode": "lifetime", "amount": "20.001", "asset": "USD", "enforcement": "hard"});
    let refused = send(acme.request(Method::PUT, "/v1/policies/wallet/a").json(&policy)).await;
    expect_problem(&refused, 422, "amount_too_precise", "a policy");
    assert!(refused.text("/detail").starts_with("the amount has more digits"), "{refused:?}");
    assert_eq!(acme.state().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_or_not_json_is_refused_before_it_is_read() {
    let server = Server::start().await;
    let acme = funded(&server).await;
    let before = acme.state().await;
    let large = with(transfer("a", "@revenue", "1"), json!({"metadata": {"a": "x".repeat(10_000_000)}}));
    for path in [TRANSACTIONS, "/v1/transactions/batch"] {
        let answer = raw(&acme, path, large.to_string()).await;
        expect_problem(&answer, 413, "body_too_large", path);
    }
    let body = transfer("a", "@revenue", "1").to_string();
    let typed = |media: &str| {
        acme.request(Method::POST, TRANSACTIONS).header("Content-Type", media).body(body.clone())
    };
    for media in ["text/plain", "application/x-www-form-urlencoded", "application/xml", "*/*", ""] {
        expect_problem(&send(typed(media)).await, 415, "unsupported_media_type", media);
    }
    let untyped = acme.request(Method::POST, TRANSACTIONS).body(body.clone());
    expect_problem(&send(untyped).await, 415, "unsupported_media_type", "none");
    let packed = typed("application/json").header("Content-Encoding", "gzip");
    expect_problem(&send(packed).await, 415, "unsupported_media_type", "gzip");
    assert_eq!(acme.state().await, before);
    assert_eq!(send(typed("Application/JSON; charset=utf-8")).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_positions_cursors_and_parameters_that_are_made_up_are_refused() {
    let server = Server::start().await;
    let acme = funded(&server).await;
    acme.made(TRANSACTIONS, transfer("a", "@revenue", "1")).await;
    let before = acme.state().await;
    let position = acme.get("/v1/trial-balance").await.position().to_owned();
    let (own, number) = position.strip_prefix('p').unwrap().split_once(':').unwrap();
    let foreign = (own.parse::<u32>().unwrap() + 1) % 4;
    let ahead = number.parse::<u64>().unwrap() + 1_000;
    let long = "x".repeat(300);
    let entries = acme.get("/v1/wallets/a/entries?limit=1").await.text("/next").to_owned();
    let nobody = "0199a3c4-5f0e-7d5b-9c2e-0f6d3c1b2a90";
    let reads = [
        ("/v1/wallets/a%20b".to_owned(), 422, "invalid_path"),
        ("/v1/wallets/a%2Fb".to_owned(), 422, "invalid_path"),
        ("/v1/wallets/a%00".to_owned(), 422, "invalid_path"),
        ("/v1/wallets/%C3%BC".to_owned(), 422, "invalid_path"),
        ("/v1/wallets/%FF".to_owned(), 422, "invalid_path"),
        (format!("/v1/wallets/{long}"), 422, "invalid_path"),
        ("/v1/wallets/nowhere".to_owned(), 404, "wallet_not_found"),
        ("/v1/wallets/a/b".to_owned(), 404, "route_not_found"),
        ("/v1/nothing".to_owned(), 404, "route_not_found"),
        ("/v2/wallets".to_owned(), 404, "route_not_found"),
        (format!("/v1/transactions/{nobody}"), 404, "transaction_not_found"),
        ("/v1/transactions/a%00".to_owned(), 404, "transaction_not_found"),
        ("/v1/wallets?colour=red".to_owned(), 422, "invalid_query"),
        ("/v1/wallets?asset=USD&asset=USD".to_owned(), 422, "invalid_query"),
        ("/v1/wallets?metadata[a]=b".to_owned(), 422, "invalid_query"),
        ("/v1/wallets?limit=0".to_owned(), 422, "invalid_limit"),
        ("/v1/wallets?limit=101".to_owned(), 422, "invalid_limit"),
        ("/v1/wallets?limit=-1".to_owned(), 422, "invalid_limit"),
        ("/v1/wallets?limit=99999999999999999999".to_owned(), 422, "invalid_limit"),
        ("/v1/wallets?status=gone".to_owned(), 422, "invalid_status"),
        ("/v1/transactions?status=closed".to_owned(), 422, "invalid_status"),
        ("/v1/transactions?wallet=a%20b".to_owned(), 422, "invalid_path"),
        ("/v1/transactions?recorded_from=yesterday".to_owned(), 422, "invalid_time"),
        ("/v1/wallets/a/balance?as_of=2026-01-01".to_owned(), 422, "invalid_time"),
        ("/v1/wallets?cursor=made-up".to_owned(), 422, "invalid_cursor"),
        (format!("/v1/transactions?cursor={entries}"), 422, "invalid_cursor"),
        ("/v1/audit?cursor=".to_owned(), 422, "invalid_cursor"),
        ("/v1/wallets?after=3".to_owned(), 422, "invalid_position"),
        ("/v1/wallets?after=p0:-1".to_owned(), 422, "invalid_position"),
        ("/v1/wallets?after=p99999:1".to_owned(), 422, "invalid_position"),
        ("/v1/wallets?after=p0:99999999999999999999".to_owned(), 422, "invalid_position"),
        (format!("/v1/wallets?after=p{foreign}:1"), 422, "invalid_position"),
        (format!("/v1/events?after=p{foreign}:1"), 422, "invalid_position"),
        (format!("/v1/wallets?after=p{own}:{ahead}&wait_ms=50"), 503, "read_model_lagging"),
    ];
    for (path, status, code) in reads {
        expect_problem(&acme.get(&path).await, status, code, &path);
    }
    // A prefix or a name that nothing can have finds nothing, and is no fault of the server.
    for path in [
        "/v1/wallets?prefix=%00",
        "/v1/wallets?prefix=%25",
        "/v1/wallets?prefix=_",
        "/v1/balances?prefix=%00",
        "/v1/audit?actor=%00",
        "/v1/audit?command=%27",
        "/v1/transactions?metadata[a]=%00",
        "/v1/transactions?metadata[%00]=a",
    ] {
        let answer = acme.get(path).await;
        assert!(
            answer.status == 422 || answer.status == 200 && answer.items().is_empty(),
            "{path}: {answer:?}"
        );
    }
    for (path, code) in [
        (format!("/v1/transactions/{nobody}/settle"), "transaction_not_found"),
        (format!("/v1/transactions/{nobody}/release"), "transaction_not_found"),
        (format!("/v1/transactions/{nobody}/reverse"), "transaction_not_found"),
        ("/v1/wallets/nowhere/freeze".to_owned(), "wallet_not_found"),
        ("/v1/wallets/nowhere/close".to_owned(), "wallet_not_found"),
    ] {
        expect_problem(&acme.post(&path, json!({})).await, 404, code, &path);
    }
    let put = send(acme.request(Method::PUT, "/v1/wallets").json(&json!({}))).await;
    expect_problem(&put, 405, "method_not_allowed", "PUT");
    let asked = acme.post("/v1/transactions?after=p0:1", transfer("a", "@revenue", "1")).await;
    expect_problem(&asked, 422, "invalid_query", "a write takes no parameters");
    for key in ["", "a b", &"k".repeat(256)] {
        let answer = acme.post_once(TRANSACTIONS, key, transfer("a", "@revenue", "1")).await;
        expect_problem(&answer, 422, "invalid_idempotency_key", key);
    }
    assert_eq!(acme.state().await, before);
}

/// A token with another header, other claims, or another signature, where they are given.
fn forged(token: &str, header: Option<&str>, claims: Option<&str>, signature: Option<&str>) -> String {
    let own: Vec<&str> = token.split('.').collect();
    let part = |own: &str, other: Option<&str>| {
        other.map_or_else(|| own.to_owned(), |text| URL_SAFE_NO_PAD.encode(text))
    };
    format!("{}.{}.{}", part(own[0], header), part(own[1], claims), signature.unwrap_or(own[2]))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_get_answers_head_without_a_body() {
    let server = Server::start().await;
    let acme = funded(&server).await;
    for path in ["/healthz", "/readyz", "/openapi.json", "/v1/wallets", "/v1/wallets/a"] {
        let head = acme.request(Method::HEAD, path).send().await.unwrap();
        assert_eq!(head.status().as_u16(), 200, "{path}");
        assert!(head.bytes().await.unwrap().is_empty(), "{path}");
    }
    let missing = acme.request(Method::HEAD, "/v1/wallets/nowhere").send().await.unwrap();
    assert_eq!(missing.status().as_u16(), 404);
    let nobody = acme.anonymous(Method::HEAD, "/v1/wallets").send().await.unwrap();
    assert_eq!(nobody.status().as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_token_of_ours_or_further_than_their_role() {
    let server = Server::start().await;
    let other = Server::start().await;
    let acme = funded(&server).await;
    let before = acme.state().await;
    let owner = acme.token.as_str();
    let claims = r#"{"sub":"x","tenant":"acme","role":"superadmin","iss":"counterfoil","aud":["counterfoil"],"iat":1,"exp":9999999999,"jti":"x"}"#;
    let tokens = [
        ("nonsense".to_owned(), "token_malformed"),
        ("a.b.c".to_owned(), "token_malformed"),
        (forged(owner, None, Some(claims), None), "token_invalid"),
        (forged(owner, None, None, Some("AAAA")), "token_invalid"),
        (other.token("acme", "owner"), "token_invalid"),
    ];
    for (token, code) in tokens {
        expect_problem(&server.client(&token).get("/v1/assets").await, 401, code, &token);
    }
    // The header names our own key, and says that nobody, or anybody who knows the public key, has signed.
    let header = URL_SAFE_NO_PAD.decode(owner.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert!(header["kid"].is_string(), "{header}");
    for (algorithm, signature) in [("none", ""), ("none", "AAAA"), ("HS256", "AAAA"), ("RS256", "AAAA")] {
        let header = with(header.clone(), json!({"alg": algorithm})).to_string();
        let token = forged(owner, Some(&header), Some(claims), Some(signature));
        let answer = server.client(&token).post(TRANSACTIONS, transfer("a", "@revenue", "1")).await;
        let code = answer.text("/code");
        assert!(answer.status == 401 && ["token_malformed", "token_invalid"].contains(&code), "{answer:?}");
    }
    let missing =
        send(acme.anonymous(Method::POST, TRANSACTIONS).json(&transfer("a", "@revenue", "1"))).await;
    expect_problem(&missing, 401, "token_missing", "no token");
    let basic = acme.anonymous(Method::GET, "/v1/assets").header("Authorization", "Basic YTpi");
    expect_problem(&send(basic).await, 401, "token_malformed", "Basic");

    let tenant = json!({"slug": "more", "name": "More"});
    let asset = json!({"code": "EUR", "scale": 2});
    let wallet = json!({"path": "b", "asset": "USD"});
    let adjust = json!({"amount": "1", "reason": "x"});
    let move_money = || (TRANSACTIONS, transfer("a", "@revenue", "1"));
    let administer = || {
        vec![
            ("/v1/assets", asset.clone()),
            ("/v1/wallets", wallet.clone()),
            ("/v1/wallets/a/adjust", adjust.clone()),
            ("/v1/wallets/a/freeze", json!({})),
            ("/v1/tenants", tenant.clone()),
        ]
    };
    let refused: [Refused<'_>; 5] = [
        ("viewer", [administer(), vec![move_money()]].concat(), &["/v1/events", "/v1/audit", "/v1/tenants"]),
        ("auditor", [administer(), vec![move_money()]].concat(), &["/v1/tenants", "/v1/tenants/acme"]),
        ("member", administer(), &["/v1/events", "/v1/audit", "/v1/tenants"]),
        ("admin", vec![("/v1/tenants", tenant.clone())], &["/v1/tenants", "/v1/tenants/acme"]),
        ("owner", vec![("/v1/tenants", tenant.clone())], &["/v1/tenants", "/v1/tenants/acme"]),
    ];
    for (role, writes, reads) in refused {
        let client = server.client(&server.token("acme", role));
        assert_eq!(client.get("/v1/assets").await.status, 200, "{role}");
        for (path, body) in writes {
            expect_problem(&client.post(path, body).await, 403, "forbidden", &format!("{role} {path}"));
        }
        for path in reads {
            expect_problem(&client.get(path).await, 403, "forbidden", &format!("{role} {path}"));
        }
    }
    let expired = server.client(&server.expired_token("acme")).get("/v1/assets").await;
    expect_problem(&expired, 401, "token_expired", "after its time");
    assert_eq!(acme.state().await, before);
}
