//! Balances that are asked for at the same time share statements, and are right all the same.

use std::time::Duration;

use domain::WalletPath;
use futures_util::future::join_all;
use projections::{PointInTime, Reader};
use sqlx::Connection as _;

use crate::support::ledger::{Ledger, transfer};
use crate::world::{NEVER, Running, caught_up, neighbour};

const TICK: Duration = Duration::from_millis(50);

/// What a tenant has in the wallet, and at which position.
async fn balance(reader: &Reader, ledger: &Ledger, path: &str) -> (Option<String>, i64) {
    let path = WalletPath::new(path).unwrap();
    let found = reader.tenant(ledger.tenant).balance(&path, PointInTime::default()).await.unwrap();
    (found.value.map(|view| view.posted.to_string()), found.position.position)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_question_has_its_own_answer_and_its_own_tenants() {
    let ledger = Ledger::funded(&["a", "b"]).await;
    let running = Running::start(&ledger, None, TICK).await;
    let other = neighbour(&ledger, true).await;
    ledger.submit(transfer("a", "b", "1.25")).await.unwrap();
    caught_up(&ledger).await;
    let reader = running.reader(&ledger).await;
    let mut said = Vec::new();
    for (tenant, path) in [(&ledger, "a"), (&ledger, "b"), (&ledger, "none"), (&other, "a"), (&other, "b")] {
        said.push((tenant, path, balance(&reader, tenant, path).await.0));
    }
    let values: Vec<_> = said.iter().map(|(_, _, value)| value.as_deref()).collect();
    assert_eq!(values, [Some("98.75"), Some("101.25"), None, Some("100.00"), None]);
    // Many more than there are connections, so that most wait and are read together.
    let storm = (0..500).map(|number| {
        let (tenant, path, value) = &said[number % said.len()];
        let reader = &reader;
        async move { assert_eq!(balance(reader, tenant, path).await.0, *value, "{path}") }
    });
    join_all(storm).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_never_older_than_its_question() {
    let ledger = Ledger::funded(&["a", "b"]).await;
    let running = Running::start(&ledger, None, TICK).await;
    let reader = running.reader(&ledger).await;
    let storm = tokio::spawn({
        let (reader, tenant) = (reader.clone(), ledger.tenant);
        async move {
            let path = WalletPath::new("a").unwrap();
            loop {
                let asked =
                    (0..32).map(|_| {
                        let reader = reader.clone();
                        let path = path.clone();
                        async move {
                            reader.tenant(tenant).balance(&path, PointInTime::default()).await.map(|_| ())
                        }
                    });
                join_all(asked).await;
            }
        }
    });
    for cents in 1..=20_i64 {
        let outcome = ledger.submit(transfer("a", "b", "0.01")).await.unwrap();
        reader.wait(outcome.position, Duration::from_secs(30)).await.unwrap();
        let (posted, position) = balance(&reader, &ledger, "b").await;
        assert!(position >= outcome.position.position);
        assert_eq!(posted, Some(format!("{}.{:02}", 100 + cents / 100, cents % 100)));
    }
    storm.abort();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_or_loses_the_connection_holds_up_nobody() {
    let ledger = Ledger::funded(&["a"]).await;
    let running = Running::start(&ledger, None, TICK).await;
    caught_up(&ledger).await;
    let reader = running.reader(&ledger).await;
    let path = WalletPath::new("a").unwrap();
    let ask = || {
        let (reader, path, tenant) = (reader.clone(), path.clone(), ledger.tenant);
        tokio::spawn(async move { reader.tenant(tenant).balance(&path, PointInTime::default()).await })
    };
    let mut owner = sqlx::PgConnection::connect_with(&ledger.database.options()).await.unwrap();
    let mut answered = 0;
    for round in 0..20 {
        let mut asked: Vec<_> = (0..64).map(|_| ask()).collect();
        // Those who began the statements are among the first.
        asked.drain(..4).for_each(|leader| leader.abort());
        if round % 4 == 0 {
            // The server is shared with other tests, the database is not.
            let killed = "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
                WHERE a.datname = current_database() AND a.application_name = 'counterfoil' AND a.query LIKE '%UNNEST($1::uuid[]) AS asked%'";
            sqlx::query(killed).execute(&mut owner).await.unwrap();
        }
        for question in asked {
            let waited = tokio::time::timeout(Duration::from_secs(30), question).await;
            let answer = waited.unwrap().unwrap();
            answered += u32::from(answer.is_ok_and(|found| found.value.is_some()));
        }
    }
    assert!(answered > 500, "{answered} of 1,200");
    // Nothing is left behind that would take a question and not answer it.
    assert_eq!(balance(&reader, &ledger, "a").await.0.as_deref(), Some("100.00"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reader_waits_for_comes_while_events_gather() {
    let ledger = Ledger::funded(&["a", "b"]).await;
    let (_nats, client) = crate::world::nats().await;
    let context = async_nats::jetstream::new(client.clone());
    let (ledger, relay) = ledger.relayed(client).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let relay = tokio::spawn(relay.run(stop.clone()));
    let running = Running::start(&ledger, Some(context.clone()), NEVER).await;
    crate::world::listening(&ledger, &context).await;
    let reader = running.reader(&ledger).await;
    for _ in 0..50 {
        let outcome = ledger.submit(transfer("a", "b", "0.01")).await.unwrap();
        reader.wait(outcome.position, Duration::from_secs(30)).await.unwrap();
        assert!(balance(&reader, &ledger, "b").await.1 >= outcome.position.position);
    }
    running.stop().await;
    stop.cancel();
    relay.await.unwrap();
}
