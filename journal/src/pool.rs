//! Connections: which role they act as, and the migrations.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, Executor, PgPool, Postgres, Transaction};
use uuid::Uuid;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// As whom a pool acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sees one tenant, set for each transaction. Cannot bypass row-level security.
    Reader,
    /// Appends events.
    Writer,
    /// Keeps the read models. Its commits are complete but may not be on the disk yet when they are answered: what a
    /// crash of the database takes from a read model is written again from the journal.
    Projector,
    /// Keeps what must be forgettable: keys, accounts, sessions, the log of reads. Sees no journal and no read model.
    Identity,
    /// The one who connects: migrations and rebuilds.
    Owner,
}

/// A connection that was in use this short a time ago is used again without asking whether it is still there, which
/// would double the round trips of a busy pool. A server that went away meanwhile is not back that soon.
const TRUSTED: Duration = Duration::from_millis(250);

/// Opens a pool of at most `connections` connections that act as `role` and look for the read models in
/// `schema` (`views`, or the schema of a rebuild).
///
/// # Errors
/// What the database says.
pub async fn connect(
    options: PgConnectOptions,
    role: Role,
    schema: &str,
    connections: u32,
) -> Result<PgPool, sqlx::Error> {
    let mut options = options.options([("search_path", schema)]).application_name("counterfoil");
    if role != Role::Owner {
        // Each statement is planned once per connection, perhaps while the tables are still small. A plan that reads a
        // whole table then would stay when it has grown; there is an index for everything that is asked for.
        options = options.options([("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off")]);
    }
    if role == Role::Projector {
        options = options.options([("synchronous_commit", "off")]);
    }
    let act = match role {
        Role::Reader => "SET ROLE counterfoil_reader",
        Role::Writer | Role::Projector => "SET ROLE counterfoil_writer",
        Role::Identity => "SET ROLE counterfoil_identity",
        Role::Owner => "RESET ROLE",
    };
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        .test_before_acquire(false)
        .before_acquire(|connection, found| {
            Box::pin(async move {
                if found.idle_for > TRUSTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            Box::pin(async move {
                connection.execute(act).await?;
                Ok(())
            })
        })
        .connect_with(options)
        .await
}

/// Begins a transaction by `statement`, or by a plain `BEGIN`. May be dropped while it does.
///
/// sqlx's own `Pool::begin` may not: dropped after `BEGIN` was sent and before its answer has come, it returns the
/// connection to the pool inside the transaction, and whatever the next user of it writes is acknowledged, never
/// committed, and lost. So it runs to its end in a task of its own; a transaction that nobody waits for any more is
/// rolled back there.
///
/// # Errors
/// What the database says.
pub async fn begin(
    pool: &PgPool,
    statement: impl Into<Option<Cow<'static, str>>>,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let (pool, statement) = (pool.clone(), statement.into().unwrap_or(Cow::Borrowed("BEGIN")));
    #[expect(clippy::disallowed_methods, reason = "this is the place where it is not dropped")]
    let beginning = tokio::spawn(async move { pool.begin_with(statement).await });
    beginning.await.map_err(io::Error::other)?
}

/// Brings the database to the present schema, and gives a new one its id (`database_id`) and its number of
/// partitions, which never change afterwards. Safe to run by several programs at once.
///
/// # Errors
/// What the database says, or that it is of a newer schema than this program.
pub async fn migrate(pool: &PgPool, partitions: i32, database_id: Uuid) -> Result<(), sqlx::Error> {
    MIGRATIONS.run(pool).await.map_err(|error| sqlx::Error::Migrate(Box::new(error)))?;
    sqlx::query!(
        "WITH identity AS (
             INSERT INTO journal.identity (database_id, partitions) VALUES ($1, $2)
             ON CONFLICT DO NOTHING
             RETURNING partitions
         )
         INSERT INTO journal.heads (partition)
         SELECT generate_series(0, partitions - 1) FROM identity
         ON CONFLICT DO NOTHING",
        database_id,
        partitions,
    )
    .execute(pool)
    .await?;
    Ok(())
}
