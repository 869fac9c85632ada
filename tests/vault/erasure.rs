//! Erasing a subject: everywhere, for good, and out of the files.

use std::fs;

use identity::vault::{FORGOTTEN_WITHIN, Purpose, VaultError};
use journal::Role;
use sqlx::{Connection as _, PgConnection};

use super::*;

#[tokio::test]
async fn an_erased_subject_is_revealed_by_no_program_after_a_second() {
    let world = World::new().await;
    let (here, there) = (world.vault().await, world.vault().await);
    let (acme, alice, bob) = (tenant("acme"), somebody(), somebody());
    let hers = here.seal(acme, alice, Purpose::Name, "Alice").await.unwrap();
    let his = here.seal(acme, bob, Purpose::Name, "Bob").await.unwrap();
    for vault in [&here, &there] {
        assert!(vault.reveal(acme, alice, Purpose::Name, &hers).await.unwrap().is_some());
    }
    let erased = here.erase(acme, alice).await.unwrap();
    assert_eq!((erased.subject, erased.erased_at), (alice, world.clock.now()));
    assert_eq!(here.reveal(acme, alice, Purpose::Name, &hers).await.unwrap(), None);
    tokio::time::sleep(FORGOTTEN_WITHIN).await;
    for vault in [&here, &there, &world.vault().await] {
        assert_eq!(vault.reveal(acme, alice, Purpose::Name, &hers).await.unwrap(), None);
        let sealing = vault.seal(acme, alice, Purpose::Name, "Alice").await;
        assert!(matches!(sealing, Err(VaultError::Erased)), "{sealing:?}");
        assert_eq!(vault.reveal(acme, bob, Purpose::Name, &his).await.unwrap().as_deref(), Some("Bob"));
    }
}

#[tokio::test]
async fn erasing_again_gives_the_first_answer_and_a_stranger_can_be_erased() {
    let world = World::new().await;
    let vault = world.vault().await;
    let (acme, alice) = (tenant("acme"), somebody());
    let first = vault.erase(acme, alice).await.unwrap();
    world.clock.advance(TimeDelta::hours(1));
    assert_eq!(vault.erase(acme, alice).await.unwrap(), first);
    assert!(matches!(vault.seal(acme, alice, Purpose::Name, "Alice").await, Err(VaultError::Erased)));
    assert_eq!(vault.purge().await.unwrap(), 0, "nothing is left over");
}

#[tokio::test]
async fn what_an_older_transaction_kept_alive_is_purged_afterwards() {
    let world = World::new().await;
    let vault = world.vault().await;
    let (acme, alice) = (tenant("acme"), somebody());
    vault.seal(acme, alice, Purpose::Name, "Alice").await.unwrap();
    let wrapped = wrapped(&world, alice).await;
    let mut older = PgConnection::connect(world.database.url()).await.unwrap();
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").execute(&mut older).await.unwrap();
    vault.erase(acme, alice).await.unwrap();
    let pending: i64 = pending(&world).await;
    assert_eq!(pending, 1, "the old row is still seen by somebody");
    older.close().await.unwrap();
    assert_eq!(vault.purge().await.unwrap(), 1);
    assert_eq!(vault.purge().await.unwrap(), 0);
    assert_eq!(self::pending(&world).await, 0);
    assert!(!found_in_table(&world, &wrapped).await);
}

#[tokio::test]
async fn the_bytes_of_an_erased_key_are_gone_from_the_files_of_the_table() {
    let world = World::new().await;
    let vault = world.vault().await;
    let acme = tenant("acme");
    let people: Vec<_> = (0..200).map(|_| somebody()).collect();
    for person in &people {
        vault.seal(acme, *person, Purpose::Name, "x").await.unwrap();
    }
    let (gone, stays) = (wrapped(&world, people[7]).await, wrapped(&world, people[8]).await);
    assert!(found_in_table(&world, &gone).await, "the search finds what is there");
    vault.erase(acme, people[7]).await.unwrap();
    // The server's own upkeep may see older rows for a while; then they are for who comes by later.
    for _ in 0..10 {
        if pending(&world).await > 0 {
            vault.purge().await.unwrap();
        }
    }
    assert!(!found_in_table(&world, &gone).await);
    assert!(found_in_table(&world, &stays).await, "the others stay");
}

#[tokio::test]
async fn a_key_that_is_destroyed_without_waiting_opens_nothing_and_leaves_the_files_with_the_next_purge() {
    let world = World::new().await;
    let vault = world.vault().await;
    let (acme, alice) = (tenant("acme"), somebody());
    let hers = vault.seal(acme, alice, Purpose::Email, "alice@example.com").await.unwrap();
    let wrapped = wrapped(&world, alice).await;
    let destroyed = vault.destroy(acme, alice).await.unwrap();
    assert_eq!(vault.reveal(acme, alice, Purpose::Email, &hers).await.unwrap(), None);
    assert_eq!(pending(&world).await, 1, "the old row is for the next purge");
    for _ in 0..10 {
        if pending(&world).await > 0 {
            vault.purge().await.unwrap();
        }
    }
    assert!(!found_in_table(&world, &wrapped).await);
    assert_eq!(vault.erase(acme, alice).await.unwrap(), destroyed, "it was erased then");
}

async fn wrapped(world: &World, subject: SubjectId) -> Vec<u8> {
    let wrapped = sqlx::query_scalar("SELECT wrapped FROM identity.subject_keys WHERE subject_id = $1");
    wrapped.bind(subject.0).fetch_one(&world.pool().await).await.unwrap()
}

async fn pending(world: &World) -> i64 {
    let count =
        "SELECT count(*) FROM identity.subject_keys WHERE erased_at IS NOT NULL AND purged_at IS NULL";
    sqlx::query_scalar(count).fetch_one(&world.pool().await).await.unwrap()
}

/// Whether the bytes are in a file of the table, as it is on the disk after a checkpoint.
async fn found_in_table(world: &World, bytes: &[u8]) -> bool {
    let owner = world.database.pool(Role::Owner, 1).await;
    sqlx::query("CHECKPOINT").execute(&owner).await.unwrap();
    let files: Vec<String> = sqlx::query_scalar(
        "SELECT current_setting('data_directory') || '/' || pg_relation_filepath(relid)
         FROM pg_partition_tree('identity.subject_keys') WHERE isleaf",
    )
    .fetch_all(&owner)
    .await
    .unwrap();
    assert_eq!(files.len(), 32);
    files.iter().any(|file| contains(&fs::read(file).unwrap(), bytes))
}

fn contains(content: &[u8], bytes: &[u8]) -> bool {
    content.windows(bytes.len()).any(|window| window == bytes)
}
