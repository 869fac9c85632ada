//! The tick: one query for the heads of all partitions.

use domain::Partition;
use journal::Store;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Runtime, Source, Views, labels, measured};
use crate::Kind;

/// Tells each projector the position of its partition's head at each tick, and measures the lag behind them.
pub(super) async fn follow<S: Store, V: Views, F: Source>(
    runtime: Runtime<S, V, F>,
    ticks: Vec<(Partition, watch::Sender<i64>)>,
    stop: CancellationToken,
) {
    let mut ticker = interval(runtime.settings.tick);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticker.tick() => {}
        }
        let heads = match runtime.journal.heads().await {
            Ok(heads) => heads,
            Err(error) => {
                tracing::warn!(%error, "cannot read the journal's heads");
                continue;
            }
        };
        for head in &heads {
            for kind in Kind::ALL {
                let lag = head.position - runtime.progress.mark(kind, head.partition).position;
                let labels = labels(kind, head.partition);
                metrics::gauge!("counterfoil_projection_lag_events", &labels).set(measured(lag.max(0)));
            }
        }
        for (partition, tick) in &ticks {
            let index = usize::try_from(partition.0).unwrap_or(usize::MAX);
            if let Some(head) = heads.get(index) {
                tick.send_replace(head.position);
            }
        }
    }
}
