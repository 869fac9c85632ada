//! What somebody can make of the tokens of sessions, and of every text that people may send.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::injection::{everywhere, in_headers};
use crate::server::{Server, send};
use crate::support::Database;
use crate::{PASSWORD, join, person, self_service, sign_in, sign_up};

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// HMAC-SHA256 (RFC 2104), by which whoever knows a secret signs HS256.
fn hmac(secret: &[u8], message: &str) -> String {
    let mut key = [0_u8; 64];
    match secret.len() {
        0..=64 => key[..secret.len()].copy_from_slice(secret),
        _ => key[..32].copy_from_slice(&Sha256::digest(secret)),
    }
    let inner = Sha256::new().chain_update(key.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    let outer = Sha256::new().chain_update(key.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize();
    URL_SAFE_NO_PAD.encode(outer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_token_is_believed_as_our_own_key_signed_it_and_in_no_other_form() {
    let server = self_service().await;
    let elsewhere = Server::start().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    let eve = person(&server, "eve@example.com", "Eve").await;
    let theirs = person(&elsewhere, "ada@example.com", "Ada").await;
    let parts: Vec<&str> = eve.token.split('.').collect();
    let (header, claims, signature) = (decoded(parts[0]), decoded(parts[1]), parts[2]);
    let victim = decoded(ada.token.split('.').nth(1).unwrap());
    let keys = eve.get("/.well-known/jwks.json").await.body;
    let public = keys["keys"][0]["x"].as_str().unwrap();
    let with = |value: &Value, name: &str, by: Value| {
        let mut value = value.clone();
        value[name] = by;
        value
    };
    let signed =
        |header: &Value, claims: &Value| format!("{}.{}.{signature}", encoded(header), encoded(claims));
    let hashed = |secret: &[u8]| {
        let message = format!("{}.{}", encoded(&with(&header, "alg", json!("HS256"))), encoded(&victim));
        format!("{message}.{}", hmac(secret, &message))
    };
    let mut forged = vec![
        // Nobody has signed, or whoever knows the public key.
        format!("{}.{}.", encoded(&with(&header, "alg", json!("none"))), encoded(&victim)),
        signed(&with(&header, "alg", json!("none")), &claims),
        signed(&with(&header, "alg", json!("RS256")), &claims),
        signed(&with(&header, "alg", json!("ES256")), &claims),
        hashed(public.as_bytes()),
        hashed(&URL_SAFE_NO_PAD.decode(public).unwrap()),
        // Somebody else's session, user, end and audience.
        signed(&header, &victim),
        signed(&header, &with(&claims, "sub", victim["sub"].clone())),
        signed(&header, &with(&claims, "sid", victim["sid"].clone())),
        signed(&header, &with(&claims, "exp", json!(9_999_999_999_i64))),
        signed(&header, &with(&claims, "aud", json!(["another"]))),
        signed(&header, &with(&claims, "tenant", json!("acme"))),
        signed(&header, &with(&claims, "role", json!("superadmin"))),
        // Cut short, doubled, and another installation's.
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.{signature}.{signature}", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], signature.get(..40).unwrap()),
        theirs.token.clone(),
    ];
    for id in ["unknown", "", "../../../../dev/null", "' OR '1'='1", "https://evil.example/jwks.json"] {
        forged.push(signed(&with(&header, "kid", json!(id)), &claims));
    }
    for (name, value) in [
        ("jwk", keys["keys"][0].clone()),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/x.pem")),
        ("crit", json!(["exp"])),
    ] {
        forged.push(signed(&with(&header, name, value), &claims));
    }
    for token in forged {
        let answer = server.client(&token).get("/v1/me").await;
        let code = answer.text("/code");
        assert!(answer.status == 401 && code.starts_with("token_"), "{token}: {answer:?}");
    }
    assert_eq!(eve.get("/v1/me").await.text("/email"), "eve@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_goes_on_with_a_session_that_was_there_before_they_signed_in() {
    let server = self_service().await;
    let eve = person(&server, "eve@example.com", "Eve").await;
    sign_up(&server, "ada@example.com", "Ada").await;
    // Eve has put her own session into what Ada sends.
    let body = json!({"email": "ada@example.com", "password": PASSWORD});
    let ada = send(eve.request(Method::POST, "/v1/auth/sign-in").json(&body)).await;
    assert_eq!(ada.status, 200, "{ada:?}");
    let sessions = eve.get("/v1/me/sessions").await;
    let eves = sessions.each("/id");
    assert!(!eves.contains(&ada.text("/session")), "{sessions:?}");
    assert_eq!(
        server.client(ada.text("/access_token")).get("/v1/me").await.text("/email"),
        "ada@example.com"
    );
    assert_eq!(eve.get("/v1/me").await.text("/email"), "eve@example.com");
    for chosen in [json!({"session": eves[0]}), json!({"sid": eves[0]}), json!({"refresh_token": "x"})] {
        let mut body = body.clone();
        body.as_object_mut().unwrap().extend(chosen.as_object().unwrap().clone());
        let answer = send(server.client("").anonymous(Method::POST, "/v1/auth/sign-in").json(&body)).await;
        assert_eq!((answer.status, answer.text("/code")), (422, "unknown_field"), "{chosen}");
    }
    let again = sign_in(&server, "ada@example.com", PASSWORD).await;
    assert_ne!(again.text("/session"), ada.text("/session"), "every sign-in begins a session of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_in_any_text_that_somebody_signed_in_sends_is_a_text() {
    let unlimited = [
        "SIGN_IN_PER_MINUTE",
        "SIGN_IN_BURST",
        "USER_PER_SECOND",
        "USER_BURST",
        "ADDRESS_PER_SECOND",
        "ADDRESS_BURST",
    ]
    .map(|name| format!("COUNTERFOIL_LIMITS__{name}"));
    let settings: Vec<(&str, &str)> = unlimited.iter().map(|name| (name.as_str(), "0")).collect();
    let server = Server::with(Database::fresh().await, &settings);
    let mut people = Vec::new();
    for (slug, address, name) in [("acme", "owner@example.com", "Owner"), ("bolt", "eve@example.com", "Eve")]
    {
        let operator = server.tenant(slug).await;
        let guest = person(&server, address, name).await;
        join(&server, &operator, &guest, address, "owner").await;
        people.push(guest);
    }
    let [owner, stranger] = people.try_into().ok().unwrap();
    let theirs = stranger.state().await;
    assert!(everywhere(&owner, |_| &owner).await > 1_000);
    assert!(in_headers(&owner).await > 100);
    assert_eq!(stranger.state().await, theirs);
    let profile = stranger.get("/v1/me").await;
    assert_eq!((profile.text("/email"), profile.text("/name")), ("eve@example.com", "Eve"));
    assert_eq!(owner.get("/v1/me/tenants").await.each("/slug"), ["acme"]);
    assert_eq!(stranger.get("/v1/me/tenants").await.each("/slug"), ["bolt"]);
}
