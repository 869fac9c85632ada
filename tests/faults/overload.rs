//! Load beyond capacity: refused before any work is done, in bounded memory, and forgotten a moment after.

use std::fs;
use std::time::Duration;

use domain::Partition;
use journal::{Journal, Role};
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::checker;
use crate::load::{Load, client};
use crate::record::{Answer, Call};
use crate::seed::Seed;
use crate::world::{Arrangement, World, signal};

/// A queue that a few connections fill, in one partition.
const SETTINGS: &[(&str, &str)] = &[
    ("COUNTERFOIL_JOURNAL__PARTITIONS", "1"),
    ("COUNTERFOIL_PIPELINE__QUEUE_COMMANDS", "30"),
    ("COUNTERFOIL_API__BODIES_BYTES", "8388608"),
    ("COUNTERFOIL_API__BODY_LIMIT_BYTES", "4194304"),
    ("COUNTERFOIL_GATEWAY__BODY_LIMIT_BYTES", "4194304"),
];
/// How many connections work in calm times, and how many more come in the flood.
const CALM: u64 = 8;
const FLOOD: u64 = 120;
/// What the server may grow by in the flood, in KiB. Its queue and its bodies are bounded to a fraction of that.
const GROWTH: u64 = 200 * 1024;

fn overloaded(call: &Call) -> bool {
    matches!(call.last(), Answer::Refused { code, .. } if code == "overloaded")
}

fn made(load: &Load) -> usize {
    load.calls().iter().filter(|call| call.made().is_some()).count()
}

/// The memory of a process, in KiB.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

/// Announces a body and never sends it; the answer is what came.
async fn without_a_body(load: &Load) -> String {
    let address = load.base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/transactions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 900000\r\n\r\n",
        load.tenants[0].token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4_096];
    let count = timeout(Duration::from_secs(10), stream.read(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..count]).to_lowercase()
}

#[tokio::test(flavor = "multi_thread")]
async fn load_beyond_capacity_is_refused_before_any_work_and_forgotten_a_moment_later() {
    let _alone = crate::ALONE.lock().await;
    let seed = Seed::new(crate::first_seed());
    let world = World::start(Arrangement::Apart, SETTINGS).await;
    let load = Load::prepare(&world, Partition(1)).await;
    let stop = CancellationToken::new();
    let mut calm = load.start(&seed, CALM, &stop);
    sleep(Duration::from_secs(1)).await;
    let before = made(&load);
    sleep(Duration::from_secs(2)).await;
    let usual = made(&load) - before;
    let small = memory(world.program.pid());

    let pids = world.postgres_pids();
    for pid in &pids {
        signal(*pid, Signal::SIGSTOP);
    }
    let flooding = CancellationToken::new();
    let mut flood = load.start(&seed.fork(99), FLOOD, &flooding);
    let mut large = 0;
    for _ in 0..200 {
        large = large.max(memory(world.program.pid()));
        if load.calls().iter().filter(|call| overloaded(call)).count() > 300 {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    // Nothing can be written or asked at this moment, and still there is an answer.
    let refused = load.calls().iter().filter(|call| overloaded(call)).count();
    assert!(refused > 100, "only {refused} calls were refused for want of room");
    let unread = without_a_body(&load).await;
    assert!(unread.starts_with("http/1.1 503"), "{unread}");
    assert!(unread.contains("retry-after: 1") && unread.contains("\"code\":\"overloaded\""), "{unread}");
    flooding.cancel();
    for pid in &pids {
        signal(*pid, Signal::SIGCONT);
    }

    sleep(Duration::from_secs(1)).await;
    let before = made(&load);
    sleep(Duration::from_secs(2)).await;
    let again = made(&load) - before;
    stop.cancel();
    for tasks in [&mut calm, &mut flood] {
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
    }
    println!(
        "{usual} commands in 2 s before, {again} after; {refused} refused; memory {small} to {large} KiB"
    );
    assert!(large < small + GROWTH, "memory grew from {small} to {large} KiB");
    assert!(again * 3 > usual, "{usual} commands in 2 s before the flood, {again} from a second after it on");

    load.resolve(&client()).await;
    let pool =
        journal::connect(world.database_url().parse().unwrap(), Role::Owner, "views", 1).await.unwrap();
    let journal = Journal::open(pool.clone()).await.unwrap();
    let events = journal.read(Partition(0), 0, 1_000_000).await.unwrap();
    let (summary, _) = checker::check(&[events], &load.calls(), &load.tenants).unwrap();
    assert!(summary.refused >= refused);
    pool.close().await;
    world.stop().await;
}
