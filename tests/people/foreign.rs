//! What is another tenant's, asked for by its real names: by an owner's token, by an owner who signed in, and by a program
//! that may do everything. Nothing of it is there, and no answer has a word of it.

use std::collections::BTreeSet;

use api::{Rights, Role};
use domain::application::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::routes::{Route, guarded};
use crate::server::{Answer, Client, Server, send};
use crate::support::Database;
use crate::{other, person};

/// A server whose tenants are as near to each other as they can be, and that minds no crowd.
async fn in_one_partition() -> Server {
    let mut settings = vec![("COUNTERFOIL_IDENTITY__SELF_SERVICE_TENANTS", "true")];
    for name in [
        "COUNTERFOIL_LIMITS__KEY_PER_SECOND",
        "COUNTERFOIL_LIMITS__KEY_BURST",
        "COUNTERFOIL_LIMITS__USER_PER_SECOND",
        "COUNTERFOIL_LIMITS__USER_BURST",
    ] {
        settings.push((name, "1000000"));
    }
    Server::with(Database::with_partitions(1).await, &settings)
}

/// What a tenant has, with a word in everything that somebody wrote.
struct Estate {
    slug: String,
    word: String,
    owner: Client,
    /// By what each is called in an address.
    user: String,
    session: String,
    application: String,
    key: String,
    /// The key itself.
    secret: String,
    invitation: String,
    settled: String,
    held: String,
    execution: String,
}

const WALLET: &str = "till";
const SCOPES: [&str; 5] = ["read", "audit", "transact", "administer", "execute"];

impl Estate {
    /// One with something of everything.
    async fn furnished(server: &Server, slug: &str, word: &str) -> Self {
        let address = format!("{slug}@{word}.example.com");
        let owner = person(server, &address, &format!("Ada {word}")).await;
        owner.made("/v1/tenants", json!({"slug": slug, "name": format!("{word} Ltd")})).await;
        owner.made("/v1/assets", json!({"code": "USD", "scale": 2})).await;
        let about = json!({"note": word});
        let put = async |path: &str, body: Value| {
            let answer = other(&owner, Method::PUT, path, body).await;
            assert!(answer.status < 300, "{path}: {answer:?}");
            answer
        };
        let id = |answer: Answer| answer.text("/id").to_owned();
        for path in [WALLET, "vault"] {
            owner.made("/v1/wallets", json!({"path": path, "asset": "USD", "metadata": about})).await;
        }
        let posting = json!({"from": "@world", "to": WALLET, "amount": "50", "asset": "USD"});
        let post = async |pending: bool| {
            let body = json!({"postings": [posting], "pending": pending, "metadata": about});
            id(owner.made("/v1/transactions", body).await)
        };
        let (settled, held) = (post(false).await, post(true).await);
        let application = owner
            .made("/v1/applications", json!({"name": word, "description": word, "metadata": about}))
            .await;
        let keys = format!("/v1/applications/{}/keys", application.text("/id"));
        let key = owner.made(&keys, json!({"scopes": SCOPES})).await;
        let invited = json!({"email": format!("guest@{word}.example.com"), "role": "viewer"});
        let invitation = id(owner.made("/v1/invitations", invited).await);
        put("/v1/levels/gold", json!({"tier": 1, "features": {word: true}})).await;
        put("/v1/policies/level/gold", policy("20")).await;
        put(&format!("/v1/policies/user/{word}"), policy("30")).await;
        for path in ["/v1/allowances/till", "/v1/allowances/vault"] {
            put(path, json!({"level": "gold"})).await;
        }
        let base_url = format!("https://{word}.example.com/v1");
        put("/v1/providers/house", json!({"dialect": "openai", "base_url": base_url})).await;
        put("/v1/models/chat", routes(word)).await;
        let rates = json!({"input": "1", "output": "1"});
        let price = json!({"provider": "house", "model": word, "asset": "USD", "rates": rates});
        let priced = put("/v1/prices", price).await;
        owner.after(&priced, "/v1/prices").await;
        let call = json!({"wallet": WALLET, "provider": "house", "model": word, "user": word,
            "requested_at": "2026-01-31T10:00:00Z", "usage": {"input": 3, "output": 4}});
        let execution = owner.made("/v1/executions/import", call).await;
        owner.after(&execution, "/v1/executions").await;
        Self {
            slug: slug.to_owned(),
            word: word.to_owned(),
            user: owner.get("/v1/me").await.text("/id").to_owned(),
            session: owner.get("/v1/me/sessions").await.items()[0]["id"].as_str().unwrap().to_owned(),
            application: id(application),
            key: key.text("/id").to_owned(),
            secret: key.text("/key").to_owned(),
            invitation,
            settled,
            held,
            execution: id(execution),
            owner,
        }
    }

