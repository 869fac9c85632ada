//! What can go wrong with the private servers, said so that the reader knows what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why the private servers cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not installed.
    #[error("{program} was not found on PATH or in the usual places.\n{advice}")]
    NotInstalled {
        /// The program.
        program: &'static str,
        /// The commands that install it.
        advice: &'static str,
    },
    /// The cluster was made by a version that is not installed.
    #[error(
        "{} was made by PostgreSQL {wanted}, which is not installed (found: {found}). \
         Install postgresql-{wanted}, or give another directory with --data-dir.",
        .cluster.display()
    )]
    WrongVersion {
        /// The cluster.
        cluster: PathBuf,
        /// The major version that made it.
        wanted: u32,
        /// The major versions that are installed.
        found: String,
    },
    /// Another process uses the directory.
    #[error(
        "the data directory {} is in use by process {holder}. Stop that process, or give another directory with \
         --data-dir.",
        .directory.display()
    )]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// The pid of the holder, as text.
        holder: String,
    },
    /// The unprivileged user cannot get to the directory.
    #[error(
        "started by root, the servers run as user {user}, who cannot enter {}{}. \
         Give a directory that this user can reach with --data-dir, for example /var/lib/counterfoil.",
        .directory.display(),
        .barrier.as_ref().map(|at| format!(" because of the permissions of {}", at.display())).unwrap_or_default()
    )]
    Unreachable {
        /// The unprivileged user.
        user: String,
        /// The directory.
        directory: PathBuf,
        /// The first directory on the way that bars the user.
        barrier: Option<PathBuf>,
    },
    /// The data belongs to another user.
    #[error(
        "{} belongs to another user (uid {owner}). Run as that user or as root, or give another directory with \
         --data-dir.",
        .directory.display()
    )]
    Foreign {
        /// The directory.
        directory: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Root found no user to run the servers as.
    #[error(
        "started by root, but there is no user to run the servers as (tried: {tried}). Create one, for example with \
         `useradd --system postgres`."
    )]
    NoAccount {
        /// The names that were tried.
        tried: String,
    },
    /// A server did not come up.
    #[error("{server} did not come up: {reason}\nThe end of {}:\n{tail}", .log.display())]
    NotReady {
        /// The server.
        server: &'static str,
        /// Why it is given up.
        reason: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// A process of an earlier run does not go away.
    #[error("process {pid}, a {server} left over from an earlier run, could not be stopped")]
    LeftOver {
        /// The server.
        server: &'static str,
        /// The process.
        pid: i32,
    },
    /// The program was told to stop before the servers were up.
    #[error("interrupted while the servers were starting")]
    Interrupted,
    /// A program failed.
    #[error("{program} failed with {status}:\n{output}")]
    Failed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: String,
        /// What it said.
        output: String,
    },
    /// The database could not be created.
    #[error("cannot create the database: {0}")]
    Database(#[source] sqlx::Error),
    /// A file, directory or process operation failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: names the operation and the path it failed on.
    pub(super) fn io(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = format!("{what} {}", path.display());
        move |source| Self::Io { what, source }
    }
}
