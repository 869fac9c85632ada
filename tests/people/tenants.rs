//! People and programs in a tenant.

use reqwest::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::server::send;
use crate::{expect_shut_out_within_a_second, join, other, person, self_service, token_of_mail};

#[tokio::test(flavor = "multi_thread")]
async fn a_company_comes_its_people_and_its_program_work_and_the_audit_log_names_both() {
    let server = self_service().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    let made = ada.made("/v1/tenants", json!({"slug": "acme", "name": "Acme Ltd"})).await;
    assert_eq!((made.status, made.text("/status")), (201, "active"));
    assert_eq!(ada.get("/v1/me/tenants").await.each("/role"), ["owner"]);
    ada.made("/v1/assets", json!({"code": "USD", "scale": 2})).await;

    let grace = person(&server, "grace@example.com", "Grace").await;
    assert_eq!(grace.get("/v1/assets").await.text("/code"), "tenant_not_yours");
    let invited = ada.made("/v1/invitations", json!({"email": "grace@example.com", "role": "member"})).await;
    assert_eq!((invited.text("/status"), invited.text("/email")), ("open", "grace@example.com"));
    let token = token_of_mail(&server, "grace@example.com", "You are invited").await;
    let eve = person(&server, "eve@example.com", "Eve").await;
    let passed_on = eve.post("/v1/invitations/accept", json!({"token": token})).await;
    assert_eq!((passed_on.status, passed_on.text("/code")), (403, "invitation_not_yours"));
    let accepted = grace.made("/v1/invitations/accept", json!({"token": token})).await;
    assert_eq!((accepted.text("/slug"), accepted.text("/role")), ("acme", "member"));
    // Once more, because the answer may have been lost.
    assert_eq!(grace.made("/v1/invitations/accept", json!({"token": token})).await.body, accepted.body);
    let refused = grace.post("/v1/assets", json!({"code": "EUR", "scale": 2})).await;
    assert_eq!((refused.status, refused.text("/code")), (403, "forbidden"));
    let members = ada.after(&accepted, "/v1/members").await;
    let mut names = members.each("/name");
    names.sort_unstable();
    assert_eq!(names, ["Ada", "Grace"]);

    let application = ada.made("/v1/applications", json!({"name": "Checkout", "category": "payments"})).await;
    let keys = format!("/v1/applications/{}/keys", application.text("/id"));
    let wanted = json!({"scopes": ["read", "transact"], "environment": "test"});
    let issued =
        send(ada.request(Method::POST, &keys).header("Idempotency-Key", "key-1").json(&wanted)).await;
    assert_eq!(issued.status, 201, "{issued:?}");
    assert!(issued.text("/key").starts_with("cf_test_"), "{issued:?}");
    let again = send(ada.request(Method::POST, &keys).header("Idempotency-Key", "key-1").json(&wanted)).await;
    assert!(again.replayed && again.body["key"].is_null(), "a key is shown once: {again:?}");
    assert_eq!(again.text("/id"), issued.text("/id"));

    let program = server.client(issued.text("/key"));
    let posting = json!({"postings": [{"from": "@world", "to": "till", "amount": "5", "asset": "USD"}],
        "open_wallets": true});
    let posted = program.made("/v1/transactions", posting.clone()).await;
    assert_eq!(program.get("/v1/audit").await.status, 403, "the key has no such scope");
    grace.made("/v1/transactions", posting.clone()).await;
    let audit = ada.after(&posted, "/v1/audit?command=post_transaction").await;
    let mut actors = audit.each("/command/actor");
    actors.sort_unstable();
    let grace_id = grace.get("/v1/me").await.text("/id").to_owned();
    let mut expected = [issued.text("/id"), grace_id.as_str()];
    expected.sort_unstable();
    assert_eq!(actors, expected);

    let key = format!("{keys}/{}", issued.text("/id"));
    let revoked = other(&ada, Method::DELETE, &key, json!({})).await;
    assert_eq!(revoked.status, 204, "{revoked:?}");
    expect_shut_out_within_a_second(&program, "/v1/wallets").await;
    assert_eq!(program.post("/v1/transactions", posting).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_rotated_and_both_work_until_the_overlap_is_over() {
    let server = self_service().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    ada.made("/v1/tenants", json!({"slug": "acme", "name": "Acme Ltd"})).await;
    let application = ada.made("/v1/applications", json!({"name": "Checkout"})).await;
    let keys = format!("/v1/applications/{}/keys", application.text("/id"));
    let old = ada.made(&keys, json!({"scopes": ["read"]})).await;
    let rotate = format!("{keys}/{}/rotate", old.text("/id"));
    let new = ada.made(&rotate, json!({"overlap_seconds": 3600})).await;
    assert_ne!(new.text("/key"), old.text("/key"));
    assert_eq!(new.body["scopes"], json!(["read"]));
    for key in [&old, &new] {
        let answer = server.client(key.text("/key")).get("/v1/wallets").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let at_once = format!("{keys}/{}/rotate", new.text("/id"));
    let newest = ada.made(&at_once, json!({"overlap_seconds": 0})).await;
    expect_shut_out_within_a_second(&server.client(new.text("/key")), "/v1/wallets").await;
    assert_eq!(server.client(newest.text("/key")).get("/v1/wallets").await.status, 200);
    let archived =
        ada.made(&format!("/v1/applications/{}/archive", application.text("/id")), json!({})).await;
    assert_eq!(archived.text("/status"), "archived");
    expect_shut_out_within_a_second(&server.client(newest.text("/key")), "/v1/wallets").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_keeps_the_end_of_the_old_one_unless_the_request_says_otherwise() {
    let server = self_service().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    ada.made("/v1/tenants", json!({"slug": "acme", "name": "Acme Ltd"})).await;
    let application = ada.made("/v1/applications", json!({"name": "Checkout"})).await;
    let keys = format!("/v1/applications/{}/keys", application.text("/id"));
    let (end, other) = ("2098-01-01T00:00:00Z", "2099-01-01T00:00:00Z");
    let old = ada.made(&keys, json!({"scopes": ["read"], "expires_at": end})).await;
    let rotate = format!("{keys}/{}/rotate", old.text("/id"));
    let mut expected = vec![];
    // The first makes the old key end in a day, which is none of the others' business.
    for (asked, ends) in [
        (json!({}), json!(end)),
        (json!({"overlap_seconds": 60}), json!(end)),
        (json!({"expires_at": null}), json!(null)),
        (json!({"expires_at": other}), json!(other)),
    ] {
        let new = ada.made(&rotate, asked.clone()).await;
        assert_eq!(new.body["expires_at"], ends, "{asked}");
        let listed = ada.after(&new, &keys).await;
        expected.push((new.text("/id").to_owned(), ends));
        for (id, ends) in &expected {
            let key = listed.items().iter().find(|key| key["id"] == id.as_str()).unwrap();
            assert_eq!(key["expires_at"], *ends, "{asked}");
        }
    }
    let past = ada.post(&rotate, json!({"expires_at": "2020-01-01T00:00:00Z"})).await;
    assert_eq!((past.status, past.text("/code")), (422, "expiry_in_the_past"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_owner_stays_and_nobody_gives_a_role_above_their_own() {
    let server = self_service().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    ada.made("/v1/tenants", json!({"slug": "acme", "name": "Acme Ltd"})).await;
    let grace = person(&server, "grace@example.com", "Grace").await;
    join(&server, &ada, &grace, "grace@example.com", "admin").await;
    let id = |answer: &crate::server::Answer| answer.text("/id").to_owned();
    let (ada_id, grace_id) = (id(&ada.get("/v1/me").await), id(&grace.get("/v1/me").await));

    let leave = other(&ada, Method::DELETE, "/v1/me/tenants/acme", json!({})).await;
    assert_eq!((leave.status, leave.text("/code")), (409, "last_owner"));
    let erase = other(&ada, Method::DELETE, "/v1/me", json!({"password": crate::PASSWORD})).await;
    assert_eq!((erase.status, erase.text("/code")), (409, "last_owner"));
    let ada_path = format!("/v1/members/{ada_id}");
    let coup = other(&grace, Method::PATCH, &ada_path, json!({"role": "viewer"})).await;
    assert_eq!((coup.status, coup.text("/code")), (403, "role_not_governed"));
    let thrown_out = other(&grace, Method::DELETE, &ada_path, json!({})).await;
    assert_eq!((thrown_out.status, thrown_out.text("/code")), (403, "role_not_governed"));
    let upwards = grace.post("/v1/invitations", json!({"email": "x@example.com", "role": "owner"})).await;
    assert_eq!((upwards.status, upwards.text("/code")), (403, "role_not_governed"));
    let superadmin =
        ada.post("/v1/invitations", json!({"email": "x@example.com", "role": "superadmin"})).await;
    assert_eq!(superadmin.status, 403, "{superadmin:?}");

    let grace_path = format!("/v1/members/{grace_id}");
    let owner = other(&ada, Method::PATCH, &grace_path, json!({"role": "owner"})).await;
    assert_eq!((owner.status, owner.text("/role")), (200, "owner"));
    let left = other(&ada, Method::DELETE, "/v1/me/tenants/acme", json!({})).await;
    assert_eq!(left.status, 204, "{left:?}");
    assert!(ada.get("/v1/me/tenants").await.items().is_empty());
    let last = other(&grace, Method::DELETE, "/v1/me/tenants/acme", json!({})).await;
    assert_eq!(last.text("/code"), "last_owner");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_that_was_withdrawn_lets_nobody_in() {
    let server = self_service().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    ada.made("/v1/tenants", json!({"slug": "acme", "name": "Acme Ltd"})).await;
    let grace = person(&server, "grace@example.com", "Grace").await;
    let invited = ada.made("/v1/invitations", json!({"email": "grace@example.com", "role": "viewer"})).await;
    let token = token_of_mail(&server, "grace@example.com", "You are invited").await;
    let path = format!("/v1/invitations/{}", invited.text("/id"));
    assert_eq!(other(&ada, Method::DELETE, &path, json!({})).await.status, 204);
    let late = grace.post("/v1/invitations/accept", json!({"token": token})).await;
    assert_eq!((late.status, late.text("/code")), (409, "invitation_withdrawn"));
    let made_up = grace.post("/v1/invitations/accept", json!({"token": "x".repeat(43)})).await;
    assert_eq!((made_up.status, made_up.text("/code")), (404, "invitation_not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_is_read_and_not_written_and_a_closed_one_stays_closed() {
    let server = self_service().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    ada.made("/v1/tenants", json!({"slug": "acme", "name": "Acme Ltd"})).await;
    ada.made("/v1/assets", json!({"code": "USD", "scale": 2})).await;
    let operator = server.client(&server.token("acme", "superadmin"));
    assert_eq!(ada.post("/v1/tenant/suspend", json!({"reason": "x"})).await.status, 403);
    let suspended = operator.made("/v1/tenant/suspend", json!({"reason": "an invoice is overdue"})).await;
    assert_eq!(suspended.text("/status"), "suspended");
    let posting = json!({"postings": [{"from": "@world", "to": "till", "amount": "5", "asset": "USD"}],
        "open_wallets": true});
    let refused = ada.post("/v1/transactions", posting.clone()).await;
    assert_eq!((refused.status, refused.text("/code")), (403, "tenant_suspended"));
    let by_operator = operator.post("/v1/transactions", posting.clone()).await;
    assert_eq!((by_operator.status, by_operator.text("/code")), (403, "tenant_suspended"));
    assert_eq!(ada.after(&suspended, "/v1/assets").await.each("/code"), ["USD"]);
    assert_eq!(ada.get("/v1/tenant").await.text("/status"), "suspended");

    let resumed = operator.made("/v1/tenant/resume", json!({})).await;
    assert_eq!(resumed.text("/status"), "active");
    ada.after(&resumed, "/v1/tenant").await;
    // What was known of the tenant is forgotten within half a second.
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    ada.made("/v1/transactions", posting.clone()).await;
    let closed = ada.made("/v1/tenant/close", json!({})).await;
    assert_eq!(closed.text("/status"), "closed");
    let refused = operator.post("/v1/tenant/resume", json!({})).await;
    assert_eq!((refused.status, refused.text("/code")), (403, "tenant_closed"));
    assert_eq!(operator.post("/v1/transactions", posting).await.text("/code"), "tenant_closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_shows_itself_as_it_was_changed() {
    let server = self_service().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    ada.made("/v1/tenants", json!({"slug": "acme", "name": "Acme Ltd"})).await;
    let change = json!({"name": "Acme Inc", "domain": "ledger.acme.example",
        "branding": {"logo": "https://acme.example/l.svg", "primary_colour": "#1f6feb"}});
    let changed = other(&ada, Method::PATCH, "/v1/tenant", change).await;
    assert_eq!((changed.status, changed.text("/domain")), (200, "ledger.acme.example"));
    let shown = ada.after(&changed, "/v1/tenant").await;
    assert_eq!(shown.body, changed.body);
    let cleared = other(&ada, Method::PATCH, "/v1/tenant", json!({"domain": null})).await;
    assert!(cleared.body["domain"].is_null(), "{cleared:?}");
    assert_eq!(cleared.text("/branding/primary_colour"), "#1f6feb");

    let grace = person(&server, "grace@example.com", "Grace").await;
    join(&server, &ada, &grace, "grace@example.com", "admin").await;
    let renamed = other(&grace, Method::PATCH, "/v1/tenant", json!({"name": "Acme AG"})).await;
    assert_eq!(renamed.status, 200, "{renamed:?}");
    let domain = other(&grace, Method::PATCH, "/v1/tenant", json!({"domain": "evil.example"})).await;
    assert_eq!((domain.status, domain.text("/code")), (403, "forbidden"));
    let close = grace.post("/v1/tenant/close", json!({})).await;
    assert_eq!((close.status, close.text("/code")), (403, "forbidden"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_repeated_by_its_key_and_no_digest_of_the_address_is_kept_that_others_can_make() {
    let server = self_service().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    ada.made("/v1/tenants", json!({"slug": "acme", "name": "Acme"})).await;
    let body = json!({"email": "grace@example.com", "role": "member"});
    let first = ada.post_once("/v1/invitations", "letter-1", body.clone()).await;
    let again = ada.post_once("/v1/invitations", "letter-1", body.clone()).await;
    assert_eq!((again.status, again.replayed, &again.body), (201, true, &first.body));
    let another = json!({"email": "eve@example.com", "role": "member"});
    let another = ada.post_once("/v1/invitations", "letter-1", another).await;
    assert_eq!(another.text("/code"), "idempotency_key_reused");
    let kept: Vec<u8> =
        sqlx::query_scalar("SELECT fingerprint FROM journal.events WHERE idempotency_key = $1")
            .bind("letter-1")
            .fetch_one(&server.database.pool(journal::Role::Owner, 1).await)
            .await
            .unwrap();
    let known = Sha256::digest(format!("POST\0/v1/invitations\0{body}"));
    assert!(kept.len() == 32 && kept != known[..], "whoever guesses the address can tell");
    // What is not personal keeps the digest that it always had.
    ada.post_once("/v1/assets", "asset-1", json!({"code": "USD", "scale": 2})).await;
    let kept: Vec<u8> =
        sqlx::query_scalar("SELECT fingerprint FROM journal.events WHERE idempotency_key = $1")
            .bind("asset-1")
            .fetch_one(&server.database.pool(journal::Role::Owner, 1).await)
            .await
            .unwrap();
    assert_eq!(kept, Sha256::digest("POST\0/v1/assets\0{\"code\":\"USD\",\"scale\":2}")[..]);
}
