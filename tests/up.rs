//! `counterfoil up --demo` as a newcomer meets it: what it prints works, ctrl-C leaves nothing running, and the next
//! start finds its data.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use counterfoil::system::SystemIds;
use domain::Ids as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A data directory, removed at the end.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running program that is killed at the latest when the test ends.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it, and gives back what it printed until it was ready.
fn start(directory: &Path, listen: &str) -> (Up, Vec<String>) {
    let mut up = Command::new(env!("CARGO_BIN_EXE_counterfoil"));
    up.args(["up", "--demo", "--listen", listen, "--data-dir"]).arg(directory);
    up.env("COUNTERFOIL_LOG__FILTER", "error").env_remove("DATABASE_URL").env_remove("NATS_URL");
    let mut up = Up(up.stdout(Stdio::piped()).spawn().unwrap());
    let mut printed = Vec::new();
    for line in BufReader::new(up.0.stdout.take().unwrap()).lines() {
        printed.push(line.unwrap());
        if printed.last().unwrap().starts_with("ctrl-C stops") {
            break;
        }
    }
    (up, printed)
}

/// Runs a printed command as somebody would who pastes it.
fn paste(line: &str) -> serde_json::Value {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Pastes a command that lists wallets until `enough` are there: read models follow the journal a moment later.
fn paste_until(line: &str, enough: impl Fn(&[(String, String)]) -> bool) -> Vec<(String, String)> {
    let mut wallets = Vec::new();
    for _ in 0..200 {
        wallets = listed(&paste(line));
        if enough(&wallets) {
            break;
        }
    }
    wallets
}

fn listed(wallets: &serde_json::Value) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let items = wallets.get("items").unwrap().as_array().unwrap();
    items.iter().map(|item| (text(item.get("path").unwrap()), text(item.get("asset").unwrap()))).collect()
}

#[test]
fn what_is_printed_works_and_the_next_start_finds_its_data() {
    if Command::new("curl").arg("--version").output().is_err() {
        let _ =
            writeln!(std::io::stderr(), "\nSKIPPED a test: curl is not there to paste the commands into\n");
        return;
    }
    let directory =
        Directory(std::env::temp_dir().join(format!("counterfoil-up-{}", SystemIds.next().simple())));
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (mut up, printed) = start(&directory.0, &listen);
    let commands: Vec<&String> = printed.iter().filter(|line| line.starts_with("curl")).collect();
    assert_eq!(commands.len(), 3, "{printed:?}");
    let (wallets, transaction, balance) = (commands[0], commands[1], commands[2]);
    assert_eq!(paste(transaction).get("status").unwrap(), "posted");
    let found = paste_until(wallets, |found| found.len() == 13);
    assert_eq!(found.len(), 13, "twelve customers and you: {found:?}");
    let books = paste(balance);
    assert_eq!(books.pointer("/items/0/difference").unwrap(), "0.000000000");

    let servers = counterfoil::servers::running(&directory.0).unwrap();
    assert!(servers.is_some());
    kill(Pid::from_raw(up.0.id().cast_signed()), Signal::SIGINT).unwrap();
    assert!(up.0.wait().unwrap().success());
    assert!(counterfoil::servers::running(&directory.0).unwrap().is_none());
    assert!(!directory.0.join("postgres/postmaster.pid").exists(), "PostgreSQL was stopped in order");
    // nats-server leaves its file behind, so the process itself is asked for.
    let pid = fs::read_to_string(directory.0.join("nats/nats.pid")).unwrap().trim().parse().unwrap();
    assert!(kill(Pid::from_raw(pid), None).is_err(), "nats-server was stopped");

    let (_again, printed) = start(&directory.0, &listen);
    let wallets = printed.iter().find(|line| line.starts_with("curl")).unwrap();
    let you = ("customers:you:credits".to_owned(), "USD".to_owned());
    assert!(paste_until(wallets, |found| found.contains(&you)).contains(&you));
}
