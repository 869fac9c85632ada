//! Attacks through ID tokens, by a provider that lies.

use std::process::Command;
use std::sync::Arc;

use domain::Clock;
use identity::Oidc;
use identity::oidc::{Callback, Identified, OidcError, ProviderOptions, ProviderSecret};
use reqwest::Url;

use crate::tools::{Running, node};
use crate::world::{TurnedClock, World};

struct Attack {
    oidc: Oidc,
    _world: World,
    _running: Running,
}

impl Attack {
    /// `None`, and loudly, where there is no node.
    async fn new() -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/identity/hostile.mjs");
        let mut running = Running::start(Command::new(node()?).arg(script));
        let port = running.line();
        let world = World::new().await;
        let options = ProviderOptions {
            name: "liar".to_owned(),
            issuer: format!("http://127.0.0.1:{port}"),
            client_id: "counterfoil".to_owned(),
            client_secret: Some(ProviderSecret::new("a secret")),
            scopes: Vec::new(),
        };
        let clock: Arc<dyn Clock> = Arc::<TurnedClock>::clone(&world.clock);
        let redirect = "https://ledger.example/v1/auth/oidc/{provider}/callback";
        let oidc = Oidc::new(&[options], redirect, world.one_time.clone(), clock).unwrap();
        Some(Self { oidc, _world: world, _running: running })
    }

    async fn by(&self, lie: &str) -> Result<Identified, OidcError> {
        let begun = self.oidc.start("liar", None).await.unwrap();
        let url: Url = begun.url.parse().unwrap();
        let asked = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        let callback = Callback {
            state: asked("state"),
            code: format!("{lie}.{}", asked("nonce")),
            issuer: None,
            binding: begun.binding.as_str().to_owned(),
        };
        self.oidc.finish("liar", &callback).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_with_any_lie_in_it_identifies_nobody() {
    let Some(attack) = Attack::new().await else { return };
    let honest = attack.by("honest").await.unwrap();
    assert_eq!(
        (honest.subject.as_str(), honest.email_verified),
        ("ada", false),
        "nobody said that it is verified"
    );
    for lie in [
        "none",
        "hs256",
        "public_key_as_secret",
        "issuer",
        "audience",
        "audiences",
        "party",
        "nonce",
        "no_nonce",
        "expired",
        "future",
        "access_token",
        "subject",
        "long_subject",
        "other_key",
        "unknown_key",
        "signature",
        "changed",
        "no_token",
    ] {
        match attack.by(lie).await {
            Err(OidcError::Refused(_)) => {}
            other => panic!("{lie}: {other:?}"),
        }
    }
    attack.by("honest").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed_and_an_endless_answer_is_cut_off() {
    let Some(attack) = Attack::new().await else { return };
    for lie in ["redirect", "endless"] {
        let answered = attack.by(lie).await;
        assert!(matches!(answered, Err(OidcError::Unavailable(_))), "{lie}: {answered:?}");
    }
}

// On one thread, where time can be turned.
#[tokio::test]
async fn keys_that_the_provider_changes_are_asked_for_again() {
    let Some(attack) = Attack::new().await else { return };
    attack.by("honest").await.unwrap();
    // Not at once after the last time: whoever sends tokens of unknown keys does not make us ask for each.
    assert!(matches!(attack.by("new_key").await, Err(OidcError::Refused(_))));
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(31)).await;
    tokio::time::resume();
    attack.by("honest").await.unwrap();
}
