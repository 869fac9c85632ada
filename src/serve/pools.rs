//! The connections to the database: one pool for each role that the program acts in.

use journal::Role;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

use crate::cli::Failure;
use crate::config::Config;

/// The most connections for sign-ins, sessions and keys.
const IDENTITY_CONNECTIONS: u32 = 8;

/// The pools.
pub(super) struct Pools {
    /// Appends.
    pub writer: PgPool,
    /// Keeps the read models.
    pub projector: PgPool,
    /// Answers questions.
    pub reader: PgPool,
    /// Keeps what must be forgettable.
    pub identity: PgPool,
}

impl Pools {
    /// Connects all of them.
    pub async fn connect(config: &Config, options: &PgConnectOptions) -> Result<Self, Failure> {
        let given = &config.database;
        let connect = |role, most| journal::connect(options.clone(), role, "views", most);
        Ok(Self {
            writer: connect(Role::Writer, given.writer_connections.get()).await?,
            projector: connect(Role::Projector, given.projector_connections.get()).await?,
            reader: connect(Role::Reader, given.reader_connections.get()).await?,
            identity: connect(Role::Identity, IDENTITY_CONNECTIONS).await?,
        })
    }
}
