//! Others read our journal: an unmodified postgres-es loads and replays our streams.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use cqrs_es::persist::{EventStoreAggregateContext, PersistedEventStore};
use cqrs_es::{Aggregate, EventStore};
use domain::{Wallet, WalletId, WalletPath};
use postgres_es::PostgresEventRepository;
use support::ledger::{Ledger, transfer};

#[tokio::test(flavor = "multi_thread")]
async fn postgres_es_loads_and_replays_our_streams() {
    let ledger = Ledger::funded(&["a"]).await;
    for _ in 0..3 {
        ledger.submit(transfer("a", "b", "7.25")).await.unwrap();
    }
    let pool = ledger.database.pool(journal::Role::Owner, 2).await;
    let repository = PostgresEventRepository::new(pool).with_tables("journal.cqrs_events", "no_snapshots");
    let store = PersistedEventStore::<_, Wallet>::new_event_store(repository);
    let id = WalletId::of(ledger.tenant, &WalletPath::new("a").unwrap());
    let events = store.load_events(&id.to_string()).await.unwrap();
    assert_eq!(events.len(), 5, "opened, funded, and three times paid");
    let folded = events.into_iter().fold(Wallet::default(), |mut wallet, envelope| {
        wallet.apply(envelope.payload);
        wallet
    });
    assert_eq!(folded, ledger.wallet("a").await);
    let context: EventStoreAggregateContext<Wallet> = store.load_aggregate(&id.to_string()).await.unwrap();
    assert_eq!(context.aggregate, folded);
    assert_eq!(context.current_sequence, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_refuses_to_be_changed() {
    let ledger = Ledger::funded(&["a"]).await;
    let pool = ledger.database.pool(journal::Role::Owner, 1).await;
    for statement in
        ["UPDATE journal.events SET payload = '{}'", "DELETE FROM journal.events", "TRUNCATE journal.events"]
    {
        let refused = sqlx::query(statement).execute(&pool).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{statement}: {refused}");
    }
}
