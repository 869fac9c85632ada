//! What time does and nobody asks for: holds and calls that expire, allowances that are renewed.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use commands::{Due, Pipeline};
use domain::{Clock, Partition, TenantId};
use journal::Journal;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// How many things of one kind are swept at a time in a partition.
const SWEEP: i64 = 500;

/// Sweeps until `stop`. `pool` acts as `journal::Role::Writer`.
pub(super) fn sweep(
    config: &Config,
    journal: &Journal,
    pool: PgPool,
    pipeline: Pipeline,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let (journal, views) = (journal.clone(), projections::Due::new(pool));
    let interval = Duration::from_millis(config.sweep.interval_ms.get());
    commands::sweep(pipeline, clock, interval, stop, move |now| {
        let (journal, views) = (journal.clone(), views.clone());
        async move {
            let mut found = Vec::new();
            for partition in journal.partitions() {
                found.extend(due(&views, partition, now).await.map_err(|error| error.to_string())?);
            }
            Ok(found)
        }
    })
}

/// What is due in a partition.
async fn due(
    views: &projections::Due,
    partition: Partition,
    now: DateTime<Utc>,
) -> Result<Vec<(TenantId, Due)>, sqlx::Error> {
    let holds = views.due(partition, now, SWEEP).await?;
    let calls = views.executions(partition, now, SWEEP).await?;
    let allowances = views.allowances(partition, now, SWEEP).await?;
    let holds = holds.into_iter().map(|(tenant, id)| (tenant, Due::Hold(id)));
    let calls = calls.into_iter().map(|(tenant, id)| (tenant, Due::Execution(id)));
    let allowances = allowances.into_iter().map(|(tenant, path)| (tenant, Due::Allowance(path)));
    Ok(holds.chain(calls).chain(allowances).collect())
}
