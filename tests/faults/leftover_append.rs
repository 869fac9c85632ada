//! An append that a dead program had sent and that PostgreSQL has not got round to.

use std::sync::Arc;
use std::time::Duration;

use domain::Partition;
use journal::{Journal, Role};
use nix::sys::signal::Signal;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::checker;
use crate::load::{Load, client};
use crate::record::{Answer, Call, Cents, NewTransaction, Op, Posting};
use crate::world::{Arrangement, World, signal};

const SETTINGS: &[(&str, &str)] = &[("COUNTERFOIL_JOURNAL__PARTITIONS", "1")];

fn transfer(key: &str, from: &str, to: &str, amount: Cents) -> Call {
    let posting = Posting { from: from.into(), to: to.into(), amount };
    let new = NewTransaction { postings: vec![posting], pending: false, expires_at: None, padding: 0 };
    Call { tenant: 0, key: Some(key.into()), op: Op::Transact(new), attempts: Vec::new() }
}

fn ask(load: &Arc<Load>, mut call: Call) -> JoinHandle<Call> {
    let load = Arc::clone(load);
    tokio::spawn(async move {
        load.attempt(&client(), &mut call).await;
        call
    })
}

/// Holds the head of the partition until it is dropped.
async fn hold(url: String) -> PgConnection {
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("BEGIN").execute(&mut connection).await.unwrap();
    sqlx::query("SELECT 1 FROM journal.heads FOR UPDATE").execute(&mut connection).await.unwrap();
    connection
}

/// Waits until so many statements wait for the head.
async fn waiting(pool: &PgPool, count: i64) {
    let query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    for _ in 0..400 {
        let found: i64 = sqlx::query_scalar(query).fetch_one(pool).await.unwrap();
        if found == count {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("there are never {count} waiting");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_not_done_by_an_append_that_a_dead_program_had_sent() {
    let _alone = crate::ALONE.lock().await;
    let world = World::start(Arrangement::Apart, SETTINGS).await;
    let load = Load::prepare(&world, Partition(1)).await;
    let pool =
        journal::connect(world.database_url().parse().unwrap(), Role::Owner, "views", 2).await.unwrap();

    // While one append waits, what pays in and what needs it come together into the next one.
    let first = hold(world.database_url()).await;
    let opening = ask(&load, transfer("opening", "@world", "a", 100));
    waiting(&pool, 1).await;
    let second = tokio::spawn(hold(world.database_url()));
    waiting(&pool, 2).await;
    let deposit = ask(&load, transfer("deposit", "@world", "hot", 10_000));
    sleep(Duration::from_millis(300)).await;
    let payment = ask(&load, transfer("payment", "hot", "@world", 5_000));
    sleep(Duration::from_millis(300)).await;
    first.close().await.unwrap();
    let second = second.await.unwrap();
    waiting(&pool, 1).await;
    signal(world.program.pid(), Signal::SIGKILL);
    let (opening, mut deposit, mut payment) =
        (opening.await.unwrap(), deposit.await.unwrap(), payment.await.unwrap());
    assert!(matches!(payment.last(), Answer::Nothing(_)), "{payment:?}");

    // The next program is asked for the payment while the append of the dead one still waits.
    let asking = {
        let load = Arc::clone(&load);
        tokio::spawn(async move {
            while matches!(payment.last(), Answer::Nothing(_)) {
                load.attempt(&client(), &mut payment).await;
                sleep(Duration::from_millis(20)).await;
            }
            payment
        })
    };
    sleep(Duration::from_secs(2)).await;
    second.close().await.unwrap();
    let payment = asking.await.unwrap();
    while matches!(deposit.last(), Answer::Nothing(_)) {
        load.attempt(&client(), &mut deposit).await;
    }
    let journal = Journal::open(pool.clone()).await.unwrap();
    let events = journal.read(Partition(0), 0, 10_000).await.unwrap();
    checker::check(&[events], &[opening, deposit, payment], &load.tenants).unwrap();
    pool.close().await;
    world.stop().await;
}
