//! What is done to the processes.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{sleep, timeout};

use crate::proxy::{Proxy, Reply};
use crate::seed::Seed;
use crate::world::{Arrangement, World, children, exists, signal};

/// One fault. Each is over, and its cause gone, when it has been injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL to the program. With `counterfoil up` its servers lose their supervisor.
    KillProgram,
    /// SIGSTOP to the program, for longer than callers wait, then SIGCONT.
    StopProgram,
    /// SIGKILL to PostgreSQL's first process.
    KillPostgres,
    /// SIGKILL to one of its backends: it restarts by itself and recovers.
    KillBackend,
    /// SIGQUIT, an immediate shutdown.
    QuitPostgres,
    /// SIGSTOP to all of its processes, for longer than the pipeline's patience.
    StopPostgres,
    /// SIGKILL to all of its processes at the moment an append has been sent to it.
    KillPostgresInCommit,
    /// SIGKILL to the program at the moment it has sent an append.
    KillProgramInCommit,
    /// The append arrives, its answer does not, and the connection is cut.
    LoseAnswer,
    /// The append arrives, half of its answer comes back, and the connection is cut.
    HalfAnswer,
    /// All connections to PostgreSQL are cut.
    CutPostgres,
    /// No byte passes to or from PostgreSQL for longer than the pipeline's patience; then all connections are cut.
    StallPostgres,
    KillNats,
    StopNats,
    CutNats,
    StallNats,
    /// SIGKILL, and the store of JetStream is deleted.
    WipeNats,
    /// No room for another block, and another segment of the write-ahead log asked for.
    DiskFull,
    /// The program's clock is stepped back by an hour, and later forward again.
    ClockBack,
    KillProgramAndPostgres,
    KillProgramAndNats,
    KillServers,
    KillEverything,
    /// SIGSTOP for [`LONGEST`].
    StopPostgresLong,
    /// The same; its supervisor starts it again before that is over.
    StopNatsLong,
    /// No byte passes to or from nats-server for [`LONGEST`]; then all connections are cut.
    StallNatsLong,
    StopProgramLong,
}

use Fault::{
    ClockBack, CutNats, CutPostgres, DiskFull, HalfAnswer, KillBackend, KillEverything, KillNats,
    KillPostgres, KillPostgresInCommit, KillProgram, KillProgramAndNats, KillProgramAndPostgres,
    KillProgramInCommit, KillServers, LoseAnswer, QuitPostgres, StallNats, StallNatsLong, StallPostgres,
    StopNats, StopNatsLong, StopPostgres, StopPostgresLong, StopProgram, StopProgramLong, WipeNats,
};

/// Those that outlast the time-outs, in the order in which they are tried.
pub const OUTLASTING: &[Fault] = &[StopPostgresLong, StopNatsLong, StallNatsLong, StopProgramLong];

const APART: &[Fault] = &[
    KillProgram,
    StopProgram,
    KillPostgres,
    KillBackend,
    QuitPostgres,
    StopPostgres,
    KillPostgresInCommit,
    KillProgramInCommit,
    LoseAnswer,
    HalfAnswer,
    CutPostgres,
    StallPostgres,
    KillNats,
    StopNats,
    CutNats,
    StallNats,
    WipeNats,
    DiskFull,
    ClockBack,
    KillProgramAndPostgres,
    KillProgramAndNats,
    KillServers,
    KillEverything,
];

const WHOLE: &[Fault] = &[
    KillProgram,
    StopProgram,
    KillPostgres,
    KillBackend,
    QuitPostgres,
    StopPostgres,
    KillNats,
    StopNats,
    WipeNats,
    ClockBack,
    KillProgramAndPostgres,
    KillProgramAndNats,
    KillServers,
    KillEverything,
];

/// Longer than the patience that the tests give the pipeline.
const LONG: Duration = Duration::from_millis(1_300);
/// Longer than whatever the program waits for an answer of its servers: ten seconds at the most, for a connection of a
/// pool and for an acknowledgement of JetStream.
const LONGEST: Duration = Duration::from_secs(12);

