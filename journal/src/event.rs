//! Events as the journal keeps them, and positions.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use domain::Partition;
use uuid::Uuid;

/// Where an event stands: its partition and its place in it, from 1. Written `p3:1841`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The partition.
    pub partition: Partition,
    /// The place; 0 is before the first event.
    pub position: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}:{}", self.partition, self.position)
    }
}

/// A text is not a position token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a position is written p<partition>:<position>, such as p3:1841")]
pub struct PositionError;

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let (partition, position) =
            text.strip_prefix('p').and_then(|rest| rest.split_once(':')).ok_or(PositionError)?;
        let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if !plain(partition) || !plain(position) {
            return Err(PositionError);
        }
        Ok(Self {
            partition: Partition(partition.parse().map_err(|_| PositionError)?),
            position: position.parse().map_err(|_| PositionError)?,
        })
    }
}

/// What an event says: its stream, its name and its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventText {
    /// Whose it is.
    pub tenant_id: Uuid,
    /// The kind of stream: `wallet`.
    pub aggregate_type: String,
    /// The stream.
    pub aggregate_id: Uuid,
    /// Its place in the stream, from 1.
    pub sequence: i64,
    /// Its name: `posted`.
    pub event_type: String,
    /// The version of its form.
    pub event_version: i32,
    /// Its fields, as JSON.
    pub payload: String,
    /// When it took effect, where that was said.
    pub effective_at: Option<DateTime<Utc>>,
    /// The command it came from; all events of a command have adjoining positions.
    pub command_id: Uuid,
}

/// What only the first event of a command carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lead {
    /// Who asked for what, from where: a flat JSON object of strings.
    pub metadata: String,
    /// The caller's idempotency key with the fingerprint of the request.
    pub key: Option<(String, Vec<u8>)>,
}

/// An event to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// What it says.
    pub text: EventText,
    /// Present on the first event of a command.
    pub lead: Option<Lead>,
}

/// An event as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its partition.
    pub partition: Partition,
    /// Its place in the partition, from 1.
    pub position: i64,
    /// When it was recorded; never earlier than its predecessor in the partition.
    pub recorded_at: DateTime<Utc>,
    /// What it says.
    pub text: EventText,
    /// Present on the first event of a command.
    pub lead: Option<Lead>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn position_tokens_are_read_strictly() {
        let position = Position { partition: Partition(3), position: 1841 };
        assert_eq!(position.to_string(), "p3:1841");
        assert_eq!("p3:1841".parse(), Ok(position));
        let made_up = ["", "p", "p3", "3:1", "p3:", "p:1", "p-1:1", "p3:-1", "p3:+1", "p3: 1", "p3:1:2"];
        for bad in made_up.into_iter().chain(["p99999999999:1", "p1:99999999999999999999"]) {
            assert_eq!(bad.parse::<Position>(), Err(PositionError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_position_is_read_as_it_is_written(partition: i32, position: i64) {
            let token = Position { partition: Partition(partition), position };
            let plain = partition >= 0 && position >= 0;
            prop_assert_eq!(token.to_string().parse(), if plain { Ok(token) } else { Err(PositionError) });
        }

        #[test]
        fn any_bytes_are_a_position_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..60), near in "p?[0-9+ -]{0,12}:?[0-9+ -]{0,22}",
        ) {
            for text in [String::from_utf8_lossy(&bytes).as_ref(), near.as_str()] {
                if let Ok(token) = text.parse::<Position>() {
                    prop_assert_eq!(token.to_string().parse(), Ok(token));
                    let zeros = |part: &str| part.trim_start_matches('0').to_owned();
                    let (from, at) = text.strip_prefix('p').unwrap().split_once(':').unwrap();
                    prop_assert_eq!(zeros(at), zeros(&token.position.to_string()));
                    prop_assert_eq!(zeros(from), zeros(&token.partition.to_string()));
                }
            }
        }
    }
}
