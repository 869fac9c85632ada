//! One partition's events from JetStream.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::{Context, Message};
use domain::Partition;
use futures_util::StreamExt;
use journal::cloudevent;
use tokio::sync::broadcast;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Projectors;
use crate::Kind;
use crate::decoded::{Decoded, decode_all};

/// The stream that the relay fills. It is the relay that creates it.
const STREAM: &str = "JOURNAL";
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Events of a partition, read once, in the order in which they came.
pub(super) type Batch = Arc<[Arc<Decoded>]>;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Feeds until told to stop. When JetStream fails, or was wiped, it begins again with a consumer that may be new;
/// what it misses meanwhile the projectors take from the journal.
pub(super) async fn run(
    projectors: Projectors,
    partition: Partition,
    batches: broadcast::Sender<Batch>,
    stop: CancellationToken,
) {
    let Some(context) = projectors.nats.clone() else {
        // The sender is kept: a closed channel would look like a fault.
        stop.cancelled().await;
        return;
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let mut fed = false;
        let session = feed(&projectors, &context, partition, &batches, &mut fed);
        let error = tokio::select! {
            () = stop.cancelled() => return,
            ended = session => match ended {
                Ok(()) => "the subscription ended".into(),
                Err(error) => error,
            },
        };
        tracing::debug!(%partition, %error, "the feed from JetStream is interrupted");
        pause = if fed { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause) => {}
        }
    }
}

async fn feed(
    projectors: &Projectors,
    context: &Context,
    partition: Partition,
    batches: &broadcast::Sender<Batch>,
    fed: &mut bool,
) -> Result<(), Failure> {
    let size = projectors.settings.batch;
    let consumer = consumer(context, partition).await?;
    let messages = consumer
        .stream()
        .max_messages_per_batch(size)
        .heartbeat(Duration::from_secs(5))
        .expires(Duration::from_secs(15))
        .messages()
        .await?;
    // Whatever is there already makes one batch; nothing waits for more.
    let mut chunks = messages.ready_chunks(size);
    while let Some(chunk) = chunks.next().await {
        let (messages, failure) = split(chunk);
        if let Some(last) = messages.last() {
            let batch = decode(projectors, partition, &messages);
            if !batch.is_empty() {
                // Without a receiver there is nobody to miss it.
                let _ = batches.send(batch);
            }
            last.ack().await?;
            *fed = true;
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
    }
    Ok(())
}

/// The messages before the first failure, and the failure.
fn split<E: Into<Failure>>(chunk: Vec<Result<Message, E>>) -> (Vec<Message>, Option<Failure>) {
    let mut messages = Vec::with_capacity(chunk.len());
    for item in chunk {
        match item {
            Ok(message) => messages.push(message),
            Err(error) => return (messages, Some(error.into())),
        }
    }
    (messages, None)
}

/// Reads what at least one read model does not have yet. A message that is not an event leaves a gap, and the
/// journal fills it.
fn decode(projectors: &Projectors, partition: Partition, messages: &[Message]) -> Batch {
    let marks = Kind::ALL.map(|kind| projectors.progress.mark(kind, partition).position);
    let known = marks.into_iter().min().unwrap_or(0);
    let mut events = Vec::with_capacity(messages.len());
    for message in messages {
        match cloudevent::decode(&message.payload) {
            Ok(event) if event.partition == partition && event.position > known => events.push(event),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%partition, %error, "a message in JetStream is not an event");
            }
        }
    }
    decode_all(events).into()
}

async fn consumer(context: &Context, partition: Partition) -> Result<PullConsumer, Failure> {
    let stream = context.get_stream_no_info(STREAM).await?;
    let name = format!("projections-{partition}");
    let config = pull::Config {
        durable_name: Some(name.clone()),
        description: Some("feeds the read models".to_owned()),
        filter_subject: format!("journal.{partition}.>"),
        ack_policy: AckPolicy::All,
        // What is older the projectors take from the journal, in larger bites.
        deliver_policy: DeliverPolicy::New,
        max_ack_pending: 10_000,
        ..pull::Config::default()
    };
    Ok(stream.get_or_create_consumer(&name, config).await?)
}
