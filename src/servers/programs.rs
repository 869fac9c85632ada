//! Where the servers' programs are.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;

/// The oldest major version of PostgreSQL that the schema is made for.
const OLDEST: u32 = 15;

const POSTGRES_ADVICE: &str = "Install it (version 15 or later):
  Debian, Ubuntu:  sudo apt-get install postgresql
  Fedora, RHEL:    sudo dnf install postgresql-server
  Arch:            sudo pacman -S postgresql
  macOS:           brew install postgresql@17
or use an existing server: counterfoil serve --database-url URL --nats-url URL";

const NATS_ADVICE: &str = "Install it:
  Debian, Ubuntu:  sudo apt-get install nats-server
  Fedora:          sudo dnf install nats-server
  Arch:            sudo pacman -S nats-server
  macOS:           brew install nats-server
or use an existing server: counterfoil serve --database-url URL --nats-url URL";

/// The programs of one installed PostgreSQL.
#[derive(Debug, Clone)]
pub struct Postgres {
    /// The directory with `postgres` and `initdb`.
    directory: PathBuf,
    /// The major version.
    pub major: u32,
}

impl Postgres {
    /// Finds the version that made the cluster, or for a new one the first on PATH, else the newest.
    pub fn find(cluster: &Path) -> Result<Self, Error> {
        let installed = installed();
        let found = installed.iter().map(|one| one.major.to_string()).collect::<Vec<_>>().join(", ");
        let made_by = std::fs::read_to_string(cluster.join("PG_VERSION")).ok();
        let wanted = made_by.and_then(|text| text.trim().parse::<u32>().ok());
        match wanted {
            Some(wanted) => installed
                .into_iter()
                .find(|one| one.major == wanted)
                .ok_or_else(|| Error::WrongVersion { cluster: cluster.to_owned(), wanted, found }),
            None => installed
                .into_iter()
                .find(|one| one.major >= OLDEST)
                .ok_or(Error::NotInstalled { program: "PostgreSQL", advice: POSTGRES_ADVICE }),
        }
    }

    /// The path of one of its programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// Every installed PostgreSQL: those on PATH first, then the distributions', newest first.
fn installed() -> Vec<Postgres> {
    // What PATH names is often a link into the directory that holds all the programs.
    let on_path = search_path().into_iter().filter_map(|directory| {
        directory.join("postgres").canonicalize().ok()?.parent().map(Path::to_path_buf)
    });
    let mut found: Vec<Postgres> = on_path.filter_map(|directory| probe(&directory)).collect();
    let mut placed: Vec<Postgres> = [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/usr/local", "pgsql", "bin"),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/usr/libexec", "postgresql", ""),
    ]
    .into_iter()
    .flat_map(|(parent, prefix, below)| children(Path::new(parent), prefix, below))
    .filter_map(|directory| probe(&directory))
    .collect();
    placed.sort_by_key(|one| std::cmp::Reverse(one.major));
    found.extend(placed);
    found
}

/// The directories `parent/<prefix...>/below`.
fn children(parent: &Path, prefix: &str, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(below))
        .collect()
}

/// The PostgreSQL in `directory`, if it is complete and tells its version.
fn probe(directory: &Path) -> Option<Postgres> {
    if !directory.join("initdb").is_file() {
        return None;
    }
    let output = Command::new(directory.join("postgres")).arg("--version").output().ok()?;
    Some(Postgres {
        directory: directory.to_owned(),
        major: major(&String::from_utf8_lossy(&output.stdout))?,
    })
}

/// The major version in `postgres (PostgreSQL) 15.18 (Debian ...)`.
fn major(version: &str) -> Option<u32> {
    let digits = version.split_whitespace().nth(2)?;
    digits.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// Finds `nats-server`.
pub fn nats_server() -> Result<PathBuf, Error> {
    let usual = ["/usr/sbin", "/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/opt/homebrew/bin"];
    search_path()
        .into_iter()
        .chain(usual.into_iter().map(PathBuf::from))
        .map(|directory| directory.join("nats-server"))
        .find(|program| program.is_file())
        .ok_or(Error::NotInstalled { program: "nats-server", advice: NATS_ADVICE })
}

fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn major_version_is_read_from_every_distributions_wording() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 17.2\n"), Some(17));
        assert_eq!(major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major("nonsense"), None);
    }
}
