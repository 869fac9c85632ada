//! Keys that change under those who use them: the master key, the keys that sign sessions, and API keys, several times
//! over, while people and programs go on at two instances. Every request that is right is answered as it should be.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::server::{Another, Answer, Client, Server, send};
use crate::support::Database;
use crate::{PASSWORD, expect_shut_out_within_a_second, join, person, sign_up};

/// How often each kind of key is changed.
const ROUNDS: usize = 3;
/// Tenants whose first secret is sealed while the master key changes.
const TENANTS: usize = 30;
/// For how many seconds an old API key is taken beside the new one.
const OVERLAP: u64 = 8;

/// No limits of pace, and signing keys that take turns within seconds.
const SETTINGS: [(&str, &str); 8] = [
    ("COUNTERFOIL_IDENTITY__SELF_SERVICE_TENANTS", "true"),
    ("COUNTERFOIL_IDENTITY__SIGNING_OVERLAP_SECONDS", "4"),
    ("COUNTERFOIL_LIMITS__SIGN_IN_PER_MINUTE", "0"),
    ("COUNTERFOIL_LIMITS__SIGN_IN_BURST", "0"),
    ("COUNTERFOIL_LIMITS__USER_PER_SECOND", "0"),
    ("COUNTERFOIL_LIMITS__USER_BURST", "0"),
    ("COUNTERFOIL_LIMITS__KEY_PER_SECOND", "0"),
    ("COUNTERFOIL_LIMITS__KEY_BURST", "0"),
];

/// What everybody shares: two instances, asked in turn, and what was seen and done so far.
struct World<'a> {
    server: &'a Server,
    another: &'a Another,
    stop: CancellationToken,
    turn: AtomicUsize,
    /// The ids of the keys that access tokens were signed with.
    signed_by: Mutex<BTreeSet<String>>,
    /// Transactions of one unit into `till` that were answered.
    posted: AtomicUsize,
    /// How many answers each kind of client had, all of them as they should be.
    answers: [AtomicUsize; 5],
}

/// What authorizes the requests of somebody.
struct Session {
    access: String,
    refresh: String,
}

fn slug(number: usize) -> String {
    format!("tenant-{number}")
}

fn guest(number: usize) -> String {
    format!("guest{number}@example.com")
}

fn one_unit() -> Value {
    json!({"postings": [{"from": "@world", "to": "till", "amount": "1", "asset": "USD"}], "open_wallets": true})
}

