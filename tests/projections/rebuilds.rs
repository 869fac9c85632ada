use std::time::Duration;

use domain::WalletPath;
use journal::Role;
use projections::{Kind, RebuildError, RebuildReport, TransactionFilter, VerifyError, rebuild, verify};
use sqlx::PgPool;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::support::ledger::{Ledger, transfer};
use crate::world::{
    Running, assert_equal_to_the_fold, assert_verified, caught_up, eventually, neighbour, traffic, verifier,
};

const TICK: Duration = Duration::from_millis(50);

/// Rebuilds without surprises.
async fn rebuilt(ledger: &Ledger, kind: Kind) -> RebuildReport {
    rebuild(kind, ledger.database.options(), &ledger.journal, |_| {}).await.unwrap()
}

/// Schemas that a rebuild has left behind.
async fn leftovers(owner: &PgPool) -> Vec<String> {
    sqlx::query_scalar("SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'rebuild%'")
        .fetch_all(owner)
        .await
        .unwrap()
}

/// Reads until stopped; every answer has to be a true one. Returns how many there were.
async fn keep_reading(ledger: &Ledger, reader: projections::Reader, stop: &CancellationToken) -> u64 {
    let questions = reader.tenant(ledger.tenant);
    let a = WalletPath::new("a").unwrap();
    let (mut answers, mut seen, mut sequence) = (0, 0, 0);
    while !stop.is_cancelled() {
        let books = questions.trial_balance().await.unwrap();
        assert!(books.value.iter().all(|asset| asset.difference == "0.00") && !books.value.is_empty());
        assert!(books.position.position >= seen, "a later question has no older answer");
        seen = books.position.position;
        let wallet = questions.wallet(&a).await.unwrap().value.unwrap();
        assert!(wallet.sequence >= sequence);
        sequence = wallet.sequence;
        let newest = questions.transactions(&TransactionFilter::default(), None, 1).await.unwrap();
        assert!(newest.value.first().unwrap().position <= newest.position.position);
        answers += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn rebuilds_go_on_beside_writers_and_readers() {
    let ledger = Ledger::funded(&["a"]).await;
    let far = neighbour(&ledger, false).await;
    traffic(&ledger, 0).await;
    traffic(&far, 0).await;
    let running = Running::start(&ledger, None, TICK).await;
    caught_up(&ledger).await;
    let (reader, stop) = (running.reader(&ledger).await, CancellationToken::new());
    let writing = async {
        let mut written = 0;
        while !stop.is_cancelled() {
            ledger.submit(transfer("a", "b", "0.01")).await.unwrap();
            far.submit(transfer("a", "b", "0.01")).await.unwrap();
            written += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        written
    };
    let rebuilding = async {
        for kind in Kind::ALL {
            let report = rebuilt(&ledger, kind).await;
            assert_eq!((report.differences, report.not_compared), (vec![], None), "{kind:?}");
            assert_eq!(report.projection, kind);
            verify(&verifier(&ledger).await, &ledger.journal, |_| {}).await.unwrap();
        }
        stop.cancel();
    };
    let (written, answers, ()) =
        tokio::join!(writing, keep_reading(&ledger, reader.clone(), &stop), rebuilding);
    assert!(written > 0 && answers > 0);
    caught_up(&ledger).await;
    assert_equal_to_the_fold(&ledger, &reader).await;
    assert_equal_to_the_fold(&far, &reader).await;
    assert_verified(&ledger).await;
    // Nobody sees more than before the tables were swapped.
    let bare = ledger.database.pool(Role::Reader, 1).await;
    for table in ["tenants", "assets", "balances", "transactions", "snapshots"] {
        let rows: i64 =
            sqlx::query_scalar(&format!("SELECT count(*) FROM {table}")).fetch_one(&bare).await.unwrap();
        assert_eq!(rows, 0, "{table} without a tenant");
    }
    assert!(leftovers(&ledger.database.pool(Role::Owner, 1).await).await.is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_row_is_found_by_verify_and_repaired_by_a_rebuild() {
    let ledger = Ledger::funded(&["a"]).await;
    traffic(&ledger, 0).await;
    let running = Running::start(&ledger, None, TICK).await;
    caught_up(&ledger).await;
    let owner = ledger.database.pool(Role::Owner, 1).await;
    let reader = running.reader(&ledger).await;
    // The report of a rebuild compares counts and sums; `verify` compares every row.
    for (kind, harm, named, reported) in [
        (Kind::Balances, "UPDATE views.balances SET posted = posted + 1 WHERE path = 'b'", "(b)", true),
        (Kind::Balances, "DELETE FROM views.balances WHERE path = 'b'", "the wallets of partition", true),
        (Kind::Transactions, "DELETE FROM views.transactions WHERE status = 'pending'", "transaction", true),
        (
            Kind::Transactions,
            "UPDATE views.transactions SET state = jsonb_set(state, '{status}', '\"posted\"')
             WHERE status = 'pending'",
            "transaction",
            false,
        ),
        (Kind::Tenants, "UPDATE views.assets SET scale = 3 WHERE code = 'USD'", "USD", false),
    ] {
        assert!(sqlx::query(harm).execute(&owner).await.unwrap().rows_affected() > 0, "{harm}");
        let verified = verify(&verifier(&ledger).await, &ledger.journal, |_| {}).await;
        let Err(VerifyError::Difference(difference)) = verified else { panic!("{harm}: {verified:?}") };
        assert!(difference.place.contains(named), "{harm}: {difference}");
        let report = rebuilt(&ledger, kind).await;
        assert_eq!(!report.differences.is_empty(), reported, "{harm}: {report:?}");
        assert_verified(&ledger).await;
        assert_equal_to_the_fold(&ledger, &reader).await;
    }
    traffic(&ledger, 1).await;
    caught_up(&ledger).await;
    assert_equal_to_the_fold(&ledger, &reader).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_rebuild_changes_nothing_and_the_next_one_cleans_up() {
    let ledger = Ledger::funded(&["a"]).await;
    traffic(&ledger, 0).await;
    let running = Running::start(&ledger, None, TICK).await;
    caught_up(&ledger).await;
    let owner = ledger.database.pool(Role::Owner, 1).await;
    let (first_batch, applied) = oneshot::channel();
    let mut first_batch = Some(first_batch);
    let interrupted = rebuild(Kind::Balances, ledger.database.options(), &ledger.journal, |_| {
        if let Some(first_batch) = first_batch.take() {
            first_batch.send(()).unwrap();
        }
    });
    // Dropped in the middle, as when its process is killed.
    tokio::select! {
        biased;
        told = applied => told.unwrap(),
        report = interrupted => panic!("it was not interrupted: {report:?}"),
    }
    assert_eq!(leftovers(&owner).await, ["rebuild_balances"]);
    assert_verified(&ledger).await;
    traffic(&ledger, 1).await;
    caught_up(&ledger).await;
    assert_equal_to_the_fold(&ledger, &running.reader(&ledger).await).await;

    let mut again = None;
    eventually("the interrupted rebuild's connection is gone", async || {
        match rebuild(Kind::Balances, ledger.database.options(), &ledger.journal, |_| {}).await {
            Err(RebuildError::Busy(Kind::Balances)) => false,
            report => {
                again = Some(report.unwrap());
                true
            }
        }
    })
    .await;
    assert!(again.unwrap().differences.is_empty());
    assert!(leftovers(&owner).await.is_empty());
    assert_verified(&ledger).await;
    assert_equal_to_the_fold(&ledger, &running.reader(&ledger).await).await;
    running.stop().await;
}
