//! The judgement: from the journal and from what the clients were told, nothing else.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use commands::{Command, Failure, IdempotencyKey, Outcome, Rejection, Resource};
use cqrs_es::Aggregate;
use domain::wallet::{WalletEvent, WalletStatus};
use domain::{Partition, Tenant, Transaction, TransactionId, Wallet, event};
use journal::{Recorded, cloudevent};
use serde::Deserialize;
use uuid::Uuid;

use crate::history::{Answer, Entry};
use crate::sequential::{Expected, Refusal, Sequential, Status};
use crate::world::World;

/// Judges a world that has come to rest.
pub fn check(world: &World, history: &[Entry]) {
    let logs = world.logs();
    for log in logs.iter() {
        let mut judge = Judge::new(world, log.head.partition, history, &log.events);
        judge.journal(&log.events);
        judge.answers();
        judge.stream(&log.events);
        judge.views(log.head.position);
    }
}

#[derive(Deserialize)]
struct Metadata {
    command: String,
    events: String,
    actor: String,
    request_id: String,
}

type Key = (Uuid, String);

struct Judge<'a> {
    world: &'a World,
    partition: Partition,
    model: Sequential,
    entries: Vec<&'a Entry>,
    by_request: HashMap<&'a str, &'a Entry>,
    /// Answers that say they are the first answer again.
    replays: HashMap<Key, Vec<&'a Entry>>,
    /// Where each key was used, and for what.
    keys: HashMap<Key, (i64, &'a [u8])>,
    /// Refusals by the head before them, latest first; and those that no state has justified yet.
    refusals: Vec<&'a Entry>,
    open: Vec<&'a Entry>,
    sequences: HashMap<Uuid, i64>,
    /// By request: where its command was found.
    found: HashMap<&'a str, i64>,
    replayed: usize,
}

impl<'a> Judge<'a> {
    fn new(world: &'a World, partition: Partition, history: &'a [Entry], events: &'a [Recorded]) -> Self {
        let entries: Vec<&Entry> = history.iter().filter(|entry| entry.partition == partition).collect();
        let by_request = entries.iter().map(|entry| (entry.request_id.as_str(), *entry)).collect();
        let mut replays: HashMap<Key, Vec<&Entry>> = HashMap::new();
        for entry in &entries {
            if let (Answer::Done(Outcome { replayed: true, .. }), Some(key)) = (&entry.answer, &entry.key) {
                replays.entry((entry.tenant.0, key.key.clone())).or_default().push(entry);
            }
        }
        let mut refusals: Vec<&Entry> =
            entries.iter().copied().filter(|entry| rejection(entry).is_some()).collect();
        refusals.sort_by_key(|entry| std::cmp::Reverse(entry.heads.0));
        let mut judge = Self {
            world,
            partition,
            model: Sequential::default(),
            entries,
            by_request,
            replays,
            keys: HashMap::new(),
            refusals,
            open: Vec::new(),
            sequences: HashMap::new(),
            found: HashMap::new(),
            replayed: 0,
        };
        for event in events {
            if let Some((key, print)) = event.lead.as_ref().and_then(|lead| lead.key.as_ref()) {
                let place = (event.position, print.as_slice());
                if judge.keys.insert((event.text.tenant_id, key.clone()), place).is_some() {
                    judge.broken(event.position, format!("the key {key} is there twice"));
                }
            }
        }
        judge
    }

    fn broken(&self, at: i64, what: impl std::fmt::Display) {
        self.world.violation(format!("p{}:{at}: {what}", self.partition));
    }