    /// Everything by which something of it is known.
    fn names(&self) -> [&str; 10] {
        [
            &self.word,
            &self.user,
            &self.session,
            &self.application,
            &self.key,
            &self.invitation,
            &self.settled,
            &self.held,
            &self.execution,
            &self.secret,
        ]
    }

    /// Where a route leads to with what is its own in every place, and what is said there.
    fn address(&self, route: &Route) -> (String, Option<Value>) {
        let pattern = route.pattern.as_str();
        let fill = |name: &str| match name {
            "{slug}" => self.slug.as_str(),
            "{user}" => &self.user,
            "{key}" => &self.key,
            "{kind}" => "level",
            "{alias}" => "chat",
            "{path}" => WALLET,
            "{name}" if pattern.contains("providers") => "house",
            "{name}" => "gold",
            "{id}" => match pattern.split('/').nth(2).unwrap() {
                "me" => &self.session,
                "users" => &self.user,
                "invitations" => &self.invitation,
                "applications" => &self.application,
                "transactions" if pattern.ends_with("/reverse") => &self.settled,
                "transactions" => &self.held,
                "executions" => &self.execution,
                _ => panic!("which id belongs into {pattern}?"),
            },
            _ => panic!("what belongs into {name} of {pattern}?"),
        };
        let segments = pattern.split('/').map(|one| if one.starts_with('{') { fill(one) } else { one });
        let path = segments.collect::<Vec<_>>().join("/");
        (path, (route.method != Method::GET).then(|| body(route)))
    }
}

fn policy(amount: &str) -> Value {
    json!({"mode": "monthly", "rollover": "none", "amount": amount, "asset": "USD", "enforcement": "warn"})
}

fn routes(model: &str) -> Value {
    json!({"routes": [{"provider": "house", "model": model}]})
}

/// What would be taken by whoever may do it.
fn body(route: &Route) -> Value {
    match (route.method.as_str(), route.pattern.as_str()) {
        ("DELETE", _) => json!({}),
        (_, "/v1/users/{id}/suspend") => json!({"reason": "because"}),
        ("PATCH", "/v1/members/{user}") => json!({"role": "viewer"}),
        ("PATCH", "/v1/applications/{id}") => json!({"name": "Mine"}),
        (_, "/v1/applications/{id}/keys") => json!({"scopes": ["read"]}),
        (_, "/v1/wallets/{path}/adjust") => json!({"amount": "1", "reason": "because"}),
        (_, "/v1/allowances/{path}/grants") => json!({"amount": "1"}),
        ("PUT", "/v1/allowances/{path}") => json!({"level": null}),
        ("PUT", "/v1/levels/{name}") => json!({"tier": 2}),
        ("PUT", "/v1/policies/{kind}/{name}") => policy("30"),
        ("PUT", pattern) if pattern.ends_with("/providers/{name}") => {
            json!({"dialect": "openai", "base_url": "https://mine.example.com/v1"})
        }
        ("PUT", pattern) if pattern.ends_with("/models/{alias}") => routes("mine"),
        _ => json!({}),
    }
}

/// Somebody of another tenant, who may do everything there.
struct Stranger {
    what: &'static str,
    slug: &'static str,
    client: Client,
    rights: Rights,
    /// Whether it is somebody, with a profile and sessions.
    signed_in: bool,
}

impl Stranger {
    /// Whether the route is theirs at home.
    fn may(&self, route: &Route) -> bool {
        (self.signed_in && route.is_ones_own()) || route.lets_in(&self.rights)
    }
}

