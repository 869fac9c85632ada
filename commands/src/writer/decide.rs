//! Prefetch and execute: the first two phases of a batch.

use std::collections::{HashMap, HashSet};

use domain::{TenantId, TransactionId};
use futures_util::{StreamExt as _, TryStreamExt as _};
use journal::{EventText, Head, Lead, NewEvent, Position, Store};
use uuid::Uuid;

use super::{Decided, SNAPSHOTS, Trouble, Writer, unreachable};
use crate::execute::{Deciding, execute, needs};
use crate::pipeline::Waiting;
use crate::replay::{self, Metadata};
use crate::request::{Command, Context, Failure, IdempotencyKey, Outcome, Request, Resource};
use crate::workspace::{Stop, Workspace};

/// More rounds than any command can need; a bound in case the program is wrong about itself.
const MOST_ROUNDS: usize = 10_000;

/// How many first answers are read at once.
const READS_AT_ONCE: usize = 8;

/// What a command came to before it is committed.
enum Verdict {
    Stands(Resource),
    Falls(Failure),
}

impl<S: Store> Writer<S> {
    /// Prefetches for and executes a whole batch on top of `head`.
    ///
    /// Whether a key was used before is asked of the journal only where it is likely, or where a command is refused
    /// that may have been accepted before. All others are appended without asking: should one of their keys have been
    /// used, the journal's unique index refuses the batch, and it is decided again.
    pub(super) async fn decide(&mut self, head: Head, batch: &[Waiting]) -> Result<Decided, Trouble> {
        self.load(batch).await?;
        let mut asked = self.doubts.any();
        let mut first_answers =
            if asked { self.first_answers(batch.iter()).await? } else { FirstAnswers::new() };
        loop {
            let decided = self.pass(head, batch, &first_answers).await?;
            if asked {
                return Ok(decided);
            }
            let refused = batch.iter().zip(&decided.answers).filter(|(_, answer)| answer.is_err());
            if self.first_answers(refused.map(|(one, _)| one)).await?.is_empty() {
                return Ok(decided);
            }
            asked = true;
            first_answers = self.first_answers(batch.iter()).await?;
        }
    }

    /// Executes a batch, given the answers to the keys that were used before.
    async fn pass(
        &mut self,
        head: Head,
        batch: &[Waiting],
        first_answers: &FirstAnswers,
    ) -> Result<Decided, Trouble> {
        let clock = self.clock.now();
        let now = head.recorded_at.map_or(clock, |last| clock.max(last));
        let (journal, ids) = (self.journal.clone(), self.ids.clone());
        let mut deciding = Batch {
            journal,
            ids,
            head,
            workspace: Workspace::new(&mut self.cache, now),
            events: Vec::new(),
            used: HashMap::new(),
        };
        let mut answers: Vec<Result<Outcome, Failure>> = Vec::with_capacity(batch.len());
        let mut reused = None;
        for (index, one) in batch.iter().enumerate() {
            let begins = index.checked_sub(1).and_then(|before| batch.get(before));
            if begins.is_none_or(|before| before.job != one.job) {
                let job = batch.iter().skip(index).take_while(|other| other.job == one.job);
                let mut keys =
                    job.filter_map(|other| Some((other.request.tenant, other.request.key.as_ref()?)));
                reused =
                    keys.any(|(tenant, key)| deciding.reused(tenant, key, first_answers)).then_some(one.job);
            }
            if reused == Some(one.job) {
                answers.push(Err(Failure::KeyReused));
                continue;
            }
            let answer = match deciding.seen_before(&one.request, first_answers, &answers) {
                Some(answer) => answer,
                None => deciding.one(index, one).await?,
            };
            answers.push(answer);
        }
        let events = deciding.events;
        let changes = deciding.workspace.into_changes();
        Ok(Decided { head, now, answers, events, changes })
    }

