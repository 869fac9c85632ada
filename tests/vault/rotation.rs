//! Another master key, while everything goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use identity::vault::{MasterUse, Purpose};
use tokio_util::sync::CancellationToken;

use super::*;

/// More than two batches.
const TENANTS: usize = 250;

fn tenants() -> Vec<TenantId> {
    (0..TENANTS).map(|number| tenant(&format!("tenant-{number}"))).collect()
}

async fn uses(vault: &Vault) -> Vec<(i32, i64)> {
    vault.versions().await.unwrap().iter().map(|MasterUse { version, keys, .. }| (*version, *keys)).collect()
}

#[tokio::test]
async fn a_rotation_that_ends_half_way_has_lost_nothing_and_is_finished_by_the_next() {
    let world = World::new().await;
    let vault = world.vault().await;
    let record = SystemIds.next();
    let mut sealed = Vec::new();
    for tenant in tenants() {
        sealed.push((
            tenant,
            vault.seal_secret(tenant, Purpose::OneTime, record, tenant.0.as_bytes()).await.unwrap(),
        ));
    }
    assert_eq!(vault.add_master().await.unwrap(), Some(2));
    let stop = CancellationToken::new();
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        done = vault.rotate(|at| if at.done > 0 { stop.cancel() }) => panic!("it ended: {done:?}"),
    }
    let half = uses(&vault).await;
    assert!(half[0].1 > 0 && half[1].1 > 0, "{half:?}");
    assert_eq!(half[0].1 + half[1].1, 250);

    // Another program, which remembers nothing.
    let again = world.vault().await;
    for (tenant, sealed) in &sealed {
        let opened = again.reveal_secret(*tenant, Purpose::OneTime, record, sealed).await.unwrap();
        assert_eq!(opened.as_slice(), tenant.0.as_bytes());
    }
    assert_eq!(again.add_master().await.unwrap(), None, "there is a version to rotate to");
    let refused = again.retire(1).await;
    assert!(
        matches!(refused, Err(VaultError::InUse { version: 1, keys }) if keys == half[0].1),
        "{refused:?}"
    );
    let missing = world.opened_with(&world.keys.only(|version| version == 2)).await;
    assert!(matches!(missing, Err(VaultError::UnknownMaster { version: 1 })), "{missing:?}");

    let done = again.rotate(|_| ()).await.unwrap();
    assert_eq!((done.version, done.done, done.total), (2, 250, 250));
    assert_eq!(uses(&again).await, [(1, 0), (2, 250)]);
    assert!(matches!(again.retire(2).await, Err(VaultError::Current { version: 2 })));
    assert!(matches!(again.retire(9).await, Err(VaultError::NoMaster { version: 9 })));
    again.retire(1).await.unwrap();
    again.retire(1).await.unwrap();

    let without = world.opened_with(&world.keys.only(|version| version == 2)).await.unwrap();
    for (tenant, sealed) in &sealed {
        let opened = without.reveal_secret(*tenant, Purpose::OneTime, record, sealed).await.unwrap();
        assert_eq!(opened.as_slice(), tenant.0.as_bytes());
    }
    let old = world.opened_with(&world.keys.only(|version| version == 1)).await;
    assert!(matches!(old, Err(VaultError::UnknownMaster { version: 2 })), "{old:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_that_know_the_old_version_alone_go_on_through_a_rotation() {
    let world = World::new().await;
    let busy = world.vault().await;
    let record = SystemIds.next();
    for tenant in tenants() {
        busy.seal_secret(tenant, Purpose::OneTime, record, b"x").await.unwrap();
    }
    // It has seen no version but the first, and has unwrapped nothing yet.
    let other = world.vault().await;
    let done = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let done = Arc::clone(&done);
        async move {
            let (mut count, mut round) = (0, 0);
            while !done.load(Ordering::Relaxed) || round < 2 {
                for tenant in tenants() {
                    let sealed = other.seal_secret(tenant, Purpose::OneTime, record, b"y").await.unwrap();
                    other.reveal_secret(tenant, Purpose::OneTime, record, &sealed).await.unwrap();
                    count += 1;
                }
                let fresh = tenant(&format!("fresh-{round}"));
                other.seal_secret(fresh, Purpose::OneTime, record, b"y").await.unwrap();
                round += 1;
            }
            (other, count)
        }
    });
    let rotator = world.vault().await;
    assert_eq!(rotator.add_master().await.unwrap(), Some(2));
    rotator.rotate(|_| ()).await.unwrap();
    // What was made meanwhile under the old version.
    rotator.rotate(|_| ()).await.unwrap();
    done.store(true, Ordering::Relaxed);
    let (other, count) = tokio::time::timeout(Duration::from_secs(120), load).await.unwrap().unwrap();
    assert!(count >= 2 * TENANTS);
    rotator.rotate(|_| ()).await.unwrap();
    rotator.retire(1).await.unwrap();
    // A tenant that is new after the retirement is wrapped by the version that is left.
    other.seal_secret(tenant("last"), Purpose::OneTime, record, b"z").await.unwrap();
    assert_eq!(uses(&rotator).await[0], (1, 0));
}

#[tokio::test]
async fn a_program_that_cannot_have_the_new_version_wraps_nothing_by_a_retired_one() {
    let world = World::new().await;
    let first = world.vault().await;
    first.seal(tenant("acme"), somebody(), Purpose::Name, "x").await.unwrap();
    let stuck = world.opened_with(&world.keys.only(|version| version == 1)).await.unwrap();
    first.add_master().await.unwrap();
    first.rotate(|_| ()).await.unwrap();
    first.retire(1).await.unwrap();
    let refused = stuck.seal(tenant("new"), somebody(), Purpose::Name, "x").await;
    assert!(matches!(refused, Err(VaultError::Retired { version: 1 })), "{refused:?}");
}

#[tokio::test]
async fn two_rotations_at_once_get_in_nobodys_way() {
    let world = World::new().await;
    let vault = world.vault().await;
    let record = SystemIds.next();
    for tenant in tenants() {
        vault.seal_secret(tenant, Purpose::OneTime, record, b"x").await.unwrap();
    }
    vault.add_master().await.unwrap();
    let (one, other) = (world.vault().await, world.vault().await);
    let (one, other) = tokio::join!(one.rotate(|_| ()), other.rotate(|_| ()));
    one.unwrap();
    other.unwrap();
    assert_eq!(uses(&vault).await, [(1, 0), (2, 250)]);
    let fresh = world.vault().await;
    for tenant in tenants() {
        fresh.seal_secret(tenant, Purpose::OneTime, record, b"x").await.unwrap();
    }
}
