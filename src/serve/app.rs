//! What the API is made with, as it is configured.

use std::sync::Arc;
use std::time::Duration;

use api::credential::{Signer, Verifier};
use api::walls::Walls;
use api::{Admission, App, Directory, Health, Known, Limits};

use super::instances::Instances;
use super::wiring::Ledger;
use super::{health, walls};
use crate::cli::Failure;
use crate::config::Config;
use crate::servers::make_data_dir;

/// How much longer than the gateway itself a call is waited for.
const CALL_WAIT: Duration = Duration::from_secs(30);

impl Ledger {
    /// What the API is made with.
    pub async fn app(&self, config: &Config) -> Result<App, Failure> {
        make_data_dir(&config.data_dir())?;
        let signer = Signer::open(&config.signing_key(), &config.auth.issuer, &config.auth.audience)?;
        let mut verifier = Verifier::new(&config.auth.issuer, &config.auth.audience, Arc::clone(&self.clock));
        verifier.trust(&signer)?;
        verifier.adopt(self.identities.keys.clone());
        for file in &config.auth.public_keys {
            let pem = std::fs::read_to_string(file)
                .map_err(|error| format!("auth.public_keys: cannot read {}: {error}", file.display()))?;
            let id = file.file_stem().and_then(|stem| stem.to_str());
            let id = id.ok_or_else(|| format!("auth.public_keys: {} has no name", file.display()))?;
            verifier.trust_pem(id, &pem)?;
        }
        self.follow(self.identities.upkeep());
        self.forget_answers(config);
        self.follow(Instances::new(self.nats.clone(), &self.journal).answer(self.gateway.running()));
        let (partitions, tasks) = (self.journal.partition_count(), (&self.followers, self.following.clone()));
        let access_log = self.identities.access_log(config, partitions, tasks).await?;
        let body = config.api.body_limit_bytes.get();
        Ok(App {
            pipeline: self.pipeline.clone(),
            reader: self.reader.clone(),
            verifier,
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
            partitions,
            limits: Limits {
                body_bytes: body.min(Limits::default().body_bytes),
                batch_bytes: body,
                call_bytes: config.gateway.body_limit_bytes.get(),
                call_wait: Duration::from_millis(config.gateway.total_ms.get()) + CALL_WAIT,
                read_wait: Duration::from_millis(config.api.wait_ms_max),
                answer_wait: Duration::from_millis(config.api.request_timeout_ms.get()),
                ..Limits::default()
            },
            directory: Directory::new(self.reader.clone(), self.identities.people.sessions.clone()),
            walls: self.walls(config),
            people: Arc::clone(&self.identities.people),
            catalogues: Arc::clone(&self.catalogues),
            tenants: Known::default(),
            gateway: self.gateway.clone(),
            access_log,
            admission: Admission::new(config.api.bodies_bytes.get()),
            health: Health::new(health::check(
                self.journal.clone(),
                self.progress.clone(),
                self.nats.clone(),
            )),
            metrics: self.metrics.clone(),
        })
    }

    /// The walls, which forget from time to time.
    fn walls(&self, config: &Config) -> Arc<Walls> {
        let walls = Arc::new(Walls::new(walls::settings(config)));
        self.follow(walls::upkeep(Arc::clone(&walls)));
        walls
    }
}
