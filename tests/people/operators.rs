//! The people who operate the platform.

use reqwest::Method;
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};

use crate::server::{Client, Server, send};
use crate::support::Database;
use crate::{
    PASSWORD, ask, expect_shut_out_within_a_second, join, other, person, self_service, sign_in, sign_up,
    token_of_mail,
};

/// The word behind `token=` or `"token":"` in a line.
fn token_in(line: &str) -> String {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    line.split(|c| !letter(c)).find(|word| word.len() == 43).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_of_the_first_start_makes_one_superadmin() {
    let mut server = Server::on(Database::fresh().await);
    let token = token_in(&server.said("/v1/auth/bootstrap?token="));
    let server = &server;
    let bootstrap = async |token: &str, password: &str| {
        let body = json!({"email": "root@example.com", "password": password, "name": "Root"});
        ask(server, &format!("/v1/auth/bootstrap?token={token}"), body).await
    };
    let weak = bootstrap(&token, "short").await;
    assert_eq!(weak.text("/code"), "weak_password");
    assert_eq!(bootstrap(&"x".repeat(43), PASSWORD).await.text("/code"), "one_time_token_invalid");
    let made = bootstrap(&token, PASSWORD).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(bootstrap(&token, PASSWORD).await.text("/code"), "one_time_token_invalid");
    let root = server.client(sign_in(server, "root@example.com", PASSWORD).await.text("/access_token"));
    assert_eq!(root.get("/v1/me").await.body["superadmin"], true);
    assert_eq!(root.get("/v1/users").await.each("/email"), ["root@example.com"]);

    // It may look into every tenant by naming it, and that tenant's audit log tells.
    let owner = server.tenant("acme").await;
    let posting = json!({"postings": [{"from": "@world", "to": "till", "amount": "5", "asset": "USD"}],
        "open_wallets": true});
    let unnamed = root.post("/v1/transactions", posting.clone()).await;
    assert_eq!((unnamed.status, unnamed.text("/code")), (400, "tenant_not_chosen"));
    let named = root.request(Method::POST, "/v1/transactions").header("X-Tenant-Slug", "acme").json(&posting);
    let posted = send(named).await;
    assert_eq!(posted.status, 201, "{posted:?}");
    let audit = owner.after(&posted, "/v1/audit?limit=1").await;
    assert_eq!(audit.items()[0]["command"]["role"], "superadmin");
    assert_eq!(audit.items()[0]["command"]["actor"], made.text("/user"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_is_created_by_the_command_line_and_chooses_a_password() {
    let server = Server::on(Database::fresh().await);
    let said = server.run(&["admin", "create", "--email", "root@example.com"]);
    let token = token_in(said.lines().find(|line| line.contains("token")).unwrap());
    assert_eq!(sign_in(&server, "root@example.com", PASSWORD).await.status, 401);
    let reset = json!({"token": token, "password": PASSWORD});
    assert_eq!(ask(&server, "/v1/auth/password/reset", reset).await.status, 204);
    let root = server.client(sign_in(&server, "root@example.com", PASSWORD).await.text("/access_token"));
    assert_eq!(root.get("/v1/me").await.body["superadmin"], true);
    let again = server.run(&["admin", "create", "--email", "root@example.com"]);
    assert!(again.contains("stays as it was"), "{again}");
    let made = root.made("/v1/tenants", json!({"slug": "acme", "name": "Acme"})).await;
    assert_eq!(made.status, 201);
    assert_eq!(root.get("/v1/me/tenants").await.each("/slug"), ["acme"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_user_is_shut_out_until_resumed() {
    let server = Server::on(Database::fresh().await);
    let ada = person(&server, "ada@example.com", "Ada").await;
    let id = ada.get("/v1/me").await.text("/id").to_owned();
    let operator = server.client(&server.token("platform", "superadmin"));
    let suspended = operator.made(&format!("/v1/users/{id}/suspend"), json!({"reason": "taken over"})).await;
    assert_eq!(suspended.text("/status"), "suspended");
    expect_shut_out_within_a_second(&ada, "/v1/me").await;
    let refused = sign_in(&server, "ada@example.com", PASSWORD).await;
    assert_eq!((refused.status, refused.text("/code")), (403, "user_suspended"));
    let wrong = sign_in(&server, "ada@example.com", "seven quiet badgers").await;
    assert_eq!(wrong.text("/code"), "sign_in_failed", "a stranger learns nothing");
    operator.made(&format!("/v1/users/{id}/resume"), json!({})).await;
    assert_eq!(sign_in(&server, "ada@example.com", PASSWORD).await.status, 200);
    assert_eq!(ada.get("/v1/users").await.status, 401);
    let grace = person(&server, "grace@example.com", "Grace").await;
    assert_eq!(grace.get("/v1/users").await.text("/code"), "forbidden");
    let alone = grace.post("/v1/tenants", json!({"slug": "acme", "name": "Acme"})).await;
    assert_eq!((alone.status, alone.text("/code")), (403, "forbidden"));
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_users_sign_in_with_their_passwords_which_are_hashed_anew() {
    let server = Server::on(Database::fresh().await);
    let hash = bcrypt::hash(PASSWORD, 5).unwrap();
    let file = server.data_dir.join("users.csv");
    let text = format!("email,name,password_hash\nada@example.com,Ada,{hash}\nnonsense,Eve,{hash}\n");
    std::fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap().to_owned();
    let refused = tokio::task::block_in_place(|| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.run(&["users", "import", &path])))
    });
    assert!(refused.is_err(), "an address that is none makes the command fail");
    std::fs::write(&file, format!("email,name,password_hash\nada@example.com,Ada,{hash}\n")).unwrap();
    let said = server.run(&["users", "import", &path]);
    assert!(said.contains("0 imported, 1 known already, 0 refused"), "{said}");

    assert_eq!(stored_hash(&server).await, hash);
    assert_eq!(sign_in(&server, "ada@example.com", "seven quiet badgers").await.status, 401);
    let signed_in = sign_in(&server, "ada@example.com", PASSWORD).await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    let me = server.client(signed_in.text("/access_token")).get("/v1/me").await;
    assert_eq!((me.text("/name"), &me.body["verified"]), ("Ada", &json!(true)));
    assert!(stored_hash(&server).await.starts_with("$argon2id$"));
    assert_eq!(sign_in(&server, "ada@example.com", PASSWORD).await.status, 200);
}

async fn stored_hash(server: &Server) -> String {
    let mut session = PgConnection::connect(server.database.url()).await.unwrap();
    session.execute("SET ROLE counterfoil_identity").await.unwrap();
    let row = session.fetch_one("SELECT * FROM identity.accounts").await.unwrap();
    row.try_get("password").or_else(|_| row.try_get("password_hash")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_what_one_may_do() {
    let server = self_service().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    ada.made("/v1/tenants", json!({"slug": "acme", "name": "Acme"})).await;
    let grace = person(&server, "grace@example.com", "Grace").await;
    join(&server, &ada, &grace, "grace@example.com", "auditor").await;
    let application = ada.made("/v1/applications", json!({"name": "Checkout"})).await;
    let at = format!("/v1/applications/{}", application.text("/id"));
    let keys = format!("{at}/keys");
    let key = ada.made(&keys, json!({"scopes": ["read"]})).await;
    ada.made("/v1/invitations", json!({"email": "eve@example.com", "role": "viewer"})).await;
    let token = token_of_mail(&server, "eve@example.com", "You are invited").await;
    let secret = key.text("/key").rsplit_once('_').unwrap().1;
    ada.after(&key, &keys).await;
    // An auditor reads everything, and of a secret no more than anybody.
    for (path, known) in [
        ("/v1/audit", "issue_key"),
        ("/v1/events", "key_issued"),
        ("/v1/access-log", "/v1/applications"),
        ("/v1/members", "Ada"),
        ("/v1/invitations", "eve@example.com"),
        ("/v1/applications", "Checkout"),
        (at.as_str(), "Checkout"),
        (keys.as_str(), key.text("/public_id")),
    ] {
        let mut answer = grace.get(path).await;
        // The log of reads is written a moment later.
        for _ in 0..100 {
            if path != "/v1/access-log" || answer.body.to_string().contains(known) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            answer = grace.get(path).await;
        }
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let text = answer.body.to_string();
        assert!(text.contains(known), "{path}: {text}");
        assert!(!text.contains(secret) && !text.contains(&token), "{path}: {text}");
    }
    let eves = grace.post("/v1/invitations", json!({"email": "mallory@example.com", "role": "viewer"})).await;
    let renamed = other(&grace, Method::PATCH, &at, json!({"name": "Mine"})).await;
    let revoked = other(&grace, Method::DELETE, &format!("{keys}/{}", key.text("/id")), json!({})).await;
    for refused in [eves, grace.post(&keys, json!({"scopes": ["read"]})).await, renamed, revoked] {
        assert_eq!((refused.status, refused.text("/code")), (403, "forbidden"), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_of_the_first_start_is_worth_nothing_once_somebody_operates_the_platform() {
    let mut server = Server::on(Database::fresh().await);
    let token = token_in(&server.said("/v1/auth/bootstrap?token="));
    let mut session = PgConnection::connect(server.database.url()).await.unwrap();
    session.execute("SET ROLE counterfoil_identity").await.unwrap();
    session.execute("CREATE TEMP TABLE kept AS SELECT * FROM identity.one_time_tokens").await.unwrap();
    server.run(&["admin", "create", "--email", "root@example.com"]);
    let use_it = async || {
        let body = json!({"email": "eve@example.com", "password": PASSWORD});
        ask(&server, &format!("/v1/auth/bootstrap?token={token}"), body).await
    };
    assert_eq!(use_it().await.text("/code"), "one_time_token_invalid");
    // Nor one that is still there, such as that of a program which had not yet read that there is somebody.
    session
        .execute(
            "DELETE FROM identity.one_time_tokens WHERE purpose = 'bootstrap';
             INSERT INTO identity.one_time_tokens SELECT * FROM kept WHERE purpose = 'bootstrap'",
        )
        .await
        .unwrap();
    assert_eq!(use_it().await.text("/code"), "one_time_token_invalid");
    let users = server.client(&server.token("platform", "superadmin")).get("/v1/users").await;
    assert_eq!(users.each("/email"), ["root@example.com"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superadmin_is_none_any_more_once_the_command_line_says_so() {
    let server = Server::on(Database::fresh().await);
    let root = superadmin(&server).await;
    assert_eq!(root.get("/v1/users").await.status, 200);
    let said = server.run(&["admin", "revoke", "--email", "root@example.com"]);
    assert!(said.contains("no superadmin any more"), "{said}");
    let mut answer = root.get("/v1/users").await;
    for _ in 0..200 {
        if answer.status == 403 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        answer = root.get("/v1/users").await;
    }
    assert_eq!((answer.status, answer.text("/code")), (403, "forbidden"));
    assert_eq!(root.get("/v1/me").await.body["superadmin"], false);
}

/// Somebody whom the command line made a superadmin.
async fn superadmin(server: &Server) -> Client {
    let said = server.run(&["admin", "create", "--email", "root@example.com"]);
    let token = token_in(said.lines().find(|line| line.contains("token")).unwrap());
    let reset = ask(server, "/v1/auth/password/reset", json!({"token": token, "password": PASSWORD})).await;
    assert_eq!(reset.status, 204, "{reset:?}");
    server.client(sign_in(server, "root@example.com", PASSWORD).await.text("/access_token"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_acts_as_one_also_in_a_tenant_that_they_belong_to() {
    let server = Server::on(Database::fresh().await);
    let root = superadmin(&server).await;
    root.made("/v1/tenants", json!({"slug": "acme", "name": "Acme"})).await;
    let suspend = root.request(Method::POST, "/v1/tenant/suspend").header("X-Tenant-Slug", "acme");
    let suspended = send(suspend.json(&json!({"reason": "the invoice is overdue"}))).await;
    assert_eq!((suspended.status, suspended.text("/status")), (200, "suspended"), "{suspended:?}");
    let audit = root.after(&suspended, "/v1/audit?limit=1").await;
    assert_eq!(audit.items()[0]["command"]["role"], "superadmin");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_is_told_of_a_tenant_stands_in_its_log_also_where_reads_are_not_logged() {
    let settings = [
        ("COUNTERFOIL_IDENTITY__SELF_SERVICE_TENANTS", "true"),
        ("COUNTERFOIL_ACCESS_LOG__ENABLED", "false"),
    ];
    let server = Server::configured(&settings).await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    ada.made("/v1/tenants", json!({"slug": "acme", "name": "Acme"})).await;
    assert_eq!(ada.get("/v1/wallets").await.status, 200);
    let operator = server.client(&server.token("platform", "superadmin"));
    for path in ["/v1/tenants", "/v1/tenants/acme", "/v1/tenants/none"] {
        operator.get(path).await;
    }
    let root = superadmin(&server).await;
    let crossed = send(root.request(Method::GET, "/v1/wallets").header("X-Tenant-Slug", "acme")).await;
    assert_eq!(crossed.status, 200, "{crossed:?}");
    // A token that says itself in which tenant hides nothing.
    let token = server.client(&server.token("acme", "superadmin"));
    assert_eq!(token.get("/v1/wallets").await.status, 200);
    // What belongs to the platform is no tenant's, whatever the token says.
    assert_eq!(token.get("/v1/platform/providers").await.status, 200);
    let log = ada.get("/v1/access-log").await;
    let mut lines: Vec<_> = log.items().iter().map(|line| (&line["path"], &line["crossing"])).collect();
    lines.reverse();
    let expected = ["/v1/tenants", "/v1/tenants/acme", "/v1/wallets", "/v1/wallets"];
    let expected = expected.map(|path| (json!(path), json!(true)));
    assert!(lines.into_iter().eq(expected.iter().map(|(path, crossing)| (path, crossing))), "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_key_that_got_out_is_believed_by_no_running_program() {
    let server = Server::on(Database::fresh().await);
    sign_up(&server, "ada@example.com", "Ada").await;
    let signed_in = sign_in(&server, "ada@example.com", PASSWORD).await;
    let ada = server.client(signed_in.text("/access_token"));
    assert_eq!(ada.get("/v1/me").await.status, 200);
    server.run(&["keys", "signing-rotate", "--at-once"]);
    expect_shut_out_within_a_second(&ada, "/v1/me").await;
    let refresh = json!({"refresh_token": signed_in.text("/refresh_token")});
    let refreshed = ask(&server, "/v1/auth/refresh", refresh).await;
    assert_eq!(server.client(refreshed.text("/access_token")).get("/v1/me").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_erases_somebody_who_cannot_get_in_and_the_logs_say_who_did() {
    let server = self_service().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    ada.made("/v1/tenants", json!({"slug": "acme", "name": "Acme"})).await;
    let grace = person(&server, "grace@example.com", "Grace").await;
    join(&server, &ada, &grace, "grace@example.com", "member").await;
    let id = async |client: &Client| client.get("/v1/me").await.text("/id").to_owned();
    let (ada_id, grace_id) = (id(&ada).await, id(&grace).await);
    let operator = server.client(&server.token("platform", "superadmin"));
    let erase =
        async |by: &Client, id: &str| other(by, Method::DELETE, &format!("/v1/users/{id}"), json!({})).await;
    let nobody = erase(&ada, &grace_id).await;
    assert_eq!((nobody.status, nobody.text("/code")), (403, "forbidden"));
    operator.made(&format!("/v1/users/{grace_id}/suspend"), json!({"reason": "taken over"})).await;
    assert_eq!(sign_in(&server, "grace@example.com", PASSWORD).await.text("/code"), "user_suspended");

    let erased = erase(&operator, &grace_id).await;
    assert_eq!(erased.status, 200, "{erased:?}");
    assert_eq!(erased.body["subjects"][0], grace_id.as_str());
    assert_eq!(erased.body["subjects"].as_array().unwrap().len(), 2, "her invitation too: {erased:?}");
    let again = erase(&operator, &grace_id).await;
    assert_eq!((again.status, again.text("/receipt")), (200, erased.text("/receipt")), "{again:?}");
    assert_eq!(again.text("/erased_at"), erased.text("/erased_at"));
    let users = operator.get("/v1/users").await;
    let gone = users.items().iter().find(|user| user["id"] == grace_id.as_str()).unwrap();
    assert_eq!(
        (&gone["status"], &gone["email"], &gone["name"]),
        (&json!("erased"), &json!(null), &json!(null))
    );
    assert_eq!(ada.get("/v1/members").await.each("/name"), ["Ada"]);
    assert!(ada.get("/v1/invitations").await.items()[0]["email"].is_null());
    assert_eq!(sign_in(&server, "grace@example.com", PASSWORD).await.text("/code"), "sign_in_failed");

    // Whose step it was: in the tenant's log, and in that of the platform.
    let left = ada.get("/v1/audit?command=leave_tenant").await;
    assert_eq!(left.items()[0]["command"]["role"], "superadmin", "{left:?}");
    assert_ne!(left.items()[0]["command"]["actor"], grace_id.as_str());
    let mut session = PgConnection::connect(server.database.url()).await.unwrap();
    let recorded = "SELECT metadata::text FROM journal.events WHERE event_type = 'erased'";
    let recorded = session.fetch_one(recorded).await.unwrap().get::<String, _>(0);
    assert!(recorded.contains("superadmin") && !recorded.contains(&grace_id), "{recorded}");

    let last = erase(&operator, &ada_id).await;
    assert_eq!((last.status, last.text("/code")), (409, "last_owner"));
    let stranger = erase(&operator, "01a1fc98-cd64-77db-bdb7-71d1368f2510").await;
    assert_eq!((stranger.status, stranger.text("/code")), (404, "user_not_found"));
}
