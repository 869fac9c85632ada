use std::time::Duration;

use journal::{EventText, NewEvent, Position, Role};
use projections::{Kind, Progress, ProjectionStatus, Reader, State, VerifyError};
use uuid::Uuid;

use crate::support::ledger::{Ledger, amount, transfer};
use crate::world::{
    NEVER, Running, assert_equal_to_the_fold, assert_verified, caught_up, eventually, head, neighbour,
    verifier,
};

const TICK: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);

/// Appends an event to a wallet of its own that no program knows; returns its position.
async fn append_unknown(ledger: &Ledger) -> i64 {
    append(ledger, Uuid::from_u128(7), 1, "melted", "{}").await
}

/// Appends an event past the pipeline; returns its position.
async fn append(ledger: &Ledger, wallet: Uuid, sequence: i64, event_type: &str, payload: &str) -> i64 {
    let text = EventText {
        tenant_id: ledger.tenant.0,
        aggregate_type: "wallet".into(),
        aggregate_id: wallet,
        sequence,
        event_type: event_type.into(),
        event_version: 1,
        payload: payload.into(),
        effective_at: None,
        command_id: Uuid::from_u128(8),
    };
    let head = ledger.journal.head(ledger.partition()).await.unwrap();
    let event = NewEvent { text, lead: None };
    ledger.journal.append(head, ledger.clock.get(), &[event]).await.unwrap().position
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unapplicable_event_stops_its_partition_loudly_and_is_never_skipped() {
    let ledger = Ledger::funded(&["a"]).await;
    let far = neighbour(&ledger, false).await;
    let running = Running::start(&ledger, None, TICK).await;
    let reader = running.reader(&ledger).await;
    caught_up(&ledger).await;
    // A good command and the bad event are met in one batch with what comes after them.
    running.stop().await;
    ledger.submit(transfer("a", "b", "1.00")).await.unwrap();
    let at = append_unknown(&ledger).await;
    ledger.submit(transfer("a", "b", "2.00")).await.unwrap();
    far.submit(transfer("a", "b", "3.00")).await.unwrap();
    let wanted = head(&ledger).await;

    for _ in 0..2 {
        let running = Running::start(&ledger, None, TICK).await;
        let reader = running.reader(&ledger).await;
        reader.wait(head(&far).await, LONG).await.unwrap();
        far.submit(transfer("a", "b", "0.10")).await.unwrap();
        reader.wait(head(&far).await, LONG).await.unwrap();

        let pool = verifier(&ledger).await;
        let mut status = Vec::new();
        let poisoned = |one: &ProjectionStatus| {
            one.partition == wanted.partition && matches!(one.projection, Kind::Balances | Kind::Snapshots)
        };
        eventually("the poisoned ones stop, and all others go on", async || {
            status = projections::status(&pool, &ledger.journal, Some(&running.progress)).await.unwrap();
            status.iter().all(|one| match &one.state {
                State::Stopped { .. } => poisoned(one),
                state => !poisoned(one) && *state == State::Running && one.lag == 0,
            })
        })
        .await;
        for one in status.iter().filter(|one| poisoned(one)) {
            assert_eq!((one.position, one.head), (at - 1, wanted.position), "{one:?}");
            let State::Stopped { at: stopped, reason } = &one.state else { panic!("{one:?}") };
            assert_eq!(*stopped, at);
            assert!(reason.contains("melted"), "{reason}");
        }
        let lagging = reader.wait(wanted, LONG).await.unwrap_err();
        assert_eq!((lagging.kind, lagging.reached.position), (Kind::Balances, at - 1));
        assert!(lagging.stopped.unwrap().contains("melted"));
        running.stop().await;
    }

    // What came before it is there, and nothing of what came after.
    let questions = reader.tenant(ledger.tenant);
    let path = ledger.wallet("b").await.path;
    let b = questions.wallet(&path).await.unwrap();
    assert_eq!(b.value.unwrap().posted, amount("1.00"));
    assert_eq!(b.position.position, at - 1);
    let verified = projections::verify(&verifier(&ledger).await, &ledger.journal, |_| {}).await;
    let Err(VerifyError::Difference(difference)) = verified else { panic!("{verified:?}") };
    assert_eq!(difference.place, Position { position: at, ..wanted }.to_string());
    assert!(difference.found.contains("melted"), "{difference}");
    let rebuilt =
        projections::rebuild(Kind::Balances, ledger.database.options(), &ledger.journal, |_| {}).await;
    assert!(rebuilt.unwrap_err().to_string().contains("melted"));
    assert_eq!(questions.wallet(&path).await.unwrap().value.unwrap().posted, amount("1.00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_process_projects_and_another_takes_over() {
    let ledger = Ledger::funded(&["a"]).await;
    let first = Running::start(&ledger, None, TICK).await;
    eventually("the first runs", async || first.all(&ledger, &State::Running)).await;
    let second = Running::start(&ledger, None, TICK).await;
    for _ in 0..20 {
        ledger.submit(transfer("a", "b", "0.10")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(second.all(&ledger, &State::Elsewhere), "it stands by");
    }
    caught_up(&ledger).await;
    assert!(first.all(&ledger, &State::Running));

    let last = first.progress.clone();
    first.stop().await;
    let partition = ledger.partition();
    assert!(Kind::ALL.iter().all(|kind| last.mark(*kind, partition).state == State::Elsewhere));
    ledger.submit(transfer("a", "b", "0.10")).await.unwrap();
    eventually("the second takes over", async || second.all(&ledger, &State::Running)).await;
    caught_up(&ledger).await;
    assert_equal_to_the_fold(&ledger, &second.reader(&ledger).await).await;
    assert_verified(&ledger).await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_lock_is_taken_again() {
    let ledger = Ledger::funded(&["a"]).await;
    let running = Running::start(&ledger, None, TICK).await;
    eventually("they run", async || running.all(&ledger, &State::Running)).await;
    let owner = ledger.database.pool(Role::Owner, 1).await;
    let broken = sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .execute(&owner)
    .await
    .unwrap();
    assert_eq!(broken.rows_affected(), 1, "one process holds one lock");
    eventually("it is noticed", async || running.all(&ledger, &State::Elsewhere)).await;
    eventually("they run again", async || running.all(&ledger, &State::Running)).await;
    ledger.submit(transfer("a", "b", "0.10")).await.unwrap();
    caught_up(&ledger).await;
    assert_verified(&ledger).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_learns_which_read_model_lags() {
    let ledger = Ledger::funded(&["a"]).await;
    let wanted = head(&ledger).await;
    let elsewhere = Progress::new(ledger.journal.partition_count());
    let pool = ledger.database.pool(Role::Reader, 2).await;
    let outside = Reader::new(pool, ledger.journal.partition_count(), elsewhere);
    let lagging = outside.wait(wanted, SHORT).await.unwrap_err();
    assert_eq!((lagging.kind, lagging.wanted, lagging.reached.position), (Kind::Tenants, wanted, 0));
    assert_eq!(lagging.stopped, None, "it is late, not stopped");

    let running = Running::start(&ledger, None, TICK).await;
    let inside = running.reader(&ledger).await;
    inside.wait(wanted, LONG).await.unwrap();
    outside.wait(wanted, LONG).await.unwrap();

    // Somebody is in the way of one read model.
    let owner = ledger.database.pool(Role::Owner, 1).await;
    let mut transaction = journal::begin(&owner, None).await.unwrap();
    sqlx::query("LOCK TABLE views.transactions IN SHARE MODE").execute(&mut *transaction).await.unwrap();
    ledger.submit(transfer("a", "b", "1.00")).await.unwrap();
    let later = head(&ledger).await;
    eventually("the others are there", async || {
        running.progress.mark(Kind::Tenants, later.partition).position == later.position
            && running.progress.mark(Kind::Balances, later.partition).position == later.position
    })
    .await;
    for reader in [&inside, &outside] {
        reader.wait(wanted, SHORT).await.unwrap();
        let lagging = reader.wait(later, SHORT).await.unwrap_err();
        assert_eq!((lagging.kind, lagging.wanted, lagging.reached), (Kind::Transactions, later, wanted));
        assert_eq!(lagging.stopped, None);
        assert!(lagging.to_string().contains("transactions"), "{lagging}");
    }
    transaction.commit().await.unwrap();
    inside.wait(later, LONG).await.unwrap();
    outside.wait(later, LONG).await.unwrap();

    let future = Position { position: later.position + 1, ..later };
    let lagging = inside.wait(future, SHORT).await.unwrap_err();
    assert_eq!((lagging.kind, lagging.reached), (Kind::Tenants, later));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_needs_neither_a_tick_nor_nats() {
    let ledger = Ledger::funded(&["a"]).await;
    let running = Running::start(&ledger, None, NEVER).await;
    caught_up(&ledger).await;
    assert_verified(&ledger).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_database_refuses_stops_its_partition_too() {
    let ledger = Ledger::funded(&["a"]).await;
    ledger.submit(transfer("a", "b", "1.00")).await.unwrap();
    // A wallet that is opened a second time: every event of it can be read, and its row is there already.
    let path = ledger.wallet("a").await.path;
    let stream = domain::WalletId::of(ledger.tenant, &path).0;
    let events = ledger.journal.stream(ledger.partition(), stream, i64::MAX).await.unwrap();
    let sequence = events.last().unwrap().text.sequence + 1;
    let payload = events.first().unwrap().text.payload.clone();
    let running = Running::start(&ledger, None, TICK).await;
    let reader = running.reader(&ledger).await;
    reader.wait(head(&ledger).await, LONG).await.unwrap();
    running.stop().await;
    let at = append(&ledger, stream, sequence, "opened", &payload).await;

    let running = Running::start(&ledger, None, TICK).await;
    let pool = verifier(&ledger).await;
    eventually("the balances stop at that event", async || {
        let status = projections::status(&pool, &ledger.journal, Some(&running.progress)).await.unwrap();
        status.iter().any(|one| {
            one.projection == Kind::Balances
                && matches!(&one.state, State::Stopped { at: stopped, .. } if *stopped == at)
        })
    })
    .await;
    let b = reader.tenant(ledger.tenant).wallet(&ledger.wallet("b").await.path).await.unwrap();
    assert_eq!((b.value.unwrap().posted, b.position.position), (amount("1.00"), at - 1));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_was_moved_is_where_the_work_begins_again() {
    let ledger = Ledger::funded(&["a"]).await;
    let running = Running::start(&ledger, None, TICK).await;
    caught_up(&ledger).await;
    // As if another process had begun anew: nothing that this one would add fits behind what is there now.
    let owner = ledger.database.pool(Role::Owner, 1).await;
    let mut other = journal::begin(&owner, None).await.unwrap();
    for statement in [
        "UPDATE views.checkpoints SET position = 0 WHERE projection = 'balances'",
        "DELETE FROM views.balances",
    ] {
        sqlx::query(statement).execute(&mut *other).await.unwrap();
    }
    other.commit().await.unwrap();
    ledger.submit(transfer("a", "b", "1.00")).await.unwrap();
    caught_up(&ledger).await;
    assert_equal_to_the_fold(&ledger, &running.reader(&ledger).await).await;
    assert_verified(&ledger).await;
    running.stop().await;
}
