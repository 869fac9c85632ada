//! Somebody who leaves is not there any more, and the books are whole.

use std::process::Command;
use std::time::Duration;

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
async fn an_address_is_forgotten_also_where_its_key_was_tried_for_another_before() {
    let server = self_service().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    ada.made("/v1/tenants", json!({"slug": "acme", "name": "Acme Ltd"})).await;
    let invite = async |key: &str, email: &str, role: &str| {
        ada.post_once("/v1/invitations", key, json!({"email": email, "role": role})).await
    };
    let refused = invite("inv-7", "typo@example.com", "superadmin").await;
    assert_eq!(refused.status, 403, "{refused:?}");
    let made = invite("inv-7", "erika@example.com", "viewer").await;
    assert_eq!(made.status, 201, "{made:?}");
    // And the reverse: the owner of the first address leaves, and the invitation of another stays as it is.
    let typo = person(&server, "typo@example.com", "Somebody else").await;
    let gone = other(&typo, Method::DELETE, "/v1/me", json!({"password": PASSWORD})).await;
    assert_eq!(gone.status, 200, "{gone:?}");
    assert_eq!(ada.get("/v1/invitations").await.each("/email"), ["erika@example.com"]);
    // A key is still that of one request, and a repetition is answered as the first.
    let again = invite("inv-7", "erika@example.com", "viewer").await;
    assert_eq!((again.status, again.replayed, &again.body), (201, true, &made.body));
    for (email, role) in [("typo2@example.com", "viewer"), ("erika@example.com", "member")] {
        assert_eq!(invite("inv-7", email, role).await.text("/code"), "idempotency_key_reused", "{email}");
    }

    let erika = person(&server, "erika@example.com", "Erika").await;
    let erased = other(&erika, Method::DELETE, "/v1/me", json!({"password": PASSWORD})).await;
    assert_eq!(erased.status, 200, "{erased:?}");
    let subjects = erased.body["subjects"].as_array().unwrap();
    assert!(subjects.contains(&made.body["id"]), "{erased:?}");
    let invitations = ada.get("/v1/invitations").await;
    assert!(!invitations.items().is_empty(), "{invitations:?}");
    assert!(invitations.items().iter().all(|invitation| invitation["email"].is_null()), "{invitations:?}");
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

/// The token of the invitation in a mail that stays where it is.
fn invitation_of(server: &crate::server::Server, address: &str) -> String {
    let (_, mail) = newest_mail(server, address, "You are invited").unwrap();
    let (_, rest) = mail.split_once("The token alone").unwrap();
    rest.lines().skip(1).map(str::trim).find(|line| !line.is_empty()).unwrap().to_owned()
}

/// How many invitations the identity store knows an address of.
async fn noted(server: &crate::server::Server) -> i64 {
    let mut session = PgConnection::connect(server.database.url()).await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM identity.invited").fetch_one(&mut session).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_somebody_who_never_came_is_forgotten_when_their_invitation_ends() {
    let mut server = self_service().await;
    let never = "never.joined@example.com";
    let ada = person(&server, "ada@example.com", "Ada").await;
    ada.made("/v1/tenants", json!({"slug": "acme", "name": "Acme Ltd"})).await;
    let bob = person(&server, "bob@example.com", "Bob").await;
    bob.made("/v1/tenants", json!({"slug": "bolt", "name": "Bolt"})).await;
    let grace = person(&server, "grace@example.com", "Grace").await;
    join(&server, &bob, &grace, "grace@example.com", "member").await;
    let asked = json!({"email": never, "role": "viewer"});
    let first = ada.post_once("/v1/invitations", "inv-1", asked.clone()).await;
    bob.made("/v1/invitations", asked.clone()).await;
    for about in ["join Acme Ltd", "join Bolt"] {
        for _ in 0..200 {
            if newest_mail(&server, never, about).is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(newest_mail(&server, never, about).is_some(), "{about}");
    }

    let path = format!("/v1/invitations/{}", first.text("/id"));
    let withdrawn = other(&ada, Method::DELETE, &path, json!({})).await;
    assert_eq!(withdrawn.status, 204, "{withdrawn:?}");
    let shown = ada.after(&withdrawn, "/v1/invitations").await;
    assert_eq!(
        (&shown.items()[0]["email"], &shown.items()[0]["status"]),
        (&json!(null), &json!("withdrawn"))
    );
    assert!(newest_mail(&server, never, "join Acme Ltd").is_none(), "the mail is gone with it");
    assert!(newest_mail(&server, never, "join Bolt").is_some(), "that of another tenant is not");
    let of_bolt = bob.get("/v1/invitations").await;
    let mut addresses = of_bolt.each("/email");
    addresses.sort_unstable();
    assert_eq!(addresses, ["grace@example.com", never]);
    // A repetition has the first answer, and the address is not kept for it again.
    let again = ada.post_once("/v1/invitations", "inv-1", asked).await;
    assert_eq!((again.status, again.replayed, &again.body), (201, true, &first.body));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(newest_mail(&server, never, "join Acme Ltd").is_none());
    assert!(ada.get("/v1/invitations").await.items()[0]["email"].is_null());
    assert_eq!(noted(&server).await, 2, "those of the other tenant");

    // Eight days go by, as far as invitations can tell.
    let token = invitation_of(&server, never);
    let mut session = PgConnection::connect(server.database.url()).await.unwrap();
    for statement in [
        "UPDATE identity.invited SET created_at = created_at - interval '8 days'",
        "UPDATE views.invitations SET expires_at = expires_at - interval '8 days'",
    ] {
        assert!(session.execute(statement).await.unwrap().rows_affected() > 1, "{statement}");
    }
    server.kill_and_start();
    let bob = server.client(&bob.token);
    for _ in 0..200 {
        if noted(&server).await == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(noted(&server).await, 1, "that of her who came");
    // What was revealed just now is, for half a second.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let addresses = bob.get("/v1/invitations").await.each("/email").join(" ");
    assert_eq!(addresses.trim(), "grace@example.com", "hers alone is left");
    assert!(newest_mail(&server, never, "").is_none());
    // The mail was read before, and who comes now comes too late.
    let late = person(&server, never, "Late").await;
    let late = late.post("/v1/invitations/accept", json!({"token": token})).await;
    assert_eq!((late.status, late.text("/code")), (409, "invitation_expired"), "{late:?}");
    // She is found by her address when she leaves herself.
    let grace = server.client(&grace.token);
    let gone = other(&grace, Method::DELETE, "/v1/me", json!({"password": PASSWORD})).await;
    assert_eq!(gone.body["subjects"].as_array().map(Vec::len), Some(2), "{gone:?}");
    assert!(bob.get("/v1/invitations").await.items().iter().all(|invitation| invitation["email"].is_null()));
}
