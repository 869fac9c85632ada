use chrono::TimeDelta;
use commands::Command;
use domain::{ExecutionId, Usage};
use uuid::Uuid;

use crate::support::ledger::Ledger;
use crate::world::{Running, call, caught_up, done, finished, quoted, tenant, wallet};

/// A call of `customers:3` that costs 3.25.
async fn million(ledger: &Ledger, number: u128) {
    let id = ExecutionId(Uuid::from_u128(number));
    let usage = Usage { input: 1_000_000, ..Usage::default() };
    let finished = Box::new(finished(Some(quoted("north", "fast", 3)), usage));
    done(ledger, Command::Execute { id, call: Box::new(call(ledger, "customers:3")) }).await;
    done(ledger, Command::FinishExecution { id, finished }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_runs_dry_when_what_is_left_is_spent_at_the_same_rate() {
    let ledger = tenant().await;
    let running = Running::start(&ledger).await;
    let questions = running.reader.tenant(ledger.tenant);
    let week = TimeDelta::days(7);
    caught_up(&ledger).await;
    let ask = async || {
        caught_up(&ledger).await;
        questions.burn_rate(&wallet("customers:3"), ledger.clock.get(), week).await.unwrap().value.unwrap()
    };
    let idle = ask().await;
    assert_eq!((idle.calls, idle.spent.as_str(), idle.per_day.as_str()), (0, "0.00", "0.00"));
    assert_eq!((idle.available.as_str(), idle.runs_dry_at), ("40.00", None));

    // Two in the first hour of two days: 6.50 in 48 hours, from the beginning of the quarter of the first one.
    let begun = ledger.clock.get();
    assert_eq!(begun.timestamp() % 900, 0);
    million(&ledger, 1).await;
    ledger.clock.advance(TimeDelta::hours(1));
    million(&ledger, 2).await;
    ledger.clock.advance(TimeDelta::hours(47));
    let rate = ask().await;
    assert_eq!((rate.since, rate.until), (begun, ledger.clock.get()));
    assert_eq!((rate.calls, rate.spent.as_str(), rate.per_day.as_str()), (2, "6.50", "3.25"));
    assert_eq!(rate.available, "33.50");
    // 33.50 / 6.50 * 48 h, in whole seconds.
    let lasts = TimeDelta::seconds(3_350 * 48 * 3_600 / 650);
    assert_eq!(rate.runs_dry_at, Some(ledger.clock.get() + lasts));

    // A week later they are forgotten.
    ledger.clock.advance(week);
    assert_eq!((ask().await.calls, ask().await.runs_dry_at), (0, None));

    // All is spent: 11 more cost 35.75, which is more than there is.
    for number in 3..14 {
        million(&ledger, number).await;
    }
    let dry = ask().await;
    assert_eq!((dry.calls, dry.available.as_str()), (11, "0.00"));
    assert_eq!(dry.runs_dry_at, Some(ledger.clock.get()));
    assert_eq!(
        questions.burn_rate(&wallet("nobody"), ledger.clock.get(), week).await.unwrap().value,
        None,
        "a wallet that there is not"
    );
    running.stop().await;
}