/// Three of three tenants, so that what one makes is not in another's way.
async fn strangers(server: &Server) -> [Stranger; 3] {
    let bolt = server.tenant("bolt").await;
    let mut owners = Vec::new();
    for slug in ["corp", "dune"] {
        let owner = person(server, &format!("owner@{slug}.example.com"), slug).await;
        owner.made("/v1/tenants", json!({"slug": slug, "name": slug})).await;
        owner.made("/v1/assets", json!({"code": "USD", "scale": 2})).await;
        owners.push(owner);
    }
    let application = owners[1].made("/v1/applications", json!({"name": "Thief"})).await;
    let keys = format!("/v1/applications/{}/keys", application.text("/id"));
    let key = server.client(owners[1].made(&keys, json!({"scopes": SCOPES})).await.text("/key"));
    let owner = Rights::Role(Role::Owner);
    let scopes = Rights::Scopes(Scope::ALL.iter().copied().collect::<BTreeSet<_>>().into());
    let new = |what, slug, client, rights, signed_in| Stranger { what, slug, client, rights, signed_in };
    [
        new("an owner's token", "bolt", bolt, owner.clone(), false),
        new("an owner who signed in", "corp", owners[0].clone(), owner, true),
        new("a program that may do everything", "dune", key, scopes, false),
    ]
}

async fn ask(
    client: &Client,
    route: &Route,
    at: &(String, Option<Value>),
    headers: &[(&str, &str)],
) -> Answer {
    let request = client.request(route.method.clone(), &at.0);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    send(match &at.1 {
        Some(body) => request.json(body),
        None => request,
    })
    .await
}

/// Asserts that nothing of `estate` is in the answer, but what the request named itself.
fn expect_nothing_of(estate: &Estate, answer: &Answer, asked: &str, what: &str) {
    let text = answer.body.to_string();
    let known = estate.names().into_iter().find(|name| text.contains(name) && !asked.contains(name));
    assert_eq!(known, None, "{what}: {answer:?}");
}

