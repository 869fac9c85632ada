//! A server with a model to call, and somebody who calls it: set up as an operator would, over HTTP.

use domain::{Amount, Scale};
use serde_json::{Value, json};

use super::provider::Provider;
use super::wire;
use crate::http::Server;
use crate::load::{Connection, Target, WALLET};
use crate::measure::Failure;
use crate::world::World;

/// What the server shows to the provider.
pub const CREDENTIAL: &str = "of-the-gateway";
const PROVIDER: &str = "benchmark";
/// The asset that is paid in, and its digits.
const ASSET: &str = "CREDIT";
const DIGITS: u8 = 6;
/// Per million tokens.
const INPUT_RATE: u64 = 3;
const OUTPUT_RATE: u64 = 15;
/// What a call costs, in millionths: exactly so many, because rates are per million tokens.
pub const COST: u64 = wire::INPUT * INPUT_RATE + wire::OUTPUT * OUTPUT_RATE;

/// The server, and what the callers need to know.
pub struct Shop {
    /// The server.
    pub server: Server,
    /// Where calls go through the gateway, with the key of an application.
    pub gateway: Target,
}

impl Shop {
    /// Starts a server on a fresh database, whose tenant has one provider, models that are priced, and a wallet whose
    /// policy is a hard limit.
    ///
    /// # Errors
    /// What the servers say.
    pub async fn open(
        world: &World,
        name: &str,
        provider: &Provider,
        thinks: &[u64],
    ) -> Result<Self, Failure> {
        let server = Server::start(world, name, 1).await?;
        let mut owner = Owner::of(&server).await?;
        owner.ask("POST", "/v1/assets", &json!({"code": ASSET, "scale": DIGITS})).await?;
        owner.ask("POST", "/v1/wallets", &json!({"path": WALLET, "asset": ASSET})).await?;
        let base = format!("http://{}/v1", provider.address);
        let described = json!({"dialect": "openai", "base_url": base, "credential": CREDENTIAL});
        owner.ask("PUT", &format!("/v1/providers/{PROVIDER}"), &described).await?;
        for think in thinks {
            let model = wire::model(*think);
            let routes = json!({"routes": [{"provider": PROVIDER, "model": model}]});
            owner.ask("PUT", &format!("/v1/models/{model}"), &routes).await?;
            let rates = json!({"input": INPUT_RATE.to_string(), "output": OUTPUT_RATE.to_string()});
            let price = json!({"provider": PROVIDER, "model": model, "asset": ASSET, "rates": rates});
            owner.ask("PUT", "/v1/prices", &price).await?;
        }
        let policy =
            json!({"mode": "lifetime", "amount": "1000000000", "asset": ASSET, "enforcement": "hard"});
        owner.ask("PUT", &format!("/v1/policies/wallet/{WALLET}"), &policy).await?;
        let application = owner.ask("POST", "/v1/applications", &json!({"name": "Benchmark"})).await?;
        let application = text(&application, "/id")?;
        let keys = format!("/v1/applications/{application}/keys");
        let key = owner.ask("POST", &keys, &json!({"scopes": ["execute"]})).await?;
        let gateway = Target { token: text(&key, "/key")?, ..server.target.clone() };
        server.catch_up().await?;
        Ok(Self { server, gateway })
    }

    /// What a wallet has, and what of it is held, in millionths.
    ///
    /// # Errors
    /// What the server says.
    pub async fn balance(&self, wallet: &str) -> Result<(i128, i128), Failure> {
        let path = format!("/v1/wallets/{wallet}/balance");
        let balance = Owner::of(&self.server).await?.ask("GET", &path, &Value::Null).await?;
        let amount = |name: &str| millionths(&text(&balance, name)?);
        Ok((amount("/posted")?, amount("/held")?))
    }
}

/// An amount in millionths.
///
/// # Errors
/// It is none, or has more digits.
pub fn millionths(amount: &str) -> Result<i128, Failure> {
    Ok(amount.parse::<Amount>()?.at_scale(Scale::new(DIGITS)?)?.minor())
}

/// An owner of the tenant, who asks one thing after another.
struct Owner {
    connection: Connection,
    head: String,
}

impl Owner {
    async fn of(server: &Server) -> Result<Self, Failure> {
        let Target { address, token, .. } = &server.target;
        let head = format!("Host: {address}\r\nAuthorization: Bearer {token}\r\n");
        Ok(Self { connection: Connection::open(*address).await?, head })
    }

    async fn ask(&mut self, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (head, length) = (&self.head, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let answer = self.connection.exchange(request.as_bytes()).await?;
        if !matches!(answer.status, 200 | 201) {
            let said = String::from_utf8_lossy(answer.body);
            return Err(format!("{method} {path} was answered {}: {said}", answer.status).into());
        }
        Ok(serde_json::from_slice(answer.body)?)
    }
}

fn text(value: &Value, pointer: &str) -> Result<String, Failure> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found.ok_or_else(|| format!("{value} has no {pointer}"))?.to_owned())
}
