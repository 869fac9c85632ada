//! A gateway on a ledger of its own. A token of input costs 0.01, one of output 0.02.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use commands::Context;
use counterfoil::system::SystemIds;
use domain::catalogue::{Dialect, Model, Provider as Configured, Route, Timeouts};
use domain::execution::{ExecutionStatus, Operation, Settled};
use domain::{
    AssetCode, Clock, Execution, ExecutionId, Ids, ModelName, Partition, Price, ProviderName, Rates,
    TenantId, WalletPath, WebAddress, event,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gateway::{
    BreakerOptions, Call, Gateway, NoOffer, Offer, Offers, Options, Others, Query, Reply, RetryOptions,
    Secret, Supplier,
};
use identity::KeptResponses;
use identity::vault::{MasterKeys, MasterSource, Vault};
use journal::Role;

use crate::support::PARTITIONS;
use crate::support::ledger::{Ledger, amount, transfer};

/// An offer that tests write.
#[derive(Clone, Default)]
pub struct Written(Arc<Mutex<Offer>>);

impl Offers for Written {
    fn offer(&self, _tenant: TenantId) -> BoxFuture<'_, Result<Arc<Offer>, NoOffer>> {
        let offer = Arc::new(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone());
        async move { Ok(offer) }.boxed()
    }
}

pub struct World {
    pub ledger: Ledger,
    pub gateway: Gateway,
    pub offer: Written,
    vault: Vault,
}

/// Options with which a test need not wait.
pub fn quick() -> Options {
    Options {
        total: Duration::from_secs(20),
        retry: RetryOptions { attempts: 4, base: Duration::from_millis(5), cap: Duration::from_millis(20) },
        breaker: BreakerOptions { failures: 100, ..BreakerOptions::default() },
        tranche: 50,
        whole: 100,
        ..Options::default()
    }
}

/// A provider of the offer.
#[derive(Clone)]
pub struct Offered {
    pub name: &'static str,
    pub address: String,
    pub dialect: Dialect,
    pub price: Option<(&'static str, &'static str)>,
    /// The asset of the price.
    pub asset: &'static str,
    pub timeouts: Timeouts,
}

/// A provider that speaks OpenAI's dialect, at the usual price.
pub fn openai(name: &'static str, address: &str) -> Offered {
    Offered {
        name,
        address: address.to_owned(),
        dialect: Dialect::Openai,
        price: Some(("10000", "20000")),
        asset: "USD",
        timeouts: Timeouts {
            connect_ms: 2_000,
            first_token_ms: 5_000,
            between_tokens_ms: 5_000,
            total_ms: 15_000,
        },
    }
}

impl World {
    /// A wallet `w` with 100.00, and a model `m` at these providers, in their order.
    pub async fn new(offered: &[Offered]) -> Self {
        Self::with(offered, quick()).await
    }

    pub async fn with(offered: &[Offered], options: Options) -> Self {
        let ledger = Ledger::funded(&["w"]).await;
        let pool = ledger.database.pool(Role::Identity, 4).await;
        let source = MasterSource::Command(format!("echo 1:{}=", "Q".repeat(43)));
        let keys = MasterKeys::load(&source).await.unwrap();
        let clock: Arc<dyn Clock> = Arc::clone(&ledger.clock) as Arc<dyn Clock>;
        let vault = Vault::open(pool, keys, Partition(PARTITIONS), clock).await.unwrap();
        let offer = Written::default();
        let gateway = made(&ledger, &vault, &offer, options).await;
        let world = Self { ledger, gateway, offer, vault };
        world.offer(offered);
        world
    }

    /// Another program's gateway on the same ledger.
    pub async fn another(&self, options: Options) -> Gateway {
        made(&self.ledger, &self.vault, &self.offer, options).await
    }

    pub fn offer(&self, offered: &[Offered]) {
        let mut offer = Offer::default();
        let mut routes = Vec::new();
        for (priority, one) in (0..).zip(offered) {
            let (provider, model) = (ProviderName::new(one.name).unwrap(), ModelName::new("real").unwrap());
            routes.push(Route { provider: provider.clone(), model: model.clone(), priority, weight: 1 });
            if let Some((input, output)) = one.price {
                let rates = Rates {
                    input: amount(input),
                    output: amount(output),
                    cache_read: None,
                    cache_write: None,
                    cache_write_long: None,
                    reasoning: None,
                };
                let price = Price { version: 3, asset: AssetCode::new(one.asset).unwrap(), rates };
                offer.prices.insert((provider.clone(), model), price);
            }
            let configured = Configured {
                name: provider.clone(),
                dialect: one.dialect,
                base_url: WebAddress::new(&one.address).unwrap(),
                credential: None,
                priority: 0,
                timeouts: one.timeouts,
                enabled: true,
            };
            let credential = Some(Secret::new("upstream-key"));
            let supplier = Supplier { owner: TenantId::PLATFORM, provider: configured, credential };
            offer.providers.insert(provider, Arc::new(supplier));
        }
        let alias = ModelName::new("m").unwrap();
        offer.models = BTreeMap::from([(alias.clone(), Model { alias, routes, max_output_tokens: None })]);
        *self.offer.0.lock().unwrap_or_else(PoisonError::into_inner) = offer;
    }

