//! Questions cost by what they return, not by what there is: none of them reads a table from end to end.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use domain::execution::{Execution, ExecutionStatus};
use domain::{Allowance, ApplicationId, LevelName, ModelName, ProviderName, UserRef, WalletPath};
use journal::Role;
use projections::{
    AllowanceFilter, Dimension, Due, ExecutionFilter, Granularity, Progress, Reader, UsageFilter,
    UsageQuestion, Window,
};
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use crate::support::ledger::Ledger;

/// Rows of each table; of another tenant's there are as many.
const ROWS: i64 = 50_000;
/// Each table of which more was read than what follows would be read from end to end.
const FEW: i64 = 2_500;

const TABLES: [&str; 4] = ["catalogues", "allowances", "executions", "usage_quarters"];

/// Rows of one tenant, as the projectors would write them: 50 wallets called `w:0` to `w:49`, 5 models, a rare one among
/// them, a quarter of an hour every hundred rows.
async fn fill(owner: &PgPool, partition: i32, tenant: Uuid, wallet: impl Fn(usize) -> Uuid) {
    let wallets: Vec<Uuid> = (0..50).map(wallet).collect();
    let state = serde_json::to_value(Execution::default()).unwrap();
    let allowance = serde_json::to_value(Allowance::default()).unwrap();
    sqlx::query(
        "INSERT INTO views.executions
         SELECT $1, $2, gen_random_uuid(), n, 4, CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'completed' END,
             $3[1 + n % 50], lpad(to_hex(n % 500), 32, '0')::uuid, 'user-' || n % 500,
             CASE WHEN n % 5000 = 0 THEN 'rare' ELSE 'model-' || n % 5 END,
             CASE WHEN n % 5000 = 1 THEN 'rare' ELSE 'provider-' || n % 3 END,
             0.01, to_timestamp(1800000000 + n * 9), to_timestamp(1800000000 + n * 9),
             CASE WHEN n % 500 = 0 THEN to_timestamp(1900000000 + n) END, $4
         FROM generate_series(1, $5) AS n",
    )
    .bind(partition)
    .bind(tenant)
    .bind(&wallets)
    .bind(state)
    .bind(ROWS)
    .execute(owner)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO views.usage_quarters
         SELECT $1, $2, to_timestamp(1800000000 + n / 100 * 900), $3[1 + n % 50], lpad(to_hex(n % 7), 32, '0')::uuid,
             'user-' || n, 'provider-' || n % 3, 'model-' || n % 5, 'completed', 'USD', 'w:' || n % 50,
             1, 10, 0, 0, 0, 5, 0, 0.01, '{}', '{}'
         FROM generate_series(1, $4) AS n",
    )
    .bind(partition)
    .bind(tenant)
    .bind(&wallets)
    .bind(ROWS)
    .execute(owner)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO views.allowances
         SELECT $1, $2, gen_random_uuid(), gen_random_uuid(), 'w:' || n, CASE WHEN n % 1000 = 0 THEN 'gold' END,
             'user-' || n, CASE WHEN n % 10000 = 0 THEN 1 ELSE 0 END, to_timestamp(1900000000 + n), 1, now(), $3
         FROM generate_series(1, $4) AS n",
    )
    .bind(partition)
    .bind(tenant)
    .bind(allowance)
    .bind(ROWS)
    .execute(owner)
    .await
    .unwrap();
}

/// How often each table was read from end to end, and how many of its rows were read in all.
async fn reads(owner: &PgPool) -> (i64, i64) {
    let row = sqlx::query(
        "SELECT sum(seq_scan)::bigint AS scans, sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint AS rows
         FROM pg_stat_user_tables WHERE schemaname = 'views' AND relname = ANY($1)",
    )
    .bind(TABLES.map(str::to_owned).to_vec())
    .fetch_one(owner)
    .await
    .unwrap();
    (row.get("scans"), row.get("rows"))
}

