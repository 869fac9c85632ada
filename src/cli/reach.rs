//! The servers a command works with: given ones, private ones that run already, or private ones for the while.

use super::Failure;
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::servers::{Addresses, Options, Servers, running};

/// Which servers a command needs.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    /// PostgreSQL.
    pub postgres: bool,
    /// nats-server.
    pub nats: bool,
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
    /// Reaches the servers a one-off command needs. Given addresses come first; then servers that a running
    /// `counterfoil up` has on the data directory; else private ones are started until [`Reached::close`].
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
