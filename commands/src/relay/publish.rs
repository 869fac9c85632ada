//! Publishing in runs: one after another over all partitions, for they share a stream and its numbering.

use journal::{Recorded, Store, cloudevent};

use super::{ACKNOWLEDGEMENT, Acknowledged, Broker, IN_FLIGHT, Known, Lane, Message, RelayError};

/// Where the stream ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// Which stream: when it was made.
    pub(super) made: i128,
    /// The place of its last message, also of one that was taken out again; 0 in an empty stream.
    pub(super) sequence: u64,
    /// Where it ended when it was asked. All that is behind has been acknowledged to one of the lanes.
    pub(super) asked: u64,
}

impl<S: Store, B: Broker> Lane<S, B> {
    /// Publishes `events`, which adjoin `at`, and returns how far the stream has got.
    pub(super) async fn publish(&mut self, mut at: i64, events: &[Recorded]) -> Result<i64, RelayError> {
        for run in events.chunks(IN_FLIGHT) {
            let messages = run.iter().map(message).collect::<Result<Vec<_>, _>>()?;
            if let Some(last) = run.last() {
                self.publish_run(last.position, messages).await?;
                at = last.position;
            }
        }
        metrics::counter!("counterfoil_relay_position", "partition" => self.partition.to_string())
            .absolute(at.unsigned_abs());
        Ok(at)
    }

    /// Publishes a run whose last event is at `position`. May be dropped at any point.
    async fn publish_run(&mut self, position: i64, run: Vec<Message>) -> Result<(), RelayError> {
        let length = u64::try_from(run.len()).unwrap_or(u64::MAX);
        let message = || format!("{}-{position}", self.partition);
        let known = self.known.ok_or(RelayError::Changed)?;
        let mut shared = self.end.lock().await;
        // Taken, so that nothing is known to anybody where this run fails, or is dropped on its way.
        let end = match shared.take().filter(|end| end.made == known.made) {
            Some(end) => end,
            None => self.end().await?,
        };
        if end.made != known.made {
            return Err(RelayError::Changed);
        }
        // A message of ours that came late may be among what is not known to be a lane's; after this it is refused.
        if known.seen != Some(end.asked) && self.last().await?.0 != known.position {
            return Err(RelayError::Changed);
        }
        let published = tokio::time::timeout(ACKNOWLEDGEMENT, self.broker.publish(end.sequence, run)).await;
        let Acknowledged { sequence, duplicate } =
            published.map_err(|_| RelayError::Unacknowledged(message()))??;
        if duplicate || sequence != end.sequence.saturating_add(length) {
            return Err(RelayError::OutOfOrder(message()));
        }
        *shared = Some(End { sequence, ..end });
        self.known = Some(Known { position, sequence, seen: Some(end.asked), ..known });
        Ok(())
    }
}

fn message(event: &Recorded) -> Result<Message, cloudevent::CloudEventError> {
    Ok(Message {
        subject: cloudevent::subject(event),
        id: cloudevent::message_id(event),
        payload: cloudevent::encode(event)?.into(),
    })
}
