//! `counterfoil keys`: the master key and the keys that sign sessions.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use domain::{Clock, Ids};
use identity::signing::{SigningKeys, Turn};
use identity::vault::Vault;
use journal::{Journal, Role};
use sqlx::PgPool;

use super::journal::{bar, writer};
use super::reach::{Needs, Reached, expect_master_key};
use super::{Failure, say};
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::serve;
use crate::system::{SystemClock, SystemIds};

/// Rotate the keys that secrets and sessions depend on
///
/// A versioned master key wraps one data key per tenant, and everything sealed hangs on those. Where the master key comes
/// from is set by `identity.master_key`; it is never in the database. All of this may be done while the ledger serves.
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Wrap all data keys by a new version of the master key
    ///
    /// Where the master key is in a file, a new version is added to it first, unless there is one already that not all
    /// keys are wrapped by: so a rotation that was interrupted is finished by the next. Where an environment variable or
    /// a command gives the master keys, add a line with the next version there first; programs that read a variable must
    /// be started anew with it, others find it by themselves. Nothing that was sealed is touched, and nothing is lost
    /// wherever this ends.
    #[command(after_help = "Examples:
  counterfoil keys rotate
  counterfoil keys rotate --database-url postgres://... --data-dir /var/lib/counterfoil

With a variable or a command:
  echo \"2:$(openssl rand -base64 32)\"       put this line beside the one of version 1
  counterfoil keys rotate                   wraps everything by version 2
  counterfoil keys retire 1                 and then version 1 is needed no more")]
    Rotate,
    /// Show the versions of the master key and how many keys each of them wraps
    #[command(after_help = "Examples:
  counterfoil keys list")]
    List,
    /// Retire a version of the master key: nothing can be wrapped by it any more
    ///
    /// Refused while it still wraps a key. The key itself stays where you keep it, for backups made before the rotation
    /// need it: remove it there when the last of them is gone.
    #[command(after_help = "Examples:
  counterfoil keys retire 1")]
    Retire {
        /// The version
        #[arg(value_parser = clap::value_parser!(i32).range(1..))]
        version: i32,
    },
    /// Make a new key that signs session tokens
    ///
    /// It is published at once and signs ten minutes later; the old one stays published until its last token is over, so
    /// no session notices.
    #[command(after_help = "Examples:
  counterfoil keys signing-rotate
  counterfoil keys signing-rotate --at-once   the old key got out: end every token that it signed")]
    SigningRotate {
        /// Sign by the new key at once and believe no older one; sessions go on by their refresh tokens
        #[arg(long)]
        at_once: bool,
    },
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: Config) -> Result<ExitCode, Failure> {
    let lifecycle = Lifecycle::watch_signals()?;
    let reached = Reached::ledger(Needs { postgres: true, nats: false }, &config, &lifecycle).await?;
    let work = async {
        let (pool, vault) = open(&config, &reached).await?;
        match arguments {
            Arguments::Rotate => rotate(&vault).await,
            Arguments::List => list(&vault).await,
            Arguments::Retire { version } => retire(&vault, version).await,
            Arguments::SigningRotate { at_once } => signing_rotate(pool, vault, &config, at_once).await,
        }
    };
    let result = tokio::select! {
        result = work => result,
        () = lifecycle.soft().cancelled() => {
            Err("interrupted; nothing is lost, and the same command goes on where this one ended".into())
        }
    };
    reached.close(&lifecycle).await;
    result.map(|()| ExitCode::SUCCESS)
}

async fn open(config: &Config, reached: &Reached) -> Result<(PgPool, Vault), Failure> {
    expect_master_key(config)?;
    let journal = Journal::open(writer(config, reached).await?).await?;
    let pool = journal::connect(serve::database(&reached.addresses)?, Role::Identity, "views", 4).await?;
    let vault =
        serve::open_vault(config, pool.clone(), journal.partition_count(), Arc::new(SystemClock)).await?;
    Ok((pool, vault))
}

async fn rotate(vault: &Vault) -> Result<(), Failure> {
    let added = vault.add_master().await?;
    if let Some(version) = added {
        say(&format!("added version {version} of the master key"))?;
    }
    let bar = bar("keys");
    let result = vault
        .rotate(|at| {
            bar.set_length(at.total.unsigned_abs());
            bar.set_position(at.done.unsigned_abs());
        })
        .await;
    bar.finish_and_clear();
    let done = result?;
    say(&format!(
        "{} of {} keys are wrapped by version {} of the master key",
        done.done, done.total, done.version
    ))?;
    let older = vault.versions().await?.into_iter().filter(|one| one.version < done.version && !one.retired);
    for one in older.filter(|one| one.keys == 0) {
        say(&format!(
            "version {} wraps nothing any more: `counterfoil keys retire {}`",
            one.version, one.version
        ))?;
    }
    Ok(())
}

async fn list(vault: &Vault) -> Result<(), Failure> {
    say(&format!("{:>7}{:>12}  state", "version", "keys"))?;
    let versions = vault.versions().await?;
    let newest = versions.iter().filter(|one| one.given).map(|one| one.version).max();
    for one in &versions {
        let state = match (one.retired, one.given) {
            (true, true) => "retired; its key can be removed once no backup needs it",
            (true, false) => "retired",
            (false, false) => "not there",
            (false, true) if Some(one.version) == newest => "wraps",
            (false, true) if one.keys == 0 => "wraps nothing any more; can be retired",
            (false, true) => "unwraps; `counterfoil keys rotate` goes on",
        };
        say(&format!("{:>7}{:>12}  {state}", one.version, one.keys))?;
    }
    Ok(())
}

async fn retire(vault: &Vault, version: i32) -> Result<(), Failure> {
    vault.retire(version).await?;
    say(&format!(
        "version {version} is retired; keep its key for as long as a backup from before the rotation is kept"
    ))?;
    Ok(())
}

async fn signing_rotate(pool: PgPool, vault: Vault, config: &Config, at_once: bool) -> Result<(), Failure> {
    let (clock, ids): (Arc<dyn Clock>, Arc<dyn Ids>) = (Arc::new(SystemClock), Arc::new(SystemIds));
    let keys = SigningKeys::open(pool, vault, clock, ids, serve::turns(config)).await?;
    let key = keys.rotate(if at_once { Turn::AtOnce } else { Turn::Overlapping }).await?;
    say(&format!("key {} signs from {}", key.id, key.signs_from.to_rfc3339()))?;
    for old in keys.all().await? {
        if let Some(until) = old.published_until {
            say(&format!("key {} is believed until {}", old.id, until.to_rfc3339()))?;
        }
    }
    Ok(())
}
