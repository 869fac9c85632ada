//! Where every read model is, for operators.

use domain::Partition;
use journal::Journal;
use serde::Serialize;
use sqlx::PgPool;

use crate::{Kind, Progress, State};

/// Where a read model is in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProjectionStatus {
    /// The read model.
    pub projection: Kind,
    /// The partition.
    pub partition: Partition,
    /// The position of the last event in it.
    pub position: i64,
    /// The position of the last event in the journal.
    pub head: i64,
    /// How many events it is behind.
    pub lag: i64,
    /// What its projector in this process does, if it has one.
    #[serde(flatten)]
    pub state: State,
}

/// Where every read model is in every partition. `pool` finds the read models through its search path; `progress`
/// is given where the projectors may run in this process.
///
/// # Errors
/// What the database says.
pub async fn status(
    pool: &PgPool,
    journal: &Journal,
    progress: Option<&Progress>,
) -> Result<Vec<ProjectionStatus>, sqlx::Error> {
    let checkpoints =
        sqlx::query!("SELECT projection, partition, position FROM checkpoints").fetch_all(pool).await?;
    // The heads after the checkpoints, so that none is ahead of its head.
    let heads = journal.heads().await?;
    let mut all = Vec::with_capacity(heads.len() * Kind::ALL.len());
    for projection in Kind::ALL {
        for head in &heads {
            let stored = checkpoints
                .iter()
                .find(|row| row.projection == projection.name() && row.partition == head.partition.0);
            let position = stored.map_or(0, |row| row.position);
            let mark = progress.map(|progress| progress.mark(projection, head.partition));
            all.push(ProjectionStatus {
                projection,
                partition: head.partition,
                position,
                head: head.position,
                lag: (head.position - position).max(0),
                state: mark.unwrap_or_default().state,
            });
        }
    }
    Ok(all)
}
