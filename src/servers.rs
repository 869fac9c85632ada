//! A private PostgreSQL cluster and a private nats-server, supervised as child processes.
//!
//! Everything lives in one data directory, which one process at a time may hold:
//!
//! ```text
//! lock               held while in use; contains the pid of the holder
//! signing-key.pem    signs access tokens (written by the credentials, not here)
//! postgres/          the cluster; `postgres.new/` is one that was never finished
//! postgres.log       what the server wrote, one older generation beside it
//! run/               the unix socket, open to the owner alone
//! nats/              JetStream's store
//! nats.json          port and password, generated once
//! nats.conf          written anew at every start from nats.json
//! addresses.json     where the servers are, for commands that run beside them
//! ```
//!
//! A crashed server is started again with growing pauses, on the same socket and port, so clients reconnect by
//! themselves. The servers are told to stop when this process dies, however it dies; should one survive all the same,
//! the next start recognises and stops it. Neither server can be reached from another machine, nor by another
//! unprivileged user of this one.

mod account;
mod directory;
mod error;
mod launcher;
mod left_over;
mod nats;
mod postgres;
mod programs;
mod secret;
mod supervise;

use std::path::{Path, PathBuf};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use account::default_data_dir;
pub use directory::{Addresses, has_nats, has_postgres, make_data_dir, running};
pub use error::Error;
pub use nats::connect as connect_nats;

use directory::DataDir;
use launcher::Launcher;
use supervise::Supervised;

/// The path of another program (`psql`, `pgbench`) of the PostgreSQL that made the cluster in `data_dir`.
///
/// # Errors
/// No PostgreSQL is installed, or not the version that made the cluster.
pub fn postgres_program(data_dir: &Path, name: &str) -> Result<PathBuf, Error> {
    Ok(programs::Postgres::find(&data_dir.join("postgres"))?.program(name))
}

/// Where the servers keep their data.
#[derive(Debug, Clone)]
pub enum Place {
    /// A directory that stays.
    Directory(PathBuf),
    /// A temporary directory that is removed at the end. For tests.
    Ephemeral,
}

/// What to start, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the data is.
    pub place: Place,
    /// Start PostgreSQL.
    pub postgres: bool,
    /// Start nats-server.
    pub nats: bool,
    /// Flush commits to the disk. Switched off only for tests that throw their data away: a power failure would
    /// then lose acknowledged commits.
    pub durable: bool,
}

impl Options {
    /// Both servers, durable, in a directory that stays.
    #[must_use]
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self { place: Place::Directory(directory.into()), postgres: true, nats: true, durable: true }
    }

    /// Both servers, small and fast, in a directory that is removed at the end.
    #[must_use]
    pub fn ephemeral() -> Self {
        Self { place: Place::Ephemeral, postgres: true, nats: true, durable: false }
    }
}

/// Running private servers. Dropping this without [`Servers::stop`] stops them too, but without waiting.
#[derive(Debug)]
pub struct Servers {
    postgres: Option<Running>,
    nats: Option<Running>,
    // The order matters: the launcher outlives the servers it started, the lock outlives both.
    _launcher: Launcher,
    directory: DataDir,
}

/// A supervised server and its address.
#[derive(Debug)]
struct Running {
    url: String,
    process: Supervised,
}

impl Servers {
    /// Starts what `options` asks for and waits until it can be used, or until `interrupt` is cancelled.
    ///
    /// # Errors
    /// A program is not installed, the directory cannot be used or is in use, a server does not come up, or the start
    /// was interrupted.
    pub async fn start(options: Options, interrupt: &CancellationToken) -> Result<Self, Error> {
        let directory = DataDir::open(&options.place)?;
        let launcher = Launcher::start()?;
        let postgres = async {
            if options.postgres {
                postgres::start(&directory, &launcher, options.durable, interrupt).await.map(Some)
            } else {
                Ok(None)
            }
        };
        let nats = async {
            if options.nats {
                nats::start(&directory, &launcher, interrupt).await.map(Some)
            } else {
                Ok(None)
            }
        };
        // Both are waited for, so that one that comes up while the other fails is stopped in an orderly way.
        let (postgres, nats) = tokio::join!(postgres, nats);
        match (postgres, nats) {
            (Ok(postgres), Ok(nats)) => {
                let this = Self { postgres, nats, _launcher: launcher, directory };
                this.directory.announce(&this.addresses())?;
                Ok(this)
            }
            (Err(error), other) | (other, Err(error)) => {
                if let Ok(Some(running)) = other {
                    running.process.stop().await;
                }
                directory.close();
                Err(error)
            }
        }
    }

    /// The address of the database, if PostgreSQL was asked for.
    #[must_use]
    pub fn database_url(&self) -> Option<&str> {
        self.postgres.as_ref().map(|running| running.url.as_str())
    }

    /// The address of the nats-server with its credentials, if it was asked for. See [`connect_nats`].
    #[must_use]
    pub fn nats_url(&self) -> Option<&str> {
        self.nats.as_ref().map(|running| running.url.as_str())
    }

    /// Both addresses.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let url = |running: Option<&Running>| running.map(|running| running.url.clone());
        Addresses { database_url: url(self.postgres.as_ref()), nats_url: url(self.nats.as_ref()) }
    }

    /// The directory in use.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.directory.path()
    }

    /// Follows the pid of PostgreSQL's first process; `None` while it is down.
    #[must_use]
    pub fn postgres_pid(&self) -> Option<watch::Receiver<Option<u32>>> {
        self.postgres.as_ref().map(|running| running.process.pid())
    }

    /// Follows the pid of nats-server; `None` while it is down.
    #[must_use]
    pub fn nats_pid(&self) -> Option<watch::Receiver<Option<u32>>> {
        self.nats.as_ref().map(|running| running.process.pid())
    }

    /// Stops both servers, orderly and within seconds, and removes the directory if it was temporary.
    pub async fn stop(self) {
        let Self { postgres, nats, _launcher, directory } = self;
        let stop = |running: Option<Running>| async {
            if let Some(running) = running {
                running.process.stop().await;
            }
        };
        tokio::join!(stop(postgres), stop(nats));
        directory.close();
    }
}
