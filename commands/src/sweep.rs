//! The sweeper: does in time what time does and no command touches. Holds expire, metered calls whose end nobody recorded
//! expire, allowances are renewed.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{Clock, ExecutionId, TenantId, TransactionId, WalletPath};
use tokio_util::sync::CancellationToken;

use crate::pipeline::Pipeline;
use crate::request::{AllowanceChange, Command, Context, Failure, Request};

/// Something whose time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// A hold.
    Hold(TransactionId),
    /// A metered call.
    Execution(ExecutionId),
    /// What a wallet may use.
    Allowance(WalletPath),
}

impl Due {
    fn command(self) -> Command {
        match self {
            Self::Hold(id) => Command::Expire { id },
            Self::Execution(id) => Command::ExpireExecution { id },
            Self::Allowance(path) => Command::Allowance { path, change: AllowanceChange::Renew },
        }
    }
}

/// Until `stop`: asks `due` every `interval` for what is due, and has it done.
///
/// `due` may answer from a read model that lags behind: what is done already is refused by the pipeline and nothing happens.
pub async fn sweep<F>(
    pipeline: Pipeline,
    clock: Arc<dyn Clock>,
    interval: Duration,
    stop: CancellationToken,
    due: impl Fn(DateTime<Utc>) -> F,
) where
    F: Future<Output = Result<Vec<(TenantId, Due)>, String>>,
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
                tracing::warn!(%error, "the sweeper cannot look for what is due");
                continue;
            }
        };
        for (tenant, due) in found {
            let request = Request {
                tenant,
                command: due.clone().command(),
                context: Context::system("sweep"),
                key: None,
            };
            match pipeline.submit(request).await {
                Ok(_) => metrics::counter!("counterfoil_swept_total", "what" => due.kind()).increment(1),
                // Done by somebody else in the meantime.
                Err(Failure::Rejected(rejection)) => tracing::debug!(?due, %rejection, "nothing to sweep"),
                Err(failure) => {
                    tracing::warn!(?due, %failure, "what is due could not be swept");
                    break;
                }
            }
        }
    }
}

impl Due {
    /// What it is, in one word.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Hold(_) => "hold",
            Self::Execution(_) => "execution",
            Self::Allowance(_) => "allowance",
        }
    }
}
