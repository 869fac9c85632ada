//! A row for each aggregate of a kind: what all such read models do alike.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::{Allowance, Application, Catalogue, Execution, Transaction, User};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::Fault;
use crate::decoded::{Body, Decoded};

/// An aggregate that has a row of its own, which is the fold of its stream.
pub(super) trait Rowed: Aggregate {
    /// What an event says, where it is one of these.
    fn said(body: &Body) -> Option<&Self::Event>;
}

macro_rules! rowed {
    ($($aggregate:ident),*) => {
        $(impl Rowed for $aggregate {
            fn said(body: &Body) -> Option<&Self::Event> {
                if let Body::$aggregate(said) = body { Some(said) } else { None }
            }
        })*
    };
}

rowed!(Allowance, Application, Catalogue, Execution, Transaction, User);

/// An event's place in the journal and its time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) position: i64,
    pub(super) at: DateTime<Utc>,
}

/// An aggregate as its row says it.
#[derive(Debug)]
pub(super) struct Folded<A> {
    pub(super) tenant_id: Uuid,
    pub(super) sequence: i64,
    /// Its first event, where the row keeps that.
    pub(super) first: Mark,
    /// Its last event.
    pub(super) last: Mark,
    pub(super) state: A,
}

/// Aggregates by the ids of their streams.
pub(super) type Rows<A> = BTreeMap<Uuid, Folded<A>>;

impl<A> Folded<A> {
    /// One whose row keeps this of one of its events.
    pub(super) const fn kept(tenant_id: Uuid, sequence: i64, mark: Mark, state: A) -> Self {
        Self { tenant_id, sequence, first: mark, last: mark, state }
    }
}

/// The streams that began before this batch.
pub(super) fn begun(batch: &[&Decoded]) -> Vec<Uuid> {
    batch.iter().filter(|e| e.event.text.sequence > 1).map(|e| e.event.text.aggregate_id).collect()
}

/// A row that was kept before this batch cannot be read.
pub(super) fn unreadable(batch: &[&Decoded], id: Uuid, reason: impl std::fmt::Display) -> Fault {
    let first = batch.iter().find(|e| e.event.text.aggregate_id == id);
    Fault::poison(first.map_or(0, |e| e.event.position), format!("the row kept before it: {reason}"))
}

/// A state as a row keeps it.
pub(super) fn state<A: DeserializeOwned>(batch: &[&Decoded], id: Uuid, text: &str) -> Result<A, Fault> {
    serde_json::from_str(text).map_err(|error| unreadable(batch, id, error))
}

/// Takes the rows of streams through a batch, and hands each event to `each` with what it made of its aggregate.
pub(super) fn fold<A: Rowed<Event: Clone>>(
    rows: &mut Rows<A>,
    batch: &[&Decoded],
    mut each: impl FnMut(Uuid, &A::Event, &Folded<A>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    for Decoded { event, body, .. } in batch {
        let Some(said) = body.as_ref().ok().and_then(A::said) else {
            continue;
        };
        let id = event.text.aggregate_id;
        let mark = Mark { position: event.position, at: event.recorded_at };
        let folded =
            rows.entry(id).or_insert_with(|| Folded::kept(event.text.tenant_id, 0, mark, A::default()));
        if event.text.sequence != folded.sequence + 1 {
            let reason = format!("{} {id} is at sequence {}", A::TYPE, folded.sequence);
            return Err(Fault::poison(event.position, reason));
        }
        (folded.sequence, folded.last) = (event.text.sequence, mark);
        folded.state.apply(said.clone());
        each(id, said, folded)?;
    }
    Ok(())
}

/// The state as a row keeps it.
pub(super) fn written<A: Serialize>(folded: &Folded<A>) -> Result<String, Fault> {
    serde_json::to_string(&folded.state).map_err(|error| Fault::poison(folded.last.position, error))
}
