//! The way from the writers to the relay.

use domain::Partition;
use journal::Recorded;
use tokio::sync::mpsc;

/// What the writers use to hand over committed batches.
#[derive(Debug, Clone)]
pub struct Announcer {
    pub(super) partitions: Vec<mpsc::Sender<Vec<Recorded>>>,
}

impl Announcer {
    /// To nobody: for a program without a relay, which another one on the same database makes up for.
    pub const fn silent() -> Self {
        Self { partitions: Vec::new() }
    }

    pub(crate) fn of(&self, partition: Partition) -> Announce {
        let index = usize::try_from(partition.0).unwrap_or(usize::MAX);
        Announce { queue: self.partitions.get(index).cloned() }
    }
}

/// One partition's way to the relay.
#[derive(Debug)]
pub(crate) struct Announce {
    queue: Option<mpsc::Sender<Vec<Recorded>>>,
}

impl Announce {
    /// Hands a batch over. Never waits: a relay that lags reads the journal instead.
    pub(crate) fn send(&self, batch: Vec<Recorded>) {
        if let Some(queue) = &self.queue {
            let _ = queue.try_send(batch);
        }
    }
}
