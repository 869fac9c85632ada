use std::time::Duration;

use ::journal::Position;
use tokio::time::{Instant, sleep, timeout_at};

use super::Reader;
use crate::{Kind, State};

/// How often the checkpoints are looked at where the projectors run in another process.
const POLL: Duration = Duration::from_millis(20);

/// A read model did not get to a position in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is at {reached} and not yet at {wanted}{}", kind.name(), stopped.as_ref().map_or(String::new(), |why| format!(": {why}")))]
pub struct Lagging {
    /// The read model.
    pub kind: Kind,
    /// What was waited for.
    pub wanted: Position,
    /// Where it is.
    pub reached: Position,
    /// Why it will not get there by itself, where that is known.
    pub stopped: Option<String>,
}

impl Reader {
    /// Waits until everything that is served reflects `wanted`, for `limit` at the most.
    ///
    /// # Errors
    /// [`Lagging`], naming the first read model that is not there in time; at once where it has stopped.
    pub async fn wait(&self, wanted: Position, limit: Duration) -> Result<(), Lagging> {
        let deadline = Instant::now() + limit;
        for kind in Kind::SERVED {
            let mut reached = 0;
            let waiting = self.reached(kind, wanted, &mut reached);
            let outcome = timeout_at(deadline, waiting).await;
            let stopped = match outcome {
                Ok(None) => continue,
                Ok(stopped) => stopped,
                Err(_) => None,
            };
            let reached = Position { position: reached, ..wanted };
            return Err(Lagging { kind, wanted, reached, stopped });
        }
        Ok(())
    }

    /// Returns `None` once a read model is at `wanted`, or the reason why it stopped before.
    async fn reached(&self, kind: Kind, wanted: Position, reached: &mut i64) -> Option<String> {
        let mut marks = self.progress.watch(kind, wanted.partition);
        loop {
            let mark = marks.as_mut().map(|marks| marks.borrow_and_update().clone()).unwrap_or_default();
            *reached = mark.position.max(*reached);
            if *reached >= wanted.position {
                return None;
            }
            match mark.state {
                State::Stopped { reason, .. } => return Some(reason),
                State::Running => {
                    self.progress.want(wanted.partition);
                    if let Some(marks) = &mut marks
                        && marks.changed().await.is_ok()
                    {
                        continue;
                    }
                }
                State::Elsewhere => {}
            }
            // A database that does not answer is waited for like a projector that lags.
            let stored = sqlx::query_scalar!(
                "SELECT position FROM checkpoints WHERE projection = $1 AND partition = $2",
                kind.name(),
                wanted.partition.0
            )
            .fetch_optional(&self.pool)
            .await;
            *reached = stored.ok().flatten().unwrap_or(0).max(*reached);
            if *reached >= wanted.position {
                return None;
            }
            sleep(POLL).await;
        }
    }
}