    /// Does the journal again, command by command.
    fn journal(&mut self, events: &'a [Recorded]) {
        let (mut at, mut last) = (0, DateTime::<Utc>::MIN_UTC);
        self.justify(0, None);
        while let Some(lead) = events.get(at) {
            let Some(metadata) = lead.lead.as_ref() else {
                self.broken(lead.position, "an event belongs to no command");
                return;
            };
            let metadata: Metadata = serde_json::from_str(&metadata.metadata).unwrap();
            let count: usize = metadata.events.parse().unwrap();
            let Some(events_of) = events.get(at..at + count) else {
                self.broken(lead.position, "a command has lost its end");
                return;
            };
            for (event, position) in events_of.iter().zip(i64::try_from(at).unwrap() + 1..) {
                let sequence = self.sequences.entry(event.text.aggregate_id).or_default();
                *sequence += 1;
                let numbers = (event.position, event.text.sequence) == (position, *sequence);
                let one = event.text.command_id == lead.text.command_id
                    && event.text.tenant_id == lead.text.tenant_id
                    && event.recorded_at == lead.recorded_at
                    && event.lead.is_some() == (event.position == lead.position);
                if !numbers || !one || event.recorded_at < last {
                    self.broken(position, format!("out of place: {event:?}"));
                }
                last = event.recorded_at;
            }
            self.command(&metadata, lead, events_of);
            at += count;
            let end = i64::try_from(at).unwrap();
            self.justify(end, Some(last));
        }
        for entry in std::mem::take(&mut self.open) {
            self.unjustified(entry);
        }
    }

    fn command(&mut self, metadata: &Metadata, lead: &'a Recorded, events: &[Recorded]) {
        let at = lead.position;
        let end = events.last().map_or(at, |event| event.position);
        let tenant = domain::TenantId(lead.text.tenant_id);
        let (entry, command) = if metadata.actor == "system" {
            (None, Command::Expire { id: TransactionId(lead.text.aggregate_id) })
        } else if let Some(entry) = self.by_request.get(metadata.request_id.as_str()) {
            (Some(*entry), entry.command.clone())
        } else {
            return self.broken(at, format!("nobody asked for {}", metadata.request_id));
        };
        if command.name() != metadata.command {
            self.broken(at, format!("{} is recorded as {}", command.name(), metadata.command));
        }
        if !matches!(command, Command::Expire { .. })
            && !self.model.due(tenant, &command, lead.recorded_at).is_empty()
        {
            self.broken(at, "a hold that was over was passed by");
        }
        match self.model.attempt(tenant, &command, lead.text.command_id, lead.recorded_at) {
            Err(refusal) => self.broken(at, format!("{command:?} must be refused: {refusal:?}")),
            Ok(expected) => {
                let same = expected.len() == events.len()
                    && expected.iter().zip(events).all(|(expected, event)| is(expected, event));
                if !same {
                    self.broken(at, format!("{command:?} must come to {expected:?}, not to {events:?}"));
                }
            }
        }
        self.model.settle_down();
        if let Some(entry) = entry {
            self.asked(entry, lead, end);
        }
        if let Some((key, print)) = lead.lead.as_ref().and_then(|lead| lead.key.as_ref()) {
            for replay in self.replays.remove(&(lead.text.tenant_id, key.clone())).unwrap_or_default() {
                self.replayed += 1;
                if replay.key.as_ref().is_some_and(|key| key.fingerprint != *print) {
                    self.broken(at, format!("the key {key} was answered for another request"));
                }
                self.answered(replay, end);
            }
        }
    }

    /// A command in the journal against what its caller was told.
    fn asked(&mut self, entry: &'a Entry, lead: &Recorded, end: i64) {
        let at = lead.position;
        if self.found.insert(&entry.request_id, end).is_some() {
            self.broken(at, format!("request {} is there twice", entry.request_id));
        }
        if at <= entry.heads.0 {
            self.broken(at, format!("request {} is there before it was made", entry.request_id));
        }
        let key = entry.key.as_ref().map(|key| (key.key.clone(), key.fingerprint.clone()));
        if lead.lead.as_ref().is_some_and(|lead| lead.key != key) {
            self.broken(at, "the key is not the caller's");
        }
        match &entry.answer {
            Answer::Refused(failure) => {
                self.broken(at, format!("request {} was refused: {failure}", entry.request_id));
            }
            Answer::Done(Outcome { replayed: false, .. }) => self.answered(entry, end),
            Answer::Done(_) => self.broken(at, "a new command was answered with an old answer"),
            Answer::Unknown => {}
        }
    }

