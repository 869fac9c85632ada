//! How an event is kept: its name, its version and its fields as JSON.
//!
//! Events are serde enums; what the journal keeps is the name in one column and the variant's fields in
//! another. A change of form raises [`Event::VERSION`] and brings an upcaster for the older form; the
//! meaning of an event never changes.

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use cqrs_es::persist::{EventUpcaster, SerializedEvent};

/// An event of one of the aggregates.
pub trait Event: DomainEvent {
    /// The version of the form in which events of this aggregate are written.
    const VERSION: i32 = 1;

    /// The event's name, past tense, snake case: `posted`.
    fn kind(&self) -> &'static str;

    /// When the event took effect, where that was said and is not simply when it was recorded.
    fn effective_at(&self) -> Option<DateTime<Utc>> {
        None
    }

    /// What brings older forms to the present one, oldest first.
    fn upcasters() -> Vec<Box<dyn EventUpcaster>> {
        Vec::new()
    }
}

/// Why a kept event cannot be read. A reader must stop: an event is never skipped.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The event is of a newer form than this program knows.
    #[error("event {kind:?} has version {version}, and this program knows none above {known}")]
    Newer {
        /// The event's name.
        kind: String,
        /// The version it was written with.
        version: i32,
        /// The newest version this program reads.
        known: i32,
    },
    /// The event's name or fields are not what this program knows.
    #[error("event {kind:?} cannot be read: {source}")]
    Malformed {
        /// The event's name.
        kind: String,
        /// What serde said.
        source: serde_json::Error,
    },
}

/// The fields of `event` as JSON, without its name.
///
/// # Errors
/// What serde says; our own events always serialize.
pub fn encode<E: Event>(event: &E) -> Result<String, serde_json::Error> {
    // Externally tagged: {"kind":{fields}}. The name goes to a column of its own.
    let mut json = serde_json::to_string(event)?;
    json.truncate(json.len().saturating_sub(1));
    json.drain(..event.kind().len() + 4);
    Ok(json)
}

/// Reads an event back from its name, version and fields.
///
/// # Errors
/// [`DecodeError`] where this program does not know the event.
pub fn decode<E: Event>(kind: &str, version: i32, payload: &str) -> Result<E, DecodeError> {
    let malformed = |source| DecodeError::Malformed { kind: kind.to_owned(), source };
    if version > E::VERSION {
        return Err(DecodeError::Newer { kind: kind.to_owned(), version, known: E::VERSION });
    }
    if version == E::VERSION {
        let name = serde_json::to_string(kind).map_err(malformed)?;
        return serde_json::from_str(&format!("{{{name}:{payload}}}")).map_err(malformed);
    }
    let fields = serde_json::from_str(payload).map_err(malformed)?;
    let old = SerializedEvent::new(
        String::new(),
        0,
        String::new(),
        kind.to_owned(),
        version.to_string(),
        fields,
        serde_json::Value::Null,
    );
    let new = E::upcasters().iter().fold(old, |event, upcaster| {
        if upcaster.can_upcast(&event.event_type, &event.event_version) {
            upcaster.upcast(event)
        } else {
            event
        }
    });
    let tagged = serde_json::json!({ new.event_type: new.payload });
    serde_json::from_value(tagged).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use cqrs_es::persist::SemanticVersionEventUpcaster;
    use serde::{Deserialize, Serialize};

    use super::*;

    /// An event whose second form renamed a field.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Painted {
        Painted { colour: String },
    }

    impl DomainEvent for Painted {
        fn event_type(&self) -> String {
            self.kind().to_owned()
        }
        fn event_version(&self) -> String {
            Self::VERSION.to_string()
        }
    }

    impl Event for Painted {
        const VERSION: i32 = 2;
        fn kind(&self) -> &'static str {
            "painted"
        }
        fn upcasters() -> Vec<Box<dyn EventUpcaster>> {
            let rename = |mut fields: serde_json::Value| {
                fields["colour"] = fields["color"].take();
                fields
            };
            vec![Box::new(SemanticVersionEventUpcaster::new("painted", "2", Box::new(rename)))]
        }
    }

    #[test]
    fn the_name_stands_apart_from_the_fields() {
        let event = Painted::Painted { colour: "red".into() };
        let payload = encode(&event).unwrap();
        assert_eq!(payload, r#"{"colour":"red"}"#);
        assert_eq!(decode::<Painted>("painted", 2, &payload).unwrap(), event);
    }

    #[test]
    fn an_older_form_is_brought_to_the_present_one() {
        let event = decode::<Painted>("painted", 1, r#"{"color":"blue"}"#).unwrap();
        assert_eq!(event, Painted::Painted { colour: "blue".into() });
    }

    #[test]
    fn a_newer_form_or_an_unknown_event_is_an_error() {
        assert!(matches!(decode::<Painted>("painted", 3, "{}"), Err(DecodeError::Newer { .. })));
        assert!(matches!(decode::<Painted>("sold", 2, "{}"), Err(DecodeError::Malformed { .. })));
        assert!(matches!(decode::<Painted>("painted", 2, "{"), Err(DecodeError::Malformed { .. })));
    }
}
