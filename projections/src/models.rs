//! The read models: what each makes of a batch of events.
//!
//! A batch becomes one statement per table, however many events it has, and stands or falls with the
//! checkpoint: both are written in one transaction, and the checkpoint moves only from the position just
//! before the batch. So an event that comes twice has no effect, and none can be left out.

mod allowances;
mod applications;
mod balances;
mod catalogues;
mod executions;
mod fold;
mod snapshots;
mod tenants;
mod transactions;
mod users;

use std::sync::Arc;

use cqrs_es::Aggregate;
use domain::{Allowance, Application, Catalogue, Execution, Partition, Tenant, Transaction, User, Wallet};
use sqlx::{PgConnection, PgPool};

use crate::Kind;
use crate::decoded::Decoded;

/// Why a batch was not applied. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// An event cannot be applied. Trying again does not help.
    #[error("event {at} cannot be applied: {reason}")]
    Poison {
        /// Its position.
        at: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// The checkpoint is not where the batch begins.
    #[error("the checkpoint has moved")]
    Moved,
    /// The database failed. Trying again may help.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Fault {
    fn poison(at: i64, reason: impl std::fmt::Display) -> Self {
        Self::Poison { at, reason: reason.to_string() }
    }
}

impl Kind {
    /// The tables of this read model.
    pub(crate) const fn tables(self) -> &'static [&'static str] {
        match self {
            Self::Tenants => &["tenants", "assets", "members", "invitations"],
            Self::Balances => &["balances"],
            Self::Transactions => &["transactions"],
            Self::Snapshots => &["snapshots"],
            Self::Users => &["users"],
            Self::Applications => &["applications", "api_keys"],
            Self::Catalogues => &["catalogues"],
            Self::Allowances => &["allowances"],
            Self::Executions => &["executions", "usage_quarters"],
        }
    }

    /// Whether events of this kind of stream matter to it.
    fn concerns(self, aggregate_type: &str) -> bool {
        match self {
            Self::Tenants => aggregate_type == Tenant::TYPE,
            Self::Balances => aggregate_type == Wallet::TYPE,
            Self::Transactions => aggregate_type == Transaction::TYPE,
            Self::Snapshots => {
                [Tenant::TYPE, Wallet::TYPE, User::TYPE, Application::TYPE, Catalogue::TYPE, Allowance::TYPE]
                    .contains(&aggregate_type)
            }
            Self::Users => aggregate_type == User::TYPE,
            Self::Applications => aggregate_type == Application::TYPE,
            Self::Catalogues => aggregate_type == Catalogue::TYPE,
            Self::Allowances => aggregate_type == Allowance::TYPE,
            Self::Executions => aggregate_type == Execution::TYPE,
        }
    }
}

/// Where a read model is, according to its checkpoint.
pub(crate) async fn checkpoint(
    connection: &mut PgConnection,
    kind: Kind,
    partition: Partition,
) -> Result<i64, sqlx::Error> {
    let position = sqlx::query_scalar!(
        "SELECT position FROM checkpoints WHERE projection = $1 AND partition = $2",
        kind.name(),
        partition.0
    )
    .fetch_optional(connection)
    .await?;
    Ok(position.unwrap_or(0))
}

/// Applies a batch of adjoining events that begins behind `after`, in a transaction of its own.
pub(crate) async fn write(
    pool: &PgPool,
    kind: Kind,
    partition: Partition,
    after: i64,
    batch: &[Arc<Decoded>],
) -> Result<i64, Fault> {
    if let Some(last) = batch.last()
        && !batch.iter().any(|decoded| kind.concerns(&decoded.event.text.aggregate_type))
    {
        // One statement is a transaction by itself. Most batches have nothing for most read models.
        let mut connection = pool.acquire().await?;
        move_checkpoint(&mut connection, kind, partition, after, last.event.position).await?;
        return Ok(last.event.position);
    }
    let mut tx = journal::begin(pool, None).await?;
    let position = write_in(&mut tx, kind, partition, after, batch).await?;
    tx.commit().await?;
    Ok(position)
}

/// The same within a transaction of the caller's, who rolls it back on a fault.
pub(crate) async fn write_in(
    connection: &mut PgConnection,
    kind: Kind,
    partition: Partition,
    after: i64,
    batch: &[Arc<Decoded>],
) -> Result<i64, Fault> {
    let Some(last) = batch.last() else {
        return Ok(after);
    };
    let position = last.event.position;
    let ours: Vec<&Decoded> =
        batch.iter().map(AsRef::as_ref).filter(|e| kind.concerns(&e.event.text.aggregate_type)).collect();
    for event in &ours {
        if let Err(error) = &event.body {
            return Err(Fault::poison(event.event.position, error));
        }
    }
    // First the checkpoint: its row is the lock that keeps others away from the tables.
    move_checkpoint(connection, kind, partition, after, position).await?;
    if !ours.is_empty() {
        match kind {
            Kind::Tenants => tenants::apply(connection, partition, &ours).await?,
            Kind::Balances => balances::apply(connection, partition, &ours).await?,
            Kind::Transactions => transactions::apply(connection, partition, &ours).await?,
            Kind::Snapshots => snapshots::apply(connection, partition, &ours).await?,
            Kind::Users => users::apply(connection, partition, &ours).await?,
            Kind::Applications => applications::apply(connection, partition, &ours).await?,
            Kind::Catalogues => catalogues::apply(connection, partition, &ours).await?,
            Kind::Allowances => allowances::apply(connection, partition, &ours).await?,
            Kind::Executions => executions::apply(connection, partition, &ours).await?,
        }
    }
    Ok(position)
}

async fn move_checkpoint(
    connection: &mut PgConnection,
    kind: Kind,
    partition: Partition,
    from: i64,
    to: i64,
) -> Result<(), Fault> {
    let moved = if from == 0 {
        // A read model that has not begun has no row.
        sqlx::query!(
            "INSERT INTO checkpoints AS c (projection, partition, position) VALUES ($1, $2, $3)
             ON CONFLICT (projection, partition) DO UPDATE SET position = excluded.position WHERE c.position = 0",
            kind.name(),
            partition.0,
            to
        )
        .execute(connection)
        .await?
    } else {
        sqlx::query!(
            "UPDATE checkpoints SET position = $4 WHERE projection = $1 AND partition = $2 AND position = $3",
            kind.name(),
            partition.0,
            from,
            to
        )
        .execute(connection)
        .await?
    };
    if moved.rows_affected() == 1 { Ok(()) } else { Err(Fault::Moved) }
}
