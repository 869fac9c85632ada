use chrono::TimeDelta;
use domain::{Clock as _, UserId};
use identity::totp::{Enrolled, RECOVERY_CODES, RecoveryCode};
use totp_rs::{Builder, Secret, Totp};

use crate::world::World;

/// An authenticator app.
struct App(Totp);

impl App {
    /// Types the secret in.
    fn with(secret: &str) -> Self {
        Self(Builder::new().with_secret(Secret::try_from_base32(secret).unwrap()).build().unwrap())
    }

    fn code(&self, world: &World) -> String {
        self.0.generate(u64::try_from(world.clock.now().timestamp()).unwrap()).to_string()
    }
}

async fn enrol(world: &World, user: UserId) -> App {
    match world.second_factor.enrol(user, "ada@example.com").await.unwrap() {
        Enrolled::Waiting(enrolment) => {
            assert!(enrolment.url.contains(enrolment.secret.as_str()), "{}", enrolment.url.as_str());
            App::with(&enrolment.secret)
        }
        other => panic!("{other:?}"),
    }
}

/// A user with a second factor, the app, and the recovery codes.
async fn enabled(world: &World) -> (UserId, App, Vec<RecoveryCode>) {
    let ada = world.user("ada@example.com").await;
    let app = enrol(world, ada).await;
    let codes = world.second_factor.confirm(ada, &app.code(world)).await.unwrap().unwrap();
    (ada, app, codes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_counts_once_it_is_confirmed() {
    let world = World::new().await;
    let ada = world.user("ada@example.com").await;
    let is_asked = async || world.accounts.by_id(ada).await.unwrap().unwrap().second_factor;
    let lost = enrol(&world, ada).await;
    let app = enrol(&world, ada).await;
    assert!(!is_asked().await);
    assert!(!world.second_factor.check(ada, &app.code(&world)).await.unwrap(), "it is not confirmed yet");
    assert!(world.second_factor.confirm(ada, &lost.code(&world)).await.unwrap().is_none(), "it was replaced");
    assert!(world.second_factor.confirm(ada, "000 00").await.unwrap().is_none());
    let codes = world.second_factor.confirm(ada, &app.code(&world)).await.unwrap().unwrap();
    assert_eq!(codes.len(), RECOVERY_CODES);
    assert!(is_asked().await);
    assert!(matches!(world.second_factor.enrol(ada, "x").await.unwrap(), Enrolled::Already));
    assert!(world.second_factor.confirm(ada, &app.code(&world)).await.unwrap().is_none(), "it is confirmed");
    let nobody = UserId(uuid::Uuid::nil());
    assert!(matches!(world.second_factor.enrol(nobody, "x").await.unwrap(), Enrolled::Unknown));
    assert!(!world.second_factor.check(nobody, "123456").await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_accepted_once_also_at_the_same_time() {
    let world = World::new().await;
    let (ada, app, _) = enabled(&world).await;
    assert!(
        !world.second_factor.check(ada, &app.code(&world)).await.unwrap(),
        "its step confirmed the factor"
    );
    for _ in 0..3 {
        // Two steps: the clock runs on meanwhile, and a code of the step before would be accepted as well.
        world.clock.advance(TimeDelta::seconds(60));
        let code = app.code(&world);
        let tries = (0..8).map(|_| {
            let (second_factor, code) = (world.second_factor.clone(), code.clone());
            tokio::spawn(async move { usize::from(second_factor.check(ada, &code).await.unwrap()) })
        });
        let mut accepted = 0;
        for tried in tries.collect::<Vec<_>>() {
            accepted += tried.await.unwrap();
        }
        assert_eq!(accepted, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_code_is_not_accepted_after_a_newer_one() {
    let world = World::new().await;
    let (ada, app, _) = enabled(&world).await;
    world.clock.advance(TimeDelta::seconds(90));
    let before = app.code(&world);
    world.clock.advance(TimeDelta::seconds(30));
    assert!(world.second_factor.check(ada, &app.code(&world)).await.unwrap());
    assert!(!world.second_factor.check(ada, &before).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recovery_code_works_once() {
    let world = World::new().await;
    let (ada, _, codes) = enabled(&world).await;
    let bob = world.user("bob@example.com").await;
    let recover = async |user, code: &str| world.second_factor.recover(user, code).await.unwrap();
    assert_eq!(recover(bob, &codes[0].shown()).await, None, "it is ada's");
    for (code, left) in codes.iter().zip((0..10).rev()) {
        let shown = code.shown();
        let both =
            tokio::join!(world.second_factor.recover(ada, &shown), world.second_factor.recover(ada, &shown),);
        let mut both = [both.0.unwrap(), both.1.unwrap()];
        both.sort_unstable();
        assert_eq!(both, [None, Some(left)]);
    }
    assert_eq!(recover(ada, "0000-0000-0000-0000").await, None);
    assert_eq!(recover(ada, "").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_recovery_codes_replace_the_old_ones() {
    let world = World::new().await;
    let (ada, _, old) = enabled(&world).await;
    world.second_factor.recover(ada, &old[0].shown()).await.unwrap().unwrap();
    let new = world.second_factor.renew_recovery_codes(ada).await.unwrap().unwrap();
    assert_eq!(world.second_factor.recovery_codes_left(ada).await.unwrap(), 10);
    assert_eq!(world.second_factor.recover(ada, &old[1].shown()).await.unwrap(), None);
    assert_eq!(world.second_factor.recover(ada, &new[1].shown()).await.unwrap(), Some(9));
    let bob = world.user("bob@example.com").await;
    assert!(
        world.second_factor.renew_recovery_codes(bob).await.unwrap().is_none(),
        "bob has no second factor"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_second_factor_leaves_nothing() {
    let world = World::new().await;
    let (ada, app, codes) = enabled(&world).await;
    assert!(world.second_factor.disable(ada).await.unwrap());
    assert!(!world.second_factor.disable(ada).await.unwrap());
    world.clock.advance(TimeDelta::seconds(60));
    assert!(!world.second_factor.check(ada, &app.code(&world)).await.unwrap());
    assert_eq!(world.second_factor.recover(ada, &codes[0].shown()).await.unwrap(), None);
    assert!(!world.accounts.by_id(ada).await.unwrap().unwrap().second_factor);
    enrol(&world, ada).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_moved_to_another_user_does_not_open() {
    let world = World::new().await;
    let (ada, _, _) = enabled(&world).await;
    let mallory = world.user("mallory@example.com").await;
    let app = enrol(&world, mallory).await;
    let pool = world.database.pool(journal::Role::Identity, 1).await;
    sqlx::query(
        "UPDATE identity.accounts SET totp_secret = (SELECT totp_secret FROM identity.accounts WHERE user_id = $2)
         WHERE user_id = $1",
    )
    .bind(ada.0)
    .bind(mallory.0)
    .execute(&pool)
    .await
    .unwrap();
    assert!(world.second_factor.check(ada, &app.code(&world)).await.is_err());
}
