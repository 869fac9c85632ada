//! The servers a command works with: given ones, private ones that run already, or private ones for the while.

use std::path::PathBuf;

use super::Failure;
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::serve;
use crate::servers::{Addresses, Options, Servers, has_nats, has_postgres, running};

/// Which servers a command needs.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    /// PostgreSQL.
    pub postgres: bool,
    /// nats-server.
    pub nats: bool,
}

/// What a command was sent to is not there.
#[derive(Debug, thiserror::Error)]
enum Absent {
    #[error(
        "there is no ledger in {}; --data-dir says where it is, or --database-url. `counterfoil up` and \
         `counterfoil migrate` make one",
        .0.display()
    )]
    InDirectory(PathBuf),
    #[error(
        "there is no ledger in the database at {0}; --database-url says where it is. `counterfoil serve` and \
         `counterfoil migrate` make one"
    )]
    InDatabase(String),
    #[error("the address of the ledger's nats-server is missing: give --nats-url or set NATS_URL")]
    Nats,
    #[error(
        "there is no master key in {}; --data-dir says where it is, or identity.master_key. The first start of \
         `counterfoil up` or `counterfoil serve` makes one",
        .0.display()
    )]
    MasterKey(PathBuf),
}

/// Servers that answer.
#[derive(Debug)]
pub struct Reached {
    /// Where they are.
    pub addresses: Addresses,
    /// Those that we started ourselves.
    servers: Option<Servers>,
}

impl Reached {
    /// Reaches the ledger that is there. Makes nothing: neither a directory nor a cluster nor a schema.
    ///
    /// # Errors
    /// There is no ledger, or no answer, or the end was asked for meanwhile.
    pub async fn ledger(needs: Needs, config: &Config, lifecycle: &Lifecycle) -> Result<Self, Failure> {
        let directory = config.data_dir();
        if running(&directory)?.is_none() {
            let private = config.database.url.is_none();
            if needs.postgres && private && !has_postgres(&directory)? {
                return Err(Absent::InDirectory(directory).into());
            }
            // Beside a ledger in the directory a nats-server belongs there; beside one elsewhere it may not.
            if needs.nats && config.nats.url.is_none() && !private && !has_nats(&directory)? {
                return Err(Absent::Nats.into());
            }
        }
        let reached = Self::beside(needs, config, lifecycle).await?;
        let looked = tokio::select! {
            looked = reached.look(config) => looked,
            () = lifecycle.soft().cancelled() => Err("interrupted".into()),
        };
        match looked {
            Ok(()) => Ok(reached),
            Err(error) => {
                reached.close(lifecycle).await;
                Err(error)
            }
        }
    }

    /// Whether a ledger is in the database.
    async fn look(&self, config: &Config) -> Result<(), Failure> {
        let options = serve::database(&self.addresses)?;
        if journal::has_ledger(&options).await? {
            return Ok(());
        }
        Err(match config.database.url {
            Some(_) => Absent::InDatabase(journal::place(&options)),
            None => Absent::InDirectory(config.data_dir()),
        }
        .into())
    }

    /// Reaches the servers a one-off command needs. Given addresses come first; then servers that a running
    /// `counterfoil up` has on the data directory; else private ones are started until [`Reached::close`], and made if
    /// need be.
    pub async fn beside(needs: Needs, config: &Config, lifecycle: &Lifecycle) -> Result<Self, Failure> {
        match running(&config.data_dir())? {
            Some(found) => {
                let addresses = Addresses {
                    database_url: config.database.url.clone().or(found.database_url),
                    nats_url: config.nats.url.clone().or(found.nats_url),
                };
                Ok(Self { addresses, servers: None })
            }
            None => Self::own(needs, config, lifecycle).await,
        }
    }

    /// Given servers, and private ones for those that are not given. Fails if the data directory is in use.
    pub async fn own(needs: Needs, config: &Config, lifecycle: &Lifecycle) -> Result<Self, Failure> {
        let (given_database, given_nats) = (config.database.url.clone(), config.nats.url.clone());
        let options = Options {
            postgres: needs.postgres && given_database.is_none(),
            nats: needs.nats && given_nats.is_none(),
            ..Options::in_directory(config.data_dir())
        };
        let servers = if options.postgres || options.nats {
            Some(Servers::start(options, lifecycle.soft()).await?)
        } else {
            None
        };
        let private = servers.as_ref().map(Servers::addresses).unwrap_or_default();
        let addresses = Addresses {
            database_url: given_database.or(private.database_url),
            nats_url: given_nats.or(private.nats_url),
        };
        Ok(Self { addresses, servers })
    }

    /// Stops what was started, orderly unless a hard end is asked for.
    pub async fn close(self, lifecycle: &Lifecycle) {
        if let Some(servers) = self.servers {
            tokio::select! {
                () = servers.stop() => {}
                () = lifecycle.hard().cancelled() => {}
            }
        }
    }
}

/// Refuses where the master key would be made: a command that needs the key a ledger was sealed with has no use for
/// another.
///
/// # Errors
/// It is not configured, and not in the data directory.
pub fn expect_master_key(config: &Config) -> Result<(), Failure> {
    let directory = config.data_dir();
    if config.identity.master_key.is_some() || serve::master_key_file(config).try_exists()? {
        return Ok(());
    }
    Err(Absent::MasterKey(directory).into())
}
