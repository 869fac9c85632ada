//! The pipeline on a real Postgres: what is acknowledged is recorded once, in order, and what is refused is not.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use commands::{Command, Failure, Outcome, Resource, TransactionRequest};
use domain::transaction::{TransactionRejection, TransactionStatus};
use domain::wallet::WalletRejection;
use domain::{Reference, WalletPath};
use futures_util::FutureExt as _;
use journal::{AppendError, EventText, NewEvent};
use support::ledger::{Ledger, amount, key, posting, transfer};

#[tokio::test(flavor = "multi_thread")]
async fn twenty_parallel_appends_are_all_there() {
    let ledger = Ledger::funded(&["a"]).await;
    let before = ledger.events().await.len();
    let posts = (0..20).map(|_| ledger.submit(transfer("a", "b", "0.01")));
    let outcomes = futures_util::future::join_all(posts).await;
    let mut positions: Vec<i64> =
        outcomes.iter().map(|one| one.as_ref().unwrap().position.position).collect();
    positions.sort_unstable();
    positions.dedup();
    assert_eq!(positions.len(), 20, "every command has a position of its own");
    let events = ledger.events().await;
    assert_eq!(events.len(), before + 61, "three events a transfer, and b was opened by the first");
    assert!(events.iter().zip(1..).all(|(event, position)| event.position == position), "no gaps");
    assert_eq!(ledger.wallet("b").await.balance.posted, amount("0.20"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_open_append_hides_no_event_from_a_reader() {
    let ledger = Ledger::funded(&["a"]).await;
    let head = ledger.journal.head(ledger.partition()).await.unwrap().position;
    // Another writer is in the middle of an append: it has taken its position and not committed yet.
    let pool = ledger.database.pool(journal::Role::Owner, 1).await;
    let mut other = journal::begin(&pool, None).await.unwrap();
    let taken = sqlx::query("UPDATE journal.heads SET position = position WHERE partition = $1")
        .bind(ledger.partition().0)
        .execute(&mut *other)
        .await
        .unwrap();
    assert_eq!(taken.rows_affected(), 1);
    let (waiting, ()) = tokio::join!(
        async {
            tokio::time::timeout(Duration::from_secs(30), ledger.submit(transfer("a", "b", "1.00"))).await
        },
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let seen = ledger.journal.read(ledger.partition(), head, 10).await.unwrap();
            assert!(seen.is_empty(), "nothing may overtake the append that is in flight");
            other.commit().await.unwrap();
        }
    );
    assert!(waiting.unwrap().is_ok());
    let seen = ledger.journal.read(ledger.partition(), head, 10).await.unwrap();
    assert_eq!(seen.first().unwrap().position, head + 1, "the reader misses nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_concurrent_settlements_of_one_hold_one_wins() {
    let ledger = Ledger::funded(&["a"]).await;
    let hold = TransactionRequest { pending: true, ..transfer("a", "b", "5.00") };
    let id = ledger.transaction(hold).await.unwrap().0;
    let settle = || ledger.run(Command::Settle { id, amounts: Some(vec![amount("3.00")]) }, None);
    let (first, second) = tokio::join!(settle(), settle());
    let refused = [first, second].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert_eq!(refused.len(), 1);
    let not_pending = TransactionRejection::NotPending(TransactionStatus::Settled);
    assert_eq!(refused[0], Failure::Rejected(not_pending.into()));
    let wallet = ledger.wallet("a").await;
    assert_eq!(wallet.balance.posted, amount("97.00"));
    assert!(wallet.balance.held.is_zero());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_reversal_has_no_second_effect() {
    let ledger = Ledger::funded(&["a"]).await;
    let id = ledger.transaction(transfer("a", "b", "5.00")).await.unwrap().0;
    let reverse = || Command::Reverse { id, amounts: None };
    let first = ledger.run(reverse(), key("refund", "1")).await.unwrap();
    let again = ledger.run(reverse(), key("refund", "1")).await.unwrap();
    assert!(again.replayed && !first.replayed);
    assert_eq!((first.resource, first.position), (again.resource, again.position));
    assert!(ledger.run(reverse(), None).await.is_err(), "without the key it is refused");
    assert_eq!(ledger.wallet("a").await.balance.posted, amount("100.00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_another_body_is_refused() {
    let ledger = Ledger::funded(&["a"]).await;
    let post = |text: &str| Command::Transact(transfer("a", "b", text));
    let first = ledger.run(post("1.00"), key("k", "one")).await.unwrap();
    assert_eq!(ledger.run(post("2.00"), key("k", "two")).await, Err(Failure::KeyReused));
    // Also when the writer has forgotten everything, and within one batch.
    let other = ledger.restarted().await;
    let again = other.run(post("1.00"), key("k", "one")).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.resource, first.resource);
    assert_eq!(other.run(post("2.00"), key("k", "two")).await, Err(Failure::KeyReused));
    let results = other
        .run_all(vec![
            (post("1.00"), key("n", "one")),
            (post("2.00"), key("n", "two")),
            (post("1.00"), key("n", "one")),
        ])
        .await;
    assert!(results[0].as_ref().is_ok_and(|one| !one.replayed));
    assert_eq!(results[1], Err(Failure::KeyReused));
    assert!(results[2].as_ref().is_ok_and(|one| one.replayed));
    assert_eq!(other.wallet("b").await.balance.posted, amount("2.00"));
}

/// The writer asks for keys beforehand only while retries are likely. Afterwards the journal's index is what finds them.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_recognised_however_long_ago_it_was_used() {
    let ledger = Ledger::funded(&["a"]).await;
    let post = |text: &str| Command::Transact(transfer("a", "b", text));
    let long_since = async |name: &str, text: &str| {
        let first = ledger.run(post(text), key(name, "one")).await.unwrap();
        for turn in 0..20 {
            ledger.run(post("0.01"), key(&format!("{name}-{turn}"), "other")).await.unwrap();
        }
        first
    };
    // Accepted again if it were not for the key, alone and among others.
    let first = long_since("k", "1.00").await;
    let again = ledger.run_all(vec![(post("1.00"), None), (post("1.00"), key("k", "one"))]).await;
    assert!(again[0].as_ref().is_ok_and(|one| !one.replayed));
    assert!(again[1].as_ref().is_ok_and(|one| one.replayed && one.resource == first.resource));
    // For another request.
    long_since("l", "1.00").await;
    assert_eq!(ledger.run(post("2.00"), key("l", "two")).await, Err(Failure::KeyReused));
    // Refused now, and for a request that would be.
    let first = long_since("m", "60.00").await;
    let again = ledger.run(post("60.00"), key("m", "one")).await.unwrap();
    assert!(again.replayed && again.resource == first.resource);
    long_since("n", "1.00").await;
    assert_eq!(ledger.run(post("99.00"), key("n", "two")).await, Err(Failure::KeyReused));
    assert_eq!(ledger.wallet("b").await.balance.posted, amount("64.80"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_command_leaves_no_trace_and_keeps_its_key_free() {
    let ledger = Ledger::funded(&["a"]).await;
    let before = ledger.events().await.len();
    let too_much = Command::Transact(transfer("a", "b", "100.01"));
    let refused = ledger.run(too_much, key("k", "x")).await.unwrap_err();
    let funds = WalletRejection::InsufficientFunds {
        path: WalletPath::new("a").unwrap(),
        available: amount("100.00"),
        needed: amount("100.01"),
    };
    assert_eq!(refused, Failure::Rejected(funds.into()));
    assert_eq!(ledger.events().await.len(), before);
    assert!(ledger.run(Command::Transact(transfer("a", "b", "1.00")), key("k", "y")).await.is_ok());
}

/// Otherwise it could be done behind a refusal that its caller was told since, at another attempt with its key.
#[tokio::test]
async fn a_command_that_was_given_up_before_it_was_decided_is_not_done() {
    let ledger = Ledger::funded(&["a"]).await;
    let attempt = || ledger.run(Command::Transact(transfer("a", "b", "1.00")), key("k", "x"));
    // In one thread the writer has no turn before this is given up.
    assert!(attempt().now_or_never().is_none(), "it waits");
    ledger.submit(transfer("a", "c", "2.00")).await.unwrap();
    assert_eq!(ledger.wallet("a").await.balance.posted, amount("98.00"));
    assert!(!attempt().await.unwrap().replayed, "its key is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_one_batch_see_each_other_and_an_atomic_one_stands_or_falls_whole() {
    let ledger = Ledger::funded(&["a"]).await;
    let results = ledger
        .run_all(vec![
            (Command::Transact(transfer("a", "b", "100.00")), None),
            (Command::Transact(transfer("a", "b", "0.01")), None),
            (Command::Transact(transfer("b", "a", "40.00")), None),
        ])
        .await;
    assert!(results[0].is_ok() && results[1].is_err() && results[2].is_ok());
    let before = ledger.events().await.len();
    let atomic = Command::Batch(vec![transfer("a", "b", "40.00"), transfer("a", "b", "0.01")]);
    let Err(Failure::Rejected(rejection)) = ledger.run(atomic, None).await else {
        panic!("the second transaction cannot be paid");
    };
    assert_eq!((rejection.index(), rejection.code()), (Some(1), "insufficient_funds"));
    assert_eq!(ledger.events().await.len(), before);
    let whole = Command::Batch(vec![transfer("a", "b", "39.00"), transfer("a", "b", "1.00")]);
    let done = ledger.run(whole.clone(), key("batch", "1")).await.unwrap();
    let replayed = ledger.restarted().await.run(whole, key("batch", "1")).await.unwrap();
    assert!(matches!(&done.resource, Resource::Transactions(made) if made.len() == 2));
    assert_eq!((replayed.resource, replayed.position), (done.resource, done.position));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_is_taken_once() {
    let ledger = Ledger::funded(&["a"]).await;
    let with_reference = || TransactionRequest {
        reference: Some(Reference::new("invoice 7").unwrap()),
        ..transfer("a", "b", "1.00")
    };
    let made = ledger.transaction(with_reference()).await.unwrap();
    assert_eq!(made.0, domain::TransactionId::of(ledger.tenant, &Reference::new("invoice 7").unwrap()));
    let refused = ledger.transaction(with_reference()).await.unwrap_err();
    assert_eq!(refused, Failure::Rejected(TransactionRejection::AlreadyExists.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_hold_gives_back_what_it_held_when_the_wallet_is_touched() {
    let ledger = Ledger::funded(&["a"]).await;
    let expires_at = Some(ledger.clock.get() + TimeDelta::seconds(60));
    let hold = TransactionRequest { pending: true, expires_at, ..transfer("a", "b", "80.00") };
    let id = ledger.transaction(hold).await.unwrap().0;
    assert!(ledger.submit(transfer("a", "b", "30.00")).await.is_err(), "the hold is in the way");
    ledger.clock.advance(TimeDelta::seconds(60));
    ledger.submit(transfer("a", "b", "30.00")).await.unwrap();
    let wallet = ledger.wallet("a").await;
    assert_eq!((wallet.balance.posted, wallet.balance.held), (amount("70.00"), amount("0.00")));
    let refused = ledger.run(Command::Settle { id, amounts: None }, None).await.unwrap_err();
    assert_eq!(refused, Failure::Rejected(TransactionRejection::HoldExpired.into()));
    let expiry = ledger.events().await.into_iter().filter(|event| event.text.event_type == "expired").count();
    assert_eq!(expiry, 3, "the transaction and both wallets");
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_time_never_runs_backwards() {
    let ledger = Ledger::funded(&["a"]).await;
    ledger.submit(transfer("a", "b", "1.00")).await.unwrap();
    ledger.clock.advance(TimeDelta::hours(-5));
    ledger.submit(transfer("a", "b", "1.00")).await.unwrap();
    let other = ledger.restarted().await;
    other.submit(transfer("a", "b", "1.00")).await.unwrap();
    let times: Vec<DateTime<Utc>> = other.events().await.iter().map(|event| event.recorded_at).collect();
    assert!(times.is_sorted());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_on_one_partition_lose_nothing() {
    let ledger = Ledger::funded(&["a"]).await;
    let other = ledger.restarted().await;
    for _ in 0..10 {
        let (one, two) =
            tokio::join!(ledger.submit(transfer("a", "b", "1.00")), other.submit(transfer("a", "b", "1.00")));
        assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    }
    assert_eq!(ledger.restarted().await.wallet("a").await.balance.posted, amount("80.00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_cache_changes_no_outcome() {
    let ledger = Ledger::with_cache(2).await;
    for number in 0..12 {
        let from = format!("w{}", number % 6);
        ledger.submit(transfer("@world", &from, "1.00")).await.unwrap();
    }
    for number in 0..6 {
        assert_eq!(ledger.wallet(&format!("w{number}")).await.balance.posted, amount("2.00"));
    }
    assert_eq!(ledger.wallet("@world").await.balance.posted, amount("-12.00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_may_wait_is_refused_at_once() {
    let ledger = Ledger::funded(&["a"]).await;
    let many = (0..=Ledger::QUEUE).map(|_| (Command::Transact(transfer("a", "b", "0.01")), None)).collect();
    let results = ledger.run_all(many).await;
    assert!(results.iter().all(|result| *result == Err(Failure::Overloaded)));
    assert!(ledger.submit(transfer("a", "b", "0.01")).await.is_ok(), "and the next one is served");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_and_changes_nothing() {
    let ledger = Ledger::funded(&["a"]).await;
    let before = ledger.events().await.len();
    let cases = [
        (transfer("a", "b", "0.001"), "amount_too_precise"),
        (transfer("a", "b", "0.00"), "amount_not_positive"),
        (transfer("a", "b", "-1.00"), "amount_not_positive"),
        (transfer("a", "a", "1.00"), "posting_to_same_wallet"),
        (TransactionRequest { open_wallets: false, ..transfer("a", "nowhere", "1.00") }, "wallet_not_found"),
        (TransactionRequest { postings: vec![], ..transfer("a", "b", "1.00") }, "postings_empty"),
        (
            TransactionRequest {
                postings: vec![posting("a", "b", "1.00", "NONE")],
                ..transfer("a", "b", "1.00")
            },
            "unknown_asset",
        ),
        (transfer("a", "b", "170141183460469231731687303715884105727"), "amount_too_large"),
    ];
    for (request, code) in cases {
        match ledger.submit(request).await {
            Err(Failure::Rejected(rejection)) => assert_eq!(rejection.code(), code),
            other => panic!("{code}: {other:?}"),
        }
    }
    assert_eq!(ledger.events().await.len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_a_reused_key_posts_nothing_at_all() {
    let ledger = Ledger::funded(&["a"]).await;
    let post = |text: &str| Command::Transact(transfer("a", "b", text));
    let first =
        ledger.run_all(vec![(post("1.00"), key("k", "one")), (post("999.00"), key("k/1", "one"))]).await;
    assert!(first[0].is_ok() && first[1].is_err(), "the second item's key is free");
    let before = ledger.events().await.len();
    let other = [("2.00", "k"), ("2.00", "k/1"), ("2.00", "k/2")];
    let other = || other.iter().map(|(text, name)| (post(text), key(name, "two"))).collect();
    for ledger in [&ledger, &ledger.restarted().await] {
        let refused = ledger.run_all(other()).await;
        assert!(refused.iter().all(|result| *result == Err(Failure::KeyReused)), "{refused:?}");
        assert_eq!(ledger.events().await.len(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_hold_of_two_payers_expires_once() {
    let ledger = Ledger::funded(&["a", "b"]).await;
    let postings = vec![posting("a", "c", "60.00", "USD"), posting("b", "c", "60.00", "USD")];
    let expires_at = Some(ledger.clock.get() + TimeDelta::seconds(1));
    let hold = TransactionRequest { pending: true, expires_at, postings, ..transfer("a", "c", "1.00") };
    let id = ledger.transaction(hold).await.unwrap().0;
    ledger.clock.advance(TimeDelta::seconds(1));
    let refused = ledger.run(Command::Settle { id, amounts: None }, None).await.unwrap_err();
    assert_eq!(refused, Failure::Rejected(TransactionRejection::HoldExpired.into()));
    ledger.submit(transfer("a", "b", "100.00")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_never_rests_on_what_another_writer_has_changed() {
    let ledger = Ledger::funded(&["a"]).await;
    let other = ledger.restarted().await;
    assert!(other.submit(transfer("a", "b", "100.01")).await.is_err());
    ledger.submit(transfer("@world", "a", "5.00")).await.unwrap();
    assert!(other.submit(transfer("a", "b", "100.01")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_behind_a_moved_head_or_under_an_old_epoch_is_refused() {
    let ledger = Ledger::funded(&["a"]).await;
    // Of a stream of its own, so that nothing but the head is in the way.
    let event = |command_id: u128| NewEvent {
        text: EventText {
            tenant_id: ledger.tenant.0,
            aggregate_type: "wallet".into(),
            aggregate_id: uuid::Uuid::from_u128(command_id),
            sequence: 1,
            event_type: "frozen".into(),
            event_version: 1,
            payload: "{}".into(),
            effective_at: None,
            command_id: uuid::Uuid::from_u128(command_id),
        },
        lead: None,
    };
    let append = async |head, id: u128| ledger.journal.append(head, ledger.clock.get(), &[event(id)]).await;
    let old = ledger.journal.head(ledger.partition()).await.unwrap();
    let moved = append(old, 1).await.unwrap();
    assert!(matches!(append(old, 2).await, Err(AppendError::HeadMoved)), "the position has moved");
    let owner = ledger.database.pool(journal::Role::Owner, 1).await;
    sqlx::query("UPDATE journal.heads SET epoch = epoch + 1 WHERE partition = $1")
        .bind(ledger.partition().0)
        .execute(&owner)
        .await
        .unwrap();
    assert!(matches!(append(moved, 3).await, Err(AppendError::HeadMoved)), "the epoch is another one");
    assert_eq!(ledger.events().await.last().unwrap().text.command_id, uuid::Uuid::from_u128(1));
    let present = ledger.journal.head(ledger.partition()).await.unwrap();
    assert_eq!((present.position, present.epoch), (moved.position, moved.epoch + 1));
    assert!(append(present, 4).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_of_different_wallets_say_where_each_event_is() {
    let ledger = Ledger::funded(&["a", "b"]).await;
    let other = ledger.restarted().await;
    let paid = |outcome: Outcome| match outcome.resource {
        Resource::Transactions(made) => (made[0].0, outcome.position.position),
        other => panic!("{other:?}"),
    };
    for _ in 0..5 {
        let (one, two) =
            tokio::join!(ledger.submit(transfer("a", "c", "1.00")), other.submit(transfer("b", "d", "1.00")));
        let (one, two) = (paid(one.unwrap()), paid(two.unwrap()));
        for (id, position) in [one, two] {
            let at = ledger.journal.read(ledger.partition(), position - 1, 1).await.unwrap();
            let payload = &at.first().unwrap().text.payload;
            assert!(
                payload.contains(&id.to_string()),
                "the last event of {id} is not at {position}: {payload}"
            );
        }
    }
    assert_eq!(ledger.wallet("c").await.balance.posted, amount("5.00"));
    assert_eq!(ledger.wallet("d").await.balance.posted, amount("5.00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_answered_before_it_is_committed_not_even_a_refusal() {
    let ledger = Ledger::funded(&["a"]).await;
    let pool = ledger.database.pool(journal::Role::Owner, 1).await;
    let mut other = journal::begin(&pool, None).await.unwrap();
    sqlx::query("SELECT FROM journal.heads WHERE partition = $1 FOR UPDATE")
        .bind(ledger.partition().0)
        .execute(&mut *other)
        .await
        .unwrap();
    let answers = ledger.run_all(vec![
        (Command::Transact(transfer("a", "b", "60.00")), None),
        (Command::Transact(transfer("a", "b", "60.00")), None),
    ]);
    tokio::pin!(answers);
    let early = tokio::time::timeout(Duration::from_millis(500), &mut answers).await;
    assert!(early.is_err(), "the append cannot have happened: {early:?}");
    other.commit().await.unwrap();
    let answers = answers.await;
    assert!(answers[0].is_ok() && answers[1].is_err(), "{answers:?}");
    assert_eq!(ledger.wallet("b").await.balance.posted, amount("60.00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_refused_command_did_is_not_seen_by_the_next_of_its_batch() {
    let ledger = Ledger::funded(&["a", "b"]).await;
    // The first posting of the refused one would be good.
    let postings = vec![posting("a", "c", "30.00", "USD"), posting("b", "c", "100.01", "USD")];
    let refused = TransactionRequest { postings, ..transfer("a", "c", "1.00") };
    let results = ledger
        .run_all(vec![
            (Command::Transact(refused), None),
            (Command::Transact(transfer("a", "c", "80.00")), None),
            (Command::Transact(transfer("a", "c", "30.00")), None),
        ])
        .await;
    assert!(results[0].is_err() && results[1].is_ok() && results[2].is_err(), "{results:?}");
    let wallet = ledger.wallet("a").await;
    assert_eq!(wallet.balance.posted, amount("20.00"));
    let path = |path| domain::WalletId::of(ledger.tenant, &WalletPath::new(path).unwrap()).0;
    for id in [path("a"), path("b"), path("c")] {
        let stream = ledger.journal.stream(ledger.partition(), id, i64::MAX).await.unwrap();
        assert!(stream.iter().zip(1..).all(|(event, sequence)| event.text.sequence == sequence), "no gaps");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_in_vain_is_forgotten() {
    let ledger = Ledger::funded(&["a"]).await;
    let other = ledger.restarted().await;
    ledger.submit(transfer("a", "b", "1.00")).await.unwrap();
    // Behind the first one's back: what it decides next fails once, and then rests on this.
    other.submit(transfer("a", "b", "2.00")).await.unwrap();
    let last = ledger.transaction(transfer("a", "b", "4.00")).await.unwrap().0;
    assert_eq!(ledger.wallet("a").await.balance.posted, amount("93.00"));
    assert_eq!(ledger.wallet("b").await.balance.posted, amount("7.00"));
    other.run(Command::Reverse { id: last, amounts: None }, None).await.unwrap();
    assert_eq!(other.wallet("a").await.balance.posted, amount("97.00"));
}
