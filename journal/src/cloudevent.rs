//! The form in which events travel: CloudEvents 1.0, structured JSON mode.
//!
//! Position, sequence and partition are extension attributes; as CloudEvents integers have 32 bits, they are
//! written as strings of decimal digits. <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md>

use chrono::{DateTime, SecondsFormat, Utc};
use domain::Partition;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{EventText, Lead, Recorded};

/// The media type of a structured `CloudEvent`.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// A message is not one of our events.
#[derive(Debug, thiserror::Error)]
pub enum CloudEventError {
    /// It is not JSON of the expected form.
    #[error("not a CloudEvent of this journal: {0}")]
    Malformed(#[from] serde_json::Error),
    /// An attribute does not have its form.
    #[error("attribute {0} is malformed")]
    Attribute(&'static str),
}

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    specversion: &'a str,
    id: String,
    source: String,
    r#type: String,
    subject: Uuid,
    time: String,
    datacontenttype: &'a str,
    tenantid: Uuid,
    aggregatetype: &'a str,
    partition: String,
    position: String,
    sequence: String,
    eventversion: String,
    commandid: Uuid,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    effectivetime: Option<DateTime<Utc>>,
    /// The metadata of the command, on its first event, as a JSON text: attributes are not objects.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    command: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The subject on which an event is published:
/// `journal.<partition>.<tenant>.<aggregate type>.<event type>`.
pub fn subject(event: &Recorded) -> String {
    let EventText { tenant_id, aggregate_type, event_type, .. } = &event.text;
    format!("journal.{}.{tenant_id}.{aggregate_type}.{event_type}", event.partition)
}

/// The id of an event's message, also its `Nats-Msg-Id`: `<partition>-<position>`.
pub fn message_id(event: &Recorded) -> String {
    format!("{}-{}", event.partition, event.position)
}

/// Writes an event as a `CloudEvent`.
///
/// # Errors
/// Where its payload is not JSON, which the journal would not have taken.
pub fn encode(event: &Recorded) -> Result<Vec<u8>, CloudEventError> {
    let text = &event.text;
    let data: &RawValue = serde_json::from_str(&text.payload)?;
    Ok(serde_json::to_vec(&Envelope {
        specversion: "1.0",
        id: message_id(event),
        source: format!("/counterfoil/partitions/{}", event.partition),
        r#type: format!("{}.{}", text.aggregate_type, text.event_type),
        subject: text.aggregate_id,
        time: event.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        datacontenttype: "application/json",
        tenantid: text.tenant_id,
        aggregatetype: &text.aggregate_type,
        partition: event.partition.to_string(),
        position: event.position.to_string(),
        sequence: text.sequence.to_string(),
        eventversion: text.event_version.to_string(),
        commandid: text.command_id,
        effectivetime: text.effective_at,
        command: event.lead.as_ref().map(|lead| lead.metadata.clone()),
        data,
    })?)
}

/// Reads an event back. Idempotency keys do not travel.
///
/// # Errors
/// [`CloudEventError`] where the message is not one of ours.
pub fn decode(message: &[u8]) -> Result<Recorded, CloudEventError> {
    let envelope: Envelope<'_> = serde_json::from_slice(message)?;
    let event_type = envelope
        .r#type
        .strip_prefix(envelope.aggregatetype)
        .and_then(|rest| rest.strip_prefix('.'))
        .ok_or(CloudEventError::Attribute("type"))?;
    let time =
        DateTime::parse_from_rfc3339(&envelope.time).map_err(|_| CloudEventError::Attribute("time"))?;
    Ok(Recorded {
        partition: Partition(number(&envelope.partition, "partition")?),
        position: number(&envelope.position, "position")?,
        recorded_at: time.to_utc(),
        text: EventText {
            tenant_id: envelope.tenantid,
            aggregate_type: envelope.aggregatetype.to_owned(),
            aggregate_id: envelope.subject,
            sequence: number(&envelope.sequence, "sequence")?,
            event_type: event_type.to_owned(),
            event_version: number(&envelope.eventversion, "eventversion")?,
            payload: envelope.data.get().to_owned(),
            effective_at: envelope.effectivetime,
            command_id: envelope.commandid,
        },
        lead: envelope.command.map(|metadata| Lead { metadata, key: None }),
    })
}

fn number<N: std::str::FromStr>(text: &str, name: &'static str) -> Result<N, CloudEventError> {
    text.parse().map_err(|_| CloudEventError::Attribute(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Recorded {
        Recorded {
            partition: Partition(3),
            position: 1841,
            recorded_at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
            text: EventText {
                tenant_id: Uuid::from_u128(1),
                aggregate_type: "wallet".into(),
                aggregate_id: Uuid::from_u128(2),
                sequence: 7,
                event_type: "posted".into(),
                event_version: 1,
                payload: r#"{"amount":"1.00"}"#.into(),
                effective_at: None,
                command_id: Uuid::from_u128(3),
            },
            lead: Some(Lead { metadata: r#"{"actor":"a \"quoted\" one"}"#.into(), key: None }),
        }
    }

    #[test]
    fn what_is_sent_is_what_is_read() {
        let event = event();
        assert_eq!(decode(&encode(&event).unwrap()).unwrap(), event);
    }

    #[test]
    fn the_required_attributes_of_cloudevents_are_there() {
        let sent: serde_json::Value = serde_json::from_slice(&encode(&event()).unwrap()).unwrap();
        assert_eq!(sent["specversion"], "1.0");
        assert_eq!(sent["id"], "3-1841");
        assert_eq!(sent["source"], "/counterfoil/partitions/3");
        assert_eq!(sent["type"], "wallet.posted");
        assert_eq!(sent["time"], "2023-11-14T22:13:20.123456Z");
        assert_eq!(sent["data"]["amount"], "1.00");
    }

    #[test]
    fn what_is_not_ours_is_an_error() {
        for message in ["", "{}", "[]", r#"{"specversion":"1.0"}"#] {
            assert!(decode(message.as_bytes()).is_err(), "{message}");
        }
    }
}