    /// Compares an answer with the state right after its command, whose last event is at `end`.
    fn answered(&self, entry: &Entry, end: i64) {
        let Answer::Done(outcome) = &entry.answer else { return };
        if outcome.position.position != end || end > entry.heads.1 {
            self.broken(end, format!("request {} was told {}", entry.request_id, outcome.position));
        }
        let right = match &outcome.resource {
            Resource::Tenant(id, tenant) => {
                *id == entry.tenant && tenant.assets.len() == self.model.assets(*id)
            }
            Resource::Wallet(_, wallet) => self
                .model
                .wallet(entry.tenant, wallet.path.as_str())
                .is_some_and(|expected| same_wallet(expected, wallet)),
            Resource::Transactions(made) => made.iter().all(|(id, transaction)| {
                let expected = self.model.transaction(id.0);
                expected.is_some_and(|expected| same_transaction(expected, transaction))
            }),
            // The workload asks for neither.
            Resource::User(..)
            | Resource::Application(..)
            | Resource::Catalogue(..)
            | Resource::Allowance(..)
            | Resource::Execution(..) => false,
        };
        if !right {
            self.broken(end, format!("request {} was told {:?}", entry.request_id, outcome.resource));
        }
    }

    /// Lets the state at `position`, where a command has ended, justify refusals.
    fn justify(&mut self, position: i64, recorded: Option<DateTime<Utc>>) {
        while let Some(entry) = self.refusals.pop_if(|entry| entry.heads.0 <= position) {
            self.open.push(entry);
        }
        let mut open = std::mem::take(&mut self.open);
        open.retain(|entry| {
            if entry.heads.1 < position {
                self.unjustified(entry);
                return false;
            }
            let expected = rejection(entry);
            let wide = if entry.turned { TimeDelta::seconds(120) } else { TimeDelta::zero() };
            let (low, high) = (entry.clocks.0.min(entry.clocks.1), entry.clocks.0.max(entry.clocks.1));
            let at_least = |clock: DateTime<Utc>| recorded.map_or(clock, |recorded| clock.max(recorded));
            let (early, late) = (at_least(low - wide), at_least(high + wide));
            let mut said = |now| refusal(&mut self.model, entry, now) == expected;
            !(said(early) || (late != early && said(late)))
        });
        self.open = open;
    }

    fn unjustified(&self, entry: &Entry) {
        let Answer::Refused(failure) = &entry.answer else { return };
        let what = format!(
            "request {} {:?} was refused without a reason: {failure}",
            entry.request_id, entry.command
        );
        self.broken(entry.heads.0, what);
    }

    /// What the journal cannot say: answers that have nothing behind them.
    fn answers(&self) {
        for entry in &self.entries {
            let told =
                |what: &str| self.broken(entry.heads.1, format!("request {}: {what}", entry.request_id));
            match &entry.answer {
                Answer::Done(Outcome { replayed: false, .. })
                    if !self.found.contains_key(entry.request_id.as_str()) =>
                {
                    told("acknowledged and not in the journal");
                }
                Answer::Refused(Failure::KeyReused) => {
                    let used = |key: &IdempotencyKey| {
                        let place = self.keys.get(&(entry.tenant.0, key.key.clone()));
                        place.is_some_and(|(at, print)| *at <= entry.heads.1 && *print != key.fingerprint)
                    };
                    if !entry.job.iter().any(used) {
                        told("its key was not used for another request");
                    }
                }
                _ => {}
            }
        }
        for entry in self.replays.values().flatten() {
            self.broken(entry.heads.1, format!("request {} was replayed from nowhere", entry.request_id));
        }
    }

    /// JetStream has what the journal has.
    fn stream(&self, events: &[Recorded]) {
        let server = self.world.server();
        let index = usize::try_from(self.partition.0).unwrap();
        let messages = server.stream.as_ref().map(|stream| &stream.messages[index]);
        let messages = messages.map(Vec::as_slice).unwrap_or_default();
        if messages.len() != events.len() {
            self.broken(0, format!("JetStream has {} messages of {} events", messages.len(), events.len()));
        }
        for (message, event) in messages.iter().zip(events) {
            let ours = message.id == cloudevent::message_id(event);
            let sent = ours.then(|| cloudevent::decode(&message.payload).ok()).flatten();
            if !sent.is_some_and(|sent| sent.text == event.text && sent.recorded_at == event.recorded_at) {
                let ids: Vec<&str> = messages.iter().map(|message| message.id.as_str()).collect();
                let (first, last) = (ids.first_chunk::<5>(), ids.last_chunk::<5>());
                let what = format!("JetStream has message {} here: {first:?} .. {last:?}", message.id);
                return self.broken(event.position, what);
            }
        }
    }

