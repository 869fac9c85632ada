use chrono::TimeDelta;
use domain::user::{RevocationReason, SignInMethod};
use domain::{Sealed, SessionId, UserId};
use identity::sessions::{Refresh, SignIn, Started};

use crate::world::World;

async fn start(world: &World, user: UserId) -> Started {
    let user_agent = Some(Sealed::new("s1.AAAA").unwrap());
    let sign_in = SignIn { user, method: SignInMethod::Totp, user_agent, address: None };
    world.sessions.start(sign_in).await.unwrap()
}

async fn refresh(world: &World, token: &str) -> Refresh {
    world.sessions.refresh(token).await.unwrap()
}

fn next(refreshed: Refresh) -> String {
    match refreshed {
        Refresh::Refreshed { refresh, .. } => refresh.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

async fn is_alive(world: &World, session: SessionId) -> bool {
    world.sessions.alive(session).await.unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_refreshed_until_it_ends_after_seven_days() {
    let world = World::new().await;
    let ada = world.user("ada@example.com").await;
    let started = start(&world, ada).await;
    let session = world.sessions.alive(started.session).await.unwrap().unwrap();
    assert_eq!((session.user, session.method), (ada, Some(SignInMethod::Totp)));
    assert_eq!((session.user_agent.as_ref().map(Sealed::as_str), session.address), (Some("s1.AAAA"), None));
    assert_eq!(session.expires_at - session.created_at, TimeDelta::days(7));
    let mut token = started.refresh.as_str().to_owned();
    for _ in 0..6 {
        world.clock.advance(TimeDelta::days(1));
        match refresh(&world, &token).await {
            Refresh::Refreshed { user, session, refresh, expires_at } => {
                assert_eq!((user, session, expires_at), (ada, started.session, started.expires_at));
                token = refresh.as_str().to_owned();
            }
            other => panic!("{other:?}"),
        }
    }
    world.clock.advance(TimeDelta::days(1));
    assert!(!is_alive(&world, started.session).await, "refreshing does not prolong it");
    assert!(matches!(refresh(&world, &token).await, Refresh::Ended));
    assert_eq!(world.sessions.list(ada).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_comes_twice_ends_the_session() {
    let world = World::new().await;
    let ada = world.user("ada@example.com").await;
    let (stolen, other) = (start(&world, ada).await, start(&world, ada).await);
    let second = next(refresh(&world, stolen.refresh.as_str()).await);
    let third = next(refresh(&world, &second).await);
    match refresh(&world, stolen.refresh.as_str()).await {
        Refresh::Reused { user, session, ended } => {
            assert_eq!((user, session, ended), (ada, stolen.session, true));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(refresh(&world, &third).await, Refresh::Ended), "the newest does not count any more");
    assert!(!is_alive(&world, stolen.session).await);
    let again = refresh(&world, &second).await;
    assert!(matches!(again, Refresh::Reused { ended: false, .. }), "{again:?}");
    assert!(is_alive(&world, other.session).await, "another session of the same user goes on");
    next(refresh(&world, other.refresh.as_str()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_refreshes_at_the_same_time_one_wins_at_most_and_the_session_ends() {
    let world = World::new().await;
    let ada = world.user("ada@example.com").await;
    for _ in 0..5 {
        let started = start(&world, ada).await;
        let tries = (0..8).map(|_| {
            let (sessions, token) = (world.sessions.clone(), started.refresh.clone());
            tokio::spawn(async move { sessions.refresh(token.as_str()).await.unwrap() })
        });
        let (mut won, mut reused) = (Vec::new(), 0);
        for tried in tries.collect::<Vec<_>>() {
            match tried.await.unwrap() {
                Refresh::Refreshed { refresh, .. } => won.push(refresh),
                Refresh::Reused { .. } => reused += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((won.len(), reused), (1, 7));
        assert!(!is_alive(&world, started.session).await);
        let after = refresh(&world, won[0].as_str()).await;
        assert!(matches!(after, Refresh::Ended), "the winner's token does not count either: {after:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_refresh_token_is_unknown() {
    let world = World::new().await;
    let never = identity::Token::draw().unwrap();
    for presented in ["", "x", "' OR 1=1 --", never.as_str()] {
        assert!(matches!(refresh(&world, presented).await, Refresh::Unknown), "{presented}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_revoked_by_their_owner_alone() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada@example.com").await, world.user("bob@example.com").await);
    let (first, second) = (start(&world, ada).await, start(&world, ada).await);
    let bobs = start(&world, bob).await;
    let list = async |user| -> Vec<SessionId> {
        world.sessions.list(user).await.unwrap().into_iter().map(|session| session.id).collect()
    };
    assert_eq!(list(ada).await, [second.session, first.session]);
    assert_eq!(list(bob).await, [bobs.session]);
    assert!(!world.sessions.revoke(bob, first.session).await.unwrap(), "it is not bob's");
    assert!(is_alive(&world, first.session).await);
    assert!(world.sessions.revoke(ada, first.session).await.unwrap());
    assert!(!world.sessions.revoke(ada, first.session).await.unwrap(), "it has ended already");
    assert!(matches!(refresh(&world, first.refresh.as_str()).await, Refresh::Ended));
    assert_eq!(list(ada).await, [second.session]);

    let third = start(&world, ada).await;
    let ended =
        world.sessions.revoke_all(ada, Some(third.session), RevocationReason::PasswordChanged).await.unwrap();
    assert_eq!(ended, [second.session]);
    assert_eq!(list(ada).await, [third.session]);
    assert_eq!(
        world.sessions.revoke_all(ada, None, RevocationReason::Suspended).await.unwrap(),
        [third.session]
    );
    assert_eq!(list(bob).await, [bobs.session], "bob's are not ada's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_so_many_sessions_and_the_oldest_give_way() {
    let world = World::new().await;
    let ada = world.user("ada@example.com").await;
    let mut started = Vec::new();
    for _ in 0..50 {
        let one = start(&world, ada).await;
        assert_eq!(one.displaced, []);
        started.push(one);
    }
    next(refresh(&world, started[0].refresh.as_str()).await);
    let one_more = start(&world, ada).await;
    assert_eq!(one_more.displaced, [started[1].session], "the first was used since");
    assert_eq!(world.sessions.list(ada).await.unwrap().len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_swept_and_nothing_else() {
    let world = World::new().await;
    let ada = world.user("ada@example.com").await;
    let old = start(&world, ada).await;
    world.clock.advance(TimeDelta::days(10));
    let young = start(&world, ada).await;
    assert_eq!(world.sessions.sweep().await.unwrap(), 0, "it is remembered for a while");
    world.clock.advance(TimeDelta::days(5));
    assert_eq!(world.sessions.sweep().await.unwrap(), 1);
    assert!(matches!(refresh(&world, old.refresh.as_str()).await, Refresh::Unknown));
    assert!(is_alive(&world, young.session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_holds_no_token() {
    let world = World::new().await;
    let ada = world.user("ada@example.com").await;
    let started = start(&world, ada).await;
    let pool = world.database.pool(journal::Role::Identity, 1).await;
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT encode(digest, 'escape') || encode(digest, 'base64') || t.*::text FROM identity.refresh_tokens t",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(rows.len(), 1);
    assert!(!rows[0].contains(started.refresh.as_str()));
}
