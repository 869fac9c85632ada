//! Events, read once for all projections.

use std::sync::Arc;

use cqrs_es::Aggregate;
use domain::allowance::AllowanceEvent;
use domain::application::ApplicationEvent;
use domain::catalogue::CatalogueEvent;
use domain::execution::ExecutionEvent;
use domain::tenant::TenantEvent;
use domain::transaction::TransactionEvent;
use domain::user::UserEvent;
use domain::wallet::WalletEvent;
use domain::{
    Allowance, Application, Catalogue, DecodeError, Execution, Tenant, Transaction, User, Wallet, event,
};
use journal::Recorded;

/// What an event says, by the kind of its stream.
#[derive(Debug)]
pub enum Body {
    /// Of a tenant.
    Tenant(TenantEvent),
    /// Of a wallet.
    Wallet(Box<WalletEvent>),
    /// Of a transaction.
    Transaction(TransactionEvent),
    /// Of a user.
    User(UserEvent),
    /// Of an application.
    Application(Box<ApplicationEvent>),
    /// Of a catalogue.
    Catalogue(Box<CatalogueEvent>),
    /// Of an allowance.
    Allowance(Box<AllowanceEvent>),
    /// Of an execution.
    Execution(Box<ExecutionEvent>),
    /// Of a kind that no read model here is made of.
    Other,
}

/// A recorded event and what it says.
#[derive(Debug)]
pub struct Decoded {
    /// The event.
    pub event: Recorded,
    /// What it says, or why that cannot be read.
    pub body: Result<Body, DecodeError>,
    /// How many events from this one on belong together: all of its command, on the first; otherwise one.
    pub(crate) adjoining: usize,
}

impl Decoded {
    pub(crate) fn of(event: Recorded) -> Arc<Self> {
        let text = &event.text;
        let (kind, version, payload) = (&text.event_type, text.event_version, &text.payload);
        let body = match text.aggregate_type.as_str() {
            Tenant::TYPE => event::decode(kind, version, payload).map(Body::Tenant),
            Wallet::TYPE => event::decode(kind, version, payload).map(|said| Body::Wallet(Box::new(said))),
            Transaction::TYPE => event::decode(kind, version, payload).map(Body::Transaction),
            User::TYPE => event::decode(kind, version, payload).map(Body::User),
            Application::TYPE => {
                event::decode(kind, version, payload).map(|said| Body::Application(Box::new(said)))
            }
            Catalogue::TYPE => {
                event::decode(kind, version, payload).map(|said| Body::Catalogue(Box::new(said)))
            }
            Allowance::TYPE => {
                event::decode(kind, version, payload).map(|said| Body::Allowance(Box::new(said)))
            }
            Execution::TYPE => {
                event::decode(kind, version, payload).map(|said| Body::Execution(Box::new(said)))
            }
            _ => Ok(Body::Other),
        };
        let adjoining = event.lead.as_ref().and_then(|lead| size(&lead.metadata)).unwrap_or(1);
        Arc::new(Self { event, body, adjoining })
    }
}

/// Reads all of them.
pub(crate) fn decode_all(events: Vec<Recorded>) -> Vec<Arc<Decoded>> {
    events.into_iter().map(Decoded::of).collect()
}

/// How many events a command has, as its metadata says.
fn size(metadata: &str) -> Option<usize> {
    #[derive(serde::Deserialize)]
    struct Size {
        events: String,
    }
    serde_json::from_str::<Size>(metadata).ok()?.events.parse().ok().filter(|size| *size > 0)
}

/// How many events at the beginning of `events` make up whole commands. A read model is never moved into the
/// middle of a command: readers would see one wallet debited and the other not yet credited.
pub(crate) fn whole_commands(events: &[Arc<Decoded>]) -> usize {
    let mut whole = 0;
    while let Some(event) = events.get(whole) {
        match whole.checked_add(event.adjoining) {
            Some(end) if end <= events.len() => whole = end,
            _ => break,
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use domain::Partition;
    use journal::{EventText, Lead};
    use uuid::Uuid;

    use super::*;

    fn events(commands: &[usize]) -> Vec<Arc<Decoded>> {
        let leads =
            commands.iter().flat_map(|size| (0..*size).map(move |index| (index == 0).then_some(*size)));
        let recorded = leads.enumerate().map(|(index, size)| Recorded {
            partition: Partition(0),
            position: i64::try_from(index).unwrap() + 1,
            recorded_at: DateTime::UNIX_EPOCH,
            text: EventText {
                tenant_id: Uuid::nil(),
                aggregate_type: "wallet".into(),
                aggregate_id: Uuid::nil(),
                sequence: 1,
                event_type: "frozen".into(),
                event_version: 1,
                payload: "{}".into(),
                effective_at: None,
                command_id: Uuid::nil(),
            },
            lead: size.map(|size| Lead { metadata: format!(r#"{{"events":"{size}"}}"#), key: None }),
        });
        decode_all(recorded.collect())
    }

    #[test]
    fn a_batch_is_never_cut_within_a_command() {
        let events = events(&[3, 1, 2]);
        let whole: Vec<usize> = (0..=6).map(|length| whole_commands(&events[..length])).collect();
        assert_eq!(whole, [0, 0, 0, 3, 4, 4, 6]);
    }

    #[test]
    fn a_size_that_makes_no_sense_holds_nothing_up() {
        for metadata in ["", "{}", r#"{"events":"0"}"#, r#"{"events":"-1"}"#, r#"{"events":3}"#] {
            assert_eq!(size(metadata), None, "{metadata}");
        }
    }

    #[test]
    fn an_event_that_cannot_be_read_is_kept_as_such() {
        let mut recorded = events(&[1]).remove(0).event.clone();
        recorded.text.event_type = "melted".into();
        assert!(Decoded::of(recorded.clone()).body.is_err());
        recorded.text.aggregate_type = "weather".into();
        assert!(matches!(Decoded::of(recorded).body, Ok(Body::Other)));
    }
}
