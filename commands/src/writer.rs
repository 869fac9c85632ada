//! The writer of one partition: collects what waits, decides it, commits it, answers.
//!
//! Phases of a batch, and what each costs:
//! 1. prefetch - at most one query, none when every stream is in memory; another for the keys while some are
//!    likely to have been used before;
//! 2. execute - in memory; one more query for each round in which streams turn out to be missing, and one for the
//!    keys of refused commands;
//! 3. commit - one statement, one flush;
//! 4. announce - answers to the callers, events to the relay.
//!
//! Nothing is answered before the commit, not even a rejection: it may rest on what the batch changed.
//! When a commit fails, all that is in memory is forgotten and the commands are decided again. When it is
//! not known whether it failed, the journal is asked before anything is decided again.

mod decide;
mod doubts;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{Clock, Ids, Partition};
use journal::{AppendError, Head, NewEvent, Recorded, Store};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use self::doubts::Doubts;
use crate::pipeline::{Job, PipelineOptions, Waiting};
use crate::relay::Announce;
use crate::request::{Failure, Outcome};
use crate::state::{Cache, Stream};

/// The form of snapshots that this program reads.
const SNAPSHOTS: journal::StreamStart = journal::StreamStart::Snapshot { form: journal::SNAPSHOT_FORM };
/// The pause after a first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Writer<S> {
    journal: S,
    partition: Partition,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    options: PipelineOptions,
    announce: Announce,
    head: Option<Head>,
    /// Whether nothing that was sent before can still be written: neither by a program that was here before us, nor
    /// an append of our own whose answer was lost.
    claimed: bool,
    cache: Cache,
    doubts: Doubts,
}

/// A batch as it was decided once.
struct Decided {
    head: Head,
    now: DateTime<Utc>,
    answers: Vec<Result<Outcome, Failure>>,
    events: Vec<NewEvent>,
    changes: HashMap<Uuid, Stream>,
}

/// Why an attempt did not come to an end.
enum Trouble {
    /// The journal has moved on under us: decide again.
    Moved,
    /// A key of the batch was used before, which had not been asked: decide again, with the answer. Nothing was
    /// written, and nothing in memory is wrong.
    KeyTaken,
    /// The database will not take the batch.
    Refused(String),
    /// The database failed before anything was sent to be written.
    Unreachable(String),
    /// It failed while the batch was being written.
    InDoubt(Box<Decided>, String),
}

impl<S: Store> Writer<S> {
    pub(crate) fn new(
        journal: S,
        partition: Partition,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        options: PipelineOptions,
        announce: Announce,
    ) -> Self {
        let cache = Cache::new(options.cache_aggregates);
        let doubts = Doubts::default();
        Self { journal, partition, clock, ids, options, announce, head: None, claimed: false, cache, doubts }
    }

    /// Works until the pipeline is dropped and nothing waits any more.
    pub(crate) async fn run(mut self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        while let Some(first) = jobs.recv().await {
            // Callers that were answered just now have more: a task that is ready goes first.
            tokio::task::yield_now().await;
            let mut places = Vec::new();
            let mut batch = Vec::new();
            let mut weight = 0;
            let mut next = Some(first);
            while let Some(job) = next {
                // Nobody waits for the others any more. Done now, they could follow a refusal that their caller was told
                // since, at another attempt with the same key.
                let waiting = job.waiting.into_iter().filter(|one| !one.answer.is_closed());
                for one in waiting {
                    weight += one.request.command.weight();
                    batch.push(one);
                }
                places.push(job.places);
                next = if weight < self.options.max_batch_events { jobs.try_recv().ok() } else { None };
            }
            if !batch.is_empty() {
                self.process(batch).await;
            }
        }
    }

