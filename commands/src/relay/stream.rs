//! What the relay asks of JetStream: the stream itself, how far it has a partition, and whether it is whole.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, LastRawMessageErrorKind, StorageType, Stream};
use futures_util::TryStreamExt as _;

use super::{Lane, RelayError, STREAM, nats};

/// How long the server remembers the ids of messages: as short as it allows, for after a purge they are sent again.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

/// What tells one stream from another of the same name: when it was made.
pub(super) type Made = i128;

fn made(stream: &Stream) -> Made {
    stream.cached_info().created.unix_timestamp_nanos()
}

impl Lane {
    /// How far JetStream has this partition, which is then whole up to there.
    pub(super) async fn resume(&self) -> Result<(i64, Made), RelayError> {
        let stream = self.stream().await?;
        let subject = format!("journal.{}.>", self.partition);
        let mut at = self.last(&stream, &subject).await?;
        let mut counts = stream.info_with_subjects(&subject).await.map_err(nats)?;
        let mut messages = 0_usize;
        while let Some((_, count)) = counts.try_next().await.map_err(nats)? {
            messages = messages.saturating_add(count);
        }
        if i64::try_from(messages).unwrap_or(i64::MAX) != at {
            tracing::warn!(partition = %self.partition, messages, last = at, "the stream is not whole; filling it again");
            stream.purge().filter(&subject).await.map_err(nats)?;
            // Until the server has forgotten the ids of what was there.
            tokio::time::sleep(DUPLICATE_WINDOW * 3).await;
            at = 0;
        }
        let head = self.journal.head(self.partition).await?.position;
        if at > head {
            return Err(RelayError::Ahead { partition: self.partition, stream: at, journal: head });
        }
        Ok((at, made(&stream)))
    }

    /// The position of the partition's last message; 0 where there is none.
    async fn last(&self, stream: &Stream, subject: &str) -> Result<i64, RelayError> {
        match stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => {
                let id = message.headers.get("Nats-Msg-Id").map(ToString::to_string).unwrap_or_default();
                let own = id.strip_prefix(&format!("{}-", self.partition));
                own.and_then(|position| position.parse().ok()).ok_or(RelayError::Message(id))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(0),
            Err(error) => Err(nats(error)),
        }
    }

    /// Whether the stream is the one we began with, and still ends where we left it.
    pub(super) async fn unchanged(&self, at: i64, began: Made) -> Result<bool, RelayError> {
        let stream = self.stream().await?;
        let subject = format!("journal.{}.>", self.partition);
        Ok(made(&stream) == began && self.last(&stream, &subject).await? == at)
    }

    /// The stream, made where it is not there.
    async fn stream(&self) -> Result<Stream, RelayError> {
        let own = format!("counterfoil {}", self.journal.database_id());
        let config = Config {
            name: STREAM.to_owned(),
            description: Some(own.clone()),
            subjects: vec!["journal.>".to_owned()],
            storage: StorageType::File,
            duplicate_window: DUPLICATE_WINDOW,
            ..Config::default()
        };
        let stream = self.context.get_or_create_stream(config).await.map_err(nats)?;
        let found = stream.cached_info().config.description.clone().unwrap_or_default();
        if found == own { Ok(stream) } else { Err(RelayError::Foreign { found, own }) }
    }
}
