//! `counterfoil keys`, as a process beside others.

use std::process::{Command, Output, Stdio};

use identity::vault::Purpose;

use super::*;
use crate::support::private_nats;

/// Runs the command on the world's database and keys.
async fn keys(world: &World, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_counterfoil"));
    command
        .arg("keys")
        .args(arguments)
        .args(["--database-url", world.database.url(), "--log-format", "text"])
        .env("COUNTERFOIL_IDENTITY__MASTER_KEY", format!("file:{}", world.keys.path().display()))
        .env("COUNTERFOIL_DATA_DIR", &world.keys.0)
        .stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn keys_are_rotated_listed_and_retired_by_command() {
    let world = World::new().await;
    let vault = world.vault().await;
    let (acme, alice) = (tenant("acme"), somebody());
    let sealed = vault.seal(acme, alice, Purpose::Name, "Alice").await.unwrap();

    let refused = keys(&world, &["retire", "1"]).await;
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the one that wraps"), "{refused:?}");

    let rotated = said(&keys(&world, &["rotate"]).await);
    assert!(
        rotated.contains("added version 2") && rotated.contains("1 of 1 keys are wrapped by version 2"),
        "{rotated}"
    );
    let listed = said(&keys(&world, &["list"]).await);
    let lines: Vec<_> = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(lines[1][..3], ["1", "0", "wraps"]);
    assert_eq!(lines[2], ["2", "1", "wraps"]);
    said(&keys(&world, &["retire", "1"]).await);
    assert!(said(&keys(&world, &["list"]).await).contains("retired"));

    // The program that was there all the time, and one that begins now.
    for vault in [vault, world.vault().await] {
        assert_eq!(
            vault.reveal(acme, alice, Purpose::Name, &sealed).await.unwrap().as_deref(),
            Some("Alice")
        );
    }
}

#[tokio::test]
async fn signing_keys_are_rotated_by_command() {
    let world = World::new().await;
    let first = said(&keys(&world, &["signing-rotate"]).await);
    assert!(first.contains("signs from") && first.contains("is believed until"), "{first}");
    let second = said(&keys(&world, &["signing-rotate", "--at-once"]).await);
    assert!(second.contains("signs from") && !second.contains("is believed until"), "{second}");
}

#[tokio::test]
async fn a_master_key_that_is_not_configured_is_made_in_the_data_directory() {
    let world = World::new().await;
    let directory = world.keys.0.join("data");
    let (root, nats) = ("root@example.com", tokio::task::spawn_blocking(private_nats).await.unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_counterfoil"));
    command
        .args(["admin", "create", "--email", root, "--database-url", world.database.url(), "--data-dir"])
        .arg(&directory)
        .args(["--nats-url", &nats.nats_url()])
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(said(&output).contains("is a superadmin"));
    let made = MasterKeys::load(&MasterSource::File(directory.join("master-key"))).await.unwrap();
    assert_eq!(made.highest(), 1);
}

#[tokio::test]
async fn the_output_of_every_command_holds_no_key() {
    let world = World::new().await;
    world.vault().await.seal(tenant("acme"), somebody(), Purpose::Name, "Alice").await.unwrap();
    let mut outputs = Vec::new();
    for arguments in [&["rotate"][..], &["list"], &["retire", "1"], &["signing-rotate"], &["list"]] {
        outputs.push(keys(&world, arguments).await);
    }
    let text = std::fs::read_to_string(world.keys.path()).unwrap();
    for line in text.lines() {
        let secret = line.split_once(':').unwrap().1;
        for output in &outputs {
            for stream in [&output.stdout, &output.stderr] {
                assert!(!String::from_utf8_lossy(stream).contains(secret.get(..10).unwrap()));
            }
        }
    }
}