    /// What the commands came to whose keys were used before. Retries come in swarms, after a fault or with an import
    /// that is run again, so they are read side by side.
    async fn first_answers(
        &mut self,
        waiting: impl Iterator<Item = &Waiting>,
    ) -> Result<FirstAnswers, Trouble> {
        let keys: Vec<(Uuid, &str)> = waiting
            .filter_map(|one| one.request.key.as_ref().map(|key| (one.request.tenant.0, key.key.as_str())))
            .collect();
        if keys.is_empty() {
            return Ok(FirstAnswers::new());
        }
        let leads = self.journal.leads(self.partition, &keys).await.map_err(unreachable)?;
        self.doubts.learn(!leads.is_empty());
        let reading = leads.into_iter().map(|lead| {
            let journal = self.journal.clone();
            async move {
                let (key, used_for) =
                    lead.lead.as_ref().and_then(|lead| lead.key.clone()).unwrap_or_default();
                let outcome = replay::outcome(&journal, &lead).await.map_err(Trouble::Unreachable)?;
                Ok(((lead.text.tenant_id, key), (used_for, outcome)))
            }
        });
        futures_util::stream::iter(reading).buffer_unordered(READS_AT_ONCE).try_collect().await
    }

    /// One query for the streams that the batch is sure to need and that are not in memory.
    async fn load(&mut self, batch: &[Waiting]) -> Result<(), Trouble> {
        let mut wanted = Vec::new();
        for one in batch {
            needs(one.request.tenant, &one.request.command, &mut wanted);
        }
        let mut asked = HashSet::new();
        wanted.retain(|id| !self.cache.need(*id) && asked.insert(*id));
        if wanted.is_empty() {
            return Ok(());
        }
        let found = self.journal.prefetch(self.partition, &wanted, SNAPSHOTS).await.map_err(unreachable)?;
        self.cache.load(&wanted, &found).map_err(unreadable)
    }
}

/// The answers to requests whose keys were used before, in the journal.
type FirstAnswers = HashMap<(Uuid, String), (Vec<u8>, Outcome)>;

/// A batch that is being decided.
struct Batch<'a, S> {
    journal: S,
    ids: std::sync::Arc<dyn domain::Ids>,
    head: Head,
    workspace: Workspace<'a>,
    events: Vec<NewEvent>,
    /// The keys that commands of this batch have used, with the index of the command.
    used: HashMap<(TenantId, String), (usize, Vec<u8>)>,
}

