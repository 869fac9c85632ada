//! The vault, as it is configured.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::TimeDelta;
use domain::{Clock, Partition};
use identity::signing::Turns;
use identity::vault::{MasterKeys, MasterSource, Vault};
use sqlx::PgPool;

use crate::cli::Failure;
use crate::config::Config;
use crate::servers::make_data_dir;

/// The file of the master key that is our own.
#[must_use]
pub fn master_key_file(config: &Config) -> PathBuf {
    config.data_dir().join("master-key")
}

/// Opens the vault. A master key of our own is made in the data directory if none is configured and there is none.
/// `pool` acts as `journal::Role::Identity`.
///
/// # Errors
/// The master keys cannot be had or are not those of this database; the database.
pub async fn open_vault(
    config: &Config,
    pool: PgPool,
    partitions: Partition,
    clock: Arc<dyn Clock>,
) -> Result<Vault, Failure> {
    let source = match &config.identity.master_key {
        Some(text) => MasterSource::parse(text)
            .ok_or("identity.master_key must be file:<path>, env:<name> or command:<command line>")?,
        None => {
            make_data_dir(&config.data_dir())?;
            let source = MasterSource::File(master_key_file(config));
            if source.make_if_missing().await? {
                tracing::info!(%source, "a master key was made: without it nothing that is sealed can be read, so keep a copy");
            }
            source
        }
    };
    Ok(Vault::open(pool, MasterKeys::load(&source).await?, partitions, clock).await?)
}

/// When signing keys take turns.
#[must_use]
pub fn turns(config: &Config) -> Turns {
    let identity = &config.identity;
    Turns {
        overlap: TimeDelta::seconds(identity.signing_overlap_seconds.get().into()),
        token_lifetime: TimeDelta::minutes(identity.access_minutes.get().into()),
    }
}
