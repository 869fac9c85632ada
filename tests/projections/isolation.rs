//! What the reader's role sees and may do, in a raw session of it. The tables are those that the catalogue lists, so
//! that a new one is looked at by itself.

use std::time::Duration;

use chrono::TimeDelta;
use commands::{AllowanceChange, Command, FinishedCall, NewCall};
use counterfoil::system::SystemIds;
use domain::catalogue::{CatalogueCommand, Level};
use domain::execution::{End, Operation, Quoted};
use domain::{
    AssetCode, Digest, ExecutionId, Ids as _, LevelName, ModelName, Price, ProviderName, Rates, Slug,
    TenantId, Usage, UsageSource, WalletPath,
};
use sqlx::{Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

use crate::people::{company, digest, platform, public_id};
use crate::support::ledger::{Ledger, amount, transfer};
use crate::world::{Running, caught_up, neighbour};

/// What the reader may look at although it belongs to no tenant.
const OPEN: [&str; 3] = ["journal.heads", "journal.identity", "views.checkpoints"];

/// Schemas that are not Postgres's own, under the name `ours`.
const OURS: &str = "ours AS (SELECT oid, nspname FROM pg_namespace
    WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema')";

/// A table with a column `tenant_id`.
#[derive(Debug, sqlx::FromRow)]
struct Table {
    name: String,
    guarded: bool,
    /// Whether the reader may look at it at all.
    readable: bool,
}

async fn tenant_tables(owner: &mut PgConnection) -> Vec<Table> {
    let query = format!(
        "WITH {OURS} SELECT format('%I.%I', nspname, relname) AS name, relrowsecurity AND relforcerowsecurity AS guarded,
             has_table_privilege('counterfoil_reader', c.oid, 'SELECT') AS readable
         FROM pg_class c JOIN ours ON ours.oid = relnamespace
         JOIN pg_attribute a ON attrelid = c.oid AND attname = 'tenant_id' AND NOT attisdropped
         WHERE relkind IN ('r', 'p') ORDER BY 1"
    );
    sqlx::query_as(&query).fetch_all(owner).await.unwrap()
}

async fn count(session: &mut PgConnection, of: &str) -> i64 {
    sqlx::query_scalar(&format!("SELECT count(*) FROM {of}")).fetch_one(session).await.unwrap()
}

/// How many rows of `of` the session sees with a setting of the transaction.
async fn seen(session: &mut PgConnection, setting: &str, value: &str, of: &str) -> i64 {
    let mut transaction = session.begin().await.unwrap();
    set(&mut transaction, setting, value).await;
    let seen = count(&mut transaction, of).await;
    transaction.rollback().await.unwrap();
    seen
}

async fn set(session: &mut PgConnection, setting: &str, value: &str) {
    let set = sqlx::query("SELECT set_config($1, $2, true)").bind(setting).bind(value);
    set.execute(session).await.unwrap();
}

async fn refusal(session: &mut PgConnection, statement: &str) -> Option<String> {
    let refused = session.execute(statement).await.err()?;
    refused.as_database_error().and_then(|error| error.code().map(Into::into))
}

/// Two tenants, the platform, and something in every table that the reader may look at.
async fn world() -> (Ledger, Ledger, crate::people::Made, PgConnection) {
    let ledger = Ledger::with_cache(1_000).await;
    let other = neighbour(&ledger, true).await;
    let made = company(&ledger, &platform(&ledger).await).await;
    company(&other, &platform(&ledger).await).await;
    // Streams long enough for a snapshot.
    for tenant in [&ledger, &other] {
        for _ in 0..5 {
            let many = (0..50).map(|_| (Command::Transact(transfer("@world", "a", "0.01")), None));
            assert!(tenant.run_all(many.collect()).await.iter().all(Result::is_ok));
        }
        metered(tenant).await;
    }
    let running = Running::start(&ledger, None, Duration::from_millis(50)).await;
    caught_up(&ledger).await;
    running.stop().await;
    let mut owner = PgConnection::connect(ledger.database.url()).await.unwrap();
    for tenant in [&ledger, &other] {
        let log = format!(
            "SELECT identity.prepare_access_log(date '2027-01-15', 1);
             INSERT INTO identity.access_log (partition, tenant_id, access_id, recorded_at, actor_kind, actor, crossing,
                 method, path, status)
             VALUES ({}, '{}', gen_random_uuid(), '2027-01-15T08:00:00Z', 'user', 'somebody', false, 'GET', '/v1/me', 200)",
            tenant.partition(),
            tenant.tenant
        );
        owner.execute(sqlx::raw_sql(&log)).await.unwrap();
    }
    (ledger, other, made, owner)
}

/// A call of a wallet, with a catalogue and an allowance.
async fn metered(ledger: &Ledger) {
    let (wallet, model) = (WalletPath::new("a").unwrap(), ModelName::new("fast").unwrap());
    let level = Level { name: LevelName::new("gold").unwrap(), tier: 1, features: [].into() };
    let id = ExecutionId(SystemIds.next());
    let call = Box::new(NewCall {
        wallet: wallet.clone(),
        application: None,
        user: None,
        model: model.clone(),
        operation: Operation::OpenAiChat,
        fingerprint: Digest::new(&"0f".repeat(32)).unwrap(),
        estimate: Usage { input: 1_000_000, ..Usage::default() },
        basis: None,
        quotes: vec![Quoted {
            provider: ProviderName::new("north").unwrap(),
            model,
            price: Price {
                version: 1,
                asset: AssetCode::new("USD").unwrap(),
                rates: Rates {
                    input: amount("0.05"),
                    output: amount("0.10"),
                    cache_read: None,
                    cache_write: None,
                    cache_write_long: None,
                    reasoning: None,
                },
            },
        }],
        requested_at: None,
        expires_at: ledger.clock.get() + TimeDelta::hours(1),
    });
    let finished = Box::new(FinishedCall {
        attempts: vec![],
        end: End::Completed,
        usage: call.estimate,
        usage_source: UsageSource::Reported,
        paid: call.quotes.first().cloned(),
    });
    for command in [
        Command::Catalogue(CatalogueCommand::DefineLevel(level)),
        Command::Allowance { path: wallet, change: AllowanceChange::Assign { level: None, user: None } },
        Command::Execute { id, call },
        Command::FinishExecution { id, finished },
    ] {
        ledger.run(command, None).await.unwrap();
    }
}

/// A session that is the reader and cannot become anybody else.
async fn reader(ledger: &Ledger) -> PgConnection {
    let mut session = PgConnection::connect(ledger.database.url()).await.unwrap();
    session.execute("SET SESSION AUTHORIZATION counterfoil_reader").await.unwrap();
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_of_tenants_shows_the_reader_the_tenant_that_was_set_and_can_be_changed_by_no_verb() {
    let (ledger, other, _, mut owner) = world().await;
    let mut session = reader(&ledger).await;
    let tables = tenant_tables(&mut owner).await;
    assert!(tables.len() >= 20 && tables.iter().filter(|table| table.readable).count() >= 15, "{tables:?}");
    let nobody = TenantId::of(&Slug::new("nobody").unwrap());
    for Table { name, guarded, readable } in &tables {
        assert!(guarded, "{name}: row-level security is not enabled and forced");
        let mut rows = 0;
        for tenant in [ledger.tenant, other.tenant, TenantId::PLATFORM, nobody] {
            let own = count(&mut owner, &format!("{name} WHERE tenant_id = '{tenant}'")).await;
            rows += own;
            if !readable {
                continue;
            }
            let id = tenant.to_string();
            assert_eq!(seen(&mut session, "app.tenant_id", &id, name).await, own, "{name} for {tenant}");
            let foreign = format!("{name} WHERE tenant_id <> '{tenant}'");
            assert_eq!(seen(&mut session, "app.tenant_id", &id, &foreign).await, 0, "{name} for {tenant}");
        }
        if *readable {
            assert!(rows > 0, "{name}: this test has to put a row there, or it shows nothing");
            assert_eq!(count(&mut session, name).await, 0, "{name} without a tenant");
            assert_eq!(seen(&mut session, "app.tenant_id", "", name).await, 0, "{name} with an empty tenant");
            let odd = format!("BEGIN; SET LOCAL app.tenant_id = 'x'' OR true --'; SELECT FROM {name}");
            assert_eq!(
                refusal(&mut session, &odd).await.as_deref(),
                Some("22P02"),
                "{name} with an odd tenant"
            );
            session.execute("ROLLBACK").await.unwrap();
        } else {
            let looked = refusal(&mut session, &format!("SELECT FROM {name}")).await;
            assert_eq!(looked.as_deref(), Some("42501"), "{name}");
        }
        let before = count(&mut owner, name).await;
        session.execute(format!("SET app.tenant_id = '{}'", ledger.tenant).as_str()).await.unwrap();
        for statement in [
            format!("INSERT INTO {name} DEFAULT VALUES"),
            format!("INSERT INTO {name} SELECT * FROM {name} LIMIT 1"),
            format!("UPDATE {name} SET tenant_id = tenant_id"),
            format!("DELETE FROM {name}"),
            format!("TRUNCATE {name}"),
            format!("SELECT FROM {name} FOR UPDATE"),
            format!("COPY {name} FROM STDIN"),
            format!("ALTER TABLE {name} DISABLE ROW LEVEL SECURITY"),
            format!("CREATE POLICY mine ON {name} USING (true)"),
        ] {
            assert_eq!(refusal(&mut session, &statement).await.as_deref(), Some("42501"), "{statement}");
        }
        session.execute("RESET app.tenant_id").await.unwrap();
        assert_eq!(count(&mut owner, name).await, before, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reader_may_look_at_nothing_else_and_become_nobody_else() {
    let (ledger, _, _, mut owner) = world().await;
    let tables: Vec<String> = tenant_tables(&mut owner).await.into_iter().map(|table| table.name).collect();
    let readable = format!(
        "WITH {OURS} SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN ours ON ours.oid = relnamespace
         WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
           AND has_any_column_privilege('counterfoil_reader', c.oid, 'SELECT') ORDER BY 1"
    );
    let readable: Vec<String> = sqlx::query_scalar(&readable).fetch_all(&mut owner).await.unwrap();
    let beside: Vec<&String> = readable.iter().filter(|name| !tables.contains(name)).collect();
    assert_eq!(beside, OPEN, "a table without a tenant that the reader may look at");
    let changes = format!(
        "WITH {OURS} SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN ours ON ours.oid = relnamespace
         WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
           AND (has_any_column_privilege('counterfoil_reader', c.oid, 'INSERT, UPDATE, REFERENCES')
             OR has_table_privilege('counterfoil_reader', c.oid, 'DELETE, TRUNCATE, TRIGGER'))"
    );
    let changes: Vec<String> = sqlx::query_scalar(&changes).fetch_all(&mut owner).await.unwrap();
    assert_eq!(changes, [""; 0], "tables that the reader may change");
    let borrowed = format!(
        "WITH {OURS} SELECT p.oid::regprocedure::text FROM pg_proc p JOIN ours ON ours.oid = pronamespace
         WHERE prosecdef AND has_function_privilege('counterfoil_reader', p.oid, 'EXECUTE')"
    );
    let borrowed: Vec<String> = sqlx::query_scalar(&borrowed).fetch_all(&mut owner).await.unwrap();
    assert_eq!(borrowed, [""; 0], "functions by which the reader would act as their owner");
    let powers: Vec<String> = sqlx::query_scalar(
        "SELECT rolname::text FROM pg_roles WHERE pg_has_role('counterfoil_reader', oid, 'MEMBER')
           AND (rolname <> 'counterfoil_reader' OR rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb
             OR rolreplication OR rolcanlogin)",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert_eq!(powers, [""; 0], "roles and powers of the reader beside its own");
    let mut session = reader(&ledger).await;
    for role in ["counterfoil_writer", "counterfoil_identity"] {
        let become_other = refusal(&mut session, &format!("SET ROLE {role}")).await;
        assert_eq!(become_other.as_deref(), Some("42501"), "{role}");
    }
    for schema in ["views", "journal", "identity", "public"] {
        let made = refusal(&mut session, &format!("CREATE TABLE {schema}.mine (x integer)")).await;
        assert_eq!(made.as_deref(), Some("42501"), "{schema}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_a_key_and_an_invitation_show_the_reader_their_own_rows_alone() {
    let (ledger, _, made, mut owner) = world().await;
    let mut session = reader(&ledger).await;
    let (bob, key, open) = (made.bob.0, public_id(made.keys[2]), digest(made.open.0));
    // The setting, its value, and what it shows: of which table how many rows.
    let shows = [
        ("app.user_id", bob.to_string(), vec![("views.members", 1), ("views.users", 1)]),
        ("app.public_key", key.to_string(), vec![("views.api_keys", 1)]),
        ("app.invitation", open.to_string(), vec![("views.invitations", 1)]),
        ("app.platform", "on".to_owned(), vec![("views.tenants", 2), ("views.users", 8)]),
        ("app.user_id", Uuid::nil().to_string(), vec![]),
        ("app.user_id", String::new(), vec![]),
        ("app.public_key", "unknown".to_owned(), vec![]),
        ("app.public_key", String::new(), vec![]),
        ("app.invitation", "unknown".to_owned(), vec![]),
        ("app.invitation", String::new(), vec![]),
        ("app.platform", "true".to_owned(), vec![]),
        ("app.platform", String::new(), vec![]),
    ];
    for (setting, value, shown) in shows {
        for Table { name, readable, .. } in tenant_tables(&mut owner).await {
            if readable {
                let expected = shown.iter().find(|(table, _)| *table == name).map_or(0, |(_, rows)| *rows);
                let rows = seen(&mut session, setting, &value, &name).await;
                assert_eq!(rows, expected, "{name} with {setting} = {value:?}");
            }
        }
    }
    let mut transaction = session.begin().await.unwrap();
    set(&mut transaction, "app.user_id", &bob.to_string()).await;
    let user: Uuid =
        sqlx::query_scalar("SELECT user_id FROM views.members").fetch_one(&mut *transaction).await.unwrap();
    let profile: Uuid =
        sqlx::query_scalar("SELECT user_id FROM views.users").fetch_one(&mut *transaction).await.unwrap();
    assert_eq!((user, profile), (bob, bob));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_table_is_guarded_as_before() {
    let (ledger, _, _, mut owner) = world().await;
    let policies = "SELECT format('%s %s %s %s %s', tablename, policyname, roles, cmd, qual) FROM pg_policies
                    WHERE schemaname = 'views' ORDER BY 1";
    let before: Vec<String> = sqlx::query_scalar(policies).fetch_all(&mut owner).await.unwrap();
    for kind in projections::Kind::ALL {
        projections::rebuild(kind, ledger.database.options(), &ledger.journal, |_| {}).await.unwrap();
    }
    let after: Vec<String> = sqlx::query_scalar(policies).fetch_all(&mut owner).await.unwrap();
    assert_eq!(after, before);
    assert!(tenant_tables(&mut owner).await.iter().all(|table| table.guarded));
    let mut session = reader(&ledger).await;
    for Table { name, readable, .. } in tenant_tables(&mut owner).await {
        if readable {
            assert_eq!(count(&mut session, &name).await, 0, "{name} without a tenant");
        }
    }
}
