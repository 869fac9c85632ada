//! Which user the servers run as. PostgreSQL refuses to run as root, and nothing else should.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::unistd::{Uid, User, geteuid};
use tokio::process::Command;

use super::Error;

/// The users root gives the servers to, best first.
const CANDIDATES: [&str; 4] = ["postgres", "nats", "daemon", "nobody"];

/// The directory used when none is given: `/var/lib/counterfoil` for root, because the servers' user cannot reach
/// root's own directories; `.counterfoil` here for everyone else.
#[must_use]
pub fn default_data_dir() -> PathBuf {
    PathBuf::from(if geteuid().is_root() { "/var/lib/counterfoil" } else { ".counterfoil" })
}

/// The user the servers run as.
#[derive(Debug, Clone)]
pub struct Account {
    name: String,
    uid: u32,
    gid: u32,
    /// Whether that is another user than this process's: only root can switch.
    switch: bool,
}

impl Account {
    /// This process's user, or for root the owner of the data that exists already, else a well-known unprivileged user.
    pub fn choose(data: &[PathBuf]) -> Result<Self, Error> {
        let owner = data.iter().find_map(|path| fs::metadata(path).ok().map(|found| (path, found.uid())));
        let this = geteuid();
        if !this.is_root() {
            return match owner {
                Some((path, owner)) if owner != this.as_raw() => {
                    Err(Error::Foreign { directory: path.clone(), owner })
                }
                _ => Ok(Self { name: this.to_string(), uid: this.as_raw(), gid: 0, switch: false }),
            };
        }
        let owner = owner
            .filter(|(_, uid)| *uid != 0)
            .and_then(|(_, uid)| User::from_uid(Uid::from_raw(uid)).ok()?);
        owner
            .or_else(|| CANDIDATES.iter().find_map(|name| User::from_name(name).ok()?))
            .map(|user| Self {
                name: user.name,
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
                switch: true,
            })
            .ok_or_else(|| Error::NoAccount { tried: CANDIDATES.join(", ") })
    }

    /// Whether the servers run as another user than this process.
    pub fn is_other(&self) -> bool {
        self.switch
    }

    /// Makes `command` run as this user, in none of root's groups: the standard library empties the supplementary
    /// groups whenever root sets a uid.
    pub fn apply(&self, command: &mut Command) {
        if self.switch {
            command.uid(self.uid).gid(self.gid);
        }
    }

    /// Gives `path` itself, not what is in it, to this user.
    pub fn own(&self, path: &Path) -> Result<(), Error> {
        if self.switch {
            chown(path, Some(self.uid), Some(self.gid)).map_err(Error::io("change the owner of", path))
        } else {
            Ok(())
        }
    }

    /// Whether `path` belongs to this user.
    pub fn owns(&self, found: &fs::Metadata) -> bool {
        found.uid() == self.uid
    }

    /// Refuses a directory that this user cannot enter.
    pub async fn can_enter(&self, directory: &Path) -> Result<(), Error> {
        if !self.switch {
            return Ok(());
        }
        // Entering it is the test, because permission bits are not all that decides. The child changes its user
        // before it changes its directory.
        let mut attempt = Command::new("/bin/sh");
        attempt.args(["-c", ":"]).current_dir(directory).stdin(Stdio::null());
        self.apply(&mut attempt);
        match attempt.status().await {
            Ok(status) if status.success() => Ok(()),
            _ => Err(Error::Unreachable {
                user: self.name.clone(),
                directory: directory.to_owned(),
                barrier: self.barrier(directory),
            }),
        }
    }

    /// The first directory on the way to `directory` whose permission bits bar this user.
    fn barrier(&self, directory: &Path) -> Option<PathBuf> {
        let mut way: Vec<&Path> = directory.ancestors().collect();
        way.reverse();
        let barred = way.into_iter().find(|step| {
            fs::metadata(step).is_ok_and(|found| {
                let needed = match () {
                    () if found.uid() == self.uid => 0o100,
                    () if found.gid() == self.gid => 0o010,
                    () => 0o001,
                };
                found.mode() & needed == 0
            })
        });
        barred.map(Path::to_path_buf)
    }
}
