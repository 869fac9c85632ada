use std::time::Duration;

use async_nats::jetstream;
use commands::STREAM;
use journal::cloudevent;
use tokio_util::sync::CancellationToken;

use crate::support::ledger::{Ledger, transfer};
use crate::world::{
    NEVER, Running, assert_equal_to_the_fold, assert_verified, caught_up, eventually, listening, nats,
    neighbour, traffic,
};

/// The usual tick.
const TICK: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread")]
async fn every_view_equals_the_fold_of_the_journal() {
    let ledger = Ledger::funded(&["a"]).await;
    let (_nats, client) = nats().await;
    let context = jetstream::new(client.clone());
    let (ledger, relay) = ledger.relayed(client).await;
    let stop = CancellationToken::new();
    let relay = tokio::spawn(relay.run(stop.clone()));
    let running = Running::start(&ledger, Some(context.clone()), TICK).await;
    listening(&ledger, &context).await;
    let (near, far) = (neighbour(&ledger, true).await, neighbour(&ledger, false).await);
    for round in 0..3 {
        tokio::join!(traffic(&ledger, round), traffic(&near, round), traffic(&far, round));
    }
    caught_up(&ledger).await;
    let reader = running.reader(&ledger).await;
    for tenant in [&ledger, &near, &far] {
        assert_equal_to_the_fold(tenant, &reader).await;
    }
    assert_verified(&ledger).await;
    running.stop().await;
    stop.cancel();
    relay.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn jetstream_alone_brings_every_event() {
    let ledger = Ledger::funded(&["a"]).await;
    let (_nats, client) = nats().await;
    let context = jetstream::new(client.clone());
    let (ledger, relay) = ledger.relayed(client).await;
    let stop = CancellationToken::new();
    let relay = tokio::spawn(relay.run(stop.clone()));
    let running = Running::start(&ledger, Some(context.clone()), NEVER).await;
    listening(&ledger, &context).await;
    traffic(&ledger, 0).await;
    caught_up(&ledger).await;
    assert_equal_to_the_fold(&ledger, &running.reader(&ledger).await).await;
    running.stop().await;
    stop.cancel();
    relay.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_nats_the_tick_brings_every_event() {
    let ledger = Ledger::funded(&["a"]).await;
    let running = Running::start(&ledger, None, TICK).await;
    for round in 0..2 {
        traffic(&ledger, round).await;
        caught_up(&ledger).await;
        assert_equal_to_the_fold(&ledger, &running.reader(&ledger).await).await;
    }
    assert_verified(&ledger).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_stream_loses_nothing_and_is_listened_to_again() {
    let ledger = Ledger::funded(&["a"]).await;
    let (_nats, client) = nats().await;
    let context = jetstream::new(client.clone());
    let (ledger, relay) = ledger.relayed(client).await;
    let stop = CancellationToken::new();
    let relay = tokio::spawn(relay.run(stop.clone()));
    let running = Running::start(&ledger, Some(context.clone()), TICK).await;
    listening(&ledger, &context).await;
    traffic(&ledger, 0).await;
    context.delete_stream(STREAM).await.unwrap();
    traffic(&ledger, 1).await;
    caught_up(&ledger).await;
    listening(&ledger, &context).await;
    traffic(&ledger, 2).await;
    caught_up(&ledger).await;
    eventually("the new stream feeds the projectors", async || {
        let stream = context.get_stream(STREAM).await.unwrap();
        let name = format!("feed-{}", ledger.partition());
        stream.consumer_info(&name).await.unwrap().delivered.consumer_sequence > 0
    })
    .await;
    assert_equal_to_the_fold(&ledger, &running.reader(&ledger).await).await;
    assert_verified(&ledger).await;
    running.stop().await;
    stop.cancel();
    relay.await.unwrap();
}

/// Publishes events as they come, once more where they were published before.
async fn publish(context: &jetstream::Context, events: &[journal::Recorded]) {
    for event in events {
        let message = cloudevent::encode(event).unwrap();
        context.publish(cloudevent::subject(event), message.into()).await.unwrap().await.unwrap();
    }
}

/// Waits until the projectors have taken all messages of the ledger's partition.
async fn taken(ledger: &Ledger, context: &jetstream::Context) {
    let name = format!("feed-{}", ledger.partition());
    eventually("every message is taken", async || {
        let stream = context.get_stream(STREAM).await.unwrap();
        let info = stream.consumer_info(&name).await.unwrap();
        info.num_pending == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_and_gaps_and_rubbish_have_no_effect() {
    let ledger = Ledger::funded(&["a"]).await;
    // Before there is anybody to listen: these are never published in time.
    traffic(&ledger, 0).await;
    let (_nats, client) = nats().await;
    let context = jetstream::new(client);
    let stream = jetstream::stream::Config {
        name: STREAM.into(),
        subjects: vec!["journal.>".into()],
        ..jetstream::stream::Config::default()
    };
    context.create_stream(stream).await.unwrap();
    let running = Running::start(&ledger, Some(context.clone()), NEVER).await;
    let reader = running.reader(&ledger).await;
    listening(&ledger, &context).await;
    caught_up(&ledger).await;
    assert_equal_to_the_fold(&ledger, &reader).await;

    let old = ledger.events().await;
    publish(&context, &old).await;
    publish(&context, &old[old.len() / 2..]).await;
    let subject = format!("journal.{}.x.wallet.posted", ledger.partition());
    context.publish(subject, "rubbish".into()).await.unwrap().await.unwrap();
    taken(&ledger, &context).await;
    assert_equal_to_the_fold(&ledger, &reader).await;

    // Of the next ones only the last is published, and then everything again backwards.
    traffic(&ledger, 1).await;
    let mut events = ledger.events().await;
    publish(&context, &events[events.len() - 1..]).await;
    caught_up(&ledger).await;
    events.reverse();
    publish(&context, &events).await;
    taken(&ledger, &context).await;
    ledger.submit(transfer("a", "b", "0.01")).await.unwrap();
    publish(&context, &ledger.events().await[events.len()..]).await;
    caught_up(&ledger).await;
    assert_equal_to_the_fold(&ledger, &reader).await;
    assert_verified(&ledger).await;
    running.stop().await;
}
