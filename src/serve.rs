//! The ledger itself, on servers that answer: migrated, wired, and served until the end is asked for.

mod app;
mod gateway;
mod greeting;
mod health;
mod instances;
mod people;
mod pools;
mod sweep;
mod vault;
mod walls;
mod wiring;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::str::FromStr as _;

use api::Service;
use domain::Ids as _;
use sqlx::postgres::PgConnectOptions;

use crate::cli::Failure;
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::servers::Addresses;
use crate::system::SystemIds;
pub use people::public_url;
pub use vault::{master_key_file, open_vault, turns};
pub use wiring::Ledger;

/// What a fresh database is given to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demo {
    /// Nothing.
    None,
    /// An empty tenant `demo`.
    Tenant,
    /// The tenant, and a minute of plausible traffic.
    Traffic,
}

/// Takes the port, or says how to choose another.
pub fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{address} is in use by another program; choose another port with --listen, such as --listen {}:{}",
                address.ip(), address.port().checked_add(1).unwrap_or(8081)).into()
        }
        _ => format!("cannot listen on {address}: {error}; choose another address with --listen").into(),
    })
}

/// Where the database is.
///
/// # Errors
/// The address is not known, or is none.
pub fn database(addresses: &Addresses) -> Result<PgConnectOptions, Failure> {
    let url = addresses.database_url.as_deref().ok_or("the address of the database is not known")?;
    Ok(PgConnectOptions::from_str(url).map_err(|error| format!("the address of the database: {error}"))?)
}

/// Brings the database to the present schema.
///
/// # Errors
/// It cannot be reached, which is told at once and with the cause; what the database says.
pub async fn migrate(config: &Config, addresses: &Addresses) -> Result<(), Failure> {
    let options = database(addresses)?;
    journal::has_ledger(&options).await?;
    // A new database has no schema for the read models yet.
    let pool = journal::connect(options, journal::Role::Owner, "public", 1).await?;
    let result = journal::migrate(&pool, config.journal.partitions, SystemIds.next()).await;
    pool.close().await;
    Ok(result?)
}

/// Serves until the end is asked for, then ends in order: requests, commands, and last what follows them.
pub async fn serve(
    config: &Config,
    addresses: &Addresses,
    listener: TcpListener,
    demo: Demo,
    lifecycle: &Lifecycle,
) -> Result<(), Failure> {
    migrate(config, addresses).await?;
    let address = listener.local_addr()?;
    let ledger = Ledger::start(config, addresses).await?;
    let certificate = walls::certificate(config)?;
    let service = Service { workers: workers(config), tls: certificate.clone() };
    let server = api::serve(ledger.app(config).await?, listener, &service)?;
    if let Some(certificate) = certificate {
        ledger.follow(certificate.watch());
    }
    let handle = server.handle();
    let server = tokio::spawn(server);
    let traffic = ledger.welcome(config, address, demo, lifecycle).await?;
    tracing::info!(%address, "ready");
    tokio::select! {
        () = lifecycle.soft().cancelled() => {}
        () = traffic => lifecycle.soft().cancelled().await,
    }
    tokio::select! {
        () = handle.stop(true) => {}
        () = lifecycle.hard().cancelled() => {}
    }
    server.await??;
    tokio::select! {
        () = ledger.stop() => {}
        () = lifecycle.hard().cancelled() => {}
    }
    Ok(())
}

/// How many threads answer requests.
fn workers(config: &Config) -> usize {
    match config.api.workers {
        0 => std::thread::available_parallelism().map_or(2, usize::from),
        workers => workers,
    }
}