/// Asks with connections of its own, whose end is when the database counts what they have read.
async fn assert_cheap(ledger: &Ledger, owner: &PgPool, what: &str, ask: impl AsyncFn(Reader, PgPool)) {
    let before = reads(owner).await;
    let (pool, writer) =
        (ledger.database.pool(Role::Reader, 1).await, ledger.database.pool(Role::Writer, 1).await);
    let partitions = ledger.journal.partition_count();
    ask(Reader::new(pool.clone(), partitions, Progress::new(partitions)), writer.clone()).await;
    for pool in [pool, writer] {
        // A connection comes back in a task of its own, and would miss the end.
        while pool.num_idle() < usize::try_from(pool.size()).unwrap() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        pool.close().await;
    }
    let mut after = reads(owner).await;
    for _ in 0..200 {
        if after.1 > before.1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        after = reads(owner).await;
    }
    assert!(after.1 > before.1, "{what}: it must have read something");
    assert_eq!(after.0, before.0, "{what}: no table is read from end to end");
    assert!(after.1 - before.1 <= FEW, "{what}: {} rows were read", after.1 - before.1);
}

fn execution_filters() -> Vec<(&'static str, ExecutionFilter)> {
    let none = ExecutionFilter::default;
    let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0);
    vec![
        ("the newest", none()),
        ("of a wallet", ExecutionFilter { wallet: Some(WalletPath::new("w:7").unwrap()), ..none() }),
        ("of a user", ExecutionFilter { user: Some(UserRef::new("user-77").unwrap()), ..none() }),
        (
            "of an application",
            ExecutionFilter { application: Some(ApplicationId(Uuid::from_u128(0x77))), ..none() },
        ),
        ("of a rare model", ExecutionFilter { model: Some(ModelName::new("rare").unwrap()), ..none() }),
        (
            "of a rare provider",
            ExecutionFilter { provider: Some(ProviderName::new("rare").unwrap()), ..none() },
        ),
        ("that failed", ExecutionFilter { status: Some(ExecutionStatus::Failed), ..none() }),
        ("of a time", ExecutionFilter { requested_from: at(0), ..none() }),
    ]
}

fn question(hours: i64, filter: UsageFilter) -> UsageQuestion {
    let from: DateTime<Utc> = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let window = Window::new(from, from + TimeDelta::hours(hours), Granularity::Hour).unwrap();
    UsageQuestion { window, group_by: BTreeSet::from([Dimension::Model]), filter }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_question_reads_a_table_from_end_to_end() {
    let ledger = Ledger::with_cache(1_000).await;
    let owner = ledger.database.pool(Role::Owner, 1).await;
    let path = |number: usize| WalletPath::new(&format!("w:{number}")).unwrap();
    let ours = |number: usize| domain::WalletId::of(ledger.tenant, &path(number)).0;
    fill(&owner, ledger.partition().0, ledger.tenant.0, ours).await;
    fill(&owner, ledger.partition().0, Uuid::from_u128(1), |number| Uuid::from_u128(number as u128)).await;
    sqlx::query("ANALYZE").execute(&owner).await.unwrap();
    let tenant = ledger.tenant;

    for (what, filter) in execution_filters() {
        assert_cheap(&ledger, &owner, &format!("executions {what}"), async |reader, _| {
            let found = reader.tenant(tenant).executions(&filter, None, 20).await.unwrap().value;
            assert!(found.len() >= 5, "{what}: {}", found.len());
        })
        .await;
    }
    let allowances = [
        AllowanceFilter::default(),
        AllowanceFilter { prefix: "w:49".into(), ..AllowanceFilter::default() },
        AllowanceFilter { level: Some(LevelName::new("gold").unwrap()), ..AllowanceFilter::default() },
        AllowanceFilter { in_debt: true, ..AllowanceFilter::default() },
    ];
    for filter in allowances {
        assert_cheap(&ledger, &owner, &format!("{filter:?}"), async |reader, _| {
            let found = reader.tenant(tenant).allowances(&filter, Some("w:1"), 20).await.unwrap().value;
            assert!(found.len() >= 4, "{filter:?}: {}", found.len());
        })
        .await;
    }
    let wallet = UsageFilter { wallet: Some(path(7)), ..UsageFilter::default() };
    for question in [question(2, UsageFilter::default()), question(24 * 60, wallet)] {
        assert_cheap(&ledger, &owner, &format!("usage {question:?}"), async |reader, _| {
            assert!(!reader.tenant(tenant).usage(&question, 2_000).await.unwrap().value.rows.is_empty());
        })
        .await;
    }
    let (partition, now) = (ledger.partition(), DateTime::from_timestamp(1_900_000_500, 0).unwrap());
    assert_cheap(&ledger, &owner, "due", async |_, writer| {
        let due = Due::new(writer);
        assert_eq!(due.executions(partition, now, 100).await.unwrap().len(), 2);
        assert_eq!(due.allowances(partition, now, 100).await.unwrap().len(), 100);
    })
    .await;
}
