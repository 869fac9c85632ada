//! Connections: which role they act as, and the migrations.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor, PgPool};
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
    /// The one who connects: migrations and rebuilds.
    Owner,
}

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
        // Statements are planned once per connection, perhaps while the tables are still small. A plan that reads a
        // whole table then would stay when it has grown; there is an index for everything that is asked for.
        options = options.options([("enable_seqscan", "off")]);
    }
    if role == Role::Projector {
        options = options.options([("synchronous_commit", "off")]);
    }
    let act = match role {
        Role::Reader => "SET ROLE counterfoil_reader",
        Role::Writer | Role::Projector => "SET ROLE counterfoil_writer",
        Role::Owner => "RESET ROLE",
    };
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        .after_connect(move |connection, _| {
            Box::pin(async move {
                connection.execute(act).await?;
                Ok(())
            })
        })
        .connect_with(options)
        .await
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
