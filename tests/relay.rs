//! The relay with a real nats-server: every event is in JetStream once, in order, whatever happened to NATS.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::time::Duration;

use async_nats::jetstream;
use commands::{Broker as _, JetStream, Message, Relay, STREAM};
use domain::Partition;
use journal::cloudevent;
use support::Guardian;
use support::ledger::{Ledger, transfer};
use tokio_util::sync::CancellationToken;

/// A relay at work on a nats-server of its own.
struct Relayed {
    ledger: Ledger,
    nats: Guardian,
    client: async_nats::Client,
    stop: CancellationToken,
}

impl Relayed {
    async fn start() -> Self {
        let ledger = Ledger::funded(&["a"]).await;
        let nats = tokio::task::spawn_blocking(support::private_nats).await.unwrap();
        let client = connect(&nats).await;
        let (ledger, relay) = ledger.relayed(client.clone()).await;
        let stop = CancellationToken::new();
        tokio::spawn(relay.run(stop.clone()));
        Self { ledger, nats, client, stop }
    }

    /// The messages of the tenant's partition in the stream, in its order.
    async fn messages(&self) -> Vec<journal::Recorded> {
        let context = jetstream::new(self.client.clone());
        let Ok(mut stream) = context.get_stream(STREAM).await else { return Vec::new() };
        let last = stream.info().await.unwrap().state.last_sequence;
        let mut messages = Vec::new();
        for sequence in 1..=last {
            // What the relay took out to publish it anew leaves numbers behind.
            if let Ok(message) = stream.get_raw_message(sequence).await {
                messages.push(cloudevent::decode(&message.payload).unwrap());
            }
        }
        messages
    }

    /// Waits until the stream has what the journal has, and compares.
    async fn assert_equal(&self) {
        let events = self.ledger.events().await;
        let mut messages = Vec::new();
        for _ in 0..300 {
            messages = self.messages().await;
            if messages.len() >= events.len() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(messages.len(), events.len(), "one message for each event");
        for (message, event) in messages.iter().zip(&events) {
            assert_eq!((message.partition, message.position), (event.partition, event.position));
            assert_eq!(message.recorded_at, event.recorded_at);
            assert_eq!(message.text.event_type, event.text.event_type);
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(value(&message.text.payload), value(&event.text.payload));
        }
    }
}

async fn connect(nats: &Guardian) -> async_nats::Client {
    let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
    counterfoil::servers::connect_nats(&nats.nats_url(), options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_published_once_and_in_order() {
    let relayed = Relayed::start().await;
    for _ in 0..30 {
        relayed.ledger.submit(transfer("a", "b", "0.10")).await.unwrap();
    }
    relayed.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_that_fails_after_a_commit_loses_nothing() {
    let relayed = Relayed::start().await;
    relayed.assert_equal().await;
    let pid = nix::unistd::Pid::from_raw(relayed.nats.addresses().nats_pid.unwrap().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    for _ in 0..30 {
        relayed.ledger.submit(transfer("a", "b", "0.10")).await.unwrap();
    }
    relayed.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_publishing_leaves_no_hole() {
    let relayed = Relayed::start().await;
    relayed.assert_equal().await;
    for round in 0..3 {
        let requests = (0..400).map(|_| relayed.ledger.submit(transfer("a", "b", "0.01")));
        let traffic = futures_util::future::join_all(requests);
        let kill = async {
            tokio::time::sleep(Duration::from_millis(20 + 15 * round)).await;
            let pid = nix::unistd::Pid::from_raw(relayed.nats.addresses().nats_pid.unwrap().cast_signed());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        };
        let (results, ()) = tokio::join!(traffic, kill);
        assert!(results.iter().filter(|result| result.is_ok()).count() > 0);
        tokio::task::block_in_place(|| relayed.nats.restarted());
        relayed.assert_equal().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_stream_is_filled_again_from_the_journal() {
    let relayed = Relayed::start().await;
    relayed.ledger.submit(transfer("a", "b", "0.10")).await.unwrap();
    relayed.assert_equal().await;
    let context = jetstream::new(relayed.client.clone());
    context.delete_stream(STREAM).await.unwrap();
    relayed.ledger.submit(transfer("a", "b", "0.10")).await.unwrap();
    relayed.assert_equal().await;
    // Also when nothing new happens.
    context.delete_stream(STREAM).await.unwrap();
    relayed.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_starts_late_continues_where_the_stream_ends() {
    let relayed = Relayed::start().await;
    relayed.assert_equal().await;
    relayed.stop.cancel();
    let other = relayed.ledger.restarted().await;
    for _ in 0..5 {
        other.submit(transfer("a", "b", "0.10")).await.unwrap();
    }
    let (relay, _announcer) = Relay::new(other.journal.clone(), relayed.client.clone());
    tokio::spawn(relay.run(CancellationToken::new()));
    relayed.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_another_database_is_left_alone() {
    let relayed = Relayed::start().await;
    relayed.assert_equal().await;
    let count = relayed.messages().await.len();
    let (stranger, relay) = Ledger::funded(&["a"]).await.relayed(relayed.client.clone()).await;
    tokio::spawn(relay.run(CancellationToken::new()));
    stranger.submit(transfer("a", "b", "0.10")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(relayed.messages().await.len(), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_taken_at_its_own_place_or_not_at_all() {
    let nats = tokio::task::spawn_blocking(support::private_nats).await.unwrap();
    let broker = JetStream::new(connect(&nats).await);
    let partition = Partition(0);
    let run = |ids: std::ops::Range<u64>| -> Vec<Message> {
        let message = |id| {
            let (subject, id) = ("journal.0.t.wallet.posted".to_owned(), format!("0-{id}"));
            Message { subject, id, payload: "{}".into() }
        };
        ids.map(message).collect()
    };
    broker.stream("of a test").await.unwrap();
    let taken = broker.publish(0, run(1..4)).await.unwrap();
    assert_eq!((taken.sequence, taken.duplicate), (3, false));
    // Somebody else has the place, or one before it is missing: nor may the rest of the run be taken then.
    for elsewhere in [0, 2, 4] {
        broker.publish(elsewhere, run(10..13)).await.unwrap_err();
        assert_eq!(broker.count(partition).await.unwrap(), 3);
    }
    assert_eq!(broker.stream("of a test").await.unwrap().last, 3);
    // What was taken out keeps its place.
    broker.purge(partition).await.unwrap();
    assert_eq!(broker.stream("of a test").await.unwrap().last, 3);
    assert_eq!(broker.publish(3, run(20..21)).await.unwrap().sequence, 4);
    assert_eq!(broker.last(partition).await.unwrap().unwrap().id, "0-20");
    broker.publish(4, Vec::new()).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_somebody_else_took_is_noticed_and_passed() {
    let relayed = Relayed::start().await;
    relayed.assert_equal().await;
    let context = jetstream::new(relayed.client.clone());
    let copy = cloudevent::encode(&relayed.messages().await[0]).unwrap();
    let strange = context.publish("journal.strange", copy.into()).await.unwrap().await.unwrap();
    relayed.ledger.submit(transfer("a", "b", "0.10")).await.unwrap();
    let events = relayed.ledger.events().await.len();
    for _ in 0..100 {
        if relayed.messages().await.len() > events {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let stream = context.get_stream(STREAM).await.unwrap();
    assert!(stream.delete_message(strange.sequence).await.unwrap());
    relayed.assert_equal().await;
}
