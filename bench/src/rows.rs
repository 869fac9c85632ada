//! Events for the ceiling and for the journal: what the pipeline writes for transfers, with ids of their own.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use commands::{Announcer, PipelineOptions};
use counterfoil::system::SystemIds;
use domain::Ids as _;
use journal::NewEvent;
use uuid::Uuid;

use crate::bank::{Bank, scattered};
use crate::measure::Failure;
use crate::world::World;

/// How many transfers the pipeline makes to copy from.
const TRANSFERS: u64 = 1_000;
/// More events than they are.
const LIMIT: i64 = 1_000_000;
/// The events of one.
const EVENTS: usize = 3;

/// Transfers that the pipeline wrote, each as its events.
#[derive(Debug, Clone)]
pub struct Originals(Arc<[Vec<NewEvent>]>);

impl Originals {
    /// Has a pipeline make them, and reads them back.
    ///
    /// # Errors
    /// What the database or the pipeline says.
    pub async fn make(world: &World) -> Result<Self, Failure> {
        let database = world.database("originals", 1).await?;
        let journal = database.journal(2).await?;
        let bank =
            Bank::open(&journal, &PipelineOptions::default(), &Announcer::silent(), crate::pipeline::WALLETS)
                .await?;
        let partition = bank.tenant.partition(journal.partition_count());
        let before = journal.head(partition).await?.position;
        let transfers =
            (0..TRANSFERS).map(|turn| bank.transfer(bank.pair(0, turn, false))).collect::<Result<_, _>>()?;
        bank.all(transfers).await?;
        let written = journal.read(partition, before, LIMIT).await?;
        let events: Vec<NewEvent> =
            written.into_iter().map(|event| NewEvent { text: event.text, lead: event.lead }).collect();
        let transfers: Vec<Vec<NewEvent>> = events.chunks(EVENTS).map(<[_]>::to_vec).collect();
        if transfers.iter().any(|events| events.len() != EVENTS || one(events).is_none()) {
            return Err("a transfer is no longer three events of which the first is the lead".into());
        }
        drop(bank);
        journal.pool().close().await;
        world.discard(database).await?;
        Ok(Self(transfers.into()))
    }

    /// Endless copies for one partition, with a tenant of their own.
    pub fn copies(&self, partition: usize) -> Copies {
        let tenant = SystemIds.next();
        let seed = (partition as u64) << 40;
        Copies {
            originals: self.clone(),
            tenant,
            wallets: HashMap::new(),
            turn: seed,
            ready: VecDeque::new(),
        }
    }
}

/// Whether these are the events of one command, with its lead in front.
fn one(events: &[NewEvent]) -> Option<()> {
    let (first, rest) = events.split_first()?;
    let same = |event: &NewEvent| event.text.command_id == first.text.command_id && event.lead.is_none();
    (first.lead.is_some() && rest.iter().all(same)).then_some(())
}

/// Copies of transfers as the next events of their streams.
pub struct Copies {
    originals: Originals,
    tenant: Uuid,
    /// The copies of the wallets' streams, by their originals: id and last sequence.
    wallets: HashMap<Uuid, (Uuid, i64)>,
    turn: u64,
    ready: VecDeque<NewEvent>,
}

impl Iterator for Copies {
    type Item = NewEvent;

    fn next(&mut self) -> Option<NewEvent> {
        if self.ready.is_empty() {
            let count = self.originals.0.len() as u64;
            let original = usize::try_from(scattered(self.turn) % count).ok()?;
            self.turn += 1;
            let events = self.originals.0.get(original)?.clone();
            let (command, transaction) = (SystemIds.next(), SystemIds.next());
            for event in events {
                let copy = self.copy(event, command, transaction);
                self.ready.push_back(copy);
            }
        }
        self.ready.pop_front()
    }
}

impl Copies {
    fn copy(&mut self, mut event: NewEvent, command: Uuid, transaction: Uuid) -> NewEvent {
        let text = &mut event.text;
        (text.tenant_id, text.command_id) = (self.tenant, command);
        if text.aggregate_type == "wallet" {
            let tenant = self.tenant;
            let original = text.aggregate_id;
            let (id, sequence) = self
                .wallets
                .entry(original)
                .or_insert_with(|| (Uuid::new_v5(&tenant, original.as_bytes()), 0));
            *sequence += 1;
            (text.aggregate_id, text.sequence) = (*id, *sequence);
        } else {
            text.aggregate_id = transaction;
        }
        if let Some((key, _)) = event.lead.as_mut().and_then(|lead| lead.key.as_mut()) {
            *key = command.to_string();
        }
        event
    }
}