    /// The read models have what the model has.
    fn views(&self, head: i64) {
        let model = self.world.model();
        let tables = &model.0[usize::try_from(self.partition.0).unwrap()];
        for (name, checkpoint) in &tables.checkpoints {
            if *checkpoint != head {
                self.broken(head, format!("{name} is at {checkpoint}"));
            }
        }
        let mut sums: BTreeMap<(Uuid, String), i128> = BTreeMap::new();
        let mut wallets = 0;
        for (tenant, id, wallet) in self.model.wallets() {
            wallets += 1;
            *sums.entry((tenant.0, wallet.asset.clone())).or_default() += wallet.posted;
            let row = tables.wallets.get(&id);
            if !row.is_some_and(|row| row.tenant == tenant.0 && same_wallet(wallet, &row.state)) {
                self.broken(head, format!("balances has {row:?} for {wallet:?}"));
            }
        }
        for ((tenant, asset), sum) in sums {
            if sum != 0 {
                self.broken(head, format!("the trial balance of {tenant} in {asset} is {sum}"));
            }
        }
        if tables.wallets.len() != wallets {
            self.broken(head, format!("balances has {} rows of {wallets}", tables.wallets.len()));
        }
        for (id, row) in &tables.transactions {
            let expected = self.model.transaction(*id);
            if !expected.is_some_and(|expected| same_transaction(expected, &row.state)) {
                self.broken(head, format!("transactions has {row:?} for {expected:?}"));
            }
        }
    }
}

/// The rejection that an entry was answered with.
fn rejection(entry: &Entry) -> Option<Refusal> {
    match &entry.answer {
        Answer::Refused(Failure::Rejected(rejection)) => {
            Some((rejection.code(), Rejection::index(rejection)))
        }
        _ => None,
    }
}

fn refusal(model: &mut Sequential, entry: &Entry, now: DateTime<Utc>) -> Option<Refusal> {
    model.refusal(entry.tenant, &entry.command, now)
}

fn same_wallet(expected: &crate::sequential::Wallet, wallet: &Wallet) -> bool {
    let balance = [wallet.balance.posted, wallet.balance.held, wallet.balance.incoming];
    let status = match expected.status {
        Status::Active => WalletStatus::Open,
        Status::Frozen => WalletStatus::Frozen,
        Status::Closed => WalletStatus::Closed,
    };
    balance.map(domain::Amount::minor) == [expected.posted, expected.held, expected.incoming]
        && wallet.status == status
        && wallet.minimum.map(domain::Amount::minor) == expected.minimum
        && wallet.expiring.iter().map(|(at, id)| (*at, id.0)).eq(expected.expiring.iter().copied())
}

fn same_transaction(expected: &crate::sequential::Transaction, transaction: &Transaction) -> bool {
    let minor = |amounts: &[domain::Amount]| -> Vec<i128> { amounts.iter().map(|one| one.minor()).collect() };
    let postings = transaction.body.postings.iter().map(|posting| posting.amount.minor());
    transaction.status == expected.status
        && postings.eq(expected.postings.iter().map(|posting| posting.amount))
        && minor(&transaction.settled) == expected.settled.clone().unwrap_or_default()
        && minor(&transaction.reversed) == expected.reversed
}

/// Whether an event is what the model says it must be.
fn is(expected: &Expected, event: &Recorded) -> bool {
    let text = &event.text;
    let is_of = |aggregate: &str, kind: &str| text.aggregate_type == aggregate && text.event_type == kind;
    match expected {
        Expected::Tenant { kind } => is_of(Tenant::TYPE, kind),
        Expected::Transaction { id, kind } => is_of(Transaction::TYPE, kind) && text.aggregate_id == *id,
        Expected::Wallet { id, kind, balance } => {
            let said = event::decode::<WalletEvent>(&text.event_type, text.event_version, &text.payload);
            let said = said.ok().and_then(|said| said.balance());
            let said = said.map(|balance| [balance.posted, balance.held, balance.incoming]);
            is_of(Wallet::TYPE, kind)
                && text.aggregate_id == *id
                && said.map(|balance| balance.map(domain::Amount::minor)) == *balance
        }
    }
}
