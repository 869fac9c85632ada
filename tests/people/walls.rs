//! How far people and programs get: to what they were given, and at a pace.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::{Rights, Role};
use domain::application::Scope;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::routes::{ask as ask_route, expect, guarded};
use crate::server::{Client, Server, send};
use crate::support::Database;
use crate::{PASSWORD, ask, join, other, person, self_service, sign_in, sign_up};

/// Somebody with a tenant of their own.
async fn founder(server: &Server, address: &str, slug: &str) -> Client {
    let founder = person(server, address, slug).await;
    founder.made("/v1/tenants", json!({"slug": slug, "name": slug})).await;
    founder
}

/// Issues a key.
async fn key(owner: &Client, wanted: Value) -> String {
    let application = owner.made("/v1/applications", json!({"name": "Checkout"})).await;
    let keys = format!("/v1/applications/{}/keys", application.text("/id"));
    owner.made(&keys, wanted).await.text("/key").to_owned()
}

/// A server that believes whoever asks about where they ask from, on which everybody may create tenants.
async fn behind_a_proxy(more: &[(&str, &str)]) -> Server {
    let mut settings = vec![
        ("COUNTERFOIL_IDENTITY__SELF_SERVICE_TENANTS", "true"),
        ("COUNTERFOIL_API__TRUSTED_PROXIES", r#"["127.0.0.0/8"]"#),
    ];
    settings.extend_from_slice(more);
    Server::with(Database::fresh().await, &settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_in_the_members_whose_role_the_table_names_and_nobody_else() {
    let server = self_service().await;
    let owner = founder(&server, "owner@example.com", "acme").await;
    let routes = guarded(&owner).await;
    for role in [Role::Owner, Role::Admin, Role::Member, Role::Viewer, Role::Auditor] {
        let address = format!("{role}@example.com");
        let client = if role == Role::Owner {
            owner.clone()
        } else {
            let guest = person(&server, &address, role.as_str()).await;
            join(&server, &owner, &guest, &address, role.as_str()).await;
            guest
        };
        for route in &routes {
            let let_in = route.is_ones_own() || route.lets_in(&Rights::Role(role));
            expect(&ask_route(&client, route, &[]).await, let_in, role.as_str(), route);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_in_the_keys_whose_scope_the_table_names_and_no_others() {
    let server = self_service().await;
    let owner = founder(&server, "owner@example.com", "acme").await;
    let routes = guarded(&owner).await;
    for scope in Scope::ALL {
        let client = server.client(&key(&owner, json!({"scopes": [scope.as_str()]})).await);
        let rights = Rights::Scopes(Arc::new(BTreeSet::from([*scope])));
        for route in &routes {
            expect(&ask_route(&client, route, &[]).await, route.lets_in(&rights), scope.as_str(), route);
        }
        // The other tenant's name widens nothing, and one's own changes nothing.
        for (slug, status) in [("acme", 403), ("bolt", 403), ("nobody", 403)] {
            let named = client.request(Method::GET, "/v1/members").header("X-Tenant-Slug", slug);
            assert_eq!(send(named).await.status, status, "{slug}");
        }
    }
    founder(&server, "bolt@example.com", "bolt").await;
    let reader = server.client(&key(&owner, json!({"scopes": ["read"]})).await);
    let named = async |slug: &str| {
        let answer = send(reader.request(Method::GET, "/v1/assets").header("X-Tenant-Slug", slug)).await;
        (answer.status, answer.body["detail"].clone())
    };
    assert_eq!(named("acme").await.0, 200);
    assert_eq!(
        named("bolt").await,
        named("nobody").await,
        "a stranger does not learn which tenants there are"
    );
    assert_eq!(named("bolt").await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_in_two_tenants_says_in_which_and_reaches_no_third() {
    let server = behind_a_proxy(&[("COUNTERFOIL_API__DOMAIN", "ledger.example")]).await;
    let ada = founder(&server, "ada@example.com", "acme").await;
    ada.made("/v1/assets", json!({"code": "USD", "scale": 2})).await;
    ada.made("/v1/tenants", json!({"slug": "bolt", "name": "Bolt"})).await;
    let third = founder(&server, "eve@example.com", "corp").await;
    let assets = async |headers: &[(&str, &str)]| {
        let request = ada.request(Method::GET, "/v1/assets");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = send(request).await;
        let said = answer.body["code"].as_str().map(str::to_owned);
        said.unwrap_or_else(|| answer.each("/code").concat())
    };
    // What somebody belongs to is remembered for half a second.
    for _ in 0..100 {
        if assets(&[]).await != "USD" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(assets(&[]).await, "tenant_not_chosen");
    assert_eq!(assets(&[("X-Tenant-Slug", "acme")]).await, "USD");
    assert_eq!(assets(&[("X-Tenant-Slug", "bolt")]).await, "");
    for third in ["corp", "nobody", "@platform", "acme,corp", ""] {
        assert_eq!(assets(&[("X-Tenant-Slug", third)]).await, "tenant_not_yours", "{third}");
    }
    assert_eq!(assets(&[("Host", "acme.ledger.example")]).await, "USD");
    assert_eq!(assets(&[("Host", "bolt.ledger.example:8080")]).await, "");
    assert_eq!(assets(&[("Host", "corp.ledger.example")]).await, "tenant_not_yours");
    assert_eq!(assets(&[("Host", "ledger.example")]).await, "tenant_not_chosen");
    assert_eq!(
        assets(&[("Host", "acme.ledger.example"), ("X-Tenant-Slug", "corp")]).await,
        "tenant_not_yours"
    );
    let domain = ada.request(Method::PATCH, "/v1/tenant").header("X-Tenant-Slug", "acme");
    let changed = send(domain.json(&json!({"domain": "books.acme.example"}))).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(assets(&[("Host", "books.acme.example")]).await, "USD");
    assert_eq!(assets(&[("Host", "books.other.example")]).await, "tenant_not_chosen");
    // A domain is not proven: what two tenants call theirs chooses neither.
    let domain = ada.request(Method::PATCH, "/v1/tenant").header("X-Tenant-Slug", "bolt");
    let changed = send(domain.json(&json!({"domain": "books.acme.example"}))).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(assets(&[("Host", "books.acme.example")]).await, "tenant_not_chosen");
    let both = [("Host", "books.acme.example"), ("X-Tenant-Slug", "acme")];
    assert_eq!(assets(&both).await, "USD");
    // Whoever does not belong to the other that says so is not led there.
    let eve = json!({"domain": "books.acme.example"});
    let eve = other(&third, Method::PATCH, "/v1/tenant", eve).await;
    assert_eq!(eve.status, 200, "{eve:?}");
    let cleared = ada.request(Method::PATCH, "/v1/tenant").header("X-Tenant-Slug", "bolt");
    assert_eq!(send(cleared.json(&json!({"domain": null}))).await.status, 200);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(assets(&[("Host", "books.acme.example")]).await, "USD");
}

/// The cookies that an answer sets, as a browser sends them back.
fn cookies(headers: &HeaderMap) -> Vec<(String, String)> {
    let lines = headers.get_all("Set-Cookie").iter().map(|value| value.to_str().unwrap().to_owned());
    let pair = |line: String| {
        let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
        for word in ["Secure", "Path=/", "SameSite=Strict"] {
            assert!(line.contains(word), "{line}");
        }
        assert_eq!(line.contains("HttpOnly"), !name.ends_with("_csrf"), "{line}");
        (name.to_owned(), value.to_owned())
    };
    lines.map(pair).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_cannot_use_the_cookies_of_a_session_and_cannot_give_one() {
    let server = self_service().await;
    sign_up(&server, "ada@example.com", "Ada").await;
    let credentials = json!({"email": "ada@example.com", "password": PASSWORD, "cookies": true});
    // Somebody has put a session of theirs into the browser; signing in does not go on with it.
    let planted =
        "__Host-counterfoil=planted; __Host-counterfoil_csrf=planted; __Host-counterfoil_refresh=planted";
    let anonymous = server.client("");
    let sign_in = anonymous.anonymous(Method::POST, "/v1/auth/sign-in").header("Cookie", planted);
    let signed_in = sign_in.json(&credentials).send().await.unwrap();
    assert_eq!(signed_in.status(), 200);
    let jar = cookies(signed_in.headers());
    let body: Value = signed_in.json().await.unwrap();
    assert!(body["access_token"].is_null() && body["refresh_token"].is_null(), "{body}");
    let sent = jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
    assert!(jar.len() == 3 && !sent.contains("planted"), "{sent}");
    let csrf = &jar.iter().find(|(name, _)| name.ends_with("_csrf")).unwrap().1;

    let request = |method: Method, path: &str| anonymous.anonymous(method, path).header("Cookie", &sent);
    assert_eq!(send(request(Method::GET, "/v1/me")).await.text("/email"), "ada@example.com");
    let tenant = json!({"slug": "acme", "name": "Acme"});
    let post = |proof: Option<&str>| {
        let request = request(Method::POST, "/v1/tenants").json(&tenant);
        proof.map_or(request.try_clone().unwrap(), |proof| request.header("X-CSRF-Token", proof))
    };
    for forged in [None, Some(""), Some("x"), Some("planted")] {
        let refused = send(post(forged)).await;
        assert_eq!((refused.status, refused.text("/code")), (403, "csrf_token_wrong"), "{forged:?}");
    }
    // What a page of another site can send: a form, with a type that needs no question beforehand.
    let form =
        request(Method::POST, "/v1/tenants").header("Content-Type", "text/plain").body(tenant.to_string());
    assert_eq!(send(form).await.text("/code"), "csrf_token_wrong");
    let refresh = request(Method::POST, "/v1/auth/refresh").json(&json!({}));
    assert_eq!(send(refresh).await.text("/code"), "csrf_token_wrong");
    assert_eq!(send(post(Some(csrf))).await.status, 201);
    // An operator's token is for programs; in a cookie it is nothing.
    let token = server.token("acme", "owner");
    let cookie = anonymous
        .anonymous(Method::GET, "/v1/assets")
        .header("Cookie", format!("__Host-counterfoil={token}"));
    assert_eq!(send(cookie).await.text("/code"), "token_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_a_password_are_slowed_down_from_one_address_and_from_many() {
    let limits =
        [("COUNTERFOIL_LIMITS__SIGN_IN_BURST", "10"), ("COUNTERFOIL_LIMITS__SIGN_IN_PER_MINUTE", "1")];
    let server = behind_a_proxy(&limits).await;
    sign_up(&server, "ada@example.com", "Ada").await;
    let anonymous = server.client("");
    let guess = async |from: &str, email: &str, password: &str| {
        let request = anonymous.anonymous(Method::POST, "/v1/auth/sign-in").header("X-Forwarded-For", from);
        send(request.json(&json!({"email": email, "password": password}))).await
    };
    // One address, many accounts.
    let mut through = 0;
    for number in 0..60 {
        let answer = guess("203.0.113.1", &format!("user{number}@example.com"), "seven quiet badgers").await;
        assert!(matches!(answer.status, 401 | 429), "{answer:?}");
        through += u32::from(answer.status == 401);
    }
    assert!((5..=12).contains(&through), "{through} guesses from one address");
    // Many addresses, one account: those that do not exist no less than those that do.
    for email in ["ada@example.com", "nobody@example.com"] {
        let mut through = 0;
        for number in 1..=60 {
            let answer = guess(&format!("198.51.100.{number}"), email, "seven quiet badgers").await;
            assert!(matches!(answer.status, 401 | 429), "{answer:?}");
            through += u32::from(answer.status == 401);
        }
        assert!((3..=12).contains(&through), "{through} guesses at {email}");
    }
    // Others are not held up.
    let other = guess("192.0.2.7", "grace@example.com", "seven quiet badgers").await;
    assert_eq!(other.status, 401, "{other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_let_in_while_others_guess_and_an_open_browser_helps_nobody_to_guess_faster() {
    let limits =
        [("COUNTERFOIL_LIMITS__SIGN_IN_BURST", "10"), ("COUNTERFOIL_LIMITS__SIGN_IN_PER_MINUTE", "1")];
    let server = behind_a_proxy(&limits).await;
    sign_up(&server, "ada@example.com", "Ada").await;
    let anonymous = server.client("");
    let enter = async |from: &str, password: &str| {
        let request = anonymous.anonymous(Method::POST, "/v1/auth/sign-in").header("X-Forwarded-For", from);
        send(request.json(&json!({"email": "ada@example.com", "password": password}))).await
    };
    assert_eq!(enter("203.0.113.7", PASSWORD).await.status, 200);
    for number in 1..=60 {
        enter(&format!("198.51.100.{number}"), "seven quiet badgers").await;
    }
    assert_eq!(
        enter("192.0.2.7", PASSWORD).await.status,
        429,
        "the guesses have used up the account's count"
    );
    let home = enter("203.0.113.7", PASSWORD).await;
    assert_eq!(home.status, 200, "where the owner got in before there is another count: {home:?}");

    let ada = server.client(home.text("/access_token"));
    let guess = json!({"current": "seven quiet badgers", "new": "eight quiet otters"});
    let mut through = 0;
    for _ in 0..30 {
        let answer = ada.post("/v1/me/password", guess.clone()).await;
        assert!(matches!(answer.status, 403 | 429), "{answer:?}");
        through += u32::from(answer.status == 403);
    }
    assert!((5..=12).contains(&through), "{through} guesses at a password by somebody who is signed in");
    for (method, path, body) in [
        (Method::POST, "/v1/me/second-factor", json!({"password": PASSWORD})),
        (Method::POST, "/v1/me/second-factor/confirm", json!({"code": "000000"})),
        (Method::DELETE, "/v1/me/second-factor", json!({"code": "000000"})),
        (Method::DELETE, "/v1/me", json!({"password": PASSWORD})),
    ] {
        assert_eq!(other(&ada, method, path, body).await.status, 429, "{path} is one more way to guess");
    }
    assert_eq!(ada.get("/v1/me").await.status, 200, "nothing else is held up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_bound_to_its_addresses_its_environment_its_time_and_its_pace() {
    let limits = [("COUNTERFOIL_LIMITS__KEY_BURST", "20"), ("COUNTERFOIL_LIMITS__KEY_PER_SECOND", "1")];
    let server = behind_a_proxy(&limits).await;
    let owner = founder(&server, "owner@example.com", "acme").await;
    let bound = key(&owner, json!({"scopes": ["read"], "addresses": ["203.0.113.0/24"]})).await;
    let from = async |key: &str, address: &str| {
        let request =
            server.client(key).request(Method::GET, "/v1/assets").header("X-Forwarded-For", address);
        let answer = send(request).await;
        (answer.status, answer.body["code"].as_str().unwrap_or_default().to_owned())
    };
    let refused = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(from(&bound, "203.0.113.9").await.0, 200);
    assert_eq!(from(&bound, "203.0.114.9").await, refused(403, "address_not_allowed"));
    assert_eq!(from(&bound, "203.0.113.9, 203.0.114.9").await, refused(403, "address_not_allowed"));
    // The same secret under another name.
    let renamed = bound.replacen("cf_live_", "cf_test_", 1);
    assert_eq!(from(&renamed, "203.0.113.9").await, refused(401, "token_invalid"));
    let last = bound.len() - 5;
    let damaged = format!(
        "{}{}",
        bound.get(..last).unwrap(),
        if bound.get(last..).unwrap().starts_with('A') { "BAAAA" } else { "AAAAA" }
    );
    let wrong = from(&damaged, "203.0.113.9").await;
    assert!(wrong.0 == 401, "{wrong:?}");

    let soon = chrono::DateTime::to_rfc3339(&(chrono_now() + chrono::TimeDelta::seconds(3)));
    let brief = key(&owner, json!({"scopes": ["read"], "expires_at": soon})).await;
    assert_eq!(from(&brief, "203.0.113.9").await.0, 200);
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert_eq!(from(&brief, "203.0.113.9").await, refused(401, "token_expired"));

    let busy = server.client(&key(&owner, json!({"scopes": ["read"]})).await);
    let mut limited = 0;
    for _ in 0..60 {
        let answer = busy.request(Method::GET, "/v1/assets").send().await.unwrap();
        assert_eq!(answer.headers()["RateLimit-Limit"], "20");
        assert!(answer.headers().contains_key("RateLimit-Remaining"));
        if answer.status() == 429 {
            limited += 1;
            assert!(answer.headers()["Retry-After"].to_str().unwrap().parse::<u32>().unwrap() >= 1);
            assert_eq!(answer.headers()["RateLimit-Remaining"], "0");
        }
    }
    assert!(limited > 10, "{limited}");
    assert_eq!(from(&bound, "203.0.113.9").await.0, 200, "another key has its own count");
}

fn chrono_now() -> chrono::DateTime<chrono::Utc> {
    domain::Clock::now(&counterfoil::system::SystemClock)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_read_what_is_written_down_and_what_an_operator_looked_at_before_it_is_shown() {
    let server = self_service().await;
    let owner = founder(&server, "owner@example.com", "acme").await;
    let reader = server.client(&key(&owner, json!({"scopes": ["read"]})).await);
    assert_eq!(reader.get("/v1/wallets").await.status, 200);
    assert_eq!(reader.get("/v1/audit").await.status, 403);
    let said = server.run(&["admin", "create", "--email", "root@example.com"]);
    let token = said.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    let token = token.into_iter().find(|word| word.len() == 43).unwrap().to_owned();
    ask(&server, "/v1/auth/password/reset", json!({"token": token, "password": PASSWORD})).await;
    let root = server.client(sign_in(&server, "root@example.com", PASSWORD).await.text("/access_token"));
    let crossed = send(root.request(Method::GET, "/v1/trial-balance").header("X-Tenant-Slug", "acme")).await;
    assert_eq!(crossed.status, 200, "{crossed:?}");
    // What crosses is written before it is answered.
    let log = owner.get("/v1/access-log").await;
    let crossing: Vec<_> = log.items().iter().filter(|line| line["crossing"] == true).collect();
    assert_eq!(crossing.len(), 1, "{log:?}");
    assert_eq!(crossing[0]["path"], "/v1/trial-balance");
    let mut lines = Vec::new();
    for _ in 0..100 {
        lines = owner.get("/v1/access-log?limit=100").await.items().to_vec();
        if lines.iter().any(|line| line["path"] == "/v1/wallets") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let read = lines.iter().find(|line| line["path"] == "/v1/wallets").unwrap();
    assert_eq!((read["status"].as_i64(), read["method"].as_str()), (Some(200), Some("GET")));
    assert_eq!(other(&owner, Method::DELETE, "/v1/access-log", json!({})).await.status, 405);
    // Another tenant's log has none of it.
    let stranger = founder(&server, "eve@example.com", "bolt").await;
    let theirs = stranger.get("/v1/access-log?limit=100").await;
    assert!(theirs.items().iter().all(|line| line["path"] != "/v1/trial-balance"), "{theirs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_tells_when_it_was_last_used() {
    let server = self_service().await;
    let owner = founder(&server, "owner@example.com", "acme").await;
    let application = owner.made("/v1/applications", json!({"name": "Checkout"})).await;
    let keys = format!("/v1/applications/{}/keys", application.text("/id"));
    let issued = owner.made(&keys, json!({"scopes": ["read"]})).await;
    assert!(issued.body["last_used_at"].is_null());
    let idle = owner.made(&keys, json!({"scopes": ["read"]})).await;
    assert_eq!(server.client(issued.text("/key")).get("/v1/wallets").await.status, 200);
    // Who knows the public half alone has not used it.
    let secret = idle.text("/key").rsplit_once('_').unwrap();
    let guessed = format!("{}_{}", secret.0, "A".repeat(43));
    assert_eq!(server.client(&guessed).get("/v1/wallets").await.status, 401);
    for _ in 0..150 {
        let listed = owner.get(&keys).await;
        let used = |id: &str| {
            let key = listed.items().iter().find(|key| key["id"] == id).unwrap();
            key["last_used_at"].as_str().map(str::to_owned)
        };
        assert_eq!(used(idle.text("/id")), None);
        if used(issued.text("/id")).is_some() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the use was not written down");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_found_a_session_guesses_no_faster_than_at_the_door() {
    let limits =
        [("COUNTERFOIL_LIMITS__SIGN_IN_BURST", "10"), ("COUNTERFOIL_LIMITS__SIGN_IN_PER_MINUTE", "1")];
    let server = behind_a_proxy(&limits).await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    let guesses = [
        (Method::POST, "/v1/me/password", json!({"current": "a wrong guess", "new": "eight quiet otters"})),
        (Method::POST, "/v1/me/second-factor", json!({"password": "a wrong guess"})),
        (Method::POST, "/v1/me/second-factor/confirm", json!({"code": "000000"})),
        (Method::DELETE, "/v1/me/second-factor", json!({"code": "000000"})),
        (Method::DELETE, "/v1/me", json!({"password": "a wrong guess"})),
    ];
    let (mut through, mut last) = (0, 0);
    for round in 0..25 {
        let (method, path, body) = guesses[round % guesses.len()].clone();
        last = other(&ada, method, path, body).await.status;
        assert!(matches!(last, 401 | 403 | 429), "{path}: {last}");
        through += u32::from(last != 429);
    }
    assert!((5..=12).contains(&through), "{through} guesses with one session");
    assert_eq!(last, 429);
    assert_eq!(ada.get("/v1/me").await.status, 200, "what proves nothing is not held up");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_got_in_goes_on_at_any_pace_and_who_guesses_at_refresh_tokens_does_not() {
    let limits = [
        ("COUNTERFOIL_LIMITS__SIGN_IN_BURST", "10"),
        ("COUNTERFOIL_LIMITS__SIGN_IN_PER_MINUTE", "1"),
        ("COUNTERFOIL_LIMITS__ADDRESS_BURST", "10"),
        ("COUNTERFOIL_LIMITS__ADDRESS_PER_SECOND", "1"),
    ];
    let server = behind_a_proxy(&limits).await;
    sign_up(&server, "ada@example.com", "Ada").await;
    let signed_in = sign_in(&server, "ada@example.com", PASSWORD).await;
    let mut token = signed_in.text("/refresh_token").to_owned();
    let refresh = async |token: &str| ask(&server, "/v1/auth/refresh", json!({"refresh_token": token})).await;
    for _ in 0..30 {
        let refreshed = refresh(&token).await;
        assert_eq!(refreshed.status, 200, "{refreshed:?}");
        refreshed.text("/refresh_token").clone_into(&mut token);
    }
    let mut limited = 0;
    for _ in 0..40 {
        let status = refresh(&"A".repeat(43)).await.status;
        assert!(matches!(status, 401 | 429), "{status}");
        limited += u32::from(status == 429);
    }
    assert!(limited > 10, "{limited}");
    // Nor is a right one among the guesses told from the wrong ones.
    let mut held = 0;
    for _ in 0..30 {
        refresh(&"A".repeat(43)).await;
        let own = refresh(&token).await;
        if own.status == 200 {
            own.text("/refresh_token").clone_into(&mut token);
        } else {
            assert_eq!(own.status, 429, "{own:?}");
            held += 1;
        }
    }
    assert!(held > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_floods_somebody_elses_mailbox() {
    let limits = [("COUNTERFOIL_LIMITS__MAIL_BURST", "5"), ("COUNTERFOIL_LIMITS__MAIL_PER_HOUR", "1")];
    let server = behind_a_proxy(&limits).await;
    sign_up(&server, "ada@example.com", "Ada").await;
    let anonymous = server.client("");
    for email in ["ada@example.com", "nobody@example.com"] {
        let mut through = 0;
        for number in 0..20 {
            let (path, body) = if number % 2 == 0 {
                ("/v1/auth/password/forgot", json!({"email": email}))
            } else {
                ("/v1/auth/sign-up", json!({"email": email, "password": PASSWORD, "name": "Eve"}))
            };
            let request = anonymous.anonymous(Method::POST, path);
            let request = request.header("X-Forwarded-For", format!("198.51.100.{number}"));
            let answer = send(request.json(&body)).await;
            assert!(matches!(answer.status, 202 | 429), "{answer:?}");
            through += u32::from(answer.status == 202);
        }
        assert!((3..=6).contains(&through), "{through} mails to {email}");
    }
    assert_eq!(sign_in(&server, "ada@example.com", PASSWORD).await.status, 200, "nobody is kept out by it");
}
