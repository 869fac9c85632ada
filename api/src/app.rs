//! What the API is made with.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use commands::Pipeline;
use domain::{Clock, Ids, Partition, TenantId};
use identity::access_log::AccessLog;
use metrics_exporter_prometheus::PrometheusHandle;
use projections::{ReadError, Reader};

use crate::admission::Admission;
use crate::auth::Directory;
use crate::catalogues::Catalogues;
use crate::credential::Verifier;
use crate::health::Health;
use crate::people::People;
use crate::walls::Walls;

/// Everything that requests are answered with.
pub struct App {
    /// Takes commands.
    pub pipeline: Pipeline,
    /// Answers questions.
    pub reader: Reader,
    /// Serves people.
    pub people: Arc<People>,
    /// Checks credentials.
    pub verifier: Verifier,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids for requests that bring none.
    pub ids: Arc<dyn Ids>,
    /// How many partitions there are.
    pub partitions: Partition,
    /// How much is taken on.
    pub limits: Limits,
    /// Knows who presents a credential.
    pub directory: Directory,
    /// Who may ask how often, from where.
    pub walls: Arc<Walls>,
    /// Where it is written down who read what.
    pub access_log: AccessLog,
    /// Room for the bodies of commands.
    pub admission: Admission,
    /// What each tenant offers to call.
    pub catalogues: Arc<Catalogues>,
    /// The tenants that are known to exist.
    pub tenants: Known,
    /// Makes the calls.
    pub gateway: gateway::Gateway,
    /// Knows how what the program depends on is.
    pub health: Health,
    /// What `/metrics` shows.
    pub metrics: PrometheusHandle,
}

/// The tenants that are known to exist. None ever goes, so each is looked for once.
#[derive(Debug, Default)]
pub struct Known(Mutex<HashSet<TenantId>>);

impl Known {
    /// Whether a tenant exists: whether the journal has an event of it. The platform needs none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn has(&self, tenant: TenantId, reader: &Reader) -> Result<bool, ReadError> {
        if tenant == TenantId::PLATFORM || self.lock().contains(&tenant) {
            return Ok(true);
        }
        let found = !reader.tenant(tenant).events(0, 1).await?.value.is_empty();
        if found {
            self.lock().insert(tenant);
        }
        Ok(found)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<TenantId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much is taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest body, in bytes.
    pub body_bytes: usize,
    /// The largest body of a batch, in bytes.
    pub batch_bytes: usize,
    /// The largest body of a call of a model, in bytes.
    pub call_bytes: usize,
    /// How long a body may take to arrive.
    pub body_wait: Duration,
    /// The longest that a read waits for its read model.
    pub read_wait: Duration,
    /// The longest that an answer may take.
    pub answer_wait: Duration,
    /// The longest until the answer to a call of a model begins.
    pub call_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1024 * 1024,
            batch_bytes: 4 * 1024 * 1024,
            call_bytes: 32 * 1024 * 1024,
            body_wait: Duration::from_secs(15),
            read_wait: Duration::from_secs(5),
            answer_wait: Duration::from_secs(30),
            call_wait: Duration::from_secs(15 * 60),
        }
    }
}
