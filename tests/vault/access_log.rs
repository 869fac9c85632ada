//! The log of reads: batches, days, and who may look.

use domain::Ids;
use identity::access_log::{
    Access, AccessFilter, AccessLog, AccessLogSettings, AccessReader, ActorKind, Place,
};
use journal::Role;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;

struct Log {
    log: AccessLog,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Log {
    async fn start(world: &World, retention_days: u32) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(&world.clock);
        let ids: Arc<dyn Ids> = Arc::new(SystemIds);
        let log = AccessLog::start(
            world.pool().await,
            world.vault().await,
            (clock, ids),
            Partition(PARTITIONS),
            AccessLogSettings { retention_days, ..AccessLogSettings::default() },
            (&tasks, stop.clone()),
        );
        Self { log: log.await.unwrap(), tasks, stop }
    }

    /// Ends it, with everything written.
    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn access(tenant: TenantId, path: &str) -> Access {
    Access {
        tenant,
        actor_kind: ActorKind::User,
        actor: "somebody".into(),
        crossing: false,
        method: "GET".into(),
        path: path.into(),
        status: 200,
        request_id: Some("r1".into()),
        address: None,
    }
}

async fn reader(world: &World) -> AccessReader {
    AccessReader::new(world.database.pool(Role::Reader, 2).await, world.vault().await, Partition(PARTITIONS))
}

async fn paths(reader: &AccessReader, tenant: TenantId, filter: &AccessFilter) -> Vec<String> {
    let found = reader.page(tenant, filter, None, 100).await.unwrap();
    found.into_iter().map(|line| line.path).collect()
}

#[tokio::test]
async fn a_tenant_sees_its_own_lines_page_by_page_and_no_others() {
    let world = World::new().await;
    let log = Log::start(&world, 90).await;
    let (acme, other) = (tenant("acme"), tenant("other"));
    for number in 0..25 {
        log.log.append(access(acme, &format!("/v1/wallets/{number}")));
        log.log.append(access(other, "/v1/secret"));
        if number % 5 == 4 {
            world.clock.advance(TimeDelta::seconds(1));
        }
    }
    log.end().await;
    let reader = reader(&world).await;
    let (mut seen, mut before): (Vec<String>, Option<Place>) = (Vec::new(), None);
    loop {
        let page = reader.page(acme, &AccessFilter::default(), before, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.place);
        seen.extend(page.into_iter().map(|line| line.path));
    }
    let wanted: Vec<_> = (0..25).rev().map(|number| format!("/v1/wallets/{number}")).collect();
    assert_eq!(seen, wanted, "newest first, each once");
    assert_eq!(reader.page(tenant("nobody"), &AccessFilter::default(), None, 100).await.unwrap(), []);
}

#[tokio::test]
async fn a_raw_session_of_the_reader_sees_the_tenant_that_is_set_and_may_write_nothing() {
    let world = World::new().await;
    let log = Log::start(&world, 90).await;
    let acme = tenant("acme");
    log.log.record(vec![access(acme, "/v1/wallets")]).await.unwrap();
    let pool = world.database.pool(Role::Reader, 1).await;
    let count = async |setting: &str| {
        let mut tx = journal::begin(&pool, None).await.unwrap();
        sqlx::query("SELECT set_config('app.tenant_id', $1, true)")
            .bind(setting)
            .execute(&mut *tx)
            .await
            .unwrap();
        let count = sqlx::query_scalar("SELECT count(*) FROM identity.access_log");
        let count: i64 = count.fetch_one(&mut *tx).await.unwrap();
        count
    };
    assert_eq!(count(&acme.to_string()).await, 1);
    assert_eq!(count(&tenant("other").to_string()).await, 0);
    assert_eq!(count("").await, 0);
    let part = world.clock.now().format("access_log_%Y%m%d").to_string();
    for statement in [
        "DELETE FROM identity.access_log".to_owned(),
        "UPDATE identity.access_log SET path = ''".to_owned(),
        "INSERT INTO identity.access_log SELECT * FROM identity.access_log".to_owned(),
        format!("SELECT * FROM identity.{part}"),
        "SELECT identity.drop_access_log('2100-01-01')".to_owned(),
    ] {
        for role in [Role::Reader, Role::Writer] {
            let done = sqlx::query(&statement).execute(&world.database.pool(role, 1).await).await;
            assert!(done.unwrap_err().to_string().contains("permission denied"), "{role:?} {statement}");
        }
    }
    for statement in [
        "SELECT * FROM identity.access_log",
        "DELETE FROM identity.access_log",
        "UPDATE identity.access_log SET path = ''",
    ] {
        let done = sqlx::query(statement).execute(&world.pool().await).await;
        assert!(done.unwrap_err().to_string().contains("permission denied"), "{statement}");
    }
    log.end().await;
}

#[tokio::test]
async fn lines_are_filtered_by_caller_time_and_crossing() {
    let world = World::new().await;
    let log = Log::start(&world, 90).await;
    let acme = tenant("acme");
    let start = world.clock.now();
    log.log.record(vec![access(acme, "/a")]).await.unwrap();
    world.clock.advance(TimeDelta::minutes(1));
    log.log
        .record(vec![Access { actor: "root".into(), crossing: true, ..access(acme, "/b") }])
        .await
        .unwrap();
    world.clock.advance(TimeDelta::minutes(1));
    log.log.record(vec![access(acme, "/c")]).await.unwrap();
    let reader = reader(&world).await;
    let all = AccessFilter::default;
    assert_eq!(paths(&reader, acme, &all()).await, ["/c", "/b", "/a"]);
    assert_eq!(paths(&reader, acme, &AccessFilter { crossing: true, ..all() }).await, ["/b"]);
    assert_eq!(
        paths(&reader, acme, &AccessFilter { actor: Some("somebody".into()), ..all() }).await,
        ["/c", "/a"]
    );
    let minute = Some(start + TimeDelta::minutes(1));
    assert_eq!(paths(&reader, acme, &AccessFilter { since: minute, ..all() }).await, ["/c", "/b"]);
    assert_eq!(paths(&reader, acme, &AccessFilter { until: minute, ..all() }).await, ["/a"]);
    log.end().await;
}

#[tokio::test]
async fn an_address_is_sealed_and_goes_with_its_subject() {
    let world = World::new().await;
    let log = Log::start(&world, 90).await;
    let (acme, alice, bob) = (tenant("acme"), somebody(), somebody());
    let vault = world.vault().await;
    for (subject, address) in [(alice, "192.0.2.1"), (bob, "192.0.2.2")] {
        let address = Some((subject, address.to_owned()));
        log.log.record(vec![Access { address, ..access(acme, "/v1/wallets") }]).await.unwrap();
    }
    let stored: Vec<String> = sqlx::query_scalar("SELECT access_log::text FROM identity.access_log")
        .fetch_all(&world.database.pool(Role::Owner, 1).await)
        .await
        .unwrap();
    assert!(stored.len() == 2 && stored.iter().all(|line| !line.contains("192.0.2.")));
    vault.erase(TenantId::PLATFORM, alice).await.unwrap();
    let page = reader(&world).await.page(acme, &AccessFilter::default(), None, 10).await.unwrap();
    let addresses: Vec<_> = page.iter().map(|line| line.address.as_deref()).collect();
    assert_eq!(addresses, [Some("192.0.2.2"), None]);
    // The line of somebody who is erased is kept, without the address.
    let address = Some((alice, "192.0.2.1".to_owned()));
    tokio::time::sleep(identity::vault::FORGOTTEN_WITHIN).await;
    log.log.record(vec![Access { address, ..access(acme, "/late") }]).await.unwrap();
    let page = reader(&world).await.page(acme, &AccessFilter::default(), None, 1).await.unwrap();
    assert_eq!((page[0].path.as_str(), page[0].address.as_deref()), ("/late", None));
    log.end().await;
}

#[tokio::test]
async fn days_that_are_over_are_dropped_whole_and_days_to_come_are_made() {
    let world = World::new().await;
    let log = Log::start(&world, 3).await;
    let acme = tenant("acme");
    let reader = reader(&world).await;
    for day in 0..6 {
        log.log.record(vec![access(acme, &format!("/{day}"))]).await.unwrap();
        world.clock.advance(TimeDelta::days(1));
        // As once an hour.
        Log::start(&world, 3).await.end().await;
    }
    assert_eq!(paths(&reader, acme, &AccessFilter::default()).await, ["/5", "/4", "/3"]);
    let parts: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
         WHERE inhparent = 'identity.access_log'::regclass ORDER BY relname",
    )
    .fetch_all(&world.database.pool(Role::Owner, 1).await)
    .await
    .unwrap();
    let today = world.clock.now().date_naive();
    let wanted: Vec<_> =
        (-3..5).map(|days| (today + TimeDelta::days(days)).format("access_log_%Y%m%d").to_string()).collect();
    assert_eq!(parts, wanted);
    log.end().await;
}

#[tokio::test]
async fn with_no_room_left_a_line_is_counted_as_lost_and_nobody_waits() {
    let world = World::new().await;
    // One thread: nothing is taken out of the channel until this test waits.
    let log = Log::start(&world, 90).await;
    let acme = tenant("acme");
    for number in 0..10_050 {
        log.log.append(access(acme, &format!("/{number}")));
    }
    assert_eq!(log.log.lost(), 50);
    let counted = log.log.clone();
    log.end().await;
    assert_eq!(counted.lost(), 50);
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM identity.access_log")
        .fetch_one(&world.database.pool(Role::Owner, 1).await)
        .await
        .unwrap();
    assert_eq!(kept, 10_000);
    counted.append(access(acme, "/after the end"));
    assert_eq!(counted.lost(), 51);
}
