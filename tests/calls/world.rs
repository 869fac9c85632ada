//! A tenant with models to call, and somebody who calls them.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::providers::Providers;
use crate::server::{Answer, Client, Server, send};
use crate::support::Database;

/// Dollars per million tokens.
pub const INPUT: i128 = 3;
pub const OUTPUT: i128 = 15;
/// Digits of the asset: a token of input costs 3 of its units of 10^-6.
pub const SCALE: u32 = 6;

/// The shapes that are spoken, with the address that each is called at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Chat,
    Responses,
    Messages,
    Gemini,
}

impl Shape {
    pub const ALL: [Self; 4] = [Self::Chat, Self::Responses, Self::Messages, Self::Gemini];

    pub fn model(self) -> &'static str {
        match self {
            Self::Chat | Self::Responses => "gpt-fake",
            Self::Messages => "claude-fake",
            Self::Gemini => "gemini-fake",
        }
    }

    pub fn path(self, model: &str, stream: bool) -> String {
        match self {
            Self::Chat => "/openai/v1/chat/completions".to_owned(),
            Self::Responses => "/openai/v1/responses".to_owned(),
            Self::Messages => "/anthropic/v1/messages".to_owned(),
            Self::Gemini if stream => format!("/gemini/v1beta/models/{model}:streamGenerateContent?alt=sse"),
            Self::Gemini => format!("/gemini/v1beta/models/{model}:generateContent"),
        }
    }

    pub fn body(self, model: &str, text: &str, stream: bool) -> Value {
        let messages = json!([{"role": "user", "content": text}]);
        match self {
            Self::Chat => json!({"model": model, "messages": messages, "stream": stream}),
            Self::Responses => json!({"model": model, "input": text, "stream": stream}),
            Self::Messages => {
                json!({"model": model, "messages": messages, "max_tokens": 1000, "stream": stream})
            }
            Self::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": text}]}]}),
        }
    }
}

/// The words of an answer, from its body or from the events of its stream.
pub fn words(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| {
            word.strip_prefix('w').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        })
        .collect::<std::collections::BTreeSet<_>>()
        .len()
}

/// An answer of the gateway, whole.
#[derive(Debug, Clone)]
pub struct Said {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Said {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A server with fake providers behind it.
pub struct World {
    pub server: Server,
    pub providers: Providers,
    pub owner: Client,
    pub caller: Client,
}

impl World {
    /// A tenant `acme` with the asset USD, the providers, and a key that may call. `None` without Python.
    pub async fn start(settings: &[(&str, &str)]) -> Option<Self> {
        let providers = Providers::start()?;
        let usual = [("COUNTERFOIL_LIMITS__KEY_PER_SECOND", "0"), ("COUNTERFOIL_LIMITS__KEY_BURST", "0")];
        let settings = [&usual[..], settings].concat();
        let server = Server::with(Database::fresh().await, &settings);
        let platform = server.client(&server.token("platform", "superadmin"));
        platform.made("/v1/tenants", json!({"slug": "acme", "name": "Acme"})).await;
        let owner = server.client(&server.token("acme", "owner"));
        owner.made("/v1/assets", json!({"code": "USD", "scale": SCALE})).await;
        let application = owner.made("/v1/applications", json!({"name": "Shop"})).await;
        let keys = format!("/v1/applications/{}/keys", application.text("/id"));
        let key = owner.made(&keys, json!({"scopes": ["execute", "read"]})).await;
        owner.after(&key, &keys).await;
        let caller = server.client(key.text("/key"));
        let world = Self { server, providers, owner, caller };
        for (dialect, prefix) in
            [("openai", "/openai/v1"), ("anthropic", "/anthropic"), ("gemini", "/gemini")]
        {
            world
                .provider(dialect, &format!("fake-{dialect}"), &format!("{}{prefix}", world.providers.base))
                .await;
        }
        Some(world)
    }

    /// Defines a provider with short time limits.
    pub async fn provider(&self, dialect: &str, name: &str, base_url: &str) -> Answer {
        let timeouts =
            json!({"connect_ms": 1000, "first_token_ms": 1500, "between_tokens_ms": 1500, "total_ms": 20000});
        self.put(
            &format!("/v1/providers/{name}"),
            json!({"dialect": dialect, "base_url": base_url, "credential": "the-providers-key", "timeouts": timeouts}),
        )
        .await
    }

    /// Defines a model with a route, and its price there.
    pub async fn model(&self, alias: &str, provider: &str, model: &str) -> Answer {
        let routes = json!({"routes": [{"provider": provider, "model": model}]});
        self.put(&format!("/v1/models/{alias}"), routes).await;
        self.price(provider, model).await
    }

