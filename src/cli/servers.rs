//! `counterfoil servers`: the private servers alone.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Failure, say};
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::servers::{Options, Place, Servers};

/// Run the private PostgreSQL and nats-server alone, until standard input is closed or a signal comes.
///
/// When they are ready, one line of JSON with their addresses and pids is printed, and another one whenever a server
/// had to be restarted.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  counterfoil servers --data-dir ./.counterfoil
  counterfoil servers --ephemeral -- sh -c 'psql \"$DATABASE_URL\"'
  counterfoil servers --ephemeral -- cargo test")]
pub struct Arguments {
    /// Use a temporary directory instead of the data directory, removed at the end, and small, fast settings without fsync. For tests
    #[arg(long)]
    ephemeral: bool,
    /// With --ephemeral: keep fsync on
    #[arg(long, requires = "ephemeral")]
    durable: bool,
    /// Start only this server
    #[arg(long, value_name = "SERVER")]
    only: Option<Only>,
    /// Run this command with `DATABASE_URL` and `NATS_URL` set, stop when it ends, and exit with its status
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    Postgres,
    Nats,
}

impl Arguments {
    fn options(&self, config: &Config) -> Options {
        Options {
            place: if self.ephemeral { Place::Ephemeral } else { Place::Directory(config.data_dir()) },
            postgres: self.only != Some(Only::Nats),
            nats: self.only != Some(Only::Postgres),
            durable: self.durable || !self.ephemeral,
        }
    }
}

/// The line that is printed when the servers are ready.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Ready {
    database_url: Option<String>,
    nats_url: Option<String>,
    postgres_pid: Option<u32>,
    nats_pid: Option<u32>,
    data_dir: PathBuf,
}

impl Ready {
    fn of(servers: &Servers) -> Self {
        let now = |pid: Option<watch::Receiver<Option<u32>>>| pid.and_then(|pid| *pid.borrow());
        Self {
            database_url: servers.database_url().map(str::to_owned),
            nats_url: servers.nats_url().map(str::to_owned),
            postgres_pid: now(servers.postgres_pid()),
            nats_pid: now(servers.nats_pid()),
            data_dir: servers.data_dir().to_owned(),
        }
    }

    fn print(&self) -> std::io::Result<()> {
        say(&serde_json::to_string(self)?)
    }
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: Config) -> Result<ExitCode, Failure> {
    let lifecycle = Lifecycle::watch_signals()?;
    if arguments.command.is_empty() {
        // Whoever started us may go away before the servers are up.
        stop_with_stdin(lifecycle.soft().clone());
    }
    let servers = Servers::start(arguments.options(&config), lifecycle.soft()).await?;
    let result = match arguments.command.as_slice() {
        [] => announce(&servers, &lifecycle).await.map(|()| ExitCode::SUCCESS),
        [program, rest @ ..] => run_command(&servers, &lifecycle, program, rest).await,
    };
    tokio::select! {
        () = servers.stop() => {}
        () = lifecycle.hard().cancelled() => {}
    }
    result
}

/// Prints the addresses, now and after every restart, until the end.
async fn announce(servers: &Servers, lifecycle: &Lifecycle) -> Result<(), Failure> {
    let mut said = Ready::of(servers);
    said.print()?;
    let (mut postgres, mut nats) = (servers.postgres_pid(), servers.nats_pid());
    loop {
        tokio::select! {
            () = lifecycle.soft().cancelled() => return Ok(()),
            () = changed(postgres.as_mut()) => {}
            () = changed(nats.as_mut()) => {}
        }
        let now = Ready::of(servers);
        let down =
            (postgres.is_some() && now.postgres_pid.is_none()) || (nats.is_some() && now.nats_pid.is_none());
        if !down && now != said {
            now.print()?;
            said = now;
        }
    }
}

/// Waits for the next pid; forever if there is none to come.
async fn changed(pid: Option<&mut watch::Receiver<Option<u32>>>) {
    if let Some(pid) = pid
        && pid.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Runs a command that uses the servers. The terminal sends it SIGINT by itself; SIGTERM we pass on.
async fn run_command(
    servers: &Servers,
    lifecycle: &Lifecycle,
    program: &str,
    arguments: &[String],
) -> Result<ExitCode, Failure> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).kill_on_drop(true);
    command.envs(servers.database_url().map(|url| ("DATABASE_URL", url)));
    command.envs(servers.nats_url().map(|url| ("NATS_URL", url)));
    let mut child = command.spawn().map_err(|error| format!("cannot run {program}: {error}"))?;
    let status = tokio::select! {
        status = child.wait() => status?,
        () = lifecycle.soft().cancelled() => {
            if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM)?;
            }
            tokio::select! {
                status = child.wait() => status?,
                () = lifecycle.hard().cancelled() => return Ok(ExitCode::FAILURE),
            }
        }
    };
    // As a shell does: 128 and the number of the signal.
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Asks for the end when standard input is closed. A thread of its own, because a read cannot be interrupted.
fn stop_with_stdin(stop: CancellationToken) {
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 256];
        let mut input = std::io::stdin().lock();
        while matches!(input.read(&mut buffer), Ok(count) if count > 0) {}
        stop.cancel();
    });
}
