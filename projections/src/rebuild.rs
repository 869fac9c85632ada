//! Builds a read model anew from the journal, beside the served one, and swaps the two.
//!
//! The new tables are filled in a schema of their own by the very code that keeps the served ones. Then, in one
//! transaction that keeps the projectors away from the served tables: the rest is applied, the new tables are
//! proved, and put in the place of the old ones. Readers wait for that transaction at the most; theirs are never
//! interrupted, and each sees either the old tables or the new ones.

mod proof;
mod swap;

use std::time::Duration;

use domain::Partition;
use journal::{Journal, Role};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection, PgPool};
use tokio::time::{Instant, sleep};

use crate::Kind;
use crate::decoded::decode_all;
use crate::models::{self, Fault};

/// Events that are applied in one transaction.
const BATCH: i64 = 2000;
/// Once this few events are missing, the rest is left to the swap.
const NEAR: i64 = 2000;
/// How often the swap is tried when readers keep it from its locks.
const ATTEMPTS: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);

/// How far a rebuild is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebuildProgress {
    /// Events applied.
    pub done: i64,
    /// Events in the journal at present.
    pub total: i64,
    /// Events applied per second since the beginning.
    pub rate: u128,
}

/// What a rebuild came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuildReport {
    /// The read model.
    pub projection: Kind,
    /// The events it was built from.
    pub events: i64,
    /// The rows it has now, by table.
    pub rows: Vec<(&'static str, i64)>,
    /// How the read model that was served until now differed in counts and sums. A rebuild also repairs a wrong one.
    pub differences: Vec<String>,
    /// Why the two were not compared, where they were not.
    pub not_compared: Option<String>,
}

/// Why a read model was not rebuilt. The served one is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Another rebuild of it is at work.
    #[error("another rebuild of {} is at work", .0.name())]
    Busy(Kind),
    /// An event cannot be applied.
    #[error("event p{partition}:{at} cannot be applied: {reason}")]
    Poison {
        /// Its partition.
        partition: Partition,
        /// Its position.
        at: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// The new read model contradicts the rules of double entry, or itself.
    #[error("the new read model is not balanced: {0}")]
    Unbalanced(String),
    /// Readers or projectors never let go of the tables for long enough.
    #[error("the tables stay in use; try again later")]
    InUse,
    /// Something else wrote to the new tables.
    #[error("the new read model was written to by somebody else")]
    Disturbed,
    /// The database failed or could not be reached.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl RebuildError {
    fn at(partition: Partition) -> impl Fn(Fault) -> Self {
        move |fault| match fault {
            Fault::Poison { at, reason } => Self::Poison { partition, at, reason },
            Fault::Moved => Self::Disturbed,
            Fault::Database(error) => Self::Database(error),
        }
    }
}

/// Rebuilds the read model `kind`. `database` connects as the owner of the tables; `observer` hears how far it is
/// after each batch.
///
/// Interrupted at any time it leaves at most a schema of its own behind, which the next rebuild drops.
///
/// # Errors
/// [`RebuildError`].
pub async fn rebuild(
    kind: Kind,
    database: PgConnectOptions,
    journal: &Journal,
    mut observer: impl FnMut(RebuildProgress),
) -> Result<RebuildReport, RebuildError> {
    let mut owner = PgConnection::connect_with(&database.clone().options([("search_path", "views")])).await?;
    let schema = format!("rebuild_{}", kind.name());
    let free = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock(hashtext($1)) AS "free!""#, &schema)
        .fetch_one(&mut owner)
        .await?;
    if !free {
        return Err(RebuildError::Busy(kind));
    }
    prepare(&mut owner, kind, &schema).await?;
    let pool = journal::connect(database, Role::Writer, &schema, 2).await?;
    let mut positions = vec![0; journal.partitions().count()];
    let filled = fill(kind, &pool, journal, &mut positions, &mut observer).await;
    pool.close().await;
    filled?;
    let report = attempt(&mut owner, kind, &schema, journal, &positions).await?;
    observer(RebuildProgress { done: report.events, total: report.events, rate: 0 });
    owner.close().await?;
    Ok(report)
}

/// Makes empty tables like the served ones, with the same indexes, storage settings, policies and grants.
async fn prepare(owner: &mut PgConnection, kind: Kind, schema: &str) -> Result<(), sqlx::Error> {
    let mut tx = owner.begin().await?;
    // Names of schemas and tables come from this program alone.
    let create = format!(
        "DROP SCHEMA IF EXISTS {schema} CASCADE;
         CREATE SCHEMA {schema};
         GRANT USAGE ON SCHEMA {schema} TO counterfoil_writer, counterfoil_reader;
         CREATE TABLE {schema}.checkpoints (LIKE views.checkpoints INCLUDING ALL);
         GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.checkpoints TO counterfoil_writer"
    );
    tx.execute(sqlx::raw_sql(&create)).await?;
    for table in kind.tables() {
        let create = format!(
            "CREATE TABLE {schema}.{table} (LIKE views.{table} INCLUDING ALL);
             SELECT views.protect('{schema}', '{table}')"
        );
        tx.execute(sqlx::raw_sql(&create)).await?;
        let settings = sqlx::query_scalar!(
            "SELECT array_to_string(reloptions, ', ') FROM pg_class
             WHERE relnamespace = 'views'::regnamespace AND relname = $1",
            *table
        )
        .fetch_one(&mut *tx)
        .await?;
        if let Some(settings) = settings {
            let set = format!("ALTER TABLE {schema}.{table} SET ({settings})");
            tx.execute(sqlx::raw_sql(&set)).await?;
        }
    }
    tx.commit().await
}

/// Applies the journal until hardly anything is missing.
async fn fill(
    kind: Kind,
    pool: &PgPool,
    journal: &Journal,
    positions: &mut [i64],
    observer: &mut impl FnMut(RebuildProgress),
) -> Result<(), RebuildError> {
    let began = Instant::now();
    loop {
        let heads: Vec<i64> = journal.heads().await?.into_iter().map(|head| head.position).collect();
        let total: i64 = heads.iter().sum();
        let mut done: i64 = positions.iter().sum();
        for ((position, head), partition) in positions.iter_mut().zip(heads).zip(journal.partitions()) {
            while *position < head {
                let batch = decode_all(journal.read(partition, *position, BATCH).await?);
                let reached = models::write(pool, kind, partition, *position, &batch)
                    .await
                    .map_err(RebuildError::at(partition))?;
                done += reached - *position;
                *position = reached;
                let rate = u128::from(done.unsigned_abs()) * 1000 / began.elapsed().as_millis().max(1);
                observer(RebuildProgress { done, total: total.max(done), rate });
            }
        }
        let heads: i64 = journal.heads().await?.iter().map(|head| head.position).sum();
        if heads - positions.iter().sum::<i64>() <= NEAR {
            return Ok(());
        }
    }
}

/// Tries the swap until it gets its locks.
async fn attempt(
    owner: &mut PgConnection,
    kind: Kind,
    schema: &str,
    journal: &Journal,
    positions: &[i64],
) -> Result<RebuildReport, RebuildError> {
    for _ in 0..ATTEMPTS {
        match swap::swap(owner, kind, schema, journal, positions).await {
            Err(RebuildError::Database(error)) if waited_in_vain(&error) => sleep(PAUSE).await,
            outcome => return outcome,
        }
    }
    Err(RebuildError::InUse)
}

/// Whether it was a lock timeout or a deadlock, after which everything may be tried again.
fn waited_in_vain(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("55P03" | "40P01"))
}
