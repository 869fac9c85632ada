//! The execution: one metered call, from its request to its settlement.
//!
//! It is requested and what it was estimated to cost is held, in one commit; more is held while it uses more; its end, what it
//! came to and the payment are one commit again. An execution whose end nobody recorded expires, and its holds are released.
//! What it came to can still be said afterwards, once: it stays expired, and is paid like any other.

mod attempt;
mod command;
mod event;
mod rejection;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

pub use attempt::{Attempt, AttemptOutcome, FailureReason, Settled};
pub use command::{End, ExecutionCommand};
pub use event::{Basis, ExecutionBody, ExecutionEvent, Operation, Quoted};
pub use rejection::ExecutionRejection;

use crate::catalogue::Enforcement;
use crate::{Amount, Moment, TransactionId, Usage};

/// How many tries an execution can have.
pub const MAX_ATTEMPTS: usize = 50;

/// Where an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionStatus {
    /// There is no such execution.
    #[default]
    Absent,
    /// It goes on.
    Running,
    /// It was answered whole.
    Completed,
    /// It was not.
    Failed,
    /// It was ended by somebody who had a right to.
    Cancelled,
    /// Its time was over before its end was known.
    Expired,
}

impl ExecutionStatus {
    /// The status as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Whether it has ended. Of one that expired it may still be said, once, what it came to.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Absent | Self::Running)
    }
}

/// A transaction that holds something for an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tranche {
    /// Which transaction.
    pub transaction: TransactionId,
    /// How much it holds.
    pub held: Amount,
}

/// An execution's state. The default is one that was never asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Execution {
    /// Where it stands.
    pub status: ExecutionStatus,
    /// What it was made with.
    pub body: Arc<ExecutionBody>,
    /// What it is thought to use, with all extensions.
    pub estimate: Usage,
    /// What holds for it, in the order in which it is used up.
    pub holds: Vec<Tranche>,
    /// How often it was extended, whether more was held or not.
    pub extensions: u32,
    /// The tries.
    pub attempts: Vec<Attempt>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<FailureReason>,
    /// What it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Box<Settled>>,
}

impl Execution {
    /// Whether it was ever asked for.
    pub fn exists(&self) -> bool {
        self.status != ExecutionStatus::Absent
    }

    /// Whether it goes on, and a transaction holds something for it.
    pub fn holds_by(&self, transaction: TransactionId) -> bool {
        self.status == ExecutionStatus::Running
            && self.holds.iter().any(|tranche| tranche.transaction == transaction)
    }

    /// Checks that it goes on.
    ///
    /// # Errors
    /// [`ExecutionRejection::NotFound`], [`ExecutionRejection::Ended`].
    pub fn running(&self) -> Result<(), ExecutionRejection> {
        match self.status {
            ExecutionStatus::Absent => Err(ExecutionRejection::NotFound),
            ExecutionStatus::Running => Ok(()),
            status => Err(ExecutionRejection::Ended(status)),
        }
    }

    /// Checks that its end can be recorded: it goes on, or it expired and nobody has said yet what it came to.
    ///
    /// # Errors
    /// [`ExecutionRejection::NotFound`], [`ExecutionRejection::Ended`].
    pub fn finishable(&self) -> Result<(), ExecutionRejection> {
        if self.status == ExecutionStatus::Expired && self.settled.is_none() {
            Ok(())
        } else {
            self.running()
        }
    }

    /// Decides a command at `now`.
    ///
    /// # Errors
    /// The first [`ExecutionRejection`] that applies, in the order of that enum.
    pub fn decide(
        &self,
        command: ExecutionCommand,
        now: DateTime<Utc>,
    ) -> Result<Vec<ExecutionEvent>, ExecutionRejection> {
        match command {
            ExecutionCommand::Request { body, hold, held } => {
                if self.exists() {
                    return Err(ExecutionRejection::AlreadyExists);
                }
                if body.expires_at <= now {
                    return Err(ExecutionRejection::ExpiryInThePast);
                }
                if body.estimate != body.estimate.countable() {
                    return Err(ExecutionRejection::UsageTooLarge);
                }
                match &body.quoted {
                    None if body.enforcement == Enforcement::Hard => {
                        return Err(ExecutionRejection::Unpriced);
                    }
                    Some(quoted) if quoted.price.asset != body.asset => {
                        return Err(ExecutionRejection::AssetMismatch);
                    }
                    _ => {}
                }
                Ok(vec![ExecutionEvent::Requested { body, hold, held }])
            }
            ExecutionCommand::Extend { estimate, hold, held } => {
                self.running()?;
                Ok(vec![ExecutionEvent::Extended { estimate, hold, held }])
            }
            ExecutionCommand::Finish { attempts, end, settled } => {
                self.finishable()?;
                if attempts.len() > MAX_ATTEMPTS {
                    return Err(ExecutionRejection::TooManyAttempts);
                }
                let tried = attempts.into_iter().map(ExecutionEvent::Attempted);
                let end = match end {
                    // It has ended already; only what it came to is new.
                    _ if self.status == ExecutionStatus::Expired => None,
                    End::Completed => Some(ExecutionEvent::Completed {}),
                    End::Failed(reason) => Some(ExecutionEvent::Failed { reason }),
                    End::Cancelled => Some(ExecutionEvent::Cancelled {}),
                };
                Ok(tried.chain(end).chain([ExecutionEvent::Settled(settled)]).collect())
            }
            ExecutionCommand::Expire => {
                self.running()?;
                if self.body.expires_at > now {
                    return Err(ExecutionRejection::NotDue);
                }
                Ok(vec![ExecutionEvent::Expired {}])
            }
        }
    }

    fn hold(&mut self, hold: Option<TransactionId>, held: Amount) {
        if let Some(transaction) = hold {
            self.holds.push(Tranche { transaction, held });
        }
    }
}

impl Aggregate for Execution {
    const TYPE: &'static str = "execution";
    type Command = ExecutionCommand;
    type Event = ExecutionEvent;
    type Error = ExecutionRejection;
    type Services = Moment;

    async fn handle(
        &mut self,
        command: ExecutionCommand,
        moment: &Moment,
        sink: &EventSink<Self>,
    ) -> Result<(), ExecutionRejection> {
        for event in self.decide(command, moment.0)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: ExecutionEvent) {
        match event {
            ExecutionEvent::Requested { body, hold, held } => {
                self.status = ExecutionStatus::Running;
                self.estimate = body.estimate;
                self.body = Arc::from(body);
                self.hold(hold, held);
            }
            ExecutionEvent::Extended { estimate, hold, held } => {
                self.estimate = self.estimate.checked_add(&estimate).unwrap_or(self.estimate);
                self.extensions = self.extensions.saturating_add(1);
                self.hold(hold, held);
            }
            ExecutionEvent::Attempted(attempt) => self.attempts.push(attempt),
            ExecutionEvent::Completed {} => self.status = ExecutionStatus::Completed,
            ExecutionEvent::Failed { reason } => {
                self.status = ExecutionStatus::Failed;
                self.reason = Some(reason);
            }
            ExecutionEvent::Cancelled {} => self.status = ExecutionStatus::Cancelled,
            ExecutionEvent::Expired {} => self.status = ExecutionStatus::Expired,
            ExecutionEvent::Settled(settled) => self.settled = Some(settled),
        }
    }
}

#[cfg(test)]
mod tests;
