//! The sweeper: lets holds expire in time that no command touches.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{Clock, TenantId, TransactionId};
use tokio_util::sync::CancellationToken;

use crate::pipeline::Pipeline;
use crate::request::{Command, Context, Failure, Request};

/// Until `stop`: asks `due` every `interval` for holds whose time is over, and has them expire.
///
/// `due` may answer from a read model that lags behind: a hold that is gone already is refused by the
/// pipeline and nothing happens.
pub async fn sweep<F>(
    pipeline: Pipeline,
    clock: Arc<dyn Clock>,
    interval: Duration,
    stop: CancellationToken,
    due: impl Fn(DateTime<Utc>) -> F,
) where
    F: Future<Output = Result<Vec<(TenantId, TransactionId)>, String>>,
{
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        let found = match due(clock.now()).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the sweeper cannot look for due holds");
                continue;
            }
        };
        for (tenant, id) in found {
            let request = Request {
                tenant,
                command: Command::Expire { id },
                context: Context::system("sweep"),
                key: None,
            };
            match pipeline.submit(request).await {
                Ok(_) => metrics::counter!("counterfoil_holds_swept_total").increment(1),
                // Settled, released or expired in the meantime.
                Err(Failure::Rejected(rejection)) => tracing::debug!(%id, %rejection, "nothing to sweep"),
                Err(failure) => {
                    tracing::warn!(%id, %failure, "a due hold could not be swept");
                    break;
                }
            }
        }
    }
}
