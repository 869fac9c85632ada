use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::*;
use crate::{Change, Description, Digest, Label, PublicId};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

/// Applications at the second 100.
fn applications() -> TestFramework<Application> {
    TestFramework::with(Moment(at(100)))
}

fn details() -> Details {
    Details { name: Label::new("Shop").unwrap(), ..Details::default() }
}

fn created() -> ApplicationEvent {
    ApplicationEvent::Created(details())
}

fn digest() -> Digest {
    Digest::new(&"0f".repeat(32)).unwrap()
}

fn public_id(n: u128) -> PublicId {
    PublicId::new(&format!("public{n:06}")).unwrap()
}

fn key(n: u128) -> IssuedKey {
    IssuedKey {
        key: KeyId(Uuid::from_u128(n)),
        public_id: public_id(n),
        environment: Environment::Live,
        digest: digest(),
        scopes: [Scope::Read].into(),
        expires_at: Some(at(200)),
        addresses: ["192.0.2.0/24".parse().unwrap()].into(),
    }
}

fn issued(n: u128) -> ApplicationEvent {
    ApplicationEvent::KeyIssued(key(n))
}

fn revoked(n: u128) -> ApplicationEvent {
    ApplicationEvent::KeyRevoked { key: KeyId(Uuid::from_u128(n)) }
}

fn revoke(n: u128) -> ApplicationCommand {
    ApplicationCommand::RevokeKey { key: KeyId(Uuid::from_u128(n)) }
}

fn rotate(old: u128, new: u128, until: i64) -> ApplicationCommand {
    rotate_until(old, new, until, Change::Set(at(900)))
}

fn rotate_until(old: u128, new: u128, until: i64, expires_at: Change<DateTime<Utc>>) -> ApplicationCommand {
    let replacement = Replacement {
        key: KeyId(Uuid::from_u128(new)),
        public_id: public_id(new),
        digest: digest(),
        expires_at,
    };
    ApplicationCommand::RotateKey { key: KeyId(Uuid::from_u128(old)), replacement, until: at(until) }
}

fn change() -> ApplicationChange {
    ApplicationChange { description: Change::Clear, ..ApplicationChange::default() }
}

#[test]
fn an_application_is_created_once() {
    let create = ApplicationCommand::Create(details());
    applications().given_no_previous_events().when(create.clone()).then_expect_events(vec![created()]);
    for history in [vec![created()], vec![created(), ApplicationEvent::Archived {}]] {
        applications()
            .given(history)
            .when(create.clone())
            .then_expect_error(ApplicationRejection::AlreadyExists);
    }
}

#[test]
fn nothing_is_asked_of_an_application_that_does_not_exist_or_is_archived() {
    let commands = [
        ApplicationCommand::Change(change()),
        ApplicationCommand::Archive,
        ApplicationCommand::IssueKey(key(2)),
        rotate(1, 2, 150),
        revoke(1),
    ];
    for command in commands {
        applications()
            .given_no_previous_events()
            .when(command.clone())
            .then_expect_error(ApplicationRejection::NotFound);
        applications()
            .given(vec![created(), issued(1), revoked(1), ApplicationEvent::Archived {}])
            .when(command)
            .then_expect_error(ApplicationRejection::Archived);
    }
}

#[test]
fn details_change_in_what_is_named() {
    let mut application = Application::default();
    application.apply(created());
    let text = Description::new("It sells.").unwrap();
    application.apply(ApplicationEvent::Changed(ApplicationChange {
        description: Change::Set(text.clone()),
        ..ApplicationChange::default()
    }));
    assert_eq!(*application.details, Details { description: Some(text), ..details() });
    application.apply(ApplicationEvent::Changed(change()));
    assert_eq!(*application.details, details());
    applications()
        .given(vec![created()])
        .when(ApplicationCommand::Change(ApplicationChange::default()))
        .then_expect_error(ApplicationRejection::NothingToChange);
}

#[test]
fn an_archived_application_has_no_key_that_lives() {
    let dead = ApplicationEvent::KeyExpires { key: KeyId(Uuid::from_u128(3)), at: at(100) };
    applications()
        .given(vec![created(), issued(1), issued(2), issued(3), issued(4), revoked(2), dead])
        .when(ApplicationCommand::Archive)
        .then_expect_events(vec![revoked(1), revoked(4), ApplicationEvent::Archived {}]);
}

