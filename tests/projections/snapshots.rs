use std::time::Duration;

use commands::{Command, Failure};
use cqrs_es::Aggregate as _;
use domain::{Wallet, WalletId, WalletPath, event};
use journal::{Prefetched, Role, SNAPSHOT_FORM, StreamStart};
use projections::Kind;
use uuid::Uuid;

use crate::support::ledger::{Ledger, amount, transfer};
use crate::world::{Running, assert_verified, caught_up};

const TRANSFERS: usize = 449;

fn id(ledger: &Ledger, path: &str) -> Uuid {
    WalletId::of(ledger.tenant, &WalletPath::new(path).unwrap()).0
}

async fn prefetched(ledger: &Ledger, start: StreamStart) -> Prefetched {
    ledger.journal.prefetch(ledger.partition(), &[id(ledger, "long")], start).await.unwrap()
}

/// A ledger with a wallet of 450 events, the read models up to date and at rest.
async fn long() -> Ledger {
    let ledger = Ledger::with_cache(1_000).await;
    let running = Running::start(&ledger, None, Duration::from_millis(20)).await;
    let mut left = TRANSFERS;
    while left > 0 {
        let many = left.min(100);
        let transfers = (0..many).map(|_| (Command::Transact(transfer("@world", "long", "0.01")), None));
        let outcomes = ledger.run_all(transfers.collect()).await;
        assert!(outcomes.iter().all(Result::is_ok));
        left -= many;
    }
    caught_up(&ledger).await;
    running.stop().await;
    ledger
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_stream_is_its_snapshot_and_the_tail() {
    let ledger = long().await;
    let found = prefetched(&ledger, StreamStart::Snapshot { form: SNAPSHOT_FORM }).await;
    let snapshot = &found.snapshots[0];
    assert!((400..=450).contains(&snapshot.sequence), "{}", snapshot.sequence);
    let tail = found.events.iter().map(|event| event.text.sequence);
    assert!(tail.eq(snapshot.sequence + 1..=450), "the tail, and nothing else, is read");
    let mut wallet: Wallet = serde_json::from_str(&snapshot.state).unwrap();
    for text in found.events.iter().map(|event| &event.text) {
        wallet.apply(event::decode(&text.event_type, text.event_version, &text.payload).unwrap());
    }
    assert_eq!(wallet, ledger.wallet("long").await);
    assert_eq!(wallet.balance.posted, amount("4.49"));
    assert_verified(&ledger).await;

    let other = ledger.restarted().await;
    other.submit(transfer("long", "b", "4.48")).await.unwrap();
    assert!(other.submit(transfer("long", "b", "0.02")).await.is_err());
    assert_eq!(ledger.wallet("long").await.balance.posted, amount("0.01"));
    let running = Running::start(&ledger, None, Duration::from_millis(20)).await;
    caught_up(&ledger).await;
    assert_verified(&ledger).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_loads_from_the_snapshot_of_its_form_and_ignores_another() {
    let ledger = long().await;
    let owner = ledger.database.pool(Role::Owner, 1).await;
    let found = prefetched(&ledger, StreamStart::Snapshot { form: SNAPSHOT_FORM }).await;
    // A poorer wallet than the stream says: who refuses now has read the snapshot.
    let mut poor: Wallet = serde_json::from_str(&found.snapshots[0].state).unwrap();
    poor.balance.posted = amount("0.00");
    sqlx::query("UPDATE views.snapshots SET state = $2::jsonb, sequence = 450 WHERE aggregate_id = $1")
        .bind(id(&ledger, "long"))
        .bind(serde_json::to_string(&poor).unwrap())
        .execute(&owner)
        .await
        .unwrap();
    let transferred = || transfer("long", "b", "1.00");
    let refused = ledger.restarted().await.submit(transferred()).await;
    assert!(matches!(refused, Err(Failure::Rejected(_))), "{refused:?}");
    let verified =
        projections::verify(&ledger.database.pool(Role::Writer, 1).await, &ledger.journal, |_| {}).await;
    assert!(verified.unwrap_err().to_string().contains("the snapshot of stream"));

    // The same snapshot in another form is as good as none.
    sqlx::query(
        "UPDATE views.snapshots SET form = form + 1, state = '{\"rubbish\": true}' WHERE aggregate_id = $1",
    )
    .bind(id(&ledger, "long"))
    .execute(&owner)
    .await
    .unwrap();
    let found = prefetched(&ledger, StreamStart::Snapshot { form: SNAPSHOT_FORM }).await;
    assert_eq!((found.snapshots.len(), found.events.len()), (0, 450));
    ledger.restarted().await.submit(transferred()).await.unwrap();
    assert_eq!(ledger.wallet("long").await.balance.posted, amount("3.49"));
    assert_verified(&ledger).await;

    // A rebuild makes it right again.
    projections::rebuild(Kind::Snapshots, ledger.database.options(), &ledger.journal, |_| {}).await.unwrap();
    let found = prefetched(&ledger, StreamStart::Snapshot { form: SNAPSHOT_FORM }).await;
    assert_eq!(found.snapshots.len(), 1);
    ledger.restarted().await.submit(transferred()).await.unwrap();
    assert_eq!(ledger.wallet("long").await.balance.posted, amount("2.49"));
    assert_verified(&ledger).await;
}
