//! The log of reads: who saw what.
//!
//! Lines are handed to a background task through a bounded channel and written in batches, so that a read costs nothing
//! more than a place in the channel. When the channel is full the line is counted as lost, and the read goes on; what
//! must not be lost is [recorded](AccessLog::record) before it is answered. The table is in parts of a day each: they
//! are made ahead, and dropped whole when they are older than the retention. Nothing is deleted line by line.

mod reader;
mod upkeep;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use domain::{Clock, Ids, Partition, SubjectId, TenantId};
use sqlx::PgPool;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use self::reader::{AccessFilter, AccessReader, AccessView, Place};
use self::writer::Writer;
use crate::vault::Vault;

/// How many lines may wait.
const QUEUE: usize = 10_000;

/// Why the log was not written or read.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct AccessLogError(#[from] sqlx::Error);

/// What kind of caller it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorKind {
    /// A person who is signed in.
    User,
    /// A program with an API key.
    Program,
    /// Somebody with a token of the installation's own key.
    Operator,
}

impl ActorKind {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Program => "program",
            Self::Operator => "operator",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::User, Self::Program, Self::Operator].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A read, as it is to be logged.
#[derive(Debug, Clone)]
pub struct Access {
    /// Whose data was read.
    pub tenant: TenantId,
    /// What kind of caller it was.
    pub actor_kind: ActorKind,
    /// The id of the user or the key, or the operator's name for itself. Never an email.
    pub actor: String,
    /// Whether the platform's operator looked into a tenant that is not the operator's own.
    pub crossing: bool,
    /// The method of the request.
    pub method: String,
    /// The path of the request, without the query.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// The id of the request.
    pub request_id: Option<String>,
    /// Where the request came from, and whose personal data that is: it is sealed under that subject's key.
    pub address: Option<(SubjectId, String)>,
}

/// A read with its time and its id.
struct Line {
    access: Access,
    id: Uuid,
    at: DateTime<Utc>,
}

/// How the log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessLogSettings {
    /// For how many days lines are kept, today not counted.
    pub retention_days: u32,
    /// Whether what is [appended](AccessLog::append) is kept at all. What is [recorded](AccessLog::record) always is.
    pub reads: bool,
}

impl Default for AccessLogSettings {
    /// Everything, for ninety days.
    fn default() -> Self {
        Self { retention_days: 90, reads: true }
    }
}

/// Takes lines. Cheap to clone.
#[derive(Clone)]
pub struct AccessLog {
    queue: mpsc::Sender<Line>,
    writer: Arc<Writer>,
    lost: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    reads: bool,
}

impl AccessLog {
    /// Starts the log. Its tasks end when `stop` is cancelled, after what waits has been written. `pool` acts as
    /// [`journal::Role::Identity`].
    ///
    /// # Errors
    /// The parts for the present days cannot be made.
    pub async fn start(
        pool: PgPool,
        vault: Vault,
        (clock, ids): (Arc<dyn Clock>, Arc<dyn Ids>),
        partitions: Partition,
        settings: AccessLogSettings,
        (tasks, stop): (&TaskTracker, CancellationToken),
    ) -> Result<Self, AccessLogError> {
        upkeep::once(&pool, clock.as_ref(), settings).await?;
        let (queue, waiting) = mpsc::channel(QUEUE);
        let writer = Arc::new(Writer::new(pool.clone(), vault, partitions));
        let lost = Arc::new(AtomicU64::new(0));
        tasks.spawn(Arc::clone(&writer).run(waiting, Arc::clone(&lost), stop.clone()));
        tasks.spawn(upkeep::run(pool, Arc::clone(&clock), settings, stop));
        Ok(Self { queue, writer, lost, clock, ids, reads: settings.reads })
    }

    /// Logs a read some time soon. Never waits: with no room left the line is lost, and counted.
    pub fn append(&self, access: Access) {
        if !self.reads {
            return;
        }
        match self.queue.try_send(self.line(access)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => count_lost(&self.lost, 1),
        }
    }

    /// Logs reads before they are answered, all or none.
    ///
    /// # Errors
    /// They are not in the log.
    pub async fn record(&self, reads: Vec<Access>) -> Result<(), AccessLogError> {
        let lines: Vec<Line> = reads.into_iter().map(|access| self.line(access)).collect();
        self.writer.write(&lines).await
    }

    /// How many lines were lost since the start, because there was no room or they could not be written in time.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn line(&self, access: Access) -> Line {
        Line { access, id: self.ids.next(), at: self.clock.now() }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("lost", &self.lost()).finish_non_exhaustive()
    }
}

fn count_lost(lost: &AtomicU64, lines: u64) {
    if lost.fetch_add(lines, Ordering::Relaxed) == 0 {
        tracing::warn!("lines of the access log are lost: there is no room, or they cannot be written");
    }
    metrics::counter!("counterfoil_access_log_lost_total").increment(lines);
}
