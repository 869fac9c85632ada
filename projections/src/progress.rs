//! How far each read model is, told by the projectors to whoever waits in this process.

use std::sync::Arc;

use domain::Partition;
use serde::Serialize;
use tokio::sync::{Notify, watch};

/// A read model that is kept by a projector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Tenants with their assets, members and invitations.
    Tenants,
    /// Wallets with their balances.
    Balances,
    /// Transactions.
    Transactions,
    /// States of long streams, for the writer.
    Snapshots,
    /// Users.
    Users,
    /// Applications and their API keys.
    Applications,
    /// What tenants offer.
    Catalogues,
    /// What wallets may use.
    Allowances,
    /// Metered calls, and what they came to.
    Executions,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Tenants,
        Self::Balances,
        Self::Transactions,
        Self::Snapshots,
        Self::Users,
        Self::Applications,
        Self::Catalogues,
        Self::Allowances,
        Self::Executions,
    ];
    /// Those that answer questions, and so those a reader waits for.
    pub const SERVED: [Self; 8] = [
        Self::Tenants,
        Self::Balances,
        Self::Transactions,
        Self::Users,
        Self::Applications,
        Self::Catalogues,
        Self::Allowances,
        Self::Executions,
    ];

    /// Its name, in checkpoints, metrics and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tenants => "tenants",
            Self::Balances => "balances",
            Self::Transactions => "transactions",
            Self::Snapshots => "snapshots",
            Self::Users => "users",
            Self::Applications => "applications",
            Self::Catalogues => "catalogues",
            Self::Allowances => "allowances",
            Self::Executions => "executions",
        }
    }

    /// The read model of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    const fn index(self) -> usize {
        match self {
            Self::Tenants => 0,
            Self::Balances => 1,
            Self::Transactions => 2,
            Self::Snapshots => 3,
            Self::Users => 4,
            Self::Applications => 5,
            Self::Catalogues => 6,
            Self::Allowances => 7,
            Self::Executions => 8,
        }
    }
}

/// Whether a projector is at work on one partition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Not in this process.
    #[default]
    Elsewhere,
    /// It is.
    Running,
    /// It met an event that it cannot apply, and waits for a program that can.
    Stopped {
        /// The position of that event.
        at: i64,
        /// What is wrong with it.
        reason: String,
    },
}

/// How far a projector got in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mark {
    /// The position of the last event in the read model.
    pub position: i64,
    /// Whether more will follow.
    pub state: State,
}

/// The marks of all read models in all partitions. Cheap to clone; all clones show the same.
#[derive(Debug, Clone)]
pub struct Progress {
    partitions: Arc<[Partitioned]>,
}

#[derive(Debug, Default)]
struct Partitioned {
    marks: [watch::Sender<Mark>; Kind::ALL.len()],
    /// Told when a reader waits for a mark to move.
    wanted: Notify,
}

impl Progress {
    /// Marks for this many partitions, at first all at 0 and elsewhere.
    pub fn new(partitions: Partition) -> Self {
        Self { partitions: (0..partitions.0).map(|_| Partitioned::default()).collect() }
    }

    /// The marks of one read model in one partition as they move; `None` for a partition that does not exist.
    pub fn watch(&self, kind: Kind, partition: Partition) -> Option<watch::Receiver<Mark>> {
        self.sender(kind, partition).map(watch::Sender::subscribe)
    }

    /// The present mark, at 0 and elsewhere for a partition that does not exist.
    pub fn mark(&self, kind: Kind, partition: Partition) -> Mark {
        self.sender(kind, partition).map(|sender| sender.borrow().clone()).unwrap_or_default()
    }

    pub(crate) fn set_position(&self, kind: Kind, partition: Partition, position: i64) {
        if let Some(sender) = self.sender(kind, partition) {
            sender.send_modify(|mark| mark.position = position);
        }
    }

    pub(crate) fn set_state(&self, kind: Kind, partition: Partition, state: State) {
        if let Some(sender) = self.sender(kind, partition) {
            sender.send_modify(|mark| mark.state = state);
        }
    }

    /// Says that a reader waits for this partition, so that what feeds its read models does not let events gather.
    pub(crate) fn want(&self, partition: Partition) {
        if let Some(partitioned) = self.partitioned(partition) {
            partitioned.wanted.notify_one();
        }
    }

    /// Waits until [`want`](Self::want) was called, also when that was before.
    pub(crate) async fn wanted(&self, partition: Partition) {
        match self.partitioned(partition) {
            Some(partitioned) => partitioned.wanted.notified().await,
            None => std::future::pending().await,
        }
    }

    fn sender(&self, kind: Kind, partition: Partition) -> Option<&watch::Sender<Mark>> {
        self.partitioned(partition)?.marks.get(kind.index())
    }

    fn partitioned(&self, partition: Partition) -> Option<&Partitioned> {
        self.partitions.get(usize::try_from(partition.0).ok()?)
    }
}