    /// Brings a batch to its end: every command gets its answer.
    async fn process(&mut self, batch: Vec<Waiting>) {
        let deadline = Instant::now() + self.options.patience;
        let mut pause = FIRST_PAUSE;
        let mut doubtful = None;
        loop {
            let trouble = match self.attempt(&batch, &mut doubtful).await {
                Ok(answers) => return answer(batch, answers),
                Err(trouble) => trouble,
            };
            self.doubts.raise();
            // Nothing that was loaded is wrong because a key turned out to be used.
            if !matches!(trouble, Trouble::KeyTaken) {
                self.head = None;
                self.cache.clear();
            }
            let message = match trouble {
                Trouble::KeyTaken => {
                    metrics::counter!("counterfoil_batches_decided_again_total").increment(1);
                    continue;
                }
                Trouble::Moved => {
                    metrics::counter!("counterfoil_batches_decided_again_total").increment(1);
                    "another writer keeps moving the partition".to_owned()
                }
                Trouble::Refused(message) => {
                    tracing::error!(partition = %self.partition, %message, "the journal refuses a batch");
                    return Box::pin(self.isolate(batch, message)).await;
                }
                Trouble::Unreachable(message) => message,
                Trouble::InDoubt(decided, message) => {
                    self.claimed = false;
                    doubtful = Some(*decided);
                    message
                }
            };
            if Instant::now() + pause > deadline {
                tracing::error!(partition = %self.partition, %message, "giving up on a batch");
                let failure = Failure::Unavailable(message);
                let answers = batch.iter().map(|_| Err(failure.clone())).collect();
                return answer(batch, answers);
            }
            tracing::warn!(partition = %self.partition, %message, "trying a batch again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A batch that the database will not take is tried one by one, so that only the culprit is refused.
    async fn isolate(&mut self, batch: Vec<Waiting>, message: String) {
        if batch.len() == 1 {
            return answer(batch, vec![Err(Failure::Unavailable(message))]);
        }
        for one in batch {
            self.process(vec![one]).await;
        }
    }

    async fn attempt(
        &mut self,
        batch: &[Waiting],
        doubtful: &mut Option<Decided>,
    ) -> Result<Vec<Result<Outcome, Failure>>, Trouble> {
        let head = self.head().await?;
        // The head was claimed since, so what was in doubt has been written by now or never will be.
        let happened = match doubtful {
            Some(decided) => self.happened(decided).await?,
            None => false,
        };
        if let Some(decided) = doubtful.take().filter(|_| happened) {
            // It was written after all. Memory was forgotten, and the head read again since.
            let (events, answers) = recorded(decided);
            self.announce.send(events);
            return Ok(answers);
        }
        let asked = self.doubts.any();
        let mut decided = self.decide(head, batch).await?;
        if decided.events.is_empty() {
            self.cache.commit(decided.changes);
            // No append will tell whether what the refusals rest on is still so.
            let present = self.journal.head(self.partition).await.map_err(unreachable)?;
            return if present.position == head.position { Ok(decided.answers) } else { Err(Trouble::Moved) };
        }
        let limit = self.options.patience;
        let appending = self.journal.append(decided.head, decided.now, &decided.events);
        match tokio::time::timeout(limit, appending).await {
            Ok(Ok(head)) => {
                self.head = Some(head);
                self.cache.commit(std::mem::take(&mut decided.changes));
                let (events, answers) = recorded(decided);
                self.announce.send(events);
                Ok(answers)
            }
            Ok(Err(AppendError::Database(error))) => {
                Err(Trouble::InDoubt(Box::new(decided), error.to_string()))
            }
            Ok(Err(AppendError::Refused(error))) => Err(Trouble::Refused(error.to_string())),
            Ok(Err(AppendError::KeyTaken)) if !asked => Err(Trouble::KeyTaken),
            // The head may have been moved by an attempt of our own whose answer was lost.
            Ok(Err(AppendError::HeadMoved | AppendError::StreamTaken | AppendError::KeyTaken)) => {
                Err(Trouble::Moved)
            }
            Err(_) => Err(Trouble::InDoubt(Box::new(decided), format!("no answer within {limit:?}"))),
        }
    }

    async fn head(&mut self) -> Result<Head, Trouble> {
        if let Some(head) = self.head {
            return Ok(head);
        }
        let head = if self.claimed {
            self.journal.head(self.partition).await.map_err(unreachable)?
        } else {
            // Without it a refusal could be answered here, and what makes it wrong be written afterwards.
            let claiming = tokio::time::timeout(self.options.patience, self.journal.claim(self.partition));
            claiming.await.map_err(unreachable)?.map_err(unreachable)?
        };
        self.claimed = true;
        self.head = Some(head);
        Ok(head)
    }

    /// Whether a batch whose writing was in doubt is in the journal: the event at its first place is its own.
    async fn happened(&self, decided: &Decided) -> Result<bool, Trouble> {
        let first = decided.events.first().map(|event| event.text.command_id);
        let there = self.journal.read(self.partition, decided.head.position, 1).await.map_err(unreachable)?;
        Ok(there
            .first()
            .is_some_and(|event| Some(event.text.command_id) == first && event.recorded_at == decided.now))
    }
}

fn unreachable(error: impl std::fmt::Display) -> Trouble {
    Trouble::Unreachable(error.to_string())
}

fn answer(batch: Vec<Waiting>, answers: Vec<Result<Outcome, Failure>>) {
    for (one, result) in batch.into_iter().zip(answers) {
        let label = match &result {
            Ok(_) => "accepted",
            Err(Failure::Rejected(_) | Failure::KeyReused) => "rejected",
            Err(_) => "failed",
        };
        metrics::counter!("counterfoil_commands_total", "result" => label).increment(1);
        // A caller that went away meanwhile does not need its answer; the command stands.
        let _ = one.answer.send(result);
    }
}

/// The events of a committed batch as they were recorded, and its answers.
fn recorded(decided: Decided) -> (Vec<Recorded>, Vec<Result<Outcome, Failure>>) {
    let Decided { head, now, answers, events, .. } = decided;
    let events = (head.position + 1..).zip(events).map(|(position, NewEvent { text, lead })| Recorded {
        partition: head.partition,
        position,
        recorded_at: now,
        text,
        lead,
    });
    (events.collect(), answers)
}