    /// Sets the price of a provider's model anew, at the next version.
    pub fn price_anew(&self, provider: &str, (input, output): (&str, &str)) {
        let mut offer = self.offer.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (ProviderName::new(provider).unwrap(), ModelName::new("real").unwrap());
        let price = offer.prices.get_mut(&place).unwrap();
        price.version += 1;
        (price.rates.input, price.rates.output) = (amount(input), amount(output));
    }

    pub fn call(&self, operation: Operation, body: &str) -> Call {
        Call {
            tenant: self.ledger.tenant,
            context: Context { actor: "test".into(), ..Context::default() },
            wallet: WalletPath::new("w").unwrap(),
            application: None,
            user: None,
            operation,
            model: "m".into(),
            stream: true,
            body: body.to_owned().into(),
            query: Query::default(),
            headers: Vec::new(),
            key: None,
        }
    }

    /// A chat, whole.
    pub fn chat(&self) -> Call {
        self.call(
            Operation::OpenAiChat,
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":100}"#,
        )
    }

    /// A chat, streamed.
    pub fn streamed(&self) -> Call {
        self.call(
            Operation::OpenAiChat,
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}"#,
        )
    }

    /// Takes all but `rest` out of the wallet.
    pub async fn leave(&self, rest: &str) {
        let all = self.ledger.wallet("w").await.balance.posted;
        let spent = all.checked_sub(amount(rest)).unwrap().to_string();
        self.ledger.submit(transfer("w", "@world", &spent)).await.unwrap();
    }

    pub async fn execution(&self, id: ExecutionId) -> Execution {
        let events = self.ledger.journal.stream(self.ledger.partition(), id.0, i64::MAX).await.unwrap();
        events.iter().fold(Execution::default(), |mut execution, recorded| {
            let text = &recorded.text;
            let happened = event::decode(&text.event_type, text.event_version, &text.payload).unwrap();
            cqrs_es::Aggregate::apply(&mut execution, happened);
            execution
        })
    }

    /// The executions in the journal.
    pub async fn executions(&self) -> Vec<ExecutionId> {
        let events = self.ledger.events().await;
        let requested = events
            .iter()
            .filter(|one| one.text.aggregate_type == "execution" && one.text.event_type == "requested");
        requested.map(|one| ExecutionId(one.text.aggregate_id)).collect()
    }

    /// The only execution, which has ended: nothing is held for it, and the wallet paid what it cost.
    pub async fn settled(&self) -> (Execution, Settled) {
        let ids = self.executions().await;
        assert_eq!(ids.len(), 1, "one execution");
        for _ in 0..200 {
            let execution = self.execution(*ids.first().unwrap()).await;
            if execution.status.is_final() {
                assert_ne!(execution.status, ExecutionStatus::Expired);
                let settled = execution.settled.as_deref().unwrap().clone();
                let wallet = self.ledger.wallet("w").await;
                assert!(wallet.balance.held.is_zero(), "nothing stays held");
                let revenue = self.ledger.wallet("@revenue").await;
                if !settled.cost.is_zero() {
                    assert_eq!(revenue.balance.posted, settled.cost);
                    assert!(revenue.balance.incoming.is_zero());
                }
                return (execution, settled);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the execution does not end");
    }
}

/// There is no other program on these ledgers.
struct Alone;

impl Others for Alone {
    fn cancel(&self, _: TenantId, _: ExecutionId) -> BoxFuture<'_, bool> {
        Box::pin(async { false })
    }
}

async fn made(ledger: &Ledger, vault: &Vault, offer: &Written, options: Options) -> Gateway {
    let clock: Arc<dyn Clock> = Arc::clone(&ledger.clock) as Arc<dyn Clock>;
    let pool = ledger.database.pool(Role::Identity, 4).await;
    let kept = KeptResponses::new(pool, vault.clone(), Arc::clone(&clock), TimeDelta::hours(24));
    let ids: Arc<dyn Ids> = Arc::new(SystemIds);
    Gateway::new(options, ledger.pipeline(), Arc::new(offer.clone()), kept, clock, ids, Arc::new(Alone))
}

/// Status and text of an answer, read to its end.
pub async fn read(reply: Reply) -> (u16, String) {
    let status = reply.status;
    let bytes = reply.body.read().await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

/// A header of an answer.
pub fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    reply.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}
