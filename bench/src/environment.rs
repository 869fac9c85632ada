//! Where a run takes place: the machine, the versions, the settings.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use counterfoil::system::SystemClock;
use domain::Clock as _;
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;

use crate::measure::Failure;
use crate::report::Environment;
use crate::world::World;

/// Settings of PostgreSQL that the numbers depend on.
const SETTINGS: [&str; 8] = [
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "shared_buffers",
    "max_wal_size",
    "max_connections",
    "data_checksums",
];
/// How often a flush is timed.
const FLUSHES: usize = 200;

/// Looks around. `directory` lies on the disk that the servers use.
///
/// # Errors
/// What the database or the disk says.
pub async fn observe(world: &World, directory: &Path) -> Result<Environment, Failure> {
    let mut connection = PgConnection::connect_with(&world.postgres()?).await?;
    let postgres = sqlx::query_scalar("SELECT version()").fetch_one(&mut connection).await?;
    let mut settings = Vec::new();
    for name in SETTINGS {
        let value: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(&mut connection).await?;
        settings.push((name.to_owned(), value));
    }
    connection.close().await?;
    Ok(Environment {
        date: SystemClock.now().format("%Y-%m-%d %H:%M").to_string(),
        extent: world.extent.name(),
        commit: said(Command::new("git").args(["describe", "--always", "--dirty"])),
        processor: line("/proc/cpuinfo", "model name"),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        memory_mib: line("/proc/meminfo", "MemTotal")
            .split(' ')
            .next()
            .unwrap_or_default()
            .parse()
            .unwrap_or(0)
            / 1024,
        flush_us: flush(directory)?,
        kernel: said(Command::new("uname").args(["-sr"])),
        postgres,
        nats: said(Command::new("nats-server").arg("--version")),
        settings,
    })
}

/// What a program says; nothing where it is not there.
fn said(command: &mut Command) -> String {
    let output = command.output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    output.unwrap_or_default()
}

/// The value of a line `name : value`; nothing where there is no such file.
fn line(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.into_iter().find(|(key, _)| key.trim() == name);
    found.map_or_else(String::new, |(_, value)| value.trim().to_owned())
}

/// How long one write of a page of the log with its flush takes, in microseconds; the median.
fn flush(directory: &Path) -> Result<f64, Failure> {
    let path = directory.join("flush");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
    let mut times = Vec::with_capacity(FLUSHES);
    for _ in 0..FLUSHES {
        let start = Instant::now();
        file.write_all(&[7; 8192])?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    fs::remove_file(&path)?;
    times.sort();
    Ok(times.get(FLUSHES / 2).map_or(0.0, |time| time.as_secs_f64() * 1e6))
}
