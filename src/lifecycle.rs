//! How the program ends: softly at the first signal, hard at the second.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The two stages of the end, and the tasks that must come to theirs.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
}

impl Lifecycle {
    /// Watches SIGINT and SIGTERM: the first asks for a soft end, the second for a hard one.
    ///
    /// # Errors
    /// The signals cannot be watched.
    pub fn watch_signals() -> io::Result<Self> {
        let this = Self::default();
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::spawn(this.clone().follow(interrupt, terminate));
        Ok(this)
    }

    async fn follow(self, mut interrupt: Signal, mut terminate: Signal) {
        for stage in [&self.soft, &self.hard] {
            let name = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            };
            tracing::info!(signal = name, "stopping; one more signal stops at once");
            stage.cancel();
        }
    }

    /// Cancelled when the program should finish what is in flight and end.
    #[must_use]
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when the program should drop what is in flight and end.
    #[must_use]
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Tasks tracked here are waited for by [`Lifecycle::finish`].
    #[must_use]
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Asks for a soft end.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// Waits until every tracked task has ended, or a hard end is asked for. Whether all ended.
    pub async fn finish(&self) -> bool {
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => true,
            () = self.hard.cancelled() => false,
        }
    }
}
