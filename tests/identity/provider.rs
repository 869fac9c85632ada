//! Sign-in at a provider that others wrote (`oidc-provider` of npm), page by page as a browser does it.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use chrono::TimeDelta;
use domain::Clock;
use identity::Oidc;
use identity::oidc::{Begun, Callback, OidcError, ProviderOptions, ProviderSecret};
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{StatusCode, Url};

use crate::tools::{Running, oidc_provider};
use crate::world::World;

const CALLBACK: &str = "https://ledger.example/v1/auth/oidc/test/callback";

struct Setup {
    world: World,
    oidc: Oidc,
    issuer: String,
    _running: Running,
}

impl Setup {
    /// `None`, and loudly, where the provider is not installed.
    async fn new(client_id: &str, client_secret: Option<&str>) -> Option<Self> {
        let module = oidc_provider()?;
        let mut running = Running::start(
            Command::new("node")
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/identity/provider.mjs"))
                .arg(module)
                .arg(CALLBACK)
                .env("NODE_NO_WARNINGS", "1"),
        );
        // It may complain about its own defaults first.
        let port: u16 = loop {
            if let Ok(port) = running.line().parse() {
                break port;
            }
        };
        let world = World::new().await;
        let issuer = format!("http://127.0.0.1:{port}");
        let options = ProviderOptions {
            name: "test".to_owned(),
            issuer: issuer.clone(),
            client_id: client_id.to_owned(),
            client_secret: client_secret.map(ProviderSecret::new),
            scopes: vec!["email".to_owned(), "profile".to_owned()],
        };
        let clock: Arc<dyn Clock> = Arc::<crate::world::TurnedClock>::clone(&world.clock);
        let redirect = CALLBACK.replace("/test/", "/{provider}/");
        let oidc = Oidc::new(&[options], &redirect, world.one_time.clone(), clock).unwrap();
        Some(Self { world, oidc, issuer, _running: running })
    }

    async fn confidential() -> Option<Self> {
        Self::new("counterfoil", Some("a secret / of ours")).await
    }

    /// Signs in as `login` in a new browser.
    async fn visit(&self, begun: &Begun, login: &str) -> Callback {
        let parameters = Browser::new().visit(&begun.url, login).await;
        let parameter = |name: &str| parameters.get(name).cloned();
        Callback {
            state: parameter("state").unwrap(),
            code: parameter("code").unwrap_or_else(|| panic!("{parameters:?}")),
            issuer: parameter("iss"),
            binding: begun.binding.as_str().to_owned(),
        }
    }

    async fn refused(&self, callback: &Callback) -> OidcError {
        self.oidc.finish("test", callback).await.unwrap_err()
    }
}

