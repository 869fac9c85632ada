//! The parts of the ledger, put together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::gateway::Gateway;
use api::credential::{Grant, Role, Signer};
use api::{Catalogues, People};
use chrono::TimeDelta;
use commands::{Command, Context, Failure as CommandFailure, Pipeline, PipelineOptions, Relay, Request};
use domain::{Clock, Ids, Slug, TenantId, TenantName};
use journal::Journal;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use projections::{Progress, Projectors, Reader, Settings};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::gateway;
use super::instances::Instances;
use super::people::{Identities, Makings};
use super::pools::Pools;
use super::{Demo, greeting, sweep};
use crate::cli::{Failure, say};
use crate::config::Config;
use crate::demo;
use crate::lifecycle::Lifecycle;
use crate::servers::{Addresses, connect_nats};
use crate::system::{SystemClock, SystemIds};

/// Upper bounds of the latency histograms, in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The ledger at work: writers, relay, projectors and sweeper.
pub struct Ledger {
    pub(super) pipeline: Pipeline,
    pub(super) reader: Reader,
    pub(super) journal: Journal,
    pub(super) progress: Progress,
    pub(super) nats: async_nats::Client,
    pub(super) metrics: PrometheusHandle,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) identities: Identities,
    pub(super) catalogues: Arc<Catalogues>,
    pub(super) gateway: Gateway,
    writers: TaskTracker,
    pub(super) sweeping: CancellationToken,
    pub(super) followers: TaskTracker,
    pub(super) following: CancellationToken,
}

impl Ledger {
    /// Starts everything but the API, on a migrated database.
    pub async fn start(config: &Config, addresses: &Addresses) -> Result<Self, Failure> {
        let options = super::database(addresses)?;
        let Pools { writer, projector, reader, identity } = Pools::connect(config, &options).await?;
        let journal = Journal::open(writer.clone()).await?;
        if journal.partition_count().0 != config.journal.partitions {
            tracing::info!(partitions = %journal.partition_count(), "the database keeps its number of partitions");
        }
        let nats = addresses.nats_url.as_deref().ok_or("the address of nats-server is not known")?;
        let connecting = async_nats::ConnectOptions::new().retry_on_initial_connect();
        let nats = connect_nats(nats, connecting).await?;
        let metrics = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?
            .install_recorder()?;

        let (clock, ids): (Arc<dyn Clock>, Arc<dyn Ids>) = (Arc::new(SystemClock), Arc::new(SystemIds));
        let (writers, followers) = (TaskTracker::new(), TaskTracker::new());
        let (sweeping, following) = (CancellationToken::new(), CancellationToken::new());
        let (relay, announcer) = Relay::new(journal.clone(), nats.clone());
        let pipeline =
            Pipeline::start(&journal, &clock, &ids, &pipeline_options(config), &announcer, &writers);
        followers.spawn(relay.run(following.clone()));
        let progress = Progress::new(journal.partition_count());
        let projectors = projectors(config, options, (projector, &journal, &nats, &progress))?;
        followers.spawn(projectors.run(following.clone()));
        let sweep =
            sweep::sweep(config, &journal, writer, pipeline.clone(), Arc::clone(&clock), sweeping.clone());
        writers.spawn(sweep);
        followers.spawn(upkeep(metrics.clone(), following.clone()));
        let (read, partitions) = (reader.clone(), journal.partition_count());
        let reader = Reader::new(reader, partitions, progress.clone());
        let identities = Identities::open(Makings {
            config,
            pool: identity,
            read,
            partitions,
            pipeline: pipeline.clone(),
            reader: reader.clone(),
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
        })
        .await?;
        let catalogues = Arc::new(Catalogues::new(reader.clone(), identities.vault.clone()));
        let makings = gateway::Makings {
            pipeline: pipeline.clone(),
            catalogues: Arc::clone(&catalogues),
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
            instances: Instances::new(nats.clone(), &journal),
        };
        let gateway = gateway::gateway(config, &identities, makings);
        Ok(Self {
            pipeline,
            reader,
            journal,
            progress,
            nats,
            metrics,
            clock,
            ids,
            identities,
            catalogues,
            gateway,
            writers,
            sweeping,
            followers,
            following,
        })
    }

