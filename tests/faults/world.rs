//! The processes that are killed: the program, PostgreSQL and nats-server, in one of two arrangements, and what
//! stands between them.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use api::credential::{Grant, Role, Signer};
use chrono::{DateTime, TimeDelta, Utc};
use counterfoil::servers::Addresses;
use counterfoil::system::{SystemClock, SystemIds};
use domain::{Clock, Ids as _, Slug};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::proxy::{Proxy, Target};

const PROGRAM: &str = env!("CARGO_BIN_EXE_counterfoil");
const SHIFTED_CLOCK: &str = include_str!("clock.c");
/// The servers' own file system in memory, when there is one.
const DISK: &str = "2g";

/// Who looks after the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// A process of their own (`counterfoil servers`); the program (`counterfoil serve`) reaches them through proxies.
    Apart,
    /// The program itself: `counterfoil up`.
    Whole,
}

/// Everything that runs, and where.
pub struct World {
    pub arrangement: Arrangement,
    /// Ours alone; its name is in the command line of every process of this world.
    pub directory: PathBuf,
    pub base: String,
    pub program: Program,
    pub postgres: Option<Proxy>,
    pub nats: Option<Proxy>,
    /// The file that shifts the program's clock; nothing where it cannot be shifted.
    pub clock: Option<PathBuf>,
    guardian: Option<Guardian>,
}

