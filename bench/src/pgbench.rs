//! `pgbench -S`, PostgreSQL's own benchmark of reads: one row by its primary key, prepared, nothing else. It is the
//! most that reads of single rows can reach on these servers, by a client in C that does nothing with the answer.

use std::path::PathBuf;
use std::process::Stdio;

use counterfoil::servers::postgres_program;
use tokio::process::Command;

use crate::measure::{Case, Failure, Sample, latencies};
use crate::world::{Database, World};

/// A million rows.
const SCALE: &str = "10";

/// A database for pgbench.
pub struct Pgbench {
    program: PathBuf,
    database: Database,
}

impl Pgbench {
    /// Makes the database and fills it.
    ///
    /// # Errors
    /// pgbench is not installed, or what it says.
    pub async fn fill(world: &World, name: &str) -> Result<Self, Failure> {
        let database = world.empty_database(name).await?;
        let program = postgres_program(world.directory(), "pgbench")?;
        let pgbench = Self { program, database };
        pgbench.run(&["--initialize", "--quiet", "--scale", SCALE]).await?;
        Ok(pgbench)
    }

    /// Reads with so many clients for so many seconds, on as many threads as there are cores, up to one for each client.
    ///
    /// # Errors
    /// What pgbench says.
    pub async fn select(&self, clients: usize, seconds: u64) -> Result<Sample, Failure> {
        let cores = std::thread::available_parallelism()?.get();
        let (jobs, clients_text) = (clients.min(cores).to_string(), clients.to_string());
        let seconds = seconds.to_string();
        let arguments = ["--select-only", "--no-vacuum", "--protocol", "prepared", "--client", &clients_text];
        let arguments = [&arguments[..], &["--jobs", &jobs, "--time", &seconds]].concat();
        let said = self.run(&arguments).await?;
        let rate = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next());
        let per_second = rate.ok_or_else(|| format!("pgbench gives no rate: {said}"))?.parse()?;
        let case = Case::new("pgbench", "select-only", clients);
        Ok(Sample { case, unit: "reads", per_second, latencies: latencies()? })
    }

    /// Drops the database.
    ///
    /// # Errors
    /// What the database says.
    pub async fn discard(self, world: &World) -> Result<(), Failure> {
        world.discard(self.database).await
    }

    async fn run(&self, arguments: &[&str]) -> Result<String, Failure> {
        let options = &self.database.options;
        let host = match options.get_socket() {
            Some(socket) => socket.as_os_str().to_owned(),
            None => options.get_host().into(),
        };
        let output = Command::new(&self.program)
            .args(arguments)
            .env("PGHOST", host)
            .env("PGPORT", options.get_port().to_string())
            .env("PGUSER", options.get_username())
            .env("PGDATABASE", options.get_database().ok_or("a database without a name")?)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        if !output.status.success() {
            return Err(format!("pgbench: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}
