//! Accounts: how one gets in, and what keeps others out.

use reqwest::Method;
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::server::{Client, Server, send};
use crate::support::Database;
use crate::{
    PASSWORD, ask, expect_shut_out_within_a_second, newest_mail, other, person, sign_in, sign_up,
    token_of_mail,
};

async fn start() -> Server {
    Server::on(Database::fresh().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_known_and_one_that_is_not_are_answered_alike() {
    let server = start().await;
    sign_up(&server, "ada@example.com", "Ada").await;
    let wrong = sign_in(&server, "ada@example.com", "seven quiet badgers").await;
    let unknown = sign_in(&server, "nobody@example.com", "seven quiet badgers").await;
    assert_eq!((wrong.status, wrong.text("/code")), (401, "sign_in_failed"));
    for field in ["type", "title", "status", "detail", "code"] {
        assert_eq!(wrong.body[field], unknown.body[field], "{field}");
    }
    let forgot = |email: &str| ask(&server, "/v1/auth/password/forgot", json!({"email": email}));
    let (known, other) = (forgot("ada@example.com").await, forgot("nobody@example.com").await);
    assert_eq!((known.status, known.body), (other.status, other.body));
    let again = json!({"email": "ada@example.com", "password": "another long password", "name": "Eve"});
    assert_eq!(ask(&server, "/v1/auth/sign-up", again).await.status, 202);
    for _ in 0..100 {
        if newest_mail(&server, "ada@example.com", "You have an account already").is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(newest_mail(&server, "ada@example.com", "You have an account already").is_some());
    assert!(newest_mail(&server, "nobody@example.com", "").is_none(), "strangers get no mail");
    assert_eq!(sign_in(&server, "ada@example.com", "another long password").await.status, 401);
    assert_eq!(sign_in(&server, " Ada@Example.com ", PASSWORD).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_before_the_address_is_confirmed_and_then_with_the_password_of_that_mail() {
    let server = start().await;
    let sign_up = |password: &str| {
        let asked = json!({"email": "ada@example.com", "password": password, "name": "Ada"});
        ask(&server, "/v1/auth/sign-up", asked)
    };
    // A stranger signs up with somebody else's address, and waits.
    sign_up("a stranger's password").await;
    let strangers = token_of_mail(&server, "ada@example.com", "Confirm your email").await;
    assert_eq!(sign_in(&server, "ada@example.com", "a stranger's password").await.status, 401);
    sign_up(PASSWORD).await;
    let own = token_of_mail(&server, "ada@example.com", "Confirm your email").await;
    assert_eq!(ask(&server, "/v1/auth/verify-email", json!({"token": own})).await.status, 200);
    assert_eq!(sign_in(&server, "ada@example.com", PASSWORD).await.status, 200);
    let late = ask(&server, "/v1/auth/verify-email", json!({"token": strangers})).await;
    assert_eq!((late.status, late.text("/code")), (409, "email_taken"));
    let twice = ask(&server, "/v1/auth/verify-email", json!({"token": own})).await;
    assert_eq!((twice.status, twice.text("/code")), (422, "one_time_token_invalid"));
    assert_eq!(sign_in(&server, "ada@example.com", "a stranger's password").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_comes_twice_ends_the_session() {
    let server = start().await;
    sign_up(&server, "ada@example.com", "Ada").await;
    let signed_in = sign_in(&server, "ada@example.com", PASSWORD).await;
    let refresh = |token: &str| ask(&server, "/v1/auth/refresh", json!({"refresh_token": token}));
    let first = signed_in.text("/refresh_token");
    let second = refresh(first).await;
    assert_eq!(second.status, 200, "{second:?}");
    assert_eq!(second.text("/session"), signed_in.text("/session"));
    let client = server.client(second.text("/access_token"));
    assert_eq!(client.get("/v1/me").await.text("/email"), "ada@example.com");
    let stolen = refresh(first).await;
    assert_eq!((stolen.status, stolen.text("/code")), (401, "refresh_token_invalid"));
    let fresh = refresh(second.text("/refresh_token")).await;
    assert_eq!((fresh.status, fresh.text("/code")), (401, "refresh_token_invalid"));
    expect_shut_out_within_a_second(&client, "/v1/me").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_chosen_anew_and_all_sessions_end() {
    let server = start().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    ask(&server, "/v1/auth/password/forgot", json!({"email": "ada@example.com"})).await;
    let token = token_of_mail(&server, "ada@example.com", "Choose a new password").await;
    let reset = |password: &str| {
        ask(&server, "/v1/auth/password/reset", json!({"token": token, "password": password}))
    };
    let weak = reset("short").await;
    assert_eq!((weak.status, weak.text("/code")), (422, "weak_password"));
    assert_eq!(reset("eight quiet otters").await.status, 204);
    let twice = reset("nine quiet otters!").await;
    assert_eq!((twice.status, twice.text("/code")), (422, "one_time_token_invalid"));
    expect_shut_out_within_a_second(&ada, "/v1/me").await;
    assert_eq!(sign_in(&server, "ada@example.com", PASSWORD).await.status, 401);
    assert_eq!(sign_in(&server, "ada@example.com", "eight quiet otters").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_changed_by_who_knows_it_and_other_sessions_end() {
    let server = start().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    let elsewhere = server.client(sign_in(&server, "ada@example.com", PASSWORD).await.text("/access_token"));
    let wrong = ada.post("/v1/me/password", json!({"current": "x", "new": "eight quiet otters"})).await;
    assert_eq!((wrong.status, wrong.text("/code")), (403, "wrong_password"));
    let none = ada.post("/v1/me/password", json!({"new": "eight quiet otters"})).await;
    assert_eq!((none.status, none.text("/code")), (422, "missing_field"));
    let changed =
        ada.post("/v1/me/password", json!({"current": PASSWORD, "new": "eight quiet otters"})).await;
    assert_eq!(changed.status, 204, "{changed:?}");
    expect_shut_out_within_a_second(&elsewhere, "/v1/me").await;
    assert_eq!(ada.get("/v1/me").await.status, 200);
    assert_eq!(sign_in(&server, "ada@example.com", "eight quiet otters").await.status, 200);
}

fn code(secret: &str) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    totp_rs::Builder::new().with_secret(secret).build().unwrap().generate_current().to_string()
}

async fn with_second_factor(server: &Server) -> (Client, String, Vec<String>) {
    let ada = person(server, "ada@example.com", "Ada").await;
    let begun = ada.made("/v1/me/second-factor", json!({"password": PASSWORD})).await;
    let secret = begun.text("/secret").to_owned();
    assert!(begun.text("/uri").starts_with("otpauth://totp/"), "{begun:?}");
    let wrong = ada.post("/v1/me/second-factor/confirm", json!({"code": "000000x"})).await;
    assert_eq!((wrong.status, wrong.text("/code")), (401, "second_factor_wrong"));
    assert_eq!(sign_in(server, "ada@example.com", PASSWORD).await.body["second_factor_token"], json!(null));
    let confirmed = ada.made("/v1/me/second-factor/confirm", json!({"code": code(&secret)})).await;
    let codes = confirmed.body["recovery_codes"].as_array().unwrap();
    let codes: Vec<String> = codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    assert_eq!(codes.len(), 10);
    (ada, secret, codes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_asked_for_and_a_recovery_code_helps_once() {
    let server = start().await;
    let (ada, secret, codes) = with_second_factor(&server).await;
    let halfway = async || {
        let due = sign_in(&server, "ada@example.com", PASSWORD).await;
        assert!(due.body["access_token"].is_null(), "{due:?}");
        due.text("/second_factor_token").to_owned()
    };
    let step = |body| ask(&server, "/v1/auth/second-factor", body);
    let token = halfway().await;
    let wrong = step(json!({"token": token, "recovery_code": "0000-0000-0000-0000"})).await;
    assert_eq!((wrong.status, wrong.text("/code")), (401, "second_factor_wrong"));
    let used_up = step(json!({"token": token, "recovery_code": codes[0]})).await;
    assert_eq!((used_up.status, used_up.text("/code")), (422, "one_time_token_invalid"));
    // The code that confirmed it is used up as well.
    let replayed = step(json!({"token": halfway().await, "code": code(&secret)})).await;
    let late = replayed.status == 200;
    assert!(late || replayed.text("/code") == "second_factor_wrong", "{replayed:?}");
    let recovered = step(json!({"token": halfway().await, "recovery_code": codes[0]})).await;
    assert_eq!(recovered.status, 200, "{recovered:?}");
    let again = step(json!({"token": halfway().await, "recovery_code": codes[0]})).await;
    assert_eq!(again.text("/code"), "second_factor_wrong");
    assert_eq!(ada.get("/v1/me").await.body["second_factor"], true);

    let ended = other(&ada, Method::DELETE, "/v1/me/second-factor", json!({"recovery_code": codes[1]})).await;
    assert_eq!(ended.status, 204, "{ended:?}");
    assert_eq!(sign_in(&server, "ada@example.com", PASSWORD).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended_by_their_owner_alone() {
    let server = start().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    let elsewhere = server.client(sign_in(&server, "ada@example.com", PASSWORD).await.text("/access_token"));
    let sessions = ada.get("/v1/me/sessions").await;
    assert_eq!(sessions.items().len(), 2, "{sessions:?}");
    assert_eq!(sessions.each("/address"), ["127.0.0.1", "127.0.0.1"]);
    let theirs = sessions.items().iter().find(|session| session["current"] == false).unwrap();
    let path = format!("/v1/me/sessions/{}", theirs["id"].as_str().unwrap());
    let eve = person(&server, "eve@example.com", "Eve").await;
    let foreign = other(&eve, Method::DELETE, &path, json!({})).await;
    assert_eq!((foreign.status, foreign.text("/code")), (404, "session_not_found"));
    assert_eq!(other(&ada, Method::DELETE, &path, json!({})).await.status, 204);
    expect_shut_out_within_a_second(&elsewhere, "/v1/me").await;
    assert_eq!(ada.get("/v1/me/sessions").await.items().len(), 1);
    assert_eq!(ada.post("/v1/auth/sign-out", json!({})).await.status, 204);
    expect_shut_out_within_a_second(&ada, "/v1/me").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_changed_field_by_field() {
    let server = start().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    let change = json!({"name": "Ada King", "locale": "en-GB", "avatar": "https://example.com/a.png",
        "preferences": {"theme": "dark"}});
    let changed = other(&ada, Method::PATCH, "/v1/me", change).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let shown = ada.after(&changed, "/v1/me").await;
    assert_eq!((shown.text("/name"), shown.text("/preferences/theme")), ("Ada King", "dark"));
    let cleared = other(&ada, Method::PATCH, "/v1/me", json!({"avatar": null})).await;
    assert!(cleared.body["avatar"].is_null() && cleared.text("/locale") == "en-GB", "{cleared:?}");
    let large = json!({"preferences": {"x": "y".repeat(2_000)}});
    let refused = other(&ada, Method::PATCH, "/v1/me", large).await;
    assert_eq!((refused.status, refused.text("/code")), (422, "invalid_metadata"));
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_are_for_this_host_and_no_script_and_a_write_needs_the_page() {
    let server = start().await;
    sign_up(&server, "ada@example.com", "Ada").await;
    let anonymous = server.client("");
    let asked = json!({"email": "ada@example.com", "password": PASSWORD, "cookies": true});
    let signed_in = anonymous.anonymous(Method::POST, "/v1/auth/sign-in").json(&asked).send().await.unwrap();
    let set: Vec<String> = signed_in
        .headers()
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect();
    assert_eq!(set.len(), 3, "{set:?}");
    let mut csrf = String::new();
    for cookie in &set {
        assert!(cookie.starts_with("__Host-counterfoil"), "{cookie}");
        for attribute in ["Secure", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
        if let Some(value) = cookie.strip_prefix("__Host-counterfoil_csrf=") {
            csrf = value.split(';').next().unwrap().to_owned();
        } else {
            assert!(cookie.contains("HttpOnly"), "{cookie}");
        }
    }
    let body: serde_json::Value = signed_in.json().await.unwrap();
    assert!(body.get("access_token").is_none() && body.get("refresh_token").is_none(), "{body}");
    let jar = set.iter().map(|cookie| cookie.split(';').next().unwrap()).collect::<Vec<_>>().join("; ");
    let request = |method, path| anonymous.anonymous(method, path).header("Cookie", &jar);

    assert_eq!(send(request(Method::GET, "/v1/me")).await.text("/name"), "Ada");
    let change = json!({"name": "Eve"});
    let forged = send(request(Method::PATCH, "/v1/me").json(&change)).await;
    assert_eq!((forged.status, forged.text("/code")), (403, "csrf_token_wrong"));
    let guessed = send(request(Method::PATCH, "/v1/me").header("X-CSRF-Token", "x").json(&change)).await;
    assert_eq!(guessed.text("/code"), "csrf_token_wrong");
    let own = send(request(Method::PATCH, "/v1/me").header("X-CSRF-Token", &csrf).json(&change)).await;
    assert_eq!(own.status, 200, "{own:?}");
    let forged = send(request(Method::POST, "/v1/auth/refresh").json(&json!({}))).await;
    assert_eq!((forged.status, forged.text("/code")), (403, "csrf_token_wrong"));
    let refresh = request(Method::POST, "/v1/auth/refresh").header("X-CSRF-Token", &csrf).json(&json!({}));
    assert_eq!(send(refresh).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_is_halfway_ends_when_the_password_is_replaced() {
    let server = start().await;
    let (_, _, codes) = with_second_factor(&server).await;
    let due = sign_in(&server, "ada@example.com", PASSWORD).await;
    ask(&server, "/v1/auth/password/forgot", json!({"email": "ada@example.com"})).await;
    let token = token_of_mail(&server, "ada@example.com", "Choose a new password").await;
    let reset = json!({"token": token, "password": "eight quiet otters"});
    assert_eq!(ask(&server, "/v1/auth/password/reset", reset).await.status, 204);
    let step = async |token: &str, code: &str| {
        ask(&server, "/v1/auth/second-factor", json!({"token": token, "recovery_code": code})).await
    };
    let late = step(due.text("/second_factor_token"), &codes[0]).await;
    assert_eq!((late.status, late.text("/code")), (401, "sign_in_failed"), "{late:?}");
    let due = sign_in(&server, "ada@example.com", "eight quiet otters").await;
    assert_eq!(step(due.text("/second_factor_token"), &codes[1]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_sign_up_gives_no_password_to_an_account_that_signs_in_at_a_provider() {
    let server = start().await;
    let asked = json!({"email": "ada@example.com", "password": "a stranger's password", "name": "Eve"});
    ask(&server, "/v1/auth/sign-up", asked).await;
    let strangers = token_of_mail(&server, "ada@example.com", "Confirm your email").await;
    sign_up(&server, "ada@example.com", "Ada").await;
    // As if the account had come by a provider.
    let mut session = PgConnection::connect(server.database.url()).await.unwrap();
    session.execute("SET ROLE counterfoil_identity").await.unwrap();
    session
        .execute(
            "UPDATE identity.accounts SET password = NULL, password_set_at = NULL;
             INSERT INTO identity.oidc_links (subject_index, user_id, issuer, subject, created_at)
             SELECT decode(repeat('00', 32), 'hex'), user_id, 'https://id.example', 's1.abc', created_at
             FROM identity.accounts",
        )
        .await
        .unwrap();
    let late = ask(&server, "/v1/auth/verify-email", json!({"token": strangers})).await;
    assert_eq!((late.status, late.text("/code")), (409, "email_taken"), "{late:?}");
    assert_eq!(sign_in(&server, "ada@example.com", "a stranger's password").await.status, 401);
}