/// A program that is started again whenever it ends, as a service manager would.
pub struct Program {
    pid: Arc<AtomicU32>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Program {
    fn keep(command: impl Fn() -> tokio::process::Command + Send + 'static) -> Self {
        let (pid, stop) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let (now, stopped) = (Arc::clone(&pid), stop.clone());
        let task = tokio::spawn(async move {
            while !stopped.is_cancelled() {
                let mut child = command().kill_on_drop(true).spawn().unwrap();
                now.store(child.id().unwrap(), Ordering::SeqCst);
                tokio::select! {
                    _ = child.wait() => {}
                    () = stopped.cancelled() => {
                        signal(child.id().unwrap_or(0), Signal::SIGTERM);
                        if tokio::time::timeout(Duration::from_secs(20), child.wait()).await.is_err() {
                            let _ = child.kill().await;
                            panic!("the program does not stop");
                        }
                    }
                }
                now.store(0, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self { pid, stop, task }
    }

    /// 0 while it is down.
    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::SeqCst)
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// The process that looks after PostgreSQL and nats-server in [`Arrangement::Apart`].
struct Guardian {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Whether the servers have a file system of their own.
    own_disk: bool,
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// A clock that is two hours late: what it signed stays valid when the program's clock is stepped back.
struct Earlier;

impl Clock for Earlier {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() - TimeDelta::hours(2)
    }
}

/// Whether there was such a process: it may have ended by itself meanwhile.
pub fn signal(pid: u32, signal: Signal) -> bool {
    pid > 1 && kill(Pid::from_raw(pid.cast_signed()), signal).is_ok()
}

impl World {
    /// Starts everything. `settings` are variables of the program's environment.
    pub async fn start(arrangement: Arrangement, settings: &[(&str, &str)]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let name = format!("cf-{}", SystemIds.next().simple().to_string().split_off(16));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        let clock = shiftable_clock(&directory);
        // Free until we let go of it; nobody else asks for this very port in between.
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (guardian, postgres, nats) = match arrangement {
            Arrangement::Whole => (None, None, None),
            Arrangement::Apart => {
                let (guardian, addresses) = Guardian::start(&directory);
                let socket = socket(&guardian.view(&directory), &addresses);
                let port = port(addresses.nats_url.as_deref().unwrap());
                let postgres = Proxy::to(Target::Unix(socket)).await;
                (Some(guardian), Some(postgres), Some((Proxy::to(Target::Tcp(port)).await, addresses)))
            }
        };
        let mut arguments: Vec<String> = match &nats {
            None => vec!["up".into()],
            Some((nats, addresses)) => {
                let database = format!(
                    "postgres://counterfoil@127.0.0.1:{}/counterfoil?sslmode=disable",
                    postgres.as_ref().unwrap().port
                );
                let url = addresses.nats_url.clone().unwrap();
                let url = url.replace(&format!(":{}", port(&url)), &format!(":{}", nats.port));
                vec!["serve".into(), "--database-url".into(), database, "--nats-url".into(), url]
            }
        };
        let data_dir = match arrangement {
            Arrangement::Whole => directory.join("data"),
            Arrangement::Apart => directory.join("program"),
        };
        arguments.extend(["--listen".into(), listen.clone(), "--data-dir".into()]);
        arguments.push(data_dir.to_str().unwrap().to_owned());
        let log = directory.join("program.log");
        let mut environment = vec![("COUNTERFOIL_LOG__FILTER", "info,sqlx=warn,async_nats=warn")];
        environment.extend(settings);
        let environment: Vec<(String, String)> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let shifted = clock.clone();
        let program = Program::keep(move || {
            let output = OpenOptions::new().create(true).append(true).open(&log).unwrap();
            let mut command = tokio::process::Command::new(PROGRAM);
            command.args(&arguments).envs(environment.iter().cloned());
            command.env_remove("DATABASE_URL").env_remove("NATS_URL");
            if let Some(clock) = &shifted {
                command.env("LD_PRELOAD", clock.with_extension("so")).env("SHIFTED_CLOCK", clock);
            }
            command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
            command
        });
        let nats = nats.map(|(proxy, _)| proxy);
        let base = format!("http://{listen}");
        Self { arrangement, directory, base, program, postgres, nats, clock, guardian }
    }

    /// The servers' data directory, as this process sees it.
    pub fn data(&self) -> PathBuf {
        match &self.guardian {
            Some(guardian) => guardian.view(&self.directory),
            None => self.directory.join("data"),
        }
    }

    /// The address of the database, past every proxy.
    pub fn database_url(&self) -> String {
        let socket = self.data().join("run");
        format!("postgres://counterfoil@localhost/counterfoil?host={}", socket.display())
    }

    /// The address of nats-server, past every proxy.
    pub fn nats_url(&self) -> String {
        let text = fs::read_to_string(self.data().join("addresses.json")).unwrap();
        let addresses: Addresses = serde_json::from_str(&text).unwrap();
        addresses.nats_url.unwrap()
    }

    pub fn postgres_pid(&self) -> u32 {
        first_number(&self.data().join("postgres/postmaster.pid"))
    }

    pub fn nats_pid(&self) -> u32 {
        first_number(&self.data().join("nats/nats.pid"))
    }

    /// PostgreSQL's first process and all its children.
    pub fn postgres_pids(&self) -> Vec<u32> {
        let first = self.postgres_pid();
        let mut all = children(first);
        all.insert(0, first);
        all
    }

    /// Faults that this machine cannot be given are left out, but not in silence.
    pub fn say_what_is_skipped(&self) {
        if self.guardian.as_ref().is_some_and(|guardian| !guardian.own_disk) {
            println!("SKIPPED: DiskFull needs root and a private mount of tmpfs (unshare --mount)");
        }
        if self.clock.is_none() {
            println!("SKIPPED: ClockBack needs a C compiler (cc)");
        }
    }

    /// Leaves no room on the servers' file system, or gives it back: a limit set to what is used already is a full
    /// disk, and costs little memory. Whether it took nothing more, or is given back; false where the disk is not theirs
    /// alone.
    pub fn disk(&self, full: bool) -> bool {
        let Some(guardian) = self.guardian.as_ref().filter(|guardian| guardian.own_disk) else {
            return false;
        };
        let place = self.directory.join("disk");
        let remount = |size: &str| {
            Command::new("nsenter")
                .args(["--mount", "--target", &guardian.child.id().to_string()])
                .args(["mount", "-o", &format!("remount,size={size}")])
                .arg(&place)
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
        };
        let ballast = guardian.mount(&self.directory).join("ballast");
        if !full {
            assert!(remount(DISK), "the disk cannot be given back");
            let _ = fs::remove_file(&ballast);
            return true;
        }
        // A limit below what was written since it was measured is not taken; a later one leaves more for that.
        let limited = (0..20).any(|tries| {
            let found = nix::sys::statvfs::statvfs(&guardian.mount(&self.directory)).unwrap();
            let used = (found.blocks() - found.blocks_free()) * found.fragment_size() / 1024;
            remount(&format!("{}k", used + tries * 512))
        });
        assert!(limited, "the disk cannot be limited");
        // What that left is taken by nobody's file.
        let block = vec![0; 64 * 1024];
        let mut file = File::create(&ballast).unwrap();
        (0..1_000).any(|_| {
            let taken = file.write_all(&block);
            taken.is_err_and(|error| error.kind() == std::io::ErrorKind::StorageFull)
        })
    }

    /// Sets the program's clock forward by so many seconds; back where negative.
    /// False where it cannot be shifted.
    pub fn shift_clock(&self, seconds: i64) -> bool {
        let Some(clock) = &self.clock else { return false };
        let mut file = OpenOptions::new().write(true).open(clock).unwrap();
        file.write_all(&seconds.to_ne_bytes()).unwrap();
        true
    }

    /// A token of `counterfoil token`'s key, as old as the clock may be stepped back.
    pub fn token(&self, tenant: &str, role: Role, subject: &str) -> String {
        let data_dir = match self.arrangement {
            Arrangement::Whole => self.data(),
            Arrangement::Apart => self.directory.join("program"),
        };
        fs::create_dir_all(&data_dir).unwrap();
        let signer = Signer::open(&data_dir.join("signing-key.pem"), "counterfoil", "counterfoil").unwrap();
        let tenant = Slug::new(tenant).unwrap();
        let grant = Grant { subject, tenant: &tenant, role, lifetime: TimeDelta::hours(24) };
        signer.issue(&grant, &Earlier, &SystemIds).unwrap()
    }

    /// Runs `counterfoil` beside it on the same database, and returns what it said.
    pub async fn command(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = tokio::process::Command::new(PROGRAM);
        command.args(arguments).env("COUNTERFOIL_LOG__FILTER", "error").env_remove("NATS_URL");
        command.arg("--data-dir").arg(self.directory.join("beside"));
        command.env("DATABASE_URL", self.database_url()).stdin(Stdio::null());
        let output = command.output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    /// The end of the program's log, for whoever has to find out what went wrong. The servers' logs, whose file system
    /// goes with them, are put beside it.
    pub fn last_words(&self) -> String {
        for log in ["postgres.log", "nats.log"] {
            let _ = fs::copy(self.data().join(log), self.directory.join(log));
        }
        let mut text = String::new();
        if let Ok(mut file) = File::open(self.directory.join("program.log")) {
            let length = file.metadata().map_or(0, |found| found.len());
            let _ = file.seek(SeekFrom::Start(length.saturating_sub(6_000)));
            let mut bytes = Vec::new();
            let _ = file.read_to_end(&mut bytes);
            text = String::from_utf8_lossy(&bytes).into_owned();
        }
        text
    }

    /// Stops everything in order and looks for what is left: processes, sockets, half-made files.
    pub async fn stop(self) {
        let Self { directory, program, postgres, nats, guardian, arrangement, .. } = self;
        program.stop().await;
        if arrangement == Arrangement::Whole {
            let left: Vec<_> = half_made(&directory.join("data")).collect();
            assert!(left.is_empty(), "left behind: {left:?}");
        }
        drop((postgres, nats));
        if let Some(guardian) = guardian {
            let left: Vec<_> = half_made(&guardian.view(&directory)).collect();
            tokio::task::block_in_place(|| drop(guardian));
            assert!(left.is_empty(), "left behind: {left:?}");
        }
        let mut left = BTreeSet::new();
        for _ in 0..100 {
            left = processes(directory.to_str().unwrap());
            if left.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(left.is_empty(), "processes are left: {left:?}");
        fs::remove_dir_all(&directory).unwrap();
    }
}

impl Guardian {
    /// As root with a file system of its own, in memory and seen by nobody else, that can be full.
    fn start(directory: &Path) -> (Self, Addresses) {
        let place = directory.join("disk");
        fs::create_dir(&place).unwrap();
        let data = place.join("data");
        let own_disk = nix::unistd::geteuid().is_root()
            && Command::new("unshare")
                .args(["--mount", "mount", "-t", "tmpfs", "tmpfs"])
                .arg(&place)
                .status()
                .is_ok_and(|status| status.success());
        let mut command = if own_disk {
            let script =
                r#"mount -t tmpfs -o "size=$1,mode=755" tmpfs "$2" && exec "$3" servers --data-dir "$4""#;
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", script, "sh", DISK]).arg(&place).arg(PROGRAM).arg(&data);
            command
        } else {
            let mut command = Command::new(PROGRAM);
            command.args(["servers", "--data-dir"]).arg(&data);
            command
        };
        let log = File::create(directory.join("guardian.log")).unwrap();
        command
            .env("COUNTERFOIL_LOG__FILTER", "warn")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let addresses = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        // It says something at every restart, and must always be able to.
        std::thread::spawn(move || lines.lines().for_each(drop));
        (Self { child, stdin, own_disk }, addresses)
    }

    /// The mounted file system, seen from outside.
    fn mount(&self, directory: &Path) -> PathBuf {
        let place = directory.join("disk");
        if self.own_disk {
            let root = PathBuf::from(format!("/proc/{}/root", self.child.id()));
            return root.join(place.strip_prefix("/").unwrap());
        }
        place
    }

    fn view(&self, directory: &Path) -> PathBuf {
        self.mount(directory).join("data")
    }
}

/// A library that shifts the clock of a process it is loaded into, and the file that says by how much. Made with the
/// compiler that links our programs anyway.
fn shiftable_clock(directory: &Path) -> Option<PathBuf> {
    let (source, clock) = (directory.join("clock.c"), directory.join("clock"));
    fs::write(&source, SHIFTED_CLOCK).unwrap();
    fs::write(&clock, 0_i64.to_ne_bytes()).unwrap();
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(clock.with_extension("so"))
        .arg(&source)
        .status();
    made.is_ok_and(|status| status.success()).then_some(clock)
}

fn socket(data: &Path, addresses: &Addresses) -> PathBuf {
    assert!(addresses.database_url.is_some());
    data.join("run/.s.PGSQL.5432")
}

fn port(url: &str) -> u16 {
    url.rsplit_once(':').unwrap().1.parse().unwrap()
}

fn first_number(file: &Path) -> u32 {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().next().and_then(|line| line.trim().parse().ok()).unwrap_or(0)
}

/// The processes that `parent` started.
pub fn children(parent: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// The processes whose command line names `mark`, and that have not ended.
fn processes(mark: &str) -> BTreeSet<String> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let lines = pids.filter_map(|pid| {
        let line = fs::read(pid.path().join("cmdline")).ok()?;
        Some(format!("{}: {}", pid.path().display(), String::from_utf8_lossy(&line).replace('\0', " ")))
    });
    lines.filter(|line| line.contains(mark)).collect()
}

/// What a start or a write that was interrupted would leave in a data directory.
fn half_made(data: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(data).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| {
        let unfinished = path.extension().is_some_and(|extension| extension == "new" || extension == "tmp");
        unfinished || path.to_string_lossy().ends_with("draft")
    })
}

/// Whether there is such a process.
pub fn exists(pid: u32) -> bool {
    pid > 1 && kill(Pid::from_raw(pid.cast_signed()), None) != Err(Errno::ESRCH)
}
