//! Load beyond capacity: refused before any work is done, in bounded memory, and forgotten a moment after.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use domain::Partition;
use journal::{Journal, Role};
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
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
/// Callers at the same time that are many more than the queue takes, while everything works.
const CROWD: u64 = 300;
/// What the server may grow by in the flood, in KiB: what its queue, its bodies and its connections may take.
const GROWTH: u64 = 32 * 1024;

fn overloaded(call: &Call) -> bool {
    matches!(call.last(), Answer::Refused { code, .. } if code == "overloaded")
}

/// How many commands were acknowledged in each of so many seconds.
async fn speeds(load: &Load, seconds: usize) -> Vec<usize> {
    let made = || load.count(|call| call.made().is_some());
    let mut speeds = Vec::new();
    for _ in 0..seconds {
        let (before, began) = (made(), Instant::now());
        sleep(Duration::from_secs(1)).await;
        let took = usize::try_from(began.elapsed().as_millis()).unwrap();
        speeds.push((made() - before) * 1_000 / took);
    }
    speeds
}

/// The speed in calm times: the median of five seconds, behind one that is not counted.
async fn usual_speed(load: &Load) -> usize {
    let mut speeds = speeds(load, 6).await.split_off(1);
    speeds.sort_unstable();
    speeds[2]
}

/// From a second after the flood on it is as fast as before, but for what a machine that does other things too takes
/// away: one of three seconds has seven tenths of the usual speed.
async fn assert_fast_again(load: &Load, usual: usize) {
    sleep(Duration::from_secs(1)).await;
    let again = speeds(load, 3).await;
    println!("{usual} commands a second before; from a second after the flood on {again:?}");
    let best = again.iter().max().unwrap();
    assert!(best * 10 >= usual * 7, "{usual} a second before the flood, {again:?} from a second after it on");
}

fn assert_flat(small: u64, large: u64) {
    println!("memory {small} KiB before, {large} KiB at the most");
    assert!(small > 0 && large < small + GROWTH, "memory grew from {small} to {large} KiB");
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
    let usual = usual_speed(&load).await;
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
        if load.count(overloaded) > 300 {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    // Nothing can be written or asked at this moment, and still there is an answer.
    let refused = load.count(overloaded);
    assert!(refused > 100, "only {refused} calls were refused for want of room");
    let unread = without_a_body(&load).await;
    assert!(unread.starts_with("http/1.1 503"), "{unread}");
    assert!(unread.contains("retry-after: 1") && unread.contains("\"code\":\"overloaded\""), "{unread}");
    flooding.cancel();
    for pid in &pids {
        signal(*pid, Signal::SIGCONT);
    }

    assert_fast_again(&load, usual).await;
    stop.cancel();
    for tasks in [&mut calm, &mut flood] {
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
    }
    println!("{refused} calls refused");
    assert_flat(small, large);

    judge(world, &load, refused).await;
}

/// Asks once more for what was not answered, and lets the checker decide.
async fn judge(world: World, load: &Arc<Load>, refused: usize) {
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

#[tokio::test(flavor = "multi_thread")]
async fn more_callers_than_there_is_room_for_are_refused_while_the_others_are_served() {
    let _alone = crate::ALONE.lock().await;
    let seed = Seed::new(crate::first_seed());
    let world = World::start(Arrangement::Apart, SETTINGS).await;
    let load = Load::prepare(&world, Partition(1)).await;
    let stop = CancellationToken::new();
    let mut calm = load.start(&seed, CALM, &stop);
    let usual = usual_speed(&load).await;
    let (small, made) = (memory(world.program.pid()), load.count(|call| call.made().is_some()));

    let flooding = CancellationToken::new();
    let mut crowd = load.start(&seed.fork(99), CROWD, &flooding);
    let mut large = 0;
    for _ in 0..100 {
        large = large.max(memory(world.program.pid()));
        sleep(Duration::from_millis(50)).await;
    }
    let refused = load.count(overloaded);
    let served = load.count(|call| call.made().is_some()) - made;
    flooding.cancel();
    while let Some(ended) = crowd.join_next().await {
        ended.unwrap();
    }
    println!(
        "{CROWD} more callers for 5 s: {refused} calls refused for want of room, {served} commands acknowledged"
    );
    assert!(refused > 300, "only {refused} calls were refused for want of room");
    assert!(served > 50, "only {served} commands were acknowledged beside {refused} that were refused");
    assert_fast_again(&load, usual).await;
    assert_flat(small, large.max(memory(world.program.pid())));
    stop.cancel();
    while let Some(ended) = calm.join_next().await {
        ended.unwrap();
    }
    judge(world, &load, refused).await;
}
