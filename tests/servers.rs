//! The private servers, with real processes: what happens when one of them, or we, or two of us, misbehave.

#![expect(clippy::unwrap_used, clippy::panic, reason = "this is how a test fails")]
#![expect(clippy::disallowed_methods, reason = "these tests wait for processes, on threads of their own")]

mod support;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use counterfoil::system::SystemIds;
use domain::Ids as _;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection as _, PgConnection};
use support::{Database, Guardian};

/// A directory that the servers' user can reach, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("counterfoil-test-{}", SystemIds.next().simple())))
    }

    fn as_str(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn counterfoil(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_counterfoil")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// Waits until the process is gone. The bound is for a test that would otherwise hang.
fn assert_ends(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap());
    for _ in 0..600 {
        let zombie = std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.is_empty());
        if kill(pid, None) == Err(Errno::ESRCH) || zombie {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("process {pid} is still there");
}

async fn connect(url: &str) -> PgConnection {
    for _ in 0..600 {
        if let Ok(connection) = PgConnection::connect(url).await {
            return connection;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("PostgreSQL does not answer");
}

#[tokio::test]
async fn every_test_gets_a_migrated_database_of_its_own() {
    let (one, other) = tokio::join!(Database::fresh(), Database::with_partitions(2));
    assert_ne!(one.url(), other.url());
    let one = journal::Journal::open(one.pool(journal::Role::Writer, 1).await).await.unwrap();
    let other = journal::Journal::open(other.pool(journal::Role::Writer, 1).await).await.unwrap();
    assert_eq!(one.partition_count().0, support::PARTITIONS);
    assert_eq!(other.partition_count().0, 2);
    assert_ne!(one.database_id(), other.database_id());
}

#[tokio::test]
async fn killed_servers_come_back_at_the_same_addresses_with_their_data() {
    let guardian = Guardian::start(&["--ephemeral", "--durable"]);
    let before = guardian.addresses();
    let mut connection = connect(&guardian.database_url()).await;
    sqlx::query("CREATE TABLE kept AS SELECT 42 AS answer").execute(&mut connection).await.unwrap();

    signal(before.postgres_pid.unwrap(), Signal::SIGKILL);
    let after = guardian.restarted();
    assert_ne!(after.postgres_pid, before.postgres_pid);
    assert_eq!(after.database_url, before.database_url);
    let mut connection = connect(&guardian.database_url()).await;
    let answer: i32 = sqlx::query_scalar("SELECT answer FROM kept").fetch_one(&mut connection).await.unwrap();
    assert_eq!(answer, 42);

    signal(after.nats_pid.unwrap(), Signal::SIGKILL);
    let again = guardian.restarted();
    assert_ne!(again.nats_pid, before.nats_pid);
    assert_eq!(again.nats_url, before.nats_url);
    let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
    let client = counterfoil::servers::connect_nats(&guardian.nats_url(), options).await.unwrap();
    client.flush().await.unwrap();
}

/// As after a full disk: the process is there, and answers nobody.
#[tokio::test]
async fn a_nats_server_that_runs_and_does_not_answer_is_started_again() {
    let nats = support::private_nats();
    let before = nats.addresses();
    signal(before.nats_pid.unwrap(), Signal::SIGSTOP);
    let after = nats.restarted();
    assert_ne!(after.nats_pid, before.nats_pid);
    assert_eq!(after.nats_url, before.nats_url);
    let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
    let client = counterfoil::servers::connect_nats(&nats.nats_url(), options).await.unwrap();
    client.flush().await.unwrap();
}

#[tokio::test]
async fn a_client_of_nats_reconnects_by_itself_after_a_crash() {
    let nats = support::private_nats();
    let client = counterfoil::servers::connect_nats(&nats.nats_url(), async_nats::ConnectOptions::new())
        .await
        .unwrap();
    let port = client.server_info().port;
    signal(nats.addresses().nats_pid.unwrap(), Signal::SIGKILL);
    nats.restarted();
    for _ in 0..600 {
        if client.request("$JS.API.INFO", Vec::new().into()).await.is_ok() {
            assert_eq!(client.server_info().port, port);
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the client did not reconnect");
}

#[tokio::test]
async fn nats_refuses_a_client_without_the_password() {
    let nats = support::private_nats();
    let url = nats.nats_url();
    let bare = format!("nats://{}", url.split_once('@').unwrap().1);
    async_nats::connect(&bare).await.unwrap_err();
}

#[cfg(target_os = "linux")]
#[test]
fn the_servers_end_when_their_supervisor_is_killed() {
    let directory = Directory::new();
    let guardian = Guardian::start(&["--data-dir", directory.as_str()]);
    let addresses = guardian.addresses();
    signal(guardian.pid(), Signal::SIGKILL);
    assert_ends(addresses.postgres_pid.unwrap());
    assert_ends(addresses.nats_pid.unwrap());
    // And the directory can be used again.
    let next = Guardian::start(&["--data-dir", directory.as_str()]);
    assert_eq!(next.addresses().nats_url, addresses.nats_url);
}

#[test]
fn a_second_start_on_one_directory_is_refused_and_names_the_holder() {
    let directory = Directory::new();
    let first = Guardian::start(&["--data-dir", directory.as_str(), "--only", "nats"]);
    let second = counterfoil(&["servers", "--data-dir", directory.as_str()]);
    assert!(!second.status.success());
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains(&format!("in use by process {}", first.pid())), "{said}");
}

#[test]
fn a_half_made_cluster_is_made_anew() {
    let directory = Directory::new();
    drop(Guardian::start(&["--data-dir", directory.as_str(), "--only", "nats"]));
    let draft = directory.0.join("postgres.new");
    std::fs::create_dir(&draft).unwrap();
    std::fs::write(draft.join("PG_VERSION"), "15\n").unwrap();
    let guardian = Guardian::start(&["--data-dir", directory.as_str()]);
    assert!(guardian.addresses().postgres_pid.is_some());
    assert!(!draft.exists());
}

#[test]
fn servers_left_over_from_an_earlier_run_are_stopped() {
    let directory = Directory::new();
    let first = Guardian::start(&["--data-dir", directory.as_str()]).addresses();
    // What an earlier run left: the same programs on the same data, with nobody to look after them.
    let postgres =
        leave_running(&directory.0, "postgres", "postgres", &["-D", "postgres", "-c", "listen_addresses="]);
    let nats = leave_running(&directory.0, "nats", "nats-server", &["--config", "nats.conf"]);
    for file in ["postgres/postmaster.pid", "nats/nats.pid"] {
        while !directory.0.join(file).exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    let second = Guardian::start(&["--data-dir", directory.as_str()]).addresses();
    for mut left_over in [postgres, nats] {
        assert!(left_over.try_wait().unwrap().is_some(), "a left-over server is still running");
    }
    assert_eq!(second.nats_url, first.nats_url);
}

/// Runs a server on the directory as the user who owns it. File arguments are made absolute.
fn leave_running(directory: &Path, part: &str, program: &str, arguments: &[&str]) -> std::process::Child {
    let owner = std::fs::metadata(directory.join(part)).unwrap();
    let arguments = arguments.iter().map(|argument| match directory.join(argument) {
        path if path.exists() => path.into_os_string(),
        _ => argument.into(),
    });
    let mut command = Command::new(find(program));
    command.args(arguments).current_dir(directory.join(part)).stdout(Stdio::null()).stderr(Stdio::null());
    if nix::unistd::geteuid().is_root() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    command.spawn().unwrap()
}

fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .chain(versions.map(|version| version.path().join("bin")))
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
        .unwrap()
}

#[test]
fn the_lock_of_a_dead_server_whose_pid_is_another_programs_is_no_obstacle() {
    let directory = Directory::new();
    drop(Guardian::start(&["--data-dir", directory.as_str(), "--only", "postgres"]));
    let cluster = directory.0.join("postgres");
    // This test's own process stands for the stranger; the first line of the lock is the pid.
    let lock = format!("{}\n{}\n1\n5432\n\n\n0 0\nready\n", std::process::id(), cluster.display());
    let file = cluster.join("postmaster.pid");
    std::fs::write(&file, lock).unwrap();
    let owner = std::fs::metadata(&cluster).unwrap();
    std::os::unix::fs::chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
    let guardian = Guardian::start(&["--data-dir", directory.as_str(), "--only", "postgres"]);
    assert!(guardian.addresses().postgres_pid.is_some());
}

#[test]
fn a_command_gets_the_addresses_and_its_status_is_passed_on() {
    let script = "echo \"$DATABASE_URL $NATS_URL\"; exit 7";
    let output = counterfoil(&["servers", "--ephemeral", "--", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(7));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("postgres://") && said.contains(" nats://"), "{said}");
    let directory = said.split("host=").nth(1).unwrap().split("/run").next().unwrap();
    assert!(
        directory.contains("counterfoil-ephemeral-") && !Path::new(directory).exists(),
        "{directory} is there"
    );
}

#[test]
fn a_path_too_long_for_a_socket_is_no_obstacle() {
    let directory = Directory::new();
    let deep = directory.0.join("d".repeat(100));
    std::fs::create_dir_all(&deep).unwrap();
    let guardian = Guardian::start(&["--data-dir", deep.to_str().unwrap(), "--only", "postgres"]);
    let url = guardian.database_url();
    assert!(!url.contains("ddd"), "{url}");
    drop(guardian);
    std::fs::remove_dir_all(url.split("host=").nth(1).unwrap()).unwrap();
}

#[test]
fn a_directory_the_unprivileged_user_cannot_reach_is_refused_by_name() {
    if !nix::unistd::geteuid().is_root() {
        support::skipped("only root runs the servers as another user");
        return;
    }
    let directory = Directory::new();
    std::fs::create_dir(&directory.0).unwrap();
    std::fs::set_permissions(&directory.0, std::fs::Permissions::from_mode(0o700)).unwrap();
    let inside = directory.0.join("data");
    let output = counterfoil(&["servers", "--data-dir", inside.to_str().unwrap()]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("permissions of {}", directory.as_str())), "{said}");
}
