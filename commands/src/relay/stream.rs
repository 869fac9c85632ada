//! The stream of a nats-server: how far it has a partition, and whether it is whole.

use std::time::Duration;

use async_nats::header::{
    HeaderMap, HeaderName, NATS_EXPECTED_LAST_MESSAGE_ID, NATS_EXPECTED_LAST_SEQUENCE, NATS_MESSAGE_ID,
};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::{
    Config, LastRawMessageError, LastRawMessageErrorKind, StorageType, Stream,
};
use async_nats::jetstream::{self, Context};
use domain::Partition;
use futures_util::TryStreamExt as _;
use journal::{Store, cloudevent};

use super::publish::End;
use super::{
    Acknowledged, Broker, BrokerError, Described, IN_FLIGHT, Lane, Message, RelayError, STREAM, Taken,
};

/// How long the server remembers the ids of messages: as short as it allows, for after a purge they are sent again.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

/// How long a request may take. A server that was killed meanwhile never answers.
const REQUEST: Duration = Duration::from_secs(2);

fn nats(error: impl std::fmt::Display) -> BrokerError {
    BrokerError(error.to_string())
}

/// The stream [`STREAM`] of a nats-server.
#[derive(Debug, Clone)]
pub struct JetStream {
    client: async_nats::Client,
    context: Context,
}

impl JetStream {
    /// The stream over `client`.
    pub fn new(client: async_nats::Client) -> Self {
        let mut context = jetstream::new(client.clone());
        context.set_timeout(REQUEST);
        Self { client, context }
    }

    async fn handle(&self) -> Result<Stream<()>, BrokerError> {
        self.context.get_stream_no_info(STREAM).await.map_err(nats)
    }
}

fn subjects(partition: Partition) -> String {
    format!("journal.{partition}.>")
}

fn found(message: Result<StreamMessage, LastRawMessageError>) -> Result<Option<Taken>, BrokerError> {
    match message {
        Ok(message) => {
            let id = message.headers.get("Nats-Msg-Id").map(ToString::to_string).unwrap_or_default();
            Ok(Some(Taken { sequence: message.sequence, id }))
        }
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(nats(error)),
    }
}

/// What goes with a message that the server is to take only where `condition` names the stream's last message.
fn headers(id: &str, (condition, last): (HeaderName, &str)) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, id);
    headers.insert("Content-Type", cloudevent::CONTENT_TYPE);
    headers.insert(condition, last);
    headers
}

impl Broker for JetStream {
    async fn stream(&self, description: &str) -> Result<Described, BrokerError> {
        let config = Config {
            name: STREAM.to_owned(),
            description: Some(description.to_owned()),
            subjects: vec!["journal.>".to_owned()],
            storage: StorageType::File,
            duplicate_window: DUPLICATE_WINDOW,
            ..Config::default()
        };
        let stream = self.context.get_or_create_stream(config).await.map_err(nats)?;
        let info = stream.cached_info();
        let description = info.config.description.clone().unwrap_or_default();
        let made = info.created.unix_timestamp_nanos();
        Ok(Described { made, description, last: info.state.last_sequence })
    }

    async fn last(&self, partition: Partition) -> Result<Option<Taken>, BrokerError> {
        found(self.handle().await?.get_last_raw_message_by_subject(&subjects(partition)).await)
    }

    async fn first(&self, partition: Partition, sequence: u64) -> Result<Option<Taken>, BrokerError> {
        found(self.handle().await?.get_first_raw_message_by_subject(&subjects(partition), sequence).await)
    }

    async fn count(&self, partition: Partition) -> Result<usize, BrokerError> {
        let stream = self.handle().await?;
        let mut counts = stream.info_with_subjects(subjects(partition)).await.map_err(nats)?;
        let mut messages = 0_usize;
        while let Some((_, count)) = counts.try_next().await.map_err(nats)? {
            messages = messages.saturating_add(count);
        }
        Ok(messages)
    }

    async fn purge(&self, partition: Partition) -> Result<(), BrokerError> {
        self.handle().await?.purge().filter(subjects(partition)).await.map_err(nats)?;
        Ok(())
    }

