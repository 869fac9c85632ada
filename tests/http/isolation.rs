//! What belongs to another tenant is not there, neither over HTTP nor for a reader's own session in the database.

use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::server::{Client, Server};
use crate::support::Database;
use crate::{fund, transfer, with};

/// Every table that holds what belongs to tenants.
const TABLES: [&str; 6] = [
    "journal.events",
    "views.snapshots",
    "views.balances",
    "views.transactions",
    "views.tenants",
    "views.assets",
];

/// That `client` sees one wallet called `path`, one transaction, and no event of `other`.
async fn expect_own_alone(client: &Client, path: &str, other: &str) {
    for list in ["/v1/wallets", "/v1/transactions", "/v1/audit", "/v1/events?limit=100", "/v1/assets"] {
        let seen = client.get(list).await;
        assert_eq!(seen.status, 200, "{seen:?}");
        let text = seen.body.to_string();
        assert!(!seen.items().is_empty() && !text.contains(other), "{list}: {text}");
    }
    assert_eq!(client.get("/v1/wallets?prefix=w").await.each("/path"), [path]);
    assert_eq!(client.get("/v1/balances?prefix=w").await.body["items"][0]["wallets"], 1);
    assert_eq!(client.get("/v1/trial-balance").await.body["items"][0]["wallets"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_there_is_not_has_no_empty_books() {
    let server = Server::start().await;
    server.tenant("acme").await;
    let nobody = server.client(&server.token("acne", "admin"));
    for path in
        ["/v1/wallets", "/v1/trial-balance", "/v1/events", "/v1/audit", "/v1/assets", "/v1/executions"]
    {
        let answer = nobody.get(path).await;
        assert_eq!((answer.status, answer.text("/code")), (404, "tenant_not_found"), "{path}: {answer:?}");
    }
    server.tenant("acne").await;
    assert_eq!(nobody.get("/v1/wallets").await.status, 200, "as soon as there is");
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_of_one_partition_do_not_see_each_other() {
    let server = Server::on(Database::with_partitions(1).await);
    let (acme, bolt) = (server.tenant("acme").await, server.tenant("bolt").await);
    fund(&acme, "w-acme", "1.00").await;
    let theirs = fund(&bolt, "w-bolt", "2.00").await;
    assert!(theirs.position().starts_with("p0:"));
    acme.after(&theirs, "/v1/wallets").await;
    expect_own_alone(&acme, "w-acme", "bolt").await;
    expect_own_alone(&bolt, "w-bolt", "acme").await;
    let before = (acme.state().await, bolt.state().await);
    let id = theirs.text("/id");
    let absent = [
        ("/v1/wallets/w-bolt".to_owned(), "wallet_not_found"),
        ("/v1/wallets/w-bolt/balance".to_owned(), "wallet_not_found"),
        ("/v1/wallets/w-bolt/balance?as_of=2099-01-01T00:00:00Z".to_owned(), "wallet_not_found"),
        ("/v1/wallets/w-bolt/entries".to_owned(), "wallet_not_found"),
        (format!("/v1/transactions/{id}"), "transaction_not_found"),
    ];
    for (path, code) in absent {
        let answer = acme.get(&path).await;
        assert_eq!((answer.status, answer.text("/code")), (404, code), "{path}");
    }
    let writes = [
        ("/v1/transactions".to_owned(), transfer("w-bolt", "w-acme", "1"), "wallet_not_found"),
        ("/v1/transactions".to_owned(), transfer("@world", "w-bolt", "1"), "wallet_not_found"),
        ("/v1/wallets/w-bolt/freeze".to_owned(), json!({}), "wallet_not_found"),
        ("/v1/wallets/w-bolt/adjust".to_owned(), json!({"amount": "1", "reason": "x"}), "wallet_not_found"),
        (format!("/v1/transactions/{id}/reverse"), json!({}), "transaction_not_found"),
        (format!("/v1/transactions/{id}/settle"), json!({}), "transaction_not_found"),
        (format!("/v1/transactions/{id}/release"), json!({}), "transaction_not_found"),
    ];
    for (path, body, code) in writes {
        let answer = acme.post(&path, body).await;
        assert_eq!((answer.status, answer.text("/code")), (404, code), "{path}");
    }
    assert_eq!((acme.state().await, bolt.state().await), before);
    // Paths and references are each tenant's own.
    let same = with(transfer("@world", "w-acme", "1"), json!({"reference": "r", "open_wallets": true}));
    let (one, other) =
        (acme.made("/v1/transactions", same.clone()).await, bolt.made("/v1/transactions", same).await);
    assert_ne!(one.text("/id"), other.text("/id"));
    assert_eq!(acme.after(&one, "/v1/wallets/w-acme").await.text("/posted"), "2.00");
    assert_eq!(bolt.after(&other, "/v1/wallets/w-acme").await.text("/posted"), "1.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_another_tenant_is_not_there_also_when_its_paths_are_ones_own() {
    let mut server = Server::on(Database::with_partitions(1).await);
    let (acme, bolt) = (server.tenant("acme").await, server.tenant("bolt").await);
    fund(&acme, "w", "5.00").await;
    let posted = fund(&bolt, "w", "5.00").await;
    let hold = with(transfer("w", "@revenue", "1"), json!({"pending": true}));
    let held = bolt.made("/v1/transactions", hold.clone()).await;
    acme.made("/v1/transactions", hold).await;
    let before = (acme.state().await, bolt.state().await);
    let steps =
        |id: &str| ["settle", "release", "reverse"].map(|name| format!("/v1/transactions/{id}/{name}"));
    // While the writer remembers the transactions, and when it has to look for them.
    for _ in 0..2 {
        let client = server.client(&acme.token);
        for path in [posted.text("/id"), held.text("/id")].into_iter().flat_map(steps) {
            let refused = client.post(&path, json!({})).await;
            assert_eq!((refused.status, refused.text("/code")), (404, "transaction_not_found"), "{path}");
        }
        server.kill_and_start();
    }
    let (acme, bolt) = (server.client(&acme.token), server.client(&bolt.token));
    assert_eq!((acme.state().await, bolt.state().await), before);
    bolt.made(&format!("/v1/transactions/{}/settle", held.text("/id")), json!({})).await;
}

/// How many rows of `table` a reader sees whose session says `tenant`.
async fn seen(session: &mut PgConnection, table: &str, tenant: &str) -> i64 {
    let mut transaction = session.begin().await.unwrap();
    sqlx::query("SELECT set_config('app.tenant_id', $1, true)")
        .bind(tenant)
        .execute(&mut *transaction)
        .await
        .unwrap();
    let count = sqlx::query_scalar(&format!("SELECT count(*) FROM {table}"))
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_the_readers_role_sees_the_tenant_that_was_set_and_changes_nothing() {
    let database = Database::with_partitions(1).await;
    let server = Server::on(database.clone());
    let (acme, bolt) = (server.tenant("acme").await, server.tenant("bolt").await);
    fund(&acme, "a", "1.00").await;
    // Streams long enough for a snapshot.
    let many: Vec<_> = (0..500).map(|_| transfer("@world", "a", "0.01")).collect();
    let batch = acme.made("/v1/transactions/batch", json!({"atomic": false, "transactions": many})).await;
    acme.after(&batch, "/v1/wallets/a").await;
    let tenant = |slug: &str| domain::TenantId::of(&domain::Slug::new(slug).unwrap()).to_string();
    let before = (acme.state().await, bolt.state().await);

    let mut session = PgConnection::connect(database.url()).await.unwrap();
    session.execute("SET ROLE counterfoil_reader").await.unwrap();
    for table in TABLES {
        let unset: i64 = sqlx::query_scalar(&format!("SELECT count(*) FROM {table}"))
            .fetch_one(&mut session)
            .await
            .unwrap();
        assert_eq!(unset, 0, "{table} without a tenant");
        assert_eq!(seen(&mut session, table, "").await, 0, "{table} with an empty tenant");
        let nobody = seen(&mut session, table, &tenant("nobody")).await;
        assert_eq!(nobody, 0, "{table} for a tenant that does not exist");
        assert!(seen(&mut session, table, &tenant("acme")).await > 0, "{table} for its tenant");
    }
    // The other tenant has no wallets, transactions or long streams: none of acme's are shown to it.
    for table in ["views.snapshots", "views.balances", "views.transactions"] {
        assert_eq!(seen(&mut session, table, &tenant("bolt")).await, 0, "{table} for another tenant");
    }
    for table in ["views.tenants", "views.assets"] {
        assert_eq!(seen(&mut session, table, &tenant("bolt")).await, 1, "{table} for another tenant");
    }
    assert_eq!(seen(&mut session, "journal.events", &tenant("bolt")).await, 2);

    let acme_id = tenant("acme");
    session.execute(format!("SET app.tenant_id = '{acme_id}'").as_str()).await.unwrap();
    for table in TABLES {
        for statement in [
            format!("INSERT INTO {table} SELECT * FROM {table} LIMIT 1"),
            format!("UPDATE {table} SET tenant_id = tenant_id"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
        ] {
            let refused = session.execute(statement.as_str()).await.unwrap_err();
            let code = refused.as_database_error().and_then(|error| error.code().map(Into::into));
            assert_eq!(code, Some("42501".to_owned()), "{statement}: {refused}");
        }
    }
    session.close().await.unwrap();
    assert_eq!((acme.state().await, bolt.state().await), before);
}
