//! An account as the documentation of cqrs-es builds one.

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

/// What an account may owe, in minor units.
const LIMIT: i64 = 100_000_000_000;

/// An account with a balance in minor units.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Account {
    balance: i64,
}

/// What an account is asked to do, in minor units.
#[derive(Debug, Clone, Copy)]
pub enum Command {
    /// Pay.
    Debit(i64),
    /// Receive.
    Credit(i64),
}

/// What an account did, and its balance after it, in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// It paid.
    Debited { amount: i64, balance: i64 },
    /// It received.
    Credited { amount: i64, balance: i64 },
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::Debited { .. } => "Debited".to_owned(),
            Self::Credited { .. } => "Credited".to_owned(),
        }
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

/// It would owe too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the account would owe too much")]
pub struct Overdrawn;

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = Command;
    type Event = Event;
    type Error = Overdrawn;
    type Services = ();

    async fn handle(&mut self, command: Command, (): &(), sink: &EventSink<Self>) -> Result<(), Overdrawn> {
        let event = match command {
            Command::Debit(amount) => {
                let balance = self.balance.checked_sub(amount).filter(|balance| *balance >= -LIMIT);
                Event::Debited { amount, balance: balance.ok_or(Overdrawn)? }
            }
            Command::Credit(amount) => {
                Event::Credited { amount, balance: self.balance.checked_add(amount).ok_or(Overdrawn)? }
            }
        };
        // To a copy: the snapshot store applies it to the account itself.
        sink.write(event, &mut self.clone()).await;
        Ok(())
    }

    fn apply(&mut self, event: Event) {
        match event {
            // Arithmetic rather than assignment, so that an event applied twice is seen.
            Event::Debited { amount, .. } => self.balance -= amount,
            Event::Credited { amount, .. } => self.balance += amount,
        }
    }
}
