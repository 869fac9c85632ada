//! The relay with a real nats-server: every event is in JetStream once, in order, whatever happened to NATS.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::time::Duration;

use async_nats::jetstream;
use commands::{Relay, STREAM};
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
