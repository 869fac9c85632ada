use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use commands::{Announcer, Pipeline, PipelineOptions, TransactionRequest, sweep};
use counterfoil::system::SystemIds;
use domain::transaction::TransactionStatus;
use domain::{Clock, Ids, TransactionId};
use journal::Role;
use projections::Due;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::ledger::{Ledger, TestClock, amount, transfer};
use crate::world::{Running, assert_equal_to_the_fold, assert_verified, caught_up, eventually, head};

const TICK: Duration = Duration::from_millis(50);

async fn expiries(ledger: &Ledger) -> Vec<TransactionId> {
    let events = ledger.events().await;
    let expired =
        |text: &&journal::EventText| text.aggregate_type == "transaction" && text.event_type == "expired";
    let texts = events.iter().map(|event| &event.text).filter(expired);
    texts.map(|text| TransactionId(text.aggregate_id)).collect()
}

/// A sweeper of the ledger's partition with a pipeline of its own; counts how often it looked.
async fn sweeper(ledger: &Ledger, rounds: &Arc<AtomicUsize>, stop: &CancellationToken) {
    let ids: Arc<dyn Ids> = Arc::new(SystemIds);
    let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(&ledger.clock);
    let (options, tasks) = (PipelineOptions::default(), TaskTracker::new());
    let pipeline = Pipeline::start(&ledger.journal, &clock, &ids, &options, &Announcer::silent(), &tasks);
    let due = Due::new(ledger.database.pool(Role::Writer, 1).await);
    let (partition, rounds) = (ledger.partition(), Arc::clone(rounds));
    tokio::spawn(sweep(pipeline, clock, TICK, stop.clone(), move |now| {
        let (due, rounds) = (due.clone(), Arc::clone(&rounds));
        async move {
            let found = due.due(partition, now, 100).await.map_err(|error| error.to_string());
            rounds.fetch_add(1, Ordering::Relaxed);
            Ok(found?.into_iter().map(|(tenant, id)| (tenant, commands::Due::Hold(id))).collect())
        }
    }));
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_that_nobody_touches_expire_exactly_once() {
    let ledger = Ledger::funded(&["a"]).await;
    let running = Running::start(&ledger, None, TICK).await;
    let hold = |minutes: Option<i64>| TransactionRequest {
        pending: true,
        expires_at: minutes.map(|minutes| ledger.clock.get() + TimeDelta::minutes(minutes)),
        ..transfer("a", "b", "1.00")
    };
    let mut due = Vec::new();
    for minutes in [5, 4, 3] {
        due.push(ledger.transaction(hold(Some(minutes))).await.unwrap().0);
    }
    ledger.transaction(hold(Some(60))).await.unwrap();
    ledger.transaction(hold(None)).await.unwrap();
    caught_up(&ledger).await;

    // Two of them, as if two processes swept.
    let (rounds, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
    sweeper(&ledger, &rounds, &stop).await;
    sweeper(&ledger, &rounds, &stop).await;
    let before = head(&ledger).await;
    let more_rounds = async |more: usize| {
        let seen = rounds.load(Ordering::Relaxed);
        eventually("they look again", async || rounds.load(Ordering::Relaxed) >= seen + more).await;
    };
    more_rounds(6).await;
    assert_eq!(head(&ledger).await, before, "nothing is due yet");

    ledger.clock.advance(TimeDelta::minutes(10));
    eventually("what is due expires", async || expiries(&ledger).await.len() >= due.len()).await;
    caught_up(&ledger).await;
    more_rounds(10).await;
    let mut expired = expiries(&ledger).await;
    expired.sort_unstable();
    due.sort_unstable();
    assert_eq!(expired, due, "each once, and no other");
    assert_eq!(ledger.wallet("a").await.balance.held, amount("2.00"));
    let left = Due::new(ledger.database.pool(Role::Writer, 1).await);
    assert_eq!(left.due(ledger.partition(), ledger.clock.get(), 10).await.unwrap(), []);
    let reader = running.reader(&ledger).await;
    let view = reader.tenant(ledger.tenant).transaction(due[0]).await.unwrap().value.unwrap();
    assert_eq!(view.state.status, TransactionStatus::Expired);
    assert_equal_to_the_fold(&ledger, &reader).await;
    stop.cancel();
    assert_verified(&ledger).await;
    running.stop().await;
}