impl World<'_> {
    /// A client at the next instance.
    fn client(&self, token: &str) -> Client {
        match self.turn.fetch_add(1, Ordering::Relaxed) % 2 {
            0 => self.server.client(token),
            _ => self.another.client(token),
        }
    }

    /// Counts an answer that is as it should be, of the client of this kind.
    fn right(&self, kind: usize, status: u16, answer: Answer) -> Answer {
        assert_eq!(answer.status, status, "while keys changed: {answer:?}");
        self.answers[kind].fetch_add(1, Ordering::Relaxed);
        answer
    }

    async fn tokens(&self, kind: usize, path: &str, body: Value) -> Session {
        let asked = self.client("").anonymous(Method::POST, path).json(&body);
        let answer = self.right(kind, 200, send(asked).await);
        let access = answer.text("/access_token").to_owned();
        let header = URL_SAFE_NO_PAD.decode(access.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        self.signed_by.lock().unwrap().insert(header["kid"].as_str().unwrap().to_owned());
        Session { access, refresh: answer.text("/refresh_token").to_owned() }
    }

    async fn sign_in(&self, kind: usize, address: &str) -> Session {
        self.tokens(kind, "/v1/auth/sign-in", json!({"email": address, "password": PASSWORD})).await
    }

    /// Posts, and reads what it came to at the other instance.
    async fn post(&self, kind: usize, token: &str) {
        let posted = self.right(kind, 201, self.client(token).post("/v1/transactions", one_unit()).await);
        self.posted.fetch_add(1, Ordering::Relaxed);
        let path = format!("/v1/wallets/till?after={}", posted.position());
        self.right(kind, 200, self.client(token).get(&path).await);
    }

    /// Somebody who works, and refreshes their tokens now and then.
    async fn member(&self, address: &str) {
        let mut session = self.sign_in(0, address).await;
        while !self.stop.is_cancelled() {
            for _ in 0..5 {
                self.post(0, &session.access).await;
            }
            let body = json!({"refresh_token": session.refresh});
            session = self.tokens(0, "/v1/auth/refresh", body).await;
        }
    }

    /// A program, with the key that it is told at present.
    async fn program(&self, key: watch::Receiver<String>) {
        while !self.stop.is_cancelled() {
            let key = key.borrow().clone();
            self.post(1, &key).await;
        }
    }

    /// Somebody who signs in and out, and a newcomer after each.
    async fn visitors(&self, address: &str) -> usize {
        let mut newcomers = 0;
        while !self.stop.is_cancelled() {
            let session = self.sign_in(2, address).await;
            let me = self.right(2, 200, self.client(&session.access).get("/v1/me").await);
            assert_eq!(me.text("/email"), address);
            let out = self.client(&session.access).post("/v1/auth/sign-out", json!({})).await;
            self.right(2, 204, out);
            sign_up(self.server, &format!("newcomer{newcomers}@example.com"), "New").await;
            newcomers += 1;
        }
        newcomers
    }

    /// Somebody who changes their name again and again, and reads it at the other instance.
    async fn renamed(&self, session: &Session) -> String {
        let mut name = "Ada".to_owned();
        for number in 0.. {
            if self.stop.is_cancelled() {
                break;
            }
            name = format!("Ada the {number}.");
            let change = self.client(&session.access).request(Method::PATCH, "/v1/me");
            let changed = self.right(3, 200, send(change.json(&json!({"name": name}))).await);
            let path = format!("/v1/me?after={}", changed.position());
            let me = self.right(3, 200, self.client(&session.access).get(&path).await);
            assert_eq!(me.text("/name"), name);
        }
        name
    }

    /// An owner of many tenants who invites somebody to one after the other, and looks at those of before.
    async fn founder(&self, session: &Session) -> usize {
        let mut invited = 0;
        for number in 0.. {
            if self.stop.is_cancelled() {
                break;
            }
            if invited < TENANTS {
                let invite = self.client(&session.access).request(Method::POST, "/v1/invitations");
                let invite = invite.header("X-Tenant-Slug", slug(invited));
                let body = json!({"email": guest(invited), "role": "member"});
                let made = self.right(4, 201, send(invite.json(&body)).await);
                self.invitation(4, session, invited, &format!("?after={}", made.position())).await;
                invited += 1;
            }
            self.invitation(4, session, number % invited, "").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        invited
    }

    async fn invitation(&self, kind: usize, session: &Session, tenant: usize, query: &str) {
        let list = self.client(&session.access).request(Method::GET, &format!("/v1/invitations{query}"));
        let list = send(list.header("X-Tenant-Slug", slug(tenant))).await;
        assert_eq!(self.right(kind, 200, list).each("/email"), [guest(tenant)]);
    }

    /// What a command says.
    async fn said(&self, arguments: &[&str]) -> String {
        let done = self.server.beside(arguments).await;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// Retires a version of the master key. What was sealed for the first time since the rotation may be wrapped by it
    /// still; another rotation takes that along.
    async fn retire(&self, version: &str) {
        for _ in 0..20 {
            let done = self.server.beside(&["keys", "retire", version]).await;
            if done.status.success() {
                return;
            }
            let refusal = String::from_utf8_lossy(&done.stderr).into_owned();
            assert!(refusal.contains("still wraps"), "{refusal}");
            self.said(&["keys", "rotate"]).await;
        }
        panic!("version {version} is never retired");
    }

    /// Changes every key, and says which API keys are old and which keys sign.
    async fn change_all(
        &self,
        owner: &Session,
        key: &watch::Sender<String>,
        mut id: String,
    ) -> (Vec<String>, Vec<String>) {
        let (mut old, mut signing) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            let added = self.said(&["keys", "rotate"]).await;
            assert!(added.contains(&format!("added version {}", round + 1)), "{added}");
            let said = self.said(&["keys", "signing-rotate"]).await;
            signing.push(said.split_whitespace().nth(1).unwrap().to_owned());
            let path = id.clone() + "/rotate";
            let rotated = self.client(&owner.access).post(&path, json!({"overlap_seconds": OVERLAP})).await;
            assert_eq!(rotated.status, 201, "{rotated:?}");
            // The old one is used for a while yet, as where nobody knows of the new one so soon.
            tokio::time::sleep(Duration::from_secs(1)).await;
            old.push(key.send_replace(rotated.text("/key").to_owned()));
            self.retire(&round.to_string()).await;
            let (application, _) = id.rsplit_once('/').unwrap();
            id = format!("{application}/{}", rotated.text("/id"));
            self.seen(signing.last().unwrap()).await;
        }
        (old, signing)
    }

    /// Waits until an access token was signed with this key.
    async fn seen(&self, key: &str) {
        for _ in 0..600 {
            if self.signed_by.lock().unwrap().contains(key) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{key} never signs");
    }
}

/// An owner of a tenant with an asset, and of many others, and the first key of a program.
async fn founded(server: &Server) -> (Client, String, String) {
    let ada = person(server, "ada@example.com", "Ada").await;
    ada.made("/v1/tenants", json!({"slug": "acme", "name": "Acme"})).await;
    ada.made("/v1/assets", json!({"code": "USD", "scale": 0})).await;
    let application = ada.made("/v1/applications", json!({"name": "Checkout"})).await;
    let keys = format!("/v1/applications/{}/keys", application.text("/id"));
    let issued = ada.made(&keys, json!({"scopes": ["read", "transact"]})).await;
    let (key, id) = (issued.text("/key").to_owned(), format!("{keys}/{}", issued.text("/id")));
    let grace = person(server, "grace@example.com", "Grace").await;
    join(server, &ada, &grace, "grace@example.com", "member").await;
    let founder = person(server, "founder@example.com", "Founder").await;
    for number in 0..TENANTS {
        founder.made("/v1/tenants", json!({"slug": slug(number), "name": "Another"})).await;
    }
    (ada, key, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn master_signing_and_api_keys_change_under_load_without_one_valid_request_that_fails() {
    let mut server = Server::with(Database::fresh().await, &SETTINGS);
    let (ada, first, id) = founded(&server).await;
    let another = server.another();
    let world = World {
        server: &server,
        another: &another,
        stop: CancellationToken::new(),
        turn: AtomicUsize::new(0),
        signed_by: Mutex::default(),
        posted: AtomicUsize::new(0),
        answers: Default::default(),
    };
    // What somebody belongs to is remembered for half a second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (told, key) = watch::channel(first);
    let owner = world.sign_in(0, "ada@example.com").await;
    let founder = world.sign_in(4, "founder@example.com").await;
    let changes = async {
        let changed = world.change_all(&owner, &told, id).await;
        world.stop.cancel();
        changed
    };
    let ((old, signing), (), (), (), newcomers, name, invited) = tokio::join!(
        changes,
        world.member("ada@example.com"),
        world.member("grace@example.com"),
        world.program(key.clone()),
        world.visitors("grace@example.com"),
        world.renamed(&owner),
        world.founder(&founder),
    );

    let answers: Vec<usize> = world.answers.iter().map(|count| count.load(Ordering::Relaxed)).collect();
    assert!(answers.iter().all(|count| *count > 10 * ROUNDS), "a load is more than this: {answers:?}");
    assert!(newcomers > 0 && invited > ROUNDS, "{newcomers} newcomers, {invited} invited");
    let signed_by = world.signed_by.lock().unwrap().clone();
    assert!(signing.iter().all(|key| signed_by.contains(key)), "{signing:?} and {signed_by:?}");
    assert_eq!(old.len(), ROUNDS);
    for key in &old {
        expect_shut_out_within_a_second(&server.client(key), "/v1/wallets").await;
        expect_shut_out_within_a_second(&another.client(key), "/v1/wallets").await;
    }
    let posted = world.posted.load(Ordering::Relaxed).to_string();
    drop(another);

    // With nothing but the newest master key, everything is there and can be read.
    let file = server.data_dir.join("master-key");
    let versions = std::fs::read_to_string(&file).unwrap();
    let newest = versions.lines().find(|line| line.starts_with(&format!("{}:", ROUNDS + 1))).unwrap();
    std::fs::write(&file, format!("{newest}\n")).unwrap();
    server.kill_and_start();
    let ada = server.client(&ada.token);
    assert_eq!(ada.get("/v1/me").await.text("/name"), name, "the token of before all changes is still good");
    assert_eq!(ada.get("/v1/wallets/till").await.text("/posted"), posted);
    let program = server.client(&key.borrow());
    assert_eq!(program.get("/v1/wallets/till").await.text("/posted"), posted);
    assert_eq!(crate::sign_in(&server, "newcomer0@example.com", PASSWORD).await.status, 200);
    let founder = server.client(&founder.access);
    for number in 0..invited {
        let list = founder.request(Method::GET, "/v1/invitations").header("X-Tenant-Slug", slug(number));
        assert_eq!(send(list).await.each("/email"), [guest(number)]);
    }
}