#[test]
fn a_key_that_could_never_be_used_is_not_issued() {
    use ApplicationRejection as Rejected;
    let issue = |key| ApplicationCommand::IssueKey(key);
    let range = |n: usize| format!("10.0.{n}.0/24").parse().unwrap();
    let cases = [
        (IssuedKey { expires_at: Some(at(100)), ..key(2) }, Rejected::ExpiryInThePast),
        (IssuedKey { scopes: BTreeSet::new(), ..key(2) }, Rejected::NoScopes),
        (
            IssuedKey { addresses: (0..=MAX_ADDRESSES).map(range).collect(), ..key(2) },
            Rejected::TooManyAddresses,
        ),
        (key(1), Rejected::KeyExists),
        (IssuedKey { public_id: public_id(1), ..key(2) }, Rejected::KeyExists),
    ];
    for (key, rejection) in cases {
        applications().given(vec![created(), issued(1)]).when(issue(key)).then_expect_error(rejection);
    }
    applications()
        .given(vec![created(), issued(1), revoked(1)])
        .when(issue(key(1)))
        .then_expect_error(Rejected::KeyExists);
}

#[test]
fn a_key_is_revoked_once_also_when_it_has_expired() {
    let late = || TestFramework::<Application>::with(Moment(at(500)));
    late().given(vec![created(), issued(1)]).when(revoke(1)).then_expect_events(vec![revoked(1)]);
    applications()
        .given(vec![created(), issued(1), revoked(1)])
        .when(revoke(1))
        .then_expect_error(ApplicationRejection::KeyRevoked);
    applications()
        .given(vec![created()])
        .when(revoke(1))
        .then_expect_error(ApplicationRejection::KeyNotFound);
}

#[test]
fn a_rotated_key_may_do_what_the_old_one_may_which_lives_no_longer_than_it_would_have() {
    let new = || ApplicationEvent::KeyIssued(IssuedKey { expires_at: Some(at(900)), ..key(2) });
    let old = KeyId(Uuid::from_u128(1));
    for (until, expires) in [(150, 150), (900, 200), (50, 100)] {
        applications()
            .given(vec![created(), issued(1)])
            .when(rotate(1, 2, until))
            .then_expect_events(vec![new(), ApplicationEvent::KeyExpires { key: old, at: at(expires) }]);
    }
}

#[test]
fn a_rotated_key_ends_when_the_old_one_was_meant_to_unless_another_time_or_none_is_named() {
    let old = KeyId(Uuid::from_u128(1));
    let lives_on = |until| ApplicationEvent::KeyExpires { key: old, at: at(until) };
    let ends = |n, expires_at| ApplicationEvent::KeyIssued(IssuedKey { expires_at, ..key(n) });
    for (said, end) in [
        (Change::Keep, Some(at(200))),
        (Change::Clear, None),
        (Change::Set(at(900)), Some(at(900))),
        (Change::Set(at(110)), Some(at(110))),
    ] {
        applications()
            .given(vec![created(), issued(1)])
            .when(rotate_until(1, 2, 150, said))
            .then_expect_events(vec![ends(2, end), lives_on(150)]);
    }
    applications()
        .given(vec![created(), ends(1, None)])
        .when(rotate_until(1, 2, 150, Change::Keep))
        .then_expect_events(vec![ends(2, None), lives_on(150)]);
    // A second time, such as when the answer to the first was lost: the end of the overlap is no end of what comes next.
    applications()
        .given(vec![created(), issued(1), ends(2, Some(at(200))), lives_on(150)])
        .when(rotate_until(1, 3, 160, Change::Keep))
        .then_expect_events(vec![ends(3, Some(at(200))), lives_on(150)]);
}

#[test]
fn a_key_that_is_over_is_not_rotated() {
    let late = TestFramework::<Application>::with(Moment(at(200)));
    late.given(vec![created(), issued(1)])
        .when(rotate(1, 2, 900))
        .then_expect_error(ApplicationRejection::KeyExpired);
    applications()
        .given(vec![created(), issued(1), revoked(1)])
        .when(rotate(1, 2, 900))
        .then_expect_error(ApplicationRejection::KeyRevoked);
}

#[test]
fn only_keys_that_live_count_against_the_limit() {
    let mut full = Application::default();
    full.apply(created());
    (0..MAX_LIVE_KEYS).for_each(|n| full.apply(issued(u128::try_from(n).unwrap())));
    let one_more = || ApplicationCommand::IssueKey(IssuedKey { expires_at: None, ..key(1_000) });
    assert_eq!(full.decide(one_more(), at(100)), Err(ApplicationRejection::TooManyKeys));
    assert_eq!(full.decide(rotate(1, 1_000, 150), at(100)), Err(ApplicationRejection::TooManyKeys));
    assert!(full.decide(one_more(), at(200)).is_ok(), "those that have expired make room");
    full.apply(revoked(7));
    assert!(full.decide(one_more(), at(100)).is_ok(), "those that were revoked make room");
}

#[test]
fn an_application_comes_back_from_its_snapshot() {
    let mut application = Application::default();
    for event in [created(), issued(1), issued(2), revoked(2)] {
        application.apply(event);
    }
    let text = serde_json::to_string(&application).unwrap();
    assert_eq!(serde_json::from_str::<Application>(&text).unwrap(), application);
}