impl Fault {
    /// What can be done to such a world.
    pub fn all(arrangement: Arrangement) -> &'static [Self] {
        match arrangement {
            Arrangement::Apart => APART,
            Arrangement::Whole => WHOLE,
        }
    }

    /// One of them; those that take long are rarer.
    pub fn pick(arrangement: Arrangement, seed: &mut Seed) -> Self {
        let all = Self::all(arrangement);
        let first = *seed.pick(all);
        if first.lasts() && seed.chance(50) { *seed.pick(all) } else { first }
    }

    fn lasts(self) -> bool {
        matches!(self, StopProgram | StopPostgres | StallPostgres | StopNats | StallNats | DiskFull)
    }

    /// Does it to the world, and ends it. False where it came to nothing: there was no such process, no connection, no
    /// append, or no disk of their own.
    pub async fn inject(self, world: &World, seed: &mut Seed) -> bool {
        let long = LONG + Duration::from_millis(seed.between(0, 600));
        match self {
            KillProgram => kill(world.program.pid()),
            StopProgram => stop(&[world.program.pid()], long * 2).await,
            KillPostgres => kill(world.postgres_pid()),
            KillBackend => {
                let backends = children(world.postgres_pid());
                !backends.is_empty() && kill(*seed.pick(&backends))
            }
            QuitPostgres => signal(world.postgres_pid(), Signal::SIGQUIT),
            StopPostgres => stop(&world.postgres_pids(), long).await,
            KillPostgresInCommit => {
                let appended = appended(world, Reply::Whole).await;
                sleep(Duration::from_micros(seed.between(0, 1_500))).await;
                kill_family(&world.postgres_pids()) && appended
            }
            KillProgramInCommit => {
                let appended = appended(world, Reply::Whole).await;
                sleep(Duration::from_micros(seed.between(0, 1_500))).await;
                kill(world.program.pid()) && appended
            }
            LoseAnswer => appended(world, Reply::Lost).await,
            HalfAnswer => appended(world, Reply::Half).await,
            CutPostgres => world.postgres.as_ref().is_some_and(Proxy::cut),
            StallPostgres => stall(world.postgres.as_ref(), long).await,
            KillNats => kill(world.nats_pid()),
            StopNats => stop(&[world.nats_pid()], long).await,
            CutNats => world.nats.as_ref().is_some_and(Proxy::cut),
            StallNats => stall(world.nats.as_ref(), long).await,
            WipeNats => wipe(world).await,
            DiskFull => fill(world, long).await,
            ClockBack => {
                let shifted = world.shift_clock(-3_600) && exists(world.program.pid());
                sleep(long / 2).await;
                world.shift_clock(0) && shifted
            }
            KillProgramAndPostgres => kill_all(&[world.program.pid(), world.postgres_pid()]),
            KillProgramAndNats => kill_all(&[world.nats_pid(), world.program.pid()]),
            KillServers => kill_all(&[world.postgres_pid(), world.nats_pid()]),
            KillEverything => kill_all(&[world.program.pid(), world.postgres_pid(), world.nats_pid()]),
            StopPostgresLong => stop(&world.postgres_pids(), LONGEST).await,
            StopNatsLong => stop(&[world.nats_pid()], LONGEST).await,
            StallNatsLong => stall(world.nats.as_ref(), LONGEST).await,
            StopProgramLong => stop(&[world.program.pid()], LONGEST).await,
        }
    }
}

fn kill(pid: u32) -> bool {
    signal(pid, Signal::SIGKILL)
}

/// Whether the first of them was there: the others may be its children, and end with it.
fn kill_family(pids: &[u32]) -> bool {
    let killed: Vec<bool> = pids.iter().copied().map(kill).collect();
    killed.first() == Some(&true)
}

/// Whether all of them were there.
fn kill_all(pids: &[u32]) -> bool {
    let killed: Vec<bool> = pids.iter().copied().map(kill).collect();
    killed.iter().all(|killed| *killed)
}

/// Whether the first of them was there.
async fn stop(pids: &[u32], duration: Duration) -> bool {
    let stopped: Vec<bool> = pids.iter().map(|pid| signal(*pid, Signal::SIGSTOP)).collect();
    sleep(duration).await;
    for pid in pids {
        signal(*pid, Signal::SIGCONT);
    }
    stopped.first() == Some(&true)
}

/// Whether there were connections to stall.
async fn stall(proxy: Option<&Proxy>, duration: Duration) -> bool {
    let Some(proxy) = proxy else { return false };
    proxy.stall(true);
    sleep(duration).await;
    proxy.stall(false);
    proxy.cut()
}

/// Waits until an append has been passed on; false if there was none in time, as while something else is down.
async fn appended(world: &World, reply: Reply) -> bool {
    let Some(proxy) = &world.postgres else { return false };
    let passed = timeout(Duration::from_secs(2), proxy.next_append(reply)).await;
    proxy.disarm();
    matches!(passed, Ok(Ok(())))
}

/// Whether there was a store, and it is gone.
async fn wipe(world: &World) -> bool {
    let pid = world.nats_pid();
    kill(pid);
    while exists(pid) && children_of_supervisor(pid) {
        sleep(Duration::from_millis(2)).await;
    }
    // Its successor may be there before everything is gone.
    for _ in 0..50 {
        match fs::remove_dir_all(world.data().join("nats/jetstream")) {
            Ok(()) => return true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return false,
            Err(_) => sleep(Duration::from_millis(2)).await,
        }
    }
    false
}

/// Whether a process that was killed has not been waited for.
fn children_of_supervisor(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Whether the disk took nothing more.
async fn fill(world: &World, duration: Duration) -> bool {
    if !world.disk(true) {
        world.disk(false);
        return false;
    }
    let switch = async {
        let mut connection = PgConnection::connect(&world.database_url()).await?;
        sqlx::query("SELECT pg_switch_wal()").execute(&mut connection).await
    };
    let _ = timeout(Duration::from_millis(500), switch).await;
    sleep(duration).await;
    world.disk(false)
}
