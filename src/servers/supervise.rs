//! Keeps one server running until it is told to stop.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Error;
use super::launcher::Launcher;

/// The pause before the first restart; it doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between restarts. Short enough that a server which is killed again and again, by whatever kills
/// it, is back within seconds of the last time.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A server that ran this long is healthy: the next failure starts with the first pause again.
const HEALTHY: Duration = Duration::from_secs(30);
/// A server that failed so often before it was ever ready is given up.
const GIVE_UP_AFTER: u32 = 4;
/// A server that is not ready after this time is given up. Recovery after a crash may take long.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// How often a running server is asked whether it still works, and how long it may take to answer.
const PULSE: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(2);
/// A server that did not answer so often in a row is killed, to be started again.
const MISSED: u32 = 2;

/// Asks a server whether it works.
pub type Probe = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), Lifeless>> + Send>> + Send + Sync>;

/// Why a server does not seem to work, in words.
#[derive(Debug, thiserror::Error)]
pub enum Lifeless {
    /// It does not listen: it may still be starting, however long that takes.
    #[error("{0}")]
    Closed(String),
    /// It listens, and does not do what it is there for.
    #[error("{0}")]
    Deaf(String),
}

/// How to run one server.
pub struct Service {
    /// What people call it.
    pub name: &'static str,
    /// Builds the command; its output goes to the log.
    pub command: Box<dyn Fn() -> Command + Send + Sync>,
    /// The file that gets its output.
    pub log: PathBuf,
    /// How to stop it: signals, each with the time it is given.
    pub means: &'static [(Signal, Duration)],
    /// What tells a server that works from one that merely runs; without it, running is enough.
    pub pulse: Option<Probe>,
}

/// How often a server failed, and how the last time.
#[derive(Debug, Clone, Default)]
struct Failures {
    count: u32,
    last: String,
}

/// A server that is kept running.
#[derive(Debug)]
pub struct Supervised {
    name: &'static str,
    log: PathBuf,
    /// Dropping it stops the server too.
    stop: DropGuard,
    task: JoinHandle<()>,
    pid: watch::Receiver<Option<u32>>,
    failures: watch::Receiver<Failures>,
}

impl Supervised {
    /// Starts the server and the task that looks after it.
    pub fn start(service: Service, launcher: Launcher) -> Self {
        let (pid_sender, pid) = watch::channel(None);
        let (failures_sender, failures) = watch::channel(Failures::default());
        let stop = CancellationToken::new();
        let (name, log) = (service.name, service.log.clone());
        let keeper =
            Keeper { service, launcher, pid: pid_sender, failures: failures_sender, stop: stop.clone() };
        Self { name, log, stop: stop.drop_guard(), task: tokio::spawn(keeper.run()), pid, failures }
    }

    /// Follows its pid; `None` while it is down.
    pub fn pid(&self) -> watch::Receiver<Option<u32>> {
        self.pid.clone()
    }

    /// Waits until `probe` succeeds for the first time. Gives up, and stops the server,
    /// when it keeps failing or `interrupt` is cancelled.
    pub async fn ready<E: std::fmt::Display>(
        self,
        interrupt: &CancellationToken,
        probe: impl AsyncFn() -> Result<(), E>,
    ) -> Result<Self, Error> {
        let deadline = tokio::time::Instant::now() + READY_WITHIN;
        let reason = loop {
            let failures = self.failures.borrow().clone();
            match probe().await {
                Ok(()) => return Ok(self),
                Err(_) if interrupt.is_cancelled() => {
                    self.stop().await;
                    return Err(Error::Interrupted);
                }
                Err(_) if failures.count >= GIVE_UP_AFTER => {
                    break format!(
                        "it failed {} times, the last time with: {}",
                        failures.count, failures.last
                    );
                }
                Err(error) if tokio::time::Instant::now() >= deadline => break error.to_string(),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let (server, log) = (self.name, self.log.clone());
        self.stop().await;
        let tail = tail(&log);
        Err(Error::NotReady { server, reason, log, tail })
    }

    /// Stops the server and waits for its end.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(server = self.name, %error, "the supervision ended early");
        }
    }
}

/// The task that looks after a server.
struct Keeper {
    service: Service,
    launcher: Launcher,
    pid: watch::Sender<Option<u32>>,
    failures: watch::Sender<Failures>,
    stop: CancellationToken,
}

impl Keeper {
    async fn run(self) {
        let name = self.service.name;
        let mut pause = FIRST_PAUSE;
        loop {
            let began = tokio::time::Instant::now();
            let last = match self.run_once().await {
                Ok(None) => return,
                Ok(Some(status)) => status.to_string(),
                Err(error) => error.to_string(),
            };
            tracing::warn!(
                server = name,
                reason = last,
                ?pause,
                "server ended or did not start; trying again"
            );
            self.failures.send_modify(|failures| {
                failures.count += 1;
                failures.last = last;
            });
            if began.elapsed() >= HEALTHY {
                pause = FIRST_PAUSE;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Runs the server until it ends by itself (how it ended) or is told to stop (nothing).
    async fn run_once(&self) -> io::Result<Option<ExitStatus>> {
        let log = OpenOptions::new().append(true).create(true).open(&self.service.log)?;
        let mut command = (self.service.command)();
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let farewell = self.service.means.first().map_or(Signal::SIGTERM, |(signal, _)| *signal);
        let mut child = self.launcher.spawn(command, farewell).await?;
        self.pid.send_replace(child.id());
        tracing::debug!(server = self.service.name, pid = child.id(), "server started");
        let ended = tokio::select! {
            status = child.wait() => Some(status?),
            reason = self.lifeless() => {
                tracing::warn!(server = self.service.name, reason, "server does not answer; killing it");
                child.kill().await?;
                Some(child.wait().await?)
            }
            () = self.stop.cancelled() => {
                self.end(&mut child).await?;
                None
            }
        };
        self.pid.send_replace(None);
        Ok(ended)
    }

    /// Waits until a server that listens, or has answered before, no longer answers, and says what is wrong.
    async fn lifeless(&self) -> String {
        let Some(pulse) = &self.service.pulse else {
            return std::future::pending().await;
        };
        let (mut answered, mut missed) = (false, 0);
        loop {
            tokio::time::sleep(PULSE).await;
            let (starting, reason) = match tokio::time::timeout(ANSWER, pulse()).await {
                Ok(Ok(())) => {
                    (answered, missed) = (true, 0);
                    continue;
                }
                Ok(Err(Lifeless::Closed(reason))) => (!answered, reason),
                Ok(Err(Lifeless::Deaf(reason))) => (false, reason),
                Err(_) => (false, format!("no answer within {ANSWER:?}")),
            };
            missed = if starting { 0 } else { missed + 1 };
            if missed >= MISSED {
                return reason;
            }
        }
    }

    /// Stops the child: politely first, then by each stronger means in turn.
    async fn end(&self, child: &mut Child) -> io::Result<()> {
        for (signal, patience) in self.service.means {
            let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) else {
                return Ok(());
            };
            // Not yet waited for, so the number cannot be another process's.
            kill(Pid::from_raw(pid), *signal)?;
            if let Ok(status) = tokio::time::timeout(*patience, child.wait()).await {
                tracing::debug!(server = self.service.name, status = %status?, "server stopped");
                return Ok(());
            }
            tracing::warn!(server = self.service.name, %signal, "server did not stop in time");
        }
        child.wait().await.map(|_| ())
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.iter().skip(lines.len().saturating_sub(12));
    last.flat_map(|line| ["  ", *line, "\n"]).collect()
}
