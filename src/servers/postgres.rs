//! The private PostgreSQL cluster.
//!
//! It listens on a unix socket alone, in a directory that only its user (and root) can enter; whoever gets there is
//! trusted. Cost of a start: about a second for a new cluster, a tenth of that for an existing one.

use std::fmt::Write as _;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use sha2::{Digest as _, Sha256};
use sqlx::migrate::MigrateDatabase as _;
use sqlx::{Connection as _, PgConnection, Postgres};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::directory::{DataDir, private_directory};
use super::launcher::Launcher;
use super::supervise::{Service, Supervised};
use super::{Error, Running, left_over, programs};

const NAME: &str = "PostgreSQL";
/// The superuser of the cluster and the name of the database.
const OWNER: &str = "counterfoil";
/// The name of the socket file is `.s.PGSQL.` and this.
const PORT: &str = "5432";
/// The longest path of a directory that still leaves room for the socket's name in the 103 bytes macOS allows
/// (Linux: 107).
const LONGEST_SOCKET_DIRECTORY: usize = 103 - ".s.PGSQL.5432".len() - 1;

/// Fast shutdown; then an immediate one, which is a crash to recover from; then by force.
const MEANS: &[(Signal, Duration)] = &[
    (Signal::SIGINT, Duration::from_secs(5)),
    (Signal::SIGQUIT, Duration::from_secs(2)),
    (Signal::SIGKILL, Duration::from_secs(2)),
];
/// For data that is thrown away.
const EPHEMERAL_MEANS: &[(Signal, Duration)] =
    &[(Signal::SIGQUIT, Duration::from_secs(2)), (Signal::SIGKILL, Duration::from_secs(2))];

/// Settings of every cluster.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "ssl=off",
    "logging_collector=off",
    "log_destination=stderr",
    "log_line_prefix=%m [%p] ",
    "log_timezone=UTC",
    "timezone=UTC",
    "jit=off",
];
/// Nothing that was acknowledged is lost.
const DURABLE: &[&str] = &["fsync=on", "synchronous_commit=on", "full_page_writes=on"];
/// For tests that throw their data away.
const VOLATILE: &[&str] = &["fsync=off", "synchronous_commit=off", "full_page_writes=off"];
const KEPT: &[&str] = &["max_connections=200", "min_wal_size=1GB", "max_wal_size=2GB"];
/// What PostgreSQL keeps in its own memory, in MiB: an eighth of the machine's, half of what PostgreSQL's manual has for a
/// server of its own, within these bounds. The lower one is taken where the machine's memory is not known.
const SHARED_BUFFERS: RangeInclusive<u64> = 256..=2_048;
/// Many tests at a time, each with little data.
const SMALL: &[&str] = &["shared_buffers=64MB", "max_connections=400"];

/// Starts the cluster, made first if need be, and the database in it.
pub async fn start(
    directory: &DataDir,
    launcher: &Launcher,
    durable: bool,
    interrupt: &CancellationToken,
) -> Result<Running, Error> {
    directory.account().can_enter(directory.path()).await?;
    let cluster = directory.path().join("postgres");
    let programs = programs::Postgres::find(&cluster)?;
    clear_left_over(&cluster).await?;
    if !cluster.exists() {
        initialize(directory, launcher, &programs, &cluster, durable).await?;
    }
    let sockets = socket_directory(directory)?;
    let url = url(&sockets);
    let service = Service {
        name: NAME,
        command: command(directory, &programs, &cluster, &sockets, durable),
        log: directory.log("postgres.log")?,
        means: if directory.is_ephemeral() { EPHEMERAL_MEANS } else { MEANS },
        pulse: None,
    };
    let probe = url.replace(&format!("/{OWNER}?"), "/postgres?");
    let process =
        Supervised::start(service, launcher.clone()).ready(interrupt, async || ping(&probe).await).await?;
    if let Err(error) = create_database(&url).await {
        process.stop().await;
        return Err(Error::Database(error));
    }
    Ok(Running { url, process })
}

/// Stops a server of an earlier run, and removes a lock file whose process is gone and whose pid is another's now:
/// PostgreSQL would take that stranger for itself.
async fn clear_left_over(cluster: &Path) -> Result<(), Error> {
    let file = cluster.join("postmaster.pid");
    let Some(pid) = left_over::read_pid(&file) else {
        return Ok(());
    };
    left_over::stop(pid, NAME, "postgres", cluster, MEANS).await?;
    if left_over::exists(pid) && file.exists() {
        // Orphaned backends of the dead server, if any, still hold its shared memory, by which the next one sees them.
        tracing::warn!(pid, "removing the lock of a server that is gone; its pid belongs to another program");
        fs::remove_file(&file).map_err(Error::io("remove", &file))?;
    }
    Ok(())
}

