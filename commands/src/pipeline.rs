//! The door to the writers: finds a command's partition and waits for its answer.

use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, Ids, Partition, TenantId};
use journal::Store;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::relay::Announcer;
use crate::request::{Failure, Outcome, Request};
use crate::writer::Writer;

/// What bounds the pipeline.
#[derive(Debug, Clone)]
pub struct PipelineOptions {
    /// About how many events a batch may have before it is committed.
    pub max_batch_events: usize,
    /// How many commands may wait in a partition; more are refused at once.
    pub queue_commands: usize,
    /// About how many streams a partition keeps in memory.
    pub cache_aggregates: usize,
    /// How long a batch is tried again while the journal cannot be written, before its callers are told.
    pub patience: Duration,
}

impl Default for PipelineOptions {
    fn default() -> Self {
        Self {
            max_batch_events: 2_000,
            queue_commands: 8_192,
            cache_aggregates: 100_000,
            patience: Duration::from_secs(10),
        }
    }
}

/// Commands that came together and are decided in their order.
pub(crate) struct Job {
    pub(crate) waiting: Vec<Waiting>,
    /// Gives back the places in the queue when the job is done.
    pub(crate) places: OwnedSemaphorePermit,
}

/// A command that waits for its answer.
pub(crate) struct Waiting {
    pub(crate) request: Request,
    /// The same for all commands of a job.
    pub(crate) job: Uuid,
    /// Given once, whatever is tried how often.
    pub(crate) command_id: Uuid,
    pub(crate) answer: oneshot::Sender<Result<Outcome, Failure>>,
}

struct Lane {
    queue: mpsc::UnboundedSender<Job>,
    places: Arc<Semaphore>,
}

/// The pipeline from commands to committed events. Cheap to clone; when the last clone is dropped, the
/// writers finish what waits and end.
#[derive(Clone)]
pub struct Pipeline {
    lanes: Arc<[Lane]>,
    partitions: Partition,
    ids: Arc<dyn Ids>,
}

impl Pipeline {
    /// Starts one writer per partition on `tasks`. Committed batches go to `announcer`.
    pub fn start<S: Store>(
        journal: &S,
        clock: &Arc<dyn Clock>,
        ids: &Arc<dyn Ids>,
        options: &PipelineOptions,
        announcer: &Announcer,
        tasks: &TaskTracker,
    ) -> Self {
        let lanes = journal.partitions().map(|partition| {
            let (queue, jobs) = mpsc::unbounded_channel();
            let announce = announcer.of(partition);
            let writer = Writer::new(
                journal.clone(),
                partition,
                Arc::clone(clock),
                Arc::clone(ids),
                options.clone(),
                announce,
            );
            tasks.spawn(writer.run(jobs));
            Lane { queue, places: Arc::new(Semaphore::new(options.queue_commands)) }
        });
        Self { lanes: lanes.collect(), partitions: journal.partition_count(), ids: Arc::clone(ids) }
    }

    /// Has one command decided and committed.
    ///
    /// # Errors
    /// [`Failure`]; nothing was done unless it says that this is not known.
    pub async fn submit(&self, request: Request) -> Result<Outcome, Failure> {
        let unanswered = || Failure::Unavailable("the server is shutting down".into());
        self.submit_all(vec![request]).await.pop().unwrap_or_else(|| Err(unanswered()))
    }

    /// Whether one more command of the tenant could wait: a look ahead, for refusing a request before it is read.
    pub fn has_room(&self, tenant: TenantId) -> bool {
        self.lane(tenant).is_none_or(|lane| lane.places.available_permits() > 0)
    }

    /// Has the commands of one tenant decided in their order, each standing or falling on its own; but if the key of
    /// one of them was used for another request, none is decided and all are refused.
    pub async fn submit_all(&self, requests: Vec<Request>) -> Vec<Result<Outcome, Failure>> {
        let Some(tenant) = requests.first().map(|request| request.tenant) else {
            return Vec::new();
        };
        let count = requests.len();
        let refused = |failure: Failure| (0..count).map(|_| Err(failure.clone())).collect();
        let Some(lane) = self.lane(tenant) else {
            return refused(Failure::Unavailable("the tenant's partition is not here".into()));
        };
        let places = u32::try_from(count).unwrap_or(u32::MAX);
        let Ok(places) = Arc::clone(&lane.places).try_acquire_many_owned(places) else {
            return refused(Failure::Overloaded);
        };
        let job = self.ids.next();
        let (waiting, answers): (Vec<_>, Vec<_>) = requests
            .into_iter()
            .map(|request| {
                let (answer, answered) = oneshot::channel();
                (Waiting { request, job, command_id: self.ids.next(), answer }, answered)
            })
            .unzip();
        let unanswered = || Failure::Unavailable("the server is shutting down".into());
        if lane.queue.send(Job { waiting, places }).is_err() {
            return refused(unanswered());
        }
        let mut results = Vec::with_capacity(count);
        for answered in answers {
            results.push(answered.await.unwrap_or_else(|_| Err(unanswered())));
        }
        results
    }

    fn lane(&self, tenant: TenantId) -> Option<&Lane> {
        let partition = tenant.partition(self.partitions);
        self.lanes.get(usize::try_from(partition.0).ok()?)
    }
}
