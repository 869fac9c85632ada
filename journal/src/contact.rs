//! The first contact with a database: whether it answers, and whether a ledger is in it.

use std::io;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::{Instant, sleep, timeout_at};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts at a server that is not ready yet.
const PAUSE: Duration = Duration::from_millis(100);
/// What a server says that will be ready soon: it is starting up, or all its connections are taken.
const SOON: [&str; 2] = ["57P03", "53300"];

/// Why a database cannot be worked with. Says where it is, never who connects or by which password.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to PostgreSQL at {place}")]
pub struct ConnectError {
    /// Host and port, or the directory of the socket.
    place: String,
    /// What the network or the database says.
    #[source]
    cause: sqlx::Error,
}

/// Where a database is: host and port, or the directory of the socket.
pub fn place(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(directory) => directory.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

/// Connects once, and asks whether a ledger is in the database.
///
/// A pool tries a server that refuses connections for ten seconds and then says no more than that the time is over; this
/// says at once what is wrong. A server that is starting up is waited for, ten seconds at the most.
///
/// # Errors
/// [`ConnectError`], with the cause.
pub async fn has_ledger(options: &PgConnectOptions) -> Result<bool, ConnectError> {
    let until = Instant::now() + PATIENCE;
    loop {
        let asked = timeout_at(until, ask(options)).await.unwrap_or_else(|_| Err(silent()));
        match asked {
            Err(error) if is_soon(&error) && Instant::now() + PAUSE < until => sleep(PAUSE).await,
            asked => return asked.map_err(|cause| ConnectError { place: place(options), cause }),
        }
    }
}

async fn ask(options: &PgConnectOptions) -> Result<bool, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    // The first migration makes this table.
    let found = sqlx::query_scalar("SELECT to_regclass('journal.identity') IS NOT NULL")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(found)
}

fn is_soon(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| SOON.contains(&code.as_ref()))
}

fn silent() -> sqlx::Error {
    let why = format!("no answer within {} s", PATIENCE.as_secs());
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, why))
}
