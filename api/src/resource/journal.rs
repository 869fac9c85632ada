use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{Amount, Partition};
use journal::{Position, Recorded, cloudevent};
use projections::{AuditView, EntryView};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::Problem;

/// A line of a wallet's statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Entry)]
pub struct EntryBody {
    /// Its place among the wallet's events.
    pub sequence: i64,
    /// The transaction it belongs to.
    pub transaction: Uuid,
    /// `posted`, `settled` or `reversed`.
    #[schema(example = "posted")]
    pub kind: String,
    /// What was added; negative for what was taken away.
    #[schema(value_type = String, example = "-12.50")]
    pub amount: Amount,
    /// What the wallet had afterwards.
    #[schema(value_type = String, example = "87.50")]
    pub posted_after: Amount,
    /// What was promised away afterwards.
    #[schema(value_type = String, example = "0.00")]
    pub held_after: Amount,
    /// When it took effect.
    pub effective_at: DateTime<Utc>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// The position of its event.
    #[schema(example = "p3:1841")]
    pub position: String,
}

impl EntryBody {
    /// An entry of a wallet that lives in `partition`.
    pub fn new(view: EntryView, partition: Partition) -> Self {
        Self {
            sequence: view.sequence,
            transaction: view.transaction_id,
            kind: view.kind,
            amount: view.amount,
            posted_after: view.posted_after,
            held_after: view.held_after,
            effective_at: view.effective_at,
            recorded_at: view.recorded_at,
            position: Position { partition, position: view.position }.to_string(),
        }
    }
}

/// A command that changed something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Audit)]
pub struct AuditBody {
    /// The command.
    pub id: Uuid,
    /// Who asked for what, from where: `command`, `actor`, `role`, `source`, `request_id`, ...
    pub command: BTreeMap<String, String>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// The position of its first event.
    #[schema(example = "p3:1839")]
    pub first_position: String,
    /// The position of its last event.
    #[schema(example = "p3:1841")]
    pub last_position: String,
}

impl AuditBody {
    /// A command of a tenant that lives in `partition`.
    pub fn new(view: AuditView, partition: Partition) -> Self {
        let at = |position| Position { partition, position }.to_string();
        Self {
            id: view.command_id,
            command: view.metadata,
            recorded_at: view.recorded_at,
            first_position: at(view.first),
            last_position: at(view.last),
        }
    }
}

/// An event, in the form of CloudEvents 1.0.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(as = Event, value_type = Object)]
pub struct EventBody(Box<RawValue>);

impl TryFrom<&Recorded> for EventBody {
    type Error = Problem;

    fn try_from(event: &Recorded) -> Result<Self, Problem> {
        let bytes = cloudevent::encode(event).map_err(Problem::internal)?;
        let text = String::from_utf8(bytes).map_err(Problem::internal)?;
        RawValue::from_string(text).map(Self).map_err(Problem::internal)
    }
}