    /// Sets the usual price of a model at a provider, and waits until it is known.
    pub async fn price(&self, provider: &str, model: &str) -> Answer {
        let rates = json!({"input": INPUT.to_string(), "output": OUTPUT.to_string()});
        let body = json!({"provider": provider, "model": model, "asset": "USD", "rates": rates});
        let set = self.put("/v1/prices", body).await;
        self.owner.after(&set, "/v1/prices").await;
        set
    }

    /// Defines the model of a shape with this fault.
    pub async fn fault(&self, shape: Shape, fault: &str) -> String {
        let (dialect, name) = match shape {
            Shape::Chat | Shape::Responses => ("openai", shape.model()),
            Shape::Messages => ("anthropic", shape.model()),
            Shape::Gemini => ("gemini", shape.model()),
        };
        let model = if fault.is_empty() { name.to_owned() } else { format!("{name}--{fault}") };
        self.model(&model, &format!("fake-{dialect}"), &model).await;
        model
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        let answer = send(self.owner.request(Method::PUT, path).json(&body)).await;
        assert!(matches!(answer.status, 200 | 201), "{path}: {answer:?}");
        answer
    }

    /// Opens a wallet with so much money.
    pub async fn fund(&self, path: &str, amount: &str) {
        self.owner.made("/v1/wallets", json!({"path": path, "asset": "USD"})).await;
        let posting = json!({"from": "@world", "to": path, "amount": amount, "asset": "USD"});
        self.owner.made("/v1/transactions", json!({"postings": [posting]})).await;
    }

    /// A call to be finished.
    pub fn request(
        &self,
        wallet: &str,
        shape: Shape,
        model: &str,
        text: &str,
        stream: bool,
    ) -> reqwest::RequestBuilder {
        let request = self.caller.request(Method::POST, &shape.path(model, stream));
        let request = request.header("Counterfoil-Wallet", wallet).header("anthropic-version", "2023-06-01");
        request.json(&shape.body(model, text, stream))
    }

    /// Calls, and reads the answer to its end.
    pub async fn call(&self, wallet: &str, shape: Shape, model: &str, text: &str, stream: bool) -> Said {
        said(self.request(wallet, shape, model, text, stream)).await
    }

    /// The executions of a wallet once there are so many and none is running, oldest first.
    pub async fn executions(&self, wallet: &str, count: usize) -> Vec<Value> {
        let mut found = Vec::new();
        for _ in 0..200 {
            let mut page = self.owner.get(&format!("/v1/executions?wallet={wallet}&limit=100")).await;
            found = page.body["items"].as_array_mut().unwrap().split_off(0);
            while let Some(next) = page.body["next"].as_str() {
                page =
                    self.owner.get(&format!("/v1/executions?wallet={wallet}&limit=100&cursor={next}")).await;
                found.append(page.body["items"].as_array_mut().unwrap());
            }
            found.reverse();
            if found.len() >= count && found.iter().all(|one| one["status"] != "running") {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{wallet}: {count} executions were expected, there are {found:#?}");
    }

    /// What is posted and what is held on a wallet.
    pub async fn balance(&self, wallet: &str) -> (i128, i128) {
        // The trial balance reflects the head; the wallet's own read model follows it.
        let (_, events) = self.owner.state().await;
        let last = events.last().unwrap();
        let position =
            format!("p{}:{}", last["partition"].as_str().unwrap(), last["position"].as_str().unwrap());
        let balance = self.owner.get(&format!("/v1/wallets/{wallet}/balance?after={position}")).await;
        assert_eq!(balance.status, 200, "{balance:?}");
        (units(balance.text("/posted")), units(balance.text("/held")))
    }

    /// Checks everything that is to be true of the ledger at any time.
    pub fn verify(&self) {
        let said = self.server.run(&["journal", "verify"]);
        assert!(said.starts_with("verified: "), "{said}");
    }
}

/// Sends a call and reads the answer, as far as it comes.
pub async fn said(request: reqwest::RequestBuilder) -> Said {
    let mut response = request.send().await.expect("the gateway answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
    }
    Said { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() }
}

/// An amount in minor units.
pub fn units(amount: &str) -> i128 {
    let (whole, digits) = amount.split_once('.').unwrap_or((amount, ""));
    let digits = format!("{digits:0<width$}", width = usize::try_from(SCALE).unwrap());
    format!("{whole}{digits}").parse().unwrap()
}

/// What tokens cost, in minor units.
pub fn cost(usage: &Value) -> i128 {
    let of = |name: &str| i128::from(usage[name].as_u64().unwrap_or_default());
    let input = of("input") + of("cache_read") + of("cache_write") + of("cache_write_long");
    input * INPUT + (of("output") + of("reasoning")) * OUTPUT
}
