//! One partition's events from JetStream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::Partition;
use journal::{Store, cloudevent};
use tokio::sync::broadcast;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::source::{Arrived, Source, SourceError, Subscription};
use super::{Runtime, Views};
use crate::Kind;
use crate::decoded::{Decoded, decode_all};

/// From how many events at a time on the feed is busy.
const BUSY: usize = 32;
/// How long events gather after a batch, unless a reader waits for them and the feed is not busy. Each batch costs
/// every read model a transaction, however small it is.
const GATHER: Duration = Duration::from_millis(20);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Events of a partition, read once, in the order in which they came.
pub(super) type Batch = Arc<[Arc<Decoded>]>;

/// Feeds until told to stop. When JetStream fails, or was wiped, it begins again with a consumer that may be new;
/// what it misses meanwhile the projectors take from the journal.
pub(super) async fn run<S: Store, V: Views, F: Source>(
    runtime: Runtime<S, V, F>,
    partition: Partition,
    batches: broadcast::Sender<Batch>,
    stop: CancellationToken,
) {
    let Some(source) = runtime.source.clone() else {
        // The sender is kept: a closed channel would look like a fault.
        stop.cancelled().await;
        return;
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let mut fed = false;
        let session = feed(&runtime, &source, partition, &batches, &mut fed);
        let error = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            ended = session => match ended {
                Ok(()) => SourceError("the subscription ended".to_owned()),
                Err(error) => error,
            },
        };
        tracing::debug!(%partition, %error, "the feed from JetStream is interrupted");
        pause = if fed { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep(pause) => {}
        }
    }
}

async fn feed<S: Store, V: Views, F: Source>(
    runtime: &Runtime<S, V, F>,
    source: &F,
    partition: Partition,
    batches: &broadcast::Sender<Batch>,
    fed: &mut bool,
) -> Result<(), SourceError> {
    let size = runtime.settings.batch;
    let mut subscription = source.subscribe(partition, size).await?;
    // Whatever is there already makes one batch. A full one has more behind it.
    while let Some(Arrived { messages, failure }) = subscription.next().await {
        let count = messages.len();
        if !messages.is_empty() {
            let batch = decode(runtime, partition, &messages);
            if !batch.is_empty() {
                // Without a receiver there is nobody to miss it.
                let _ = batches.send(batch);
            }
            *fed = true;
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        if count < size {
            tokio::select! {
                () = sleep(GATHER) => {}
                () = runtime.progress.wanted(partition), if count < BUSY => {}
            }
        }
    }
    Ok(())
}

/// Reads what at least one read model does not have yet. A message that is not an event leaves a gap, and the
/// journal fills it.
fn decode<S, V, F>(runtime: &Runtime<S, V, F>, partition: Partition, messages: &[Bytes]) -> Batch {
    let marks = Kind::ALL.map(|kind| runtime.progress.mark(kind, partition).position);
    let known = marks.into_iter().min().unwrap_or(0);
    let mut events = Vec::with_capacity(messages.len());
    for message in messages {
        match cloudevent::decode(message) {
            Ok(event) if event.partition == partition && event.position > known => events.push(event),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%partition, %error, "a message in JetStream is not an event");
            }
        }
    }
    decode_all(events).into()
}