/// Makes the cluster beside its place and moves it there when it is complete.
async fn initialize(
    directory: &DataDir,
    launcher: &Launcher,
    programs: &programs::Postgres,
    cluster: &Path,
    durable: bool,
) -> Result<(), Error> {
    let draft = directory.path().join("postgres.new");
    if draft.exists() {
        tracing::warn!(directory = %draft.display(), "an earlier start was interrupted; making the cluster anew");
        fs::remove_dir_all(&draft).map_err(Error::io("remove", &draft))?;
    }
    directory.private("postgres.new")?;
    tracing::info!(version = programs.major, directory = %cluster.display(), "making a PostgreSQL cluster");
    let mut command = Command::new(programs.program("initdb"));
    command
        .args(["--username", OWNER, "--encoding", "UTF8", "--locale", "C", "--data-checksums"])
        .args(["--auth-local", "trust", "--auth-host", "reject", "--no-instructions"])
        .args((!durable).then_some("--no-sync"))
        .arg("--pgdata")
        .arg(&draft);
    prepare(&mut command, directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = async { launcher.spawn(command, Signal::SIGTERM).await?.wait_with_output().await };
    let output = run.await.map_err(|source| Error::Io { what: "run initdb".to_owned(), source })?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        return Err(Error::Failed {
            program: "initdb",
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&said).into_owned(),
        });
    }
    fs::rename(&draft, cluster).map_err(Error::io("rename", &draft))?;
    // The rename itself must survive a power failure too.
    fs::File::open(directory.path())
        .and_then(|parent| parent.sync_all())
        .map_err(Error::io("sync", directory.path()))
}

/// The command that runs the server in the foreground.
fn command(
    directory: &DataDir,
    programs: &programs::Postgres,
    cluster: &Path,
    sockets: &Path,
    durable: bool,
) -> Box<dyn Fn() -> Command + Send + Sync> {
    let program = programs.program("postgres");
    let (cluster, account) = (cluster.to_owned(), directory.account().clone());
    let mut settings = [SETTINGS, if durable { DURABLE } else { VOLATILE }].concat();
    settings.extend(if directory.is_ephemeral() { SMALL } else { KEPT });
    let mut settings: Vec<String> = settings.into_iter().map(str::to_owned).collect();
    if !directory.is_ephemeral() {
        settings.push(format!("shared_buffers={}MB", shared_buffers()));
    }
    // A comma in the path would make two directories of one without the quotes.
    let sockets = sockets.display().to_string().replace('"', "\"\"");
    settings.push(format!("unix_socket_directories=\"{sockets}\""));
    Box::new(move || {
        let mut command = Command::new(&program);
        command.arg("-D").arg(&cluster).args(["-p", PORT]);
        command.args(settings.iter().flat_map(|setting| ["-c", setting]));
        clean(&mut command, &cluster);
        account.apply(&mut command);
        command
    })
}

fn shared_buffers() -> u64 {
    let megabytes = |path: &str, parse: fn(&str) -> Option<u64>| parse(&fs::read_to_string(path).ok()?);
    let machine = megabytes("/proc/meminfo", |text| {
        let kilobytes =
            text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix("kB")?;
        Some(kilobytes.trim().parse::<u64>().ok()? >> 10)
    });
    // A container may have less.
    let group = megabytes("/sys/fs/cgroup/memory.max", |text| Some(text.trim().parse::<u64>().ok()? >> 20));
    let memory = machine.map(|machine| group.map_or(machine, |group| group.min(machine)));
    memory.map_or(0, |memory| memory / 8).clamp(*SHARED_BUFFERS.start(), *SHARED_BUFFERS.end())
}

fn prepare(command: &mut Command, directory: &DataDir) {
    clean(command, directory.path());
    directory.account().apply(command);
}

/// No setting from the caller's environment reaches the server, nor does its working directory.
fn clean(command: &mut Command, directory: &Path) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C").current_dir(directory);
}

/// A directory for the socket: in the data directory if its path is short enough for a socket's name.
fn socket_directory(directory: &DataDir) -> Result<PathBuf, Error> {
    let fits = |path: &Path| path.as_os_str().len() <= LONGEST_SOCKET_DIRECTORY;
    if fits(&directory.path().join("run")) {
        return directory.private("run");
    }
    let digest = Sha256::digest(directory.path().as_os_str().as_encoded_bytes());
    let name =
        digest.iter().take(8).fold("counterfoil".to_owned(), |name, byte| format!("{name}-{byte:02x}"));
    let runtime =
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|_| !directory.account().is_other());
    let path = runtime
        .filter(|path| path.is_dir())
        .map(|path| path.join(&name))
        .filter(|path| fits(path))
        .unwrap_or_else(|| Path::new("/tmp").join(&name));
    private_directory(&path, directory.account())?;
    Ok(path)
}

/// The address of the database behind the socket, in the form that sqlx and libpq both read.
fn url(sockets: &Path) -> String {
    let mut host = String::new();
    for byte in sockets.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                host.push(char::from(*byte));
            }
            other => {
                // Writing to a String cannot fail.
                let _ = write!(host, "%{other:02X}");
            }
        }
    }
    format!("postgres://{OWNER}@localhost/{OWNER}?host={host}")
}

async fn ping(url: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    connection.ping().await?;
    connection.close().await
}

async fn create_database(url: &str) -> Result<(), sqlx::Error> {
    if Postgres::database_exists(url).await? { Ok(()) } else { Postgres::create_database(url).await }
}