/// Follows redirects, keeps cookies, and fills in the provider's two forms.
struct Browser {
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_certs_only(std::iter::empty())
            .build()
            .unwrap();
        Self { http, cookies: BTreeMap::new() }
    }

    /// What the provider sends us back with.
    async fn visit(mut self, url: &str, login: &str) -> BTreeMap<String, String> {
        let mut at: Url = url.parse().unwrap();
        let mut form: Option<String> = None;
        for _ in 0..20 {
            if at.as_str().starts_with(CALLBACK) {
                return at.query_pairs().into_owned().collect();
            }
            let request = match form.take() {
                Some(form) => self
                    .http
                    .post(at.clone())
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form),
                None => self.http.get(at.clone()),
            };
            let cookies: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let answer = request.header(COOKIE, cookies.join("; ")).send().await.unwrap();
            for cookie in answer.headers().get_all(SET_COOKIE) {
                let (name, value) =
                    cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
            if let Some(location) = answer.headers().get(LOCATION) {
                at = at.join(location.to_str().unwrap()).unwrap();
                continue;
            }
            assert_eq!(answer.status(), StatusCode::OK, "{at}: {}", answer.text().await.unwrap());
            let page = answer.text().await.unwrap();
            form = Some(if page.contains("value=\"login\"") {
                format!("prompt=login&login={login}&password=any")
            } else {
                assert!(page.contains("value=\"consent\""), "{page}");
                "prompt=consent".to_owned()
            });
        }
        panic!("no end of redirects");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_at_a_real_provider() {
    for (client, secret) in [("counterfoil", Some("a secret / of ours")), ("public", None)] {
        let Some(setup) = Setup::new(client, secret).await else { return };
        let begun = setup.oidc.start("test", None).await.unwrap();
        let url: Url = begun.url.parse().unwrap();
        let asked: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(asked["code_challenge_method"], "S256");
        assert_eq!(asked["redirect_uri"], CALLBACK);
        assert_eq!(asked["scope"], "openid email profile");
        assert!(asked.contains_key("nonce") && asked.contains_key("state"));
        let callback = setup.visit(&begun, "ada").await;
        assert_eq!(callback.issuer.as_ref(), Some(&setup.issuer));
        let who = setup.oidc.finish("test", &callback).await.unwrap();
        assert_eq!(
            (who.provider.as_str(), &who.issuer, who.subject.as_str()),
            ("test", &setup.issuer, "ada")
        );
        assert_eq!((who.email.as_deref(), who.email_verified), (Some("ada@example.com"), true));
        assert_eq!((who.name.as_deref(), who.link), (Some("Name of ada"), None));
        assert!(!format!("{who:?}").contains("ada"), "personal data is not for the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_the_provider_did_not_verify_is_said_to_be_so() {
    let Some(setup) = Setup::confidential().await else { return };
    let ada = setup.world.user("ada@example.com").await;
    let begun = setup.oidc.start("test", Some(ada)).await.unwrap();
    let who = setup.oidc.finish("test", &setup.visit(&begun, "unverified").await).await.unwrap();
    assert_eq!((who.email.as_deref(), who.email_verified), (Some("unverified@example.com"), false));
    assert_eq!(who.link, Some(ada), "who began to link is who links");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_taken_once_and_from_the_browser_that_asked() {
    let Some(setup) = Setup::confidential().await else { return };
    // The victim's browser comes with the attacker's state and code.
    let (attackers, victims) =
        (setup.oidc.start("test", None).await.unwrap(), setup.oidc.start("test", None).await.unwrap());
    let planted =
        Callback { binding: victims.binding.as_str().to_owned(), ..setup.visit(&attackers, "mallory").await };
    assert!(matches!(setup.refused(&planted).await, OidcError::State));
    let own = Callback { binding: attackers.binding.as_str().to_owned(), ..planted.clone() };
    assert!(matches!(setup.refused(&own).await, OidcError::State), "it was looked at once");

    let begun = setup.oidc.start("test", None).await.unwrap();
    let callback = setup.visit(&begun, "ada").await;
    setup.oidc.finish("test", &callback).await.unwrap();
    assert!(matches!(setup.refused(&callback).await, OidcError::State), "it was taken");
    for state in ["", "x", identity::Token::draw().unwrap().as_str()] {
        let callback = Callback { state: state.to_owned(), ..callback.clone() };
        assert!(matches!(setup.refused(&callback).await, OidcError::State), "{state}");
    }
    assert!(matches!(setup.oidc.start("other", None).await, Err(OidcError::NoProvider)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_another_sign_in_is_of_no_use() {
    let Some(setup) = Setup::confidential().await else { return };
    let (stolen, own) =
        (setup.oidc.start("test", None).await.unwrap(), setup.oidc.start("test", None).await.unwrap());
    let code = setup.visit(&stolen, "ada").await.code;
    let injected = Callback { code, ..setup.visit(&own, "mallory").await };
    let refused = setup.refused(&injected).await;
    assert!(matches!(&refused, OidcError::Refused(reason) if reason.contains("invalid_grant")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_the_name_of_another_issuer_is_refused() {
    let Some(setup) = Setup::confidential().await else { return };
    let begun = setup.oidc.start("test", None).await.unwrap();
    let issuer = Some("https://accounts.example".to_owned());
    let mixed_up = Callback { issuer, ..setup.visit(&begun, "ada").await };
    assert!(matches!(setup.refused(&mixed_up).await, OidcError::Refused(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_counts_while_it_is_valid_by_our_clock() {
    let Some(setup) = Setup::confidential().await else { return };
    for (turn, reason) in [(TimeDelta::minutes(5), "expired"), (TimeDelta::minutes(-10), "future")] {
        let begun = setup.oidc.start("test", None).await.unwrap();
        let callback = setup.visit(&begun, "ada").await;
        setup.world.clock.advance(turn);
        let refused = setup.refused(&callback).await;
        let said = refused.to_string().to_lowercase();
        assert!(matches!(&refused, OidcError::Refused(_)) && said.contains(reason), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_may_take_ten_minutes_and_no_longer() {
    let Some(setup) = Setup::confidential().await else { return };
    let begun = setup.oidc.start("test", None).await.unwrap();
    let callback = setup.visit(&begun, "ada").await;
    setup.world.clock.advance(TimeDelta::minutes(11));
    assert!(matches!(setup.refused(&callback).await, OidcError::State));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_there_is_told_so() {
    let world = World::new().await;
    let options = ProviderOptions {
        name: "test".to_owned(),
        // A port that nobody listens on: it is taken for a moment and given back.
        issuer: format!(
            "http://{}",
            std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
        ),
        client_id: "counterfoil".to_owned(),
        client_secret: None,
        scopes: Vec::new(),
    };
    let clock: Arc<dyn Clock> = Arc::<crate::world::TurnedClock>::clone(&world.clock);
    let oidc = Oidc::new(&[options], CALLBACK, world.one_time.clone(), clock).unwrap();
    assert!(matches!(oidc.start("test", None).await, Err(OidcError::Unavailable(_))));
}