impl<S: Store> Batch<'_, S> {
    /// Whether a key was used for another request, in the journal or earlier in this batch.
    fn reused(&self, tenant: TenantId, key: &IdempotencyKey, first_answers: &FirstAnswers) -> bool {
        let in_batch = self.used.get(&(tenant, key.key.clone())).map(|(_, used_for)| used_for);
        let in_journal = first_answers.get(&(tenant.0, key.key.clone())).map(|(used_for, _)| used_for);
        in_batch.or(in_journal).is_some_and(|used_for| *used_for != key.fingerprint)
    }

    /// The answer to a command whose key was used before, in the journal or earlier in this batch.
    fn seen_before(
        &self,
        request: &Request,
        first_answers: &FirstAnswers,
        answers: &[Result<Outcome, Failure>],
    ) -> Option<Result<Outcome, Failure>> {
        let IdempotencyKey { key, fingerprint } = request.key.as_ref()?;
        let (used_for, first) = match self.used.get(&(request.tenant, key.clone())) {
            Some((index, used_for)) => (used_for, answers.get(*index)?.as_ref().ok()?),
            None => {
                let (used_for, first) = first_answers.get(&(request.tenant.0, key.clone()))?;
                (used_for, first)
            }
        };
        if used_for != fingerprint {
            return Some(Err(Failure::KeyReused));
        }
        Some(Ok(Outcome { replayed: true, ..first.clone() }))
    }

    async fn one(&mut self, index: usize, one: &Waiting) -> Result<Result<Outcome, Failure>, Trouble> {
        let request = &one.request;
        let deciding = Deciding { tenant: request.tenant, command_id: one.command_id };
        let mut rounds = 0;
        let verdict = loop {
            rounds += 1;
            if rounds > MOST_ROUNDS {
                break Verdict::Falls(Failure::Unavailable("the command never comes to an end".into()));
            }
            let stop = match execute(&mut self.workspace, deciding, &request.command) {
                Ok(resource) => break Verdict::Stands(resource),
                Err(stop) => stop,
            };
            self.workspace.discard();
            match stop {
                Stop::Rejected(rejection) => break Verdict::Falls(rejection.into()),
                Stop::Broken(message) => break Verdict::Falls(Failure::Unavailable(message)),
                Stop::Missing => self.load().await?,
                Stop::Due(due) => {
                    for id in due {
                        if let Err(failure) = self.expire(request.tenant, id).await? {
                            return Ok(Err(failure));
                        }
                    }
                }
            }
        };
        let resource = match verdict {
            Verdict::Stands(resource) => resource,
            Verdict::Falls(failure) => return Ok(Err(failure)),
        };
        let texts = self.workspace.accept();
        if let Err(error) = self.record(&request.command, &request.context, request.key.as_ref(), texts) {
            return Err(Trouble::Refused(error.to_string()));
        }
        if let Some(IdempotencyKey { key, fingerprint }) = &request.key {
            self.used.insert((request.tenant, key.clone()), (index, fingerprint.clone()));
        }
        Ok(Ok(Outcome { resource, position: self.position(), replayed: false }))
    }

    /// Lets a due hold expire, a command of its own. The outer result is about the journal, the inner one
    /// about the hold.
    async fn expire(&mut self, tenant: TenantId, id: TransactionId) -> Result<Result<(), Failure>, Trouble> {
        let command = Command::Expire { id };
        let deciding = Deciding { tenant, command_id: self.ids.next() };
        loop {
            match execute(&mut self.workspace, deciding, &command) {
                Ok(_) => break,
                Err(Stop::Missing) => {
                    self.workspace.discard();
                    self.load().await?;
                }
                Err(stop) => {
                    self.workspace.discard();
                    tracing::error!(transaction = %id, ?stop, "a due hold cannot expire");
                    return Ok(Err(Failure::Unavailable(format!("the due hold {id} cannot expire"))));
                }
            }
        }
        let texts = self.workspace.accept();
        self.record(&command, &Context::system("expiry"), None, texts)
            .map_err(|error| Trouble::Refused(error.to_string()))?;
        Ok(Ok(()))
    }

    async fn load(&mut self) -> Result<(), Trouble> {
        let ids = std::mem::take(&mut self.workspace.missing);
        let found = self.journal.prefetch(self.head.partition, &ids, SNAPSHOTS).await.map_err(unreachable)?;
        self.workspace.cache().load(&ids, &found).map_err(unreadable)
    }

    /// Adds the events of a command that stands; the first one leads.
    fn record(
        &mut self,
        command: &Command,
        context: &Context,
        key: Option<&IdempotencyKey>,
        texts: Vec<EventText>,
    ) -> Result<(), serde_json::Error> {
        let metadata = Metadata { command: command.name(), events: texts.len().to_string(), context };
        let metadata = serde_json::to_string(&metadata)?;
        let key = key.map(|key| (key.key.clone(), key.fingerprint.clone()));
        let mut lead = Some(Lead { metadata, key });
        self.events.extend(texts.into_iter().map(|text| NewEvent { text, lead: lead.take() }));
        Ok(())
    }

    /// The position of the newest event so far.
    fn position(&self) -> Position {
        let count = i64::try_from(self.events.len()).unwrap_or(i64::MAX);
        Position { partition: self.head.partition, position: self.head.position.saturating_add(count) }
    }
}

/// A stream that this program cannot read concerns only those who ask for it.
fn unreadable(error: impl std::fmt::Display) -> Trouble {
    Trouble::Refused(error.to_string())
}
