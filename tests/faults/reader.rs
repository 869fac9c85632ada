//! Two readers that follow the ledger while everything is killed: one over HTTP, one of the JetStream stream.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use commands::STREAM;
use domain::Partition;
use futures_util::StreamExt as _;
use journal::{Recorded, cloudevent};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::load::{Tenant, client};

/// What the readers saw, in the order in which they saw it.
#[derive(Default)]
pub struct Seen {
    /// By tenant, as CloudEvents.
    pub over_http: Vec<Mutex<Vec<Value>>>,
    /// By partition.
    pub in_stream: Vec<Mutex<Vec<Recorded>>>,
    /// How often the stream had a hole and had to be read again.
    pub holes: AtomicU64,
}

impl Seen {
    pub fn new(tenants: usize, partitions: Partition) -> Arc<Self> {
        Arc::new(Self {
            over_http: (0..tenants).map(|_| Mutex::default()).collect(),
            in_stream: (0..partitions.0).map(|_| Mutex::default()).collect(),
            holes: AtomicU64::default(),
        })
    }

    /// How far the reader of a partition's stream has got.
    pub fn at(&self, partition: Partition) -> i64 {
        let seen = &self.in_stream[usize::try_from(partition.0).unwrap()];
        seen.lock().unwrap_or_else(PoisonError::into_inner).last().map_or(0, |event| event.position)
    }

    /// How far the reader of a tenant's events has got.
    pub fn tenant_at(&self, tenant: usize) -> i64 {
        let seen = self.over_http[tenant].lock().unwrap_or_else(PoisonError::into_inner);
        seen.last().map_or(0, |event| event["position"].as_str().unwrap().parse().unwrap())
    }
}

/// Starts a reader for each tenant over HTTP and one for each partition of the stream.
pub fn follow(
    seen: &Arc<Seen>,
    base: &str,
    tenants: &[Tenant],
    nats_url: &str,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (index, tenant) in tenants.iter().cloned().enumerate() {
        let (seen, base, stop) = (Arc::clone(seen), base.to_owned(), stop.clone());
        tasks.spawn(async move {
            stop.run_until_cancelled(over_http(&seen, &base, index, &tenant)).await;
        });
    }
    for partition in 0..i32::try_from(seen.in_stream.len()).unwrap() {
        let (seen, url, stop) = (Arc::clone(seen), nats_url.to_owned(), stop.clone());
        tasks.spawn(async move {
            Box::pin(stop.run_until_cancelled(in_stream(&seen, &url, Partition(partition)))).await;
        });
    }
    tasks
}

/// Asks for what comes after what it has, for ever. What it is given it takes as it is: the checker compares.
async fn over_http(seen: &Seen, base: &str, index: usize, tenant: &Tenant) {
    let http = client();
    let mut after = String::new();
    loop {
        let url = format!("{base}/v1/events?limit=100{after}");
        let page = async {
            http.get(&url).bearer_auth(&tenant.token).send().await?.error_for_status()?.json().await
        };
        let page: Result<Value, reqwest::Error> = page.await;
        let items = page.ok().and_then(|mut page| match page["items"].take() {
            Value::Array(items) => Some(items),
            _ => None,
        });
        match items {
            Some(items) if !items.is_empty() => {
                let last = items.last().unwrap();
                let text = |name: &str| last[name].as_str().unwrap().to_owned();
                after = format!("&after=p{}:{}", text("partition"), text("position"));
                seen.over_http[index].lock().unwrap_or_else(PoisonError::into_inner).extend(items);
            }
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Takes each next event of a partition; leaves out what it has, and begins again where one is missing.
async fn in_stream(seen: &Seen, url: &str, partition: Partition) {
    let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
    let client = counterfoil::servers::connect_nats(url, options).await.unwrap();
    let mut context = async_nats::jetstream::new(client);
    // A request that a dying server took is not what a recovery is to wait for.
    context.set_timeout(Duration::from_secs(2));
    loop {
        // Whatever fails, the stream is asked again from the beginning.
        let _ = session(seen, &context, partition).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn session(
    seen: &Seen,
    context: &async_nats::jetstream::Context,
    partition: Partition,
) -> Result<(), async_nats::Error> {
    let stream = context.get_stream(STREAM).await?;
    let config = pull::Config {
        filter_subject: format!("journal.{partition}.>"),
        ack_policy: AckPolicy::None,
        deliver_policy: DeliverPolicy::All,
        inactive_threshold: Duration::from_secs(10),
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await?;
    let mut messages = consumer
        .stream()
        .heartbeat(Duration::from_millis(500))
        .expires(Duration::from_secs(5))
        .messages()
        .await?;
    loop {
        // A consumer that went away with its server is silent.
        let Some(message) = tokio::time::timeout(Duration::from_secs(2), messages.next()).await? else {
            return Ok(());
        };
        let event = cloudevent::decode(&message?.payload)?;
        let at = seen.at(partition);
        if event.position == at + 1 {
            let list = &seen.in_stream[usize::try_from(partition.0).unwrap()];
            list.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        } else if event.position > at {
            seen.holes.fetch_add(1, Ordering::SeqCst);
            return Ok(());
        }
    }
}
