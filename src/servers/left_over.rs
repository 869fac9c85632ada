//! Processes of an earlier run that are still there.
//!
//! A pid in a file proves nothing: the process may be long gone and its number another's. So a process is signalled
//! only while its command line says that it is the program in question, working on our directory.

use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Error;

/// How often a process is looked at while it is stopping.
const GLANCE: Duration = Duration::from_millis(50);

/// Whether there is a process with this pid, whoever owns it.
pub fn exists(pid: i32) -> bool {
    !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH))
}

/// The pid at the beginning of a pid file, if the file is there and makes sense.
pub fn read_pid(file: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().next()?.trim().parse().ok().filter(|pid| *pid > 1)
}

/// Whether process `pid` runs `program` with `argument` among its arguments.
pub fn is(pid: i32, program: &str, argument: &Path) -> bool {
    let Some(line) = command_line(pid) else {
        return false;
    };
    let named =
        line.first().is_some_and(|first| Path::new(first).file_name().is_some_and(|name| name == program));
    named && line.iter().any(|one| Path::new(one) == argument)
}

/// Stops process `pid` if it [`is`] what it is said to be: politely first, then by each stronger means in turn.
pub async fn stop(
    pid: i32,
    server: &'static str,
    program: &str,
    argument: &Path,
    means: &[(Signal, Duration)],
) -> Result<(), Error> {
    if !is(pid, program, argument) {
        return Ok(());
    }
    tracing::warn!(pid, server, "stopping a process left over from an earlier run");
    for (signal, patience) in means {
        if let Err(error) = kill(Pid::from_raw(pid), *signal) {
            tracing::debug!(pid, %error, "signal not delivered");
        }
        let deadline = tokio::time::Instant::now() + *patience;
        while tokio::time::Instant::now() < deadline {
            if !is(pid, program, argument) {
                return Ok(());
            }
            tokio::time::sleep(GLANCE).await;
        }
    }
    Err(Error::LeftOver { server, pid })
}

/// The command line of a process; empty for one that has ended and was not yet waited for.
#[cfg(target_os = "linux")]
fn command_line(pid: i32) -> Option<Vec<String>> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(bytes.split(|byte| *byte == 0).map(|one| String::from_utf8_lossy(one).into_owned()).collect())
}

/// The command line of a process, as far as `ps` can tell: arguments with spaces are not recognised.
#[cfg(not(target_os = "linux"))]
fn command_line(pid: i32) -> Option<Vec<String>> {
    let output = std::process::Command::new("ps")
        .args(["-ww", "-o", "args=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stranger_with_a_reused_pid_is_never_signalled() {
        let mut stranger = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = i32::try_from(stranger.id()).unwrap();
        let means = [(Signal::SIGKILL, Duration::from_secs(5))];

        stop(pid, "PostgreSQL", "postgres", Path::new("/data/postgres"), &means).await.unwrap();
        assert!(stranger.try_wait().unwrap().is_none(), "another program was killed");
        stop(pid, "PostgreSQL", "sleep", Path::new("/data/postgres"), &means).await.unwrap();
        assert!(stranger.try_wait().unwrap().is_none(), "the same program with other arguments was killed");

        stop(pid, "sleep", "sleep", Path::new("600"), &means).await.unwrap();
        stranger.wait().unwrap();
    }
}
