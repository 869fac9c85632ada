//! Starts processes that do not outlive this one.
//!
//! Linux sends a process the signal it asked for when the *thread* that started it ends. Threads of an async runtime
//! come and go, so one thread of its own does nothing but start processes, and lives as long as the [`Launcher`].

use std::io;
use std::sync::mpsc;

use nix::sys::signal::Signal;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Error;

struct Request {
    command: Command,
    reply: oneshot::Sender<io::Result<Child>>,
}

/// Starts processes. When the last clone is dropped, what it started and still runs is told to stop.
#[derive(Debug, Clone)]
pub struct Launcher {
    requests: mpsc::Sender<Request>,
}

impl Launcher {
    /// Starts the thread.
    pub fn start() -> Result<Self, Error> {
        let (requests, queue) = mpsc::channel::<Request>();
        let runtime = Handle::current();
        std::thread::Builder::new()
            .name("launcher".to_owned())
            .spawn(move || {
                let _entered = runtime.enter();
                for mut request in queue {
                    // The asker may have gone; the child is then dropped, and killed with it.
                    let _ = request.reply.send(request.command.spawn());
                }
            })
            .map_err(|source| Error::Io { what: "start a thread".to_owned(), source })?;
        Ok(Self { requests })
    }

    /// Starts `command` in a process group of its own, so that ctrl-C in a terminal reaches it only through us, and
    /// has `farewell` sent to it should this process die.
    pub async fn spawn(&self, mut command: Command, farewell: Signal) -> io::Result<Child> {
        command.process_group(0).kill_on_drop(true);
        tie(&mut command, farewell);
        let (reply, answer) = oneshot::channel();
        let gone = || io::Error::other("the launcher thread has ended");
        self.requests.send(Request { command, reply }).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Ties the life of the child to ours.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the standard library has no safe way to run code between fork and exec")]
fn tie(command: &mut Command, farewell: Signal) {
    let parent = nix::unistd::getpid();
    let tie = move || {
        nix::sys::prctl::set_pdeathsig(farewell)?;
        // We may have died before the line above took effect.
        if nix::unistd::getppid() == parent {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(nix::libc::ESRCH))
        }
    };
    // SAFETY: the closure makes two system calls and allocates nothing, which is all that is safe after a fork. It
    // runs after the change of user, which would undo it.
    unsafe { command.pre_exec(tie) };
}

/// Elsewhere a child that outlives us is stopped by the next start.
#[cfg(not(target_os = "linux"))]
fn tie(_command: &mut Command, _farewell: Signal) {}
