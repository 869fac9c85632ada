//! Events, read once for all projections.

use std::sync::Arc;

use cqrs_es::Aggregate;
use domain::tenant::TenantEvent;
use domain::transaction::TransactionEvent;
use domain::wallet::WalletEvent;
use domain::{DecodeError, Tenant, Transaction, Wallet, event};
use journal::Recorded;

/// What an event says, by the kind of its stream.
#[derive(Debug)]
pub(crate) enum Body {
    Tenant(TenantEvent),
    Wallet(Box<WalletEvent>),
    Transaction(TransactionEvent),
    /// Of a kind that no read model here is made of.
    Other,
}

/// A recorded event and what it says.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub event: Recorded,
    pub body: Result<Body, DecodeError>,
}

impl Decoded {
    pub(crate) fn of(event: Recorded) -> Arc<Self> {
        let text = &event.text;
        let (kind, version, payload) = (&text.event_type, text.event_version, &text.payload);
        let body = match text.aggregate_type.as_str() {
            Tenant::TYPE => event::decode(kind, version, payload).map(Body::Tenant),
            Wallet::TYPE => event::decode(kind, version, payload).map(|said| Body::Wallet(Box::new(said))),
            Transaction::TYPE => event::decode(kind, version, payload).map(Body::Transaction),
            _ => Ok(Body::Other),
        };
        Arc::new(Self { event, body })
    }
}

/// Reads all of them.
pub(crate) fn decode_all(events: Vec<Recorded>) -> Vec<Arc<Decoded>> {
    events.into_iter().map(Decoded::of).collect()
}
