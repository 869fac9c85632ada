use chrono::TimeDelta;
use identity::OneTimeUse;

use crate::world::World;

const HOUR: TimeDelta = TimeDelta::hours(1);

async fn take(world: &World, purpose: OneTimeUse, token: &str) -> Option<String> {
    world.one_time.take(purpose, token).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_taken_once_for_what_it_is() {
    let world = World::new().await;
    let token = world.one_time.issue(OneTimeUse::VerifyEmail, None, "ada", HOUR).await.unwrap();
    for other in
        [OneTimeUse::ResetPassword, OneTimeUse::Bootstrap, OneTimeUse::Provider, OneTimeUse::SecondFactor]
    {
        assert_eq!(take(&world, other, token.as_str()).await, None, "{other:?}");
    }
    assert_eq!(take(&world, OneTimeUse::VerifyEmail, token.as_str()).await.as_deref(), Some("ada"));
    assert_eq!(take(&world, OneTimeUse::VerifyEmail, token.as_str()).await, None);
    assert_eq!(take(&world, OneTimeUse::VerifyEmail, "not a token").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_take_a_token_at_the_same_time_one_gets_it() {
    let world = World::new().await;
    for _ in 0..5 {
        let token = world.one_time.issue(OneTimeUse::ResetPassword, None, "ada", HOUR).await.unwrap();
        let tries = (0..10).map(|_| {
            let (one_time, token) = (world.one_time.clone(), token.clone());
            tokio::spawn(async move {
                let taken: Option<String> =
                    one_time.take(OneTimeUse::ResetPassword, token.as_str()).await.unwrap();
                usize::from(taken.is_some())
            })
        });
        let mut taken = 0;
        for tried in tries.collect::<Vec<_>>() {
            taken += tried.await.unwrap();
        }
        assert_eq!(taken, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_until_its_time_is_over() {
    let world = World::new().await;
    let early = world.one_time.issue(OneTimeUse::SecondFactor, None, "ada", HOUR).await.unwrap();
    let late = world.one_time.issue(OneTimeUse::SecondFactor, None, "ada", HOUR).await.unwrap();
    world.clock.advance(TimeDelta::minutes(59));
    assert!(take(&world, OneTimeUse::SecondFactor, early.as_str()).await.is_some());
    world.clock.advance(TimeDelta::minutes(2));
    assert_eq!(take(&world, OneTimeUse::SecondFactor, late.as_str()).await, None);
    assert_eq!(world.one_time.sweep().await.unwrap(), 2);
    assert_eq!(world.one_time.sweep().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_withdrawn_by_use_and_by_user() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada@example.com").await, world.user("bob@example.com").await);
    let issue = async |purpose, user| world.one_time.issue(purpose, user, "x", HOUR).await.unwrap();
    let reset = issue(OneTimeUse::ResetPassword, Some(ada)).await;
    let verify = issue(OneTimeUse::VerifyEmail, Some(ada)).await;
    let bobs = issue(OneTimeUse::ResetPassword, Some(bob)).await;
    let bootstrap = issue(OneTimeUse::Bootstrap, None).await;
    assert!(world.one_time.is_waiting(OneTimeUse::Bootstrap).await.unwrap());
    assert_eq!(world.one_time.withdraw(OneTimeUse::ResetPassword, Some(ada)).await.unwrap(), 1);
    assert_eq!(take(&world, OneTimeUse::ResetPassword, reset.as_str()).await, None);
    assert!(take(&world, OneTimeUse::ResetPassword, bobs.as_str()).await.is_some());
    world.one_time.forget(ada).await.unwrap();
    assert_eq!(take(&world, OneTimeUse::VerifyEmail, verify.as_str()).await, None);
    assert_eq!(world.one_time.withdraw(OneTimeUse::Bootstrap, None).await.unwrap(), 1);
    assert_eq!(take(&world, OneTimeUse::Bootstrap, bootstrap.as_str()).await, None);
    assert!(!world.one_time.is_waiting(OneTimeUse::Bootstrap).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_tells_neither_token_nor_what_it_stands_for() {
    let world = World::new().await;
    let token = world.one_time.issue(OneTimeUse::VerifyEmail, None, "ada@example.com", HOUR).await.unwrap();
    let pool = world.database.pool(journal::Role::Identity, 1).await;
    let row: String = sqlx::query_scalar(
        "SELECT t.*::text || encode(payload, 'escape') || encode(digest, 'escape') FROM identity.one_time_tokens t",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(!row.contains("ada@example.com") && !row.contains(token.as_str()), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_was_exchanged_does_not_open() {
    let world = World::new().await;
    let mine = world.one_time.issue(OneTimeUse::ResetPassword, None, "mallory", HOUR).await.unwrap();
    let _ = world.one_time.issue(OneTimeUse::ResetPassword, None, "ada", HOUR).await.unwrap();
    let pool = world.database.pool(journal::Role::Identity, 1).await;
    sqlx::query(
        "UPDATE identity.one_time_tokens AS mine SET payload = other.payload
         FROM identity.one_time_tokens AS other WHERE mine.token_id <> other.token_id",
    )
    .execute(&pool)
    .await
    .unwrap();
    let taken = world.one_time.take::<String>(OneTimeUse::ResetPassword, mine.as_str()).await;
    assert!(matches!(taken, Err(identity::one_time::OneTimeError::Vault(_))), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused() {
    let world = World::new().await;
    let large = "x".repeat(9_000);
    assert!(world.one_time.issue(OneTimeUse::VerifyEmail, None, &large, HOUR).await.is_err());
}