    async fn publish(&self, last: u64, run: Vec<Message>) -> Result<Acknowledged, BrokerError> {
        let (mut behind, mut reply) = ((NATS_EXPECTED_LAST_SEQUENCE, last.to_string()), None);
        let length = run.len();
        for (index, Message { subject, id, payload }) in run.into_iter().enumerate() {
            let headers = headers(&id, (behind.0, &behind.1));
            if index + 1 < length {
                self.client.publish_with_headers(subject, headers, payload).await.map_err(nats)?;
            } else {
                let sent = self.context.publish_with_headers(subject, headers, payload);
                reply = Some(sent.await.map_err(nats)?);
            }
            behind = (NATS_EXPECTED_LAST_MESSAGE_ID, id);
        }
        let reply = reply.ok_or_else(|| BrokerError("there is nothing to publish".to_owned()))?;
        let PublishAck { sequence, duplicate, .. } = reply.await.map_err(nats)?;
        Ok(Acknowledged { sequence, duplicate })
    }
}

/// The end of a partition in the stream, up to which it is in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) made: i128,
    pub(super) position: i64,
    pub(super) sequence: u64,
    /// For which [`End::asked`] the stream was known to have the partition up to `position` and no further.
    pub(super) seen: Option<u64>,
}

impl<S: Store, B: Broker> Lane<S, B> {
    /// How far JetStream has this partition, which is then whole up to there.
    pub(super) async fn resume(&mut self) -> Result<Known, RelayError> {
        let made = self.end().await?.made;
        let (mut position, mut sequence) = self.last().await?;
        if !self.whole(position).await? || !self.in_order(made, position, sequence).await? {
            tracing::warn!(partition = %self.partition, last = position, "the stream is not whole; filling it again");
            self.broker.purge(self.partition).await?;
            // Until the server has forgotten the ids of what was there.
            tokio::time::sleep(DUPLICATE_WINDOW * 3).await;
            (position, sequence) = (0, 0);
        }
        let head = self.journal.head(self.partition).await?.position;
        if position > head {
            return Err(RelayError::Ahead { partition: self.partition, stream: position, journal: head });
        }
        let known = Known { made, position, sequence, seen: None };
        self.known = Some(known);
        Ok(known)
    }

    /// The partition's last message: its position, 0 where there is none, and its place in the stream.
    pub(super) async fn last(&self) -> Result<(i64, u64), RelayError> {
        let Some(Taken { sequence, id }) = self.broker.last(self.partition).await? else {
            return Ok((0, 0));
        };
        Ok((self.position(&id).ok_or(RelayError::Message(id))?, sequence))
    }

    fn position(&self, id: &str) -> Option<i64> {
        id.strip_prefix(&format!("{}-", self.partition))?.parse().ok()
    }

    /// Whether the stream has as many messages as there are events up to `at`.
    pub(super) async fn whole(&self, at: i64) -> Result<bool, RelayError> {
        let messages = self.broker.count(self.partition).await?;
        Ok(i64::try_from(messages).unwrap_or(i64::MAX) == at)
    }

    /// Whether what came behind the last message that was acknowledged is in order up to the last one, which is at
    /// `at` and has the place `last` in the stream: no more than was on the way at once. Where nothing is known of
    /// acknowledgements, a program that ended may have left as much on the way.
    async fn in_order(&self, made: i128, at: i64, last: u64) -> Result<bool, RelayError> {
        let known = self.known.filter(|known| known.made == made);
        let partitions = u64::try_from(self.journal.partition_count().0).unwrap_or(u64::MAX);
        let in_flight = partitions.saturating_mul(u64::try_from(IN_FLIGHT).unwrap_or(u64::MAX));
        let mut sequence = known.map_or(last.saturating_sub(in_flight), |known| known.sequence);
        let mut position = known.map(|known| known.position);
        while let Some(next) = self.broker.first(self.partition, sequence + 1).await? {
            let found = self.position(&next.id);
            if found.is_none() || position.is_some_and(|before| found != Some(before + 1)) {
                return Ok(false);
            }
            (position, sequence) = (found, next.sequence);
        }
        Ok(position.unwrap_or(0) == at)
    }

    /// Whether the stream is the one we began with, and still ends where we left it.
    pub(super) async fn unchanged(&self, at: i64, began: Known) -> Result<bool, RelayError> {
        Ok(self.end().await?.made == began.made && self.last().await?.0 == at)
    }

    /// Which stream it is, and where it ends. It is made where it is not there.
    pub(super) async fn end(&self) -> Result<End, RelayError> {
        let own = format!("counterfoil {}", self.journal.database_id());
        let Described { made, description, last } = self.broker.stream(&own).await?;
        if description == own {
            Ok(End { made, sequence: last, asked: last })
        } else {
            Err(RelayError::Foreign { found: description, own })
        }
    }
}
