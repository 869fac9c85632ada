//! Somebody who leaves is not there any more, and the books are whole.

use std::process::Command;

use reqwest::Method;
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::{PASSWORD, ask, join, newest_mail, other, person, self_service, sign_in, sign_up, token_of_mail};

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_gets_a_receipt_and_is_nowhere_to_be_read() {
    let server = self_service().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    ada.made("/v1/tenants", json!({"slug": "acme", "name": "Acme Ltd"})).await;
    // A sign-up that nobody confirmed, beside the one that somebody did.
    let asked = json!({"email": "kunigunde@example.com", "password": PASSWORD, "name": "Kunigunde"});
    ask(&server, "/v1/auth/sign-up", asked).await;
    token_of_mail(&server, "kunigunde@example.com", "Confirm your email").await;
    let kunigunde = person(&server, "kunigunde@example.com", "Kunigunde Unvergessen").await;
    join(&server, &ada, &kunigunde, "kunigunde@example.com", "member").await;
    let id = kunigunde.get("/v1/me").await.text("/id").to_owned();

    let unsure = other(&kunigunde, Method::DELETE, "/v1/me", json!({"password": "not that one"})).await;
    assert_eq!((unsure.status, unsure.text("/code")), (403, "wrong_password"));
    let erased = other(&kunigunde, Method::DELETE, "/v1/me", json!({"password": PASSWORD})).await;
    assert_eq!(erased.status, 200, "{erased:?}");
    assert_eq!(erased.body["subjects"][0], id.as_str());
    assert_eq!(
        erased.body["subjects"].as_array().unwrap().len(),
        2,
        "the invitation is hers too: {erased:?}"
    );
    assert!(newest_mail(&server, "kunigunde@example.com", "").is_none(), "no mail to her is left");
    let mut session = PgConnection::connect(server.database.url()).await.unwrap();
    session.execute("SET ROLE counterfoil_identity").await.unwrap();
    let waiting = "SELECT FROM identity.one_time_tokens WHERE purpose = 'verify_email' AND used_at IS NULL";
    assert!(session.fetch_optional(waiting).await.unwrap().is_none(), "her name waits nowhere");
    crate::expect_shut_out_within_a_second(&kunigunde, "/v1/me").await;
    assert_eq!(sign_in(&server, "kunigunde@example.com", PASSWORD).await.text("/code"), "sign_in_failed");

    assert_eq!(ada.get("/v1/members").await.each("/name"), ["Ada"]);
    let invitations = ada.get("/v1/invitations").await;
    assert!(invitations.items()[0]["email"].is_null(), "{invitations:?}");
    let operator = server.client(&server.token("platform", "superadmin"));
    let users = operator.get("/v1/users").await;
    let gone = users.items().iter().find(|user| user["id"] == id.as_str()).unwrap();
    assert_eq!(gone["status"], "erased");
    assert!(gone["email"].is_null() && gone["name"].is_null(), "{gone}");
    let events = ada.get("/v1/events?limit=100").await.body.to_string();
    assert!(!events.contains("unigunde"), "{events}");

    let verified = Command::new(env!("CARGO_BIN_EXE_counterfoil"))
        .args(["journal", "verify", "--database-url", server.database.url()])
        .arg("--data-dir")
        .arg(&server.data_dir)
        .env("COUNTERFOIL_LOG__FILTER", "error")
        .output();
    let verified = tokio::task::block_in_place(|| verified).unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));

    // The address is free again, for somebody who is somebody else.
    sign_up(&server, "kunigunde@example.com", "Another").await;
    let other =
        server.client(sign_in(&server, "kunigunde@example.com", PASSWORD).await.text("/access_token"));
    assert_ne!(other.get("/v1/me").await.text("/id"), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_owner_of_a_suspended_tenant_cannot_be_erased_and_the_others_can() {
    let server = self_service().await;
    let carol = person(&server, "carol@example.com", "Carol").await;
    carol.made("/v1/tenants", json!({"slug": "acme", "name": "Acme Ltd"})).await;
    let dan = person(&server, "dan@example.com", "Dan").await;
    join(&server, &carol, &dan, "dan@example.com", "owner").await;
    let operator = server.client(&server.token("acme", "superadmin"));
    operator.made("/v1/tenant/suspend", json!({"reason": "an invoice is overdue"})).await;
    let erase = json!({"password": PASSWORD});
    let first = other(&carol, Method::DELETE, "/v1/me", erase.clone()).await;
    assert_eq!(first.status, 200, "{first:?}");
    let last = other(&dan, Method::DELETE, "/v1/me", erase.clone()).await;
    assert_eq!((last.status, last.text("/code")), (409, "last_owner"), "{last:?}");
    let resumed = operator.made("/v1/tenant/resume", json!({})).await;
    let members = dan.after(&resumed, "/v1/members").await;
    assert_eq!(members.each("/email"), ["dan@example.com"], "nobody is left who is nobody: {members:?}");
    // Whoever closes the tenant is its last owner no more.
    dan.made("/v1/tenant/close", json!({})).await;
    let erased = other(&dan, Method::DELETE, "/v1/me", erase).await;
    assert_eq!(erased.status, 200, "{erased:?}");
}
