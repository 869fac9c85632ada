//! What becomes of a connection when whoever waited for it goes away at the wrong moment.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::borrow::Cow;
use std::time::Duration;

use futures_util::poll;
use journal::Role;
use support::Database;

/// A caller that gives up while a transaction begins must not leave it open in the pool: what the next caller writes
/// on that connection would be acknowledged and then lost.
#[tokio::test]
async fn a_transaction_that_nobody_waits_for_any_more_takes_nothing_with_it() {
    let database = Database::fresh().await;
    let pool = database.pool(Role::Owner, 1).await;
    let other = database.pool(Role::Owner, 1).await;
    sqlx::query("CREATE TABLE kept (number integer)").execute(&pool).await.unwrap();
    for polls in 1..8 {
        {
            let mut beginning = Box::pin(journal::begin(&pool, None));
            for _ in 0..polls {
                if poll!(&mut beginning).is_ready() {
                    break;
                }
                // Long enough for an answer, so that the next poll goes one message further.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        sqlx::query("INSERT INTO kept VALUES ($1)").bind(polls).execute(&pool).await.unwrap();
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM kept").fetch_one(&other).await.unwrap();
        assert_eq!(seen, i64::from(polls), "acknowledged, and not there");
    }
}

/// A read that is given up while it begins must not leave its connection inside an old snapshot: later reads on it would
/// be of then.
#[tokio::test]
async fn a_read_that_nobody_waits_for_any_more_leaves_no_old_snapshot() {
    let database = Database::fresh().await;
    let pool = database.pool(Role::Owner, 1).await;
    let other = database.pool(Role::Owner, 1).await;
    sqlx::query("CREATE TABLE kept (number integer)").execute(&other).await.unwrap();
    let count = "SELECT count(*) FROM kept";
    for polls in 1..8 {
        {
            let statement = Cow::Borrowed("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
            let mut beginning = Box::pin(journal::begin(&pool, statement));
            for _ in 0..polls {
                if poll!(&mut beginning).is_ready() {
                    break;
                }
                // Long enough for an answer, so that the next poll goes one message further.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        // Within a transaction that was left open this would be the snapshot of all reads after it.
        let _: i64 = sqlx::query_scalar(count).fetch_one(&pool).await.unwrap();
        sqlx::query("INSERT INTO kept VALUES ($1)").bind(polls).execute(&other).await.unwrap();
        let seen: i64 = sqlx::query_scalar(count).fetch_one(&pool).await.unwrap();
        assert_eq!(seen, i64::from(polls), "there, and not seen");
    }
}