/// Reads before writes, and what makes something last: so that nobody finds what they have made themselves.
fn in_order(mut routes: Vec<Route>) -> Vec<Route> {
    let rank = |route: &Route| match route.method.as_str() {
        "GET" => 0,
        "PUT" => 2,
        _ => 1,
    };
    routes.sort_by_key(rank);
    routes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_of_another_tenant_reaches_nothing_whatever_the_request_names() {
    let server = in_one_partition().await;
    let acme = Estate::furnished(&server, "acme", "zanzibar").await;
    let strangers = strangers(&server).await;
    let routes = in_order(guarded(&acme.owner).await);
    expect_found_by_its_own(&acme, &routes).await;
    let before = acme.owner.state().await;
    let theirs = [("X-Tenant-Slug", "acme")];
    let nobodys = [("X-Tenant-Slug", "nobody")];
    let nonsense = [("X-Tenant-Slug", "' OR 1=1 --")];
    for stranger in &strangers {
        let twice = [("X-Tenant-Slug", stranger.slug), ("X-Tenant-Slug", "acme")];
        let own = [("X-Tenant-Slug", stranger.slug)];
        for route in &routes {
            let at = acme.address(route);
            let what = |headers: &[(&str, &str)]| {
                format!("{}, {headers:?}: {} {}", stranger.what, route.method, at.0)
            };
            let within = !route.is_ones_own();
            for headers in [&theirs[..], &nobodys, &nonsense, &twice] {
                // What is one's own is in no tenant, and not touched with somebody else's name.
                if !within && !route.pattern.contains('{') && route.method != Method::GET {
                    continue;
                }
                let answer = ask(&stranger.client, route, &at, headers).await;
                let what = what(headers);
                expect_nothing_of(&acme, &answer, &at.0, &what);
                if !within {
                    let mine = answer.status == 200 && !route.pattern.contains('{');
                    assert!(mine || matches!(answer.status, 403 | 404), "{what}: {answer:?}");
                } else if stranger.may(route) {
                    // The same for a tenant that there is and one that there is not.
                    assert_eq!((answer.status, answer.text("/code")), (403, "tenant_not_yours"), "{what}");
                    assert_eq!(answer.text("/detail"), "the credential is not for this tenant", "{what}");
                } else {
                    assert_eq!(answer.status, 403, "{what}: {answer:?}");
                }
            }
            // In one's own tenant it is not there either, by whatever name.
            for headers in [&[][..], &own] {
                expect_not_there(&acme, stranger, route, &at, headers, &what(headers)).await;
            }
        }
    }
    assert_eq!(acme.owner.state().await, before);
    expect_found_by_its_own(&acme, &routes).await;
    assert_eq!(server.client(&acme.secret).get("/v1/wallets/till").await.status, 200);
    assert_eq!(acme.owner.get("/v1/me/tenants").await.each("/slug"), ["acme"]);
}

/// Asserts that a stranger who asks at home for what is another tenant's finds nothing.
async fn expect_not_there(
    estate: &Estate,
    stranger: &Stranger,
    route: &Route,
    at: &(String, Option<Value>),
    headers: &[(&str, &str)],
    what: &str,
) {
    let named = route.pattern.contains('{');
    if !named && route.method != Method::GET {
        return;
    }
    let answer = ask(&stranger.client, route, at, headers).await;
    expect_nothing_of(estate, &answer, &at.0, what);
    if !stranger.may(route) {
        assert_eq!((answer.status, answer.text("/code")), (403, "forbidden"), "{what}");
    } else if !named {
        assert!(answer.status < 400 || needs_more(route), "{what}: {answer:?}");
    } else if route.method == Method::PUT {
        // A name is each tenant's own.
        assert!(matches!(answer.status, 200 | 201 | 404), "{what}: {answer:?}");
    } else {
        assert!(matches!(answer.status, 403 | 404), "{what}: {answer:?}");
    }
}

/// Whether a list is refused where the query says nothing.
fn needs_more(route: &Route) -> bool {
    route.pattern.starts_with("/v1/analytics/")
}

/// Asserts that all of it is there: that the walk asks for what exists.
async fn expect_found_by_its_own(estate: &Estate, routes: &[Route]) {
    let owner = Rights::Role(Role::Owner);
    for route in routes.iter().filter(|route| route.method == Method::GET && route.pattern.contains('{')) {
        if route.lets_in(&owner) {
            let (path, _) = estate.address(route);
            let found = estate.owner.get(&path).await;
            assert_eq!(found.status, 200, "{path}: {found:?}");
        }
    }
    let list = async |path: &str| estate.owner.get(path).await.body.to_string();
    for (path, name) in [
        ("/v1/members", &estate.user),
        ("/v1/invitations", &estate.invitation),
        ("/v1/me/sessions", &estate.session),
        (&format!("/v1/applications/{}/keys", estate.application), &estate.key),
        (&format!("/v1/transactions/{}", estate.settled), &estate.settled),
    ] {
        assert!(list(path).await.contains(name.as_str()), "{path} has {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_tenant_leads_to_ones_own_items_alone() {
    let server = in_one_partition().await;
    let acme = Estate::furnished(&server, "acme", "zanzibar").await;
    let bolt = Estate::furnished(&server, "bolt", "yakutsk").await;
    let keys = |estate: &Estate| format!("/v1/applications/{}/keys", estate.application);
    for list in [
        "/v1/wallets",
        "/v1/wallets/till/entries",
        "/v1/transactions",
        "/v1/executions",
        "/v1/allowances",
        "/v1/policies",
        "/v1/prices",
        "/v1/members",
        "/v1/invitations",
        "/v1/applications",
        "keys",
        "/v1/audit",
        "/v1/access-log",
    ] {
        let mut seen = 0;
        for (asks, other) in [(&acme, &bolt), (&bolt, &acme)] {
            let path = |estate: &Estate| if list == "keys" { keys(estate) } else { list.to_owned() };
            let theirs = first_cursor(&other.owner, &path(other)).await;
            let answer = asks.owner.get(&format!("{}?limit=100&cursor={theirs}", path(asks))).await;
            assert_eq!(answer.status, 200, "{list}: {answer:?}");
            expect_nothing_of(other, &answer, "", list);
            let own = asks.owner.get(&format!("{}?limit=100", path(asks))).await;
            let stray = answer.items().iter().find(|item| !own.items().contains(item));
            assert_eq!(stray, None, "{list}");
            seen += answer.items().len();
        }
        // Where nobody sees anything, nothing is shown by it.
        assert!(seen > 0, "{list}: neither of two cursors led anywhere");
    }
}

/// Where a list of one item goes on.
async fn first_cursor(owner: &Client, path: &str) -> String {
    // The log of reads is written a moment later.
    for _ in 0..100 {
        let page = owner.get(&format!("{path}?limit=1")).await;
        assert_eq!(page.status, 200, "{path}: {page:?}");
        if let Some(next) = page.body["next"].as_str() {
            assert!(!next.is_empty() && page.items().len() == 1, "{path}: {page:?}");
            return next.to_owned();
        }
        assert_eq!(path, "/v1/access-log", "has nothing: {page:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the log of reads stays empty");
}
