use chrono::TimeDelta;
use counterfoil::system::SystemIds;
use domain::{Ids as _, Sealed, UserId};
use identity::accounts::{Link, Linked, Reserved};
use identity::sessions::SignIn;

use crate::world::{World, hash, index};

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_reserve_one_email_at_the_same_time_one_gets_it() {
    let world = World::new().await;
    let tries = (0..20).map(|_| {
        let (accounts, user) = (world.accounts.clone(), UserId(SystemIds.next()));
        tokio::spawn(async move { (user, accounts.reserve(&index("ada@example.com"), user).await.unwrap()) })
    });
    let (mut new, mut taken) = (Vec::new(), Vec::new());
    for tried in tries.collect::<Vec<_>>() {
        match tried.await.unwrap() {
            (user, Reserved::New) => new.push(user),
            (_, Reserved::Taken(owner)) => taken.push(owner),
        }
    }
    let [owner] = new[..] else { panic!("{new:?} all got it") };
    assert_eq!(taken, vec![owner; 19], "everybody else is told who has it");
    let account = world.accounts.by_email(&index("ada@example.com")).await.unwrap().unwrap();
    assert_eq!((account.user, account.password, account.second_factor), (owner, None, false));
    assert_eq!(world.accounts.by_email(&index("bob@example.com")).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_moves_only_to_where_nobody_is() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada@example.com").await, world.user("bob@example.com").await);
    let change = async |user, email| world.accounts.change_email(user, &index(email)).await.unwrap();
    assert_eq!(change(ada, "bob@example.com").await, Some(Reserved::Taken(bob)));
    assert_eq!(change(ada, "ada@example.com").await, Some(Reserved::New), "the same again is no harm");
    assert_eq!(change(ada, "countess@example.com").await, Some(Reserved::New));
    assert_eq!(change(UserId(SystemIds.next()), "nobody@example.com").await, None);
    let by = async |email| world.accounts.by_email(&index(email)).await.unwrap().map(|account| account.user);
    assert_eq!(by("ada@example.com").await, None);
    assert_eq!(by("countess@example.com").await, Some(ada));
    assert_eq!(by("bob@example.com").await, Some(bob));
}

#[tokio::test(flavor = "multi_thread")]
async fn rehashing_never_undoes_a_new_password() {
    let world = World::new().await;
    let ada = world.user("ada@example.com").await;
    let (old, better, new) = (hash('u'), hash('q'), hash('y'));
    assert!(world.accounts.set_password(ada, &old).await.unwrap());
    let stored = async || world.accounts.by_id(ada).await.unwrap().unwrap().password;
    assert!(world.accounts.rehash(ada, &old, &better).await.unwrap());
    assert_eq!(stored().await, Some(better.clone()));
    assert!(world.accounts.set_password(ada, &new).await.unwrap());
    assert!(!world.accounts.rehash(ada, &better, &old).await.unwrap(), "another password came in between");
    assert_eq!(stored().await, Some(new.clone()));
    assert!(!world.accounts.set_password(UserId(SystemIds.next()), &new).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_at_a_provider_leads_to_one_user() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada@example.com").await, world.user("bob@example.com").await);
    let link = |subject: &str| Link {
        index: index(subject),
        issuer: "https://id.example.com".to_owned(),
        subject: Sealed::new("s1.AAAA").unwrap(),
    };
    assert_eq!(world.accounts.link(ada, &link("1")).await.unwrap(), Linked::Done);
    assert_eq!(
        world.accounts.link(ada, &link("1")).await.unwrap(),
        Linked::Done,
        "the same again is no harm"
    );
    assert_eq!(world.accounts.link(bob, &link("1")).await.unwrap(), Linked::Taken(ada));
    assert_eq!(world.accounts.link(ada, &link("2")).await.unwrap(), Linked::Another);
    assert_eq!(world.accounts.linked(&index("1")).await.unwrap(), Some(ada));
    assert_eq!(world.accounts.links(ada).await.unwrap(), ["https://id.example.com"]);
    assert!(!world.accounts.unlink(bob, "https://id.example.com").await.unwrap(), "it is not bob's");
    assert!(world.accounts.unlink(ada, "https://id.example.com").await.unwrap());
    assert_eq!(world.accounts.linked(&index("1")).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_a_deleted_account_goes_with_it() {
    let world = World::new().await;
    let ada = world.user("ada@example.com").await;
    let sealed = Sealed::new("s1.AAAA").unwrap();
    let link =
        Link { index: index("1"), issuer: "https://id.example.com".to_owned(), subject: sealed.clone() };
    world.accounts.link(ada, &link).await.unwrap();
    let method = domain::user::SignInMethod::Password;
    let sign_in = SignIn { user: ada, method, user_agent: Some(sealed), address: None };
    let started = world.sessions.start(sign_in).await.unwrap();
    world
        .one_time
        .issue(identity::OneTimeUse::ResetPassword, Some(ada), "x", TimeDelta::hours(1))
        .await
        .unwrap();
    assert!(world.accounts.delete(ada).await.unwrap());
    world.one_time.forget(ada).await.unwrap();
    assert!(!world.accounts.delete(ada).await.unwrap());
    assert_eq!(world.sessions.alive(started.session).await.unwrap(), None);
    let pool = world.database.pool(journal::Role::Identity, 1).await;
    for table in ["accounts", "sessions", "refresh_tokens", "one_time_tokens", "oidc_links", "recovery_codes"]
    {
        let left: i64 = sqlx::query_scalar(&format!("SELECT count(*) FROM identity.{table}"))
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(left, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reading_role_sees_no_account() {
    let world = World::new().await;
    world.user("ada@example.com").await;
    let reader = world.database.pool(journal::Role::Reader, 1).await;
    for table in ["accounts", "sessions", "refresh_tokens", "one_time_tokens", "oidc_links", "recovery_codes"]
    {
        let refused =
            sqlx::query(&format!("SELECT FROM identity.{table}")).execute(&reader).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{table}: {refused}");
    }
}
