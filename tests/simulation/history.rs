//! What the clients asked and what they were told.

use chrono::{DateTime, Utc};
use commands::{Command, Failure, IdempotencyKey, Outcome};
use domain::{Partition, TenantId};

pub enum Answer {
    Done(Outcome),
    Refused(Failure),
    /// None, or none that says what became of the command.
    Unknown,
}

/// One command that was sent once.
pub struct Entry {
    pub tenant: TenantId,
    pub partition: Partition,
    pub command: Command,
    pub key: Option<IdempotencyKey>,
    /// The keys of all commands that were sent together with it.
    pub job: Vec<IdempotencyKey>,
    pub request_id: String,
    pub answer: Answer,
    /// The partition's head when it was sent and when the answer came.
    pub heads: (i64, i64),
    /// The clock at the same moments.
    pub clocks: (DateTime<Utc>, DateTime<Utc>),
    /// Whether the clock was turned in between.
    pub turned: bool,
}