    /// Makes the tenant `demo` and shows the way in. The traffic that follows is returned, to be awaited.
    pub async fn welcome(
        &self,
        config: &Config,
        address: SocketAddr,
        demo: Demo,
        lifecycle: &Lifecycle,
    ) -> Result<impl Future<Output = ()> + use<>, Failure> {
        let scheme = if config.api.tls.certificate.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{address}");
        let link = self.identities.first_link(&base).await?;
        let mut traffic = None;
        if demo == Demo::None {
            say(&format!("Counterfoil serves {base}  (documentation at {base}/docs)"))?;
            if let Some(link) = &link {
                say(link)?;
            }
        } else {
            let slug = Slug::new("demo")?;
            self.make_tenant(&slug).await?;
            if demo == Demo::Traffic {
                let (clock, ids) = (Arc::clone(&self.clock), Arc::clone(&self.ids));
                let prepared = demo::Demo::new(self.pipeline.clone(), clock, ids, &slug)?;
                prepared.prepare().await?;
                traffic = Some(prepared);
            }
            let key = config.signing_key();
            let signer = Signer::open(&key, &config.auth.issuer, &config.auth.audience)?;
            let grant =
                Grant { subject: "demo", tenant: &slug, role: Role::Admin, lifetime: TimeDelta::hours(12) };
            let token = signer.issue(&grant, &SystemClock, &SystemIds)?;
            say(&greeting::text(&base, &token, &config.data_dir(), demo, link.as_deref()))?;
        }
        let stop = lifecycle.soft().clone();
        Ok(async move {
            if let Some(traffic) = traffic
                && let Err(error) = traffic.run(&stop).await
            {
                tracing::warn!(%error, "the demonstration has ended early");
            }
        })
    }

    /// What serves people.
    pub fn people(&self) -> &People {
        &self.identities.people
    }

    /// Runs `work` beside the rest until the end.
    pub fn follow(&self, work: impl Future<Output = ()> + Send + 'static) {
        let following = self.following.clone();
        self.followers.spawn(async move {
            tokio::select! {
                biased;
                () = following.cancelled() => {}
                () = work => {}
            }
        });
    }

    async fn make_tenant(&self, slug: &Slug) -> Result<(), Failure> {
        let command = Command::CreateTenant {
            slug: slug.clone(),
            name: TenantName::new("Demonstration")?,
            owner: None,
        };
        let context = Context::system("first start");
        let request = Request { tenant: TenantId::of(slug), command, context, key: None };
        match self.pipeline.submit(request).await {
            Err(CommandFailure::Rejected(rejection)) if rejection.code() == "tenant_exists" => Ok(()),
            made => Ok(made.map(drop)?),
        }
    }

    /// Ends in order: what waits is written; what is not yet relayed or projected is found in the journal next time.
    pub async fn stop(self) {
        self.gateway.drain().await;
        let Self {
            pipeline,
            reader,
            identities,
            catalogues,
            gateway,
            writers,
            sweeping,
            followers,
            following,
            ..
        } = self;
        sweeping.cancel();
        drop((pipeline, reader, identities, catalogues, gateway));
        writers.close();
        writers.wait().await;
        following.cancel();
        followers.close();
        followers.wait().await;
    }
}

/// What keeps the read models, on a pool that acts as `journal::Role::Projector`.
fn projectors(
    config: &Config,
    database: PgConnectOptions,
    (pool, journal, nats, progress): (PgPool, &Journal, &async_nats::Client, &Progress),
) -> Result<Projectors, Failure> {
    Ok(Projectors {
        database,
        pool,
        journal: journal.clone(),
        nats: Some(async_nats::jetstream::new(nats.clone())),
        progress: progress.clone(),
        settings: Settings {
            batch: usize::try_from(config.projections.batch_events.get())?,
            ..Settings::default()
        },
    })
}

fn pipeline_options(config: &Config) -> PipelineOptions {
    PipelineOptions {
        max_batch_events: config.pipeline.max_batch_events.get(),
        queue_commands: config.pipeline.queue_commands.get(),
        cache_aggregates: config.pipeline.cache_aggregates.get(),
        patience: Duration::from_millis(config.pipeline.patience_ms),
    }
}

/// Keeps the histograms from growing.
async fn upkeep(metrics: PrometheusHandle, stop: CancellationToken) {
    loop {
        metrics.run_upkeep();
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
    }
}
