use domain::Partition;
use journal::Journal;
use sqlx::{Connection, Executor, PgConnection};

use super::{BATCH, RebuildError, RebuildReport, proof, waited_in_vain};
use crate::Kind;
use crate::decoded::decode_all;
use crate::models::{self, Fault};

/// When the served read model is more events behind than this, it is not brought forward to be compared.
const COMPARABLE: i64 = 20_000;

/// One transaction: brings both read models to the same positions, proves the new one, notes how the old one
/// differs, and puts the new one in its place.
pub(super) async fn swap(
    owner: &mut PgConnection,
    kind: Kind,
    schema: &str,
    journal: &Journal,
    built: &[i64],
) -> Result<RebuildReport, RebuildError> {
    let mut tx = owner.begin().await?;
    tx.execute("SET LOCAL lock_timeout = '2s'; SET LOCAL ROLE counterfoil_writer").await?;
    let served = lock(&mut tx, kind, journal).await?;
    let heads: Vec<i64> = journal.heads().await?.into_iter().map(|head| head.position).collect();

    let not_compared = forward_served(&mut tx, kind, journal, &served, &heads).await?;

    tx.execute(sqlx::raw_sql(&format!("SET LOCAL search_path = {schema}"))).await?;
    for ((built, head), partition) in built.iter().zip(&heads).zip(journal.partitions()) {
        forward(&mut tx, kind, journal, partition, *built, *head)
            .await
            .map_err(RebuildError::at(partition))?;
    }
    let rows = proof::rows(&mut tx, kind, schema).await?;
    proof::balanced(&mut tx, kind).await?;
    let differences = match not_compared {
        Some(_) => Vec::new(),
        None => proof::differences(&mut tx, kind, schema).await?,
    };

    tx.execute("RESET ROLE").await?;
    for table in kind.tables() {
        let put = format!("DROP TABLE views.{table}; ALTER TABLE {schema}.{table} SET SCHEMA views");
        tx.execute(sqlx::raw_sql(&put)).await?;
    }
    let finish = format!(
        "UPDATE views.checkpoints c SET position = coalesce((SELECT position FROM {schema}.checkpoints n
             WHERE n.projection = c.projection AND n.partition = c.partition), 0)
         WHERE c.projection = '{}';
         DROP SCHEMA {schema} CASCADE; SET LOCAL search_path = views",
        kind.name()
    );
    tx.execute(sqlx::raw_sql(&finish)).await?;
    tx.commit().await?;
    Ok(RebuildReport { projection: kind, events: heads.iter().sum(), rows, differences, not_compared })
}

/// Locks the served checkpoints, and with them the tables, against the projectors; returns their positions.
async fn lock(tx: &mut PgConnection, kind: Kind, journal: &Journal) -> Result<Vec<i64>, sqlx::Error> {
    let partitions: Vec<i32> = journal.partitions().map(|partition| partition.0).collect();
    sqlx::query!(
        "INSERT INTO views.checkpoints (projection, partition, position)
         SELECT $1, partition, 0 FROM UNNEST($2::integer[]) AS partition ON CONFLICT DO NOTHING",
        kind.name(),
        &partitions
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query_scalar!(
        "SELECT position FROM views.checkpoints WHERE projection = $1 ORDER BY partition FOR UPDATE",
        kind.name()
    )
    .fetch_all(tx)
    .await
}

/// Brings the served read model to the heads, for the comparison; says why where that is not possible.
async fn forward_served(
    tx: &mut PgConnection,
    kind: Kind,
    journal: &Journal,
    served: &[i64],
    heads: &[i64],
) -> Result<Option<String>, RebuildError> {
    let lag: i64 = heads.iter().zip(served).map(|(head, served)| head - served).sum();
    if lag > COMPARABLE {
        return Ok(Some(format!("it was {lag} events behind")));
    }
    // A savepoint: whatever is wrong with the served one must not keep the new one from its place.
    let mut savepoint = tx.begin().await?;
    for ((served, head), partition) in served.iter().zip(heads).zip(journal.partitions()) {
        match forward(&mut savepoint, kind, journal, partition, *served, *head).await {
            Ok(()) => {}
            Err(Fault::Database(error)) if waited_in_vain(&error) => return Err(error.into()),
            Err(fault) => {
                savepoint.rollback().await?;
                return Ok(Some(format!(
                    "it could not be brought forward in partition {partition}: {fault}"
                )));
            }
        }
    }
    savepoint.commit().await?;
    Ok(None)
}

/// Applies the events behind `from` up to `to`.
async fn forward(
    tx: &mut PgConnection,
    kind: Kind,
    journal: &Journal,
    partition: Partition,
    mut from: i64,
    to: i64,
) -> Result<(), Fault> {
    while from < to {
        let events = journal.read(partition, from, BATCH.min(to - from)).await?;
        if events.is_empty() {
            break;
        }
        from = models::write_in(tx, kind, partition, from, &decode_all(events)).await?;
    }
    Ok(())
}
