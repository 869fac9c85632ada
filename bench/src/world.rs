//! The private servers of a run, and fresh databases on them.

use std::str::FromStr as _;

use counterfoil::servers::{Options, Servers};
use counterfoil::system::SystemIds;
use domain::Ids as _;
use journal::{Journal, Role};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use crate::measure::Failure;

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Under three minutes: every part, few cases, one round.
    Quick,
    /// About half an hour: all cases, three rounds.
    Full,
    /// The full extent with ten million events.
    Long,
}

/// The servers of the run: durable, as `counterfoil up` starts them.
pub struct World {
    servers: Servers,
    /// How much is done.
    pub extent: Extent,
}

impl World {
    /// Starts the servers in `directory`.
    ///
    /// # Errors
    /// What starting them says.
    pub async fn start(directory: std::path::PathBuf, extent: Extent) -> Result<Self, Failure> {
        let servers = Servers::start(Options::in_directory(directory), &CancellationToken::new()).await?;
        Ok(Self { servers, extent })
    }

    /// Where PostgreSQL is.
    ///
    /// # Errors
    /// It was not started.
    pub fn postgres(&self) -> Result<PgConnectOptions, Failure> {
        Ok(PgConnectOptions::from_str(self.servers.database_url().ok_or("no PostgreSQL")?)?)
    }

    /// The address of nats-server.
    ///
    /// # Errors
    /// It was not started.
    pub fn nats(&self) -> Result<&str, Failure> {
        Ok(self.servers.nats_url().ok_or("no nats-server")?)
    }

    /// Makes a database of this name and migrates it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn database(&self, name: &str, partitions: i32) -> Result<Database, Failure> {
        let mut connection = PgConnection::connect_with(&self.postgres()?).await?;
        sqlx::query(&format!("CREATE DATABASE {name}")).execute(&mut connection).await?;
        connection.close().await?;
        let options = self.postgres()?.database(name);
        let owner = journal::connect(options.clone(), Role::Owner, "public", 1).await?;
        journal::migrate(&owner, partitions, SystemIds.next()).await?;
        owner.close().await;
        Ok(Database { options })
    }

    /// Stops the servers.
    pub async fn stop(self) {
        self.servers.stop().await;
    }
}

/// A migrated database.
#[derive(Debug, Clone)]
pub struct Database {
    /// Where it is.
    pub options: PgConnectOptions,
}

impl Database {
    /// Connections that act as `role`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn pool(&self, role: Role, connections: u32) -> Result<PgPool, Failure> {
        Ok(journal::connect(self.options.clone(), role, "views", connections).await?)
    }

    /// Its journal, with connections of its own.
    ///
    /// # Errors
    /// What the database says.
    pub async fn journal(&self, connections: u32) -> Result<Journal, Failure> {
        Ok(Journal::open(self.pool(Role::Writer, connections).await?).await?)
    }
}
