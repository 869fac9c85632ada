use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::*;
use crate::{Change, Reason, SessionId, SubjectId};

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn users() -> TestFramework<User> {
    TestFramework::with(Moment(NOW))
}

fn sealed(text: &str) -> Sealed {
    Sealed::new(&format!("s1.{text}")).unwrap()
}

fn issuer() -> WebAddress {
    WebAddress::new("https://accounts.example").unwrap()
}

fn reason() -> Reason {
    Reason::new("abuse").unwrap()
}

fn registered() -> UserEvent {
    UserEvent::Registered { email: sealed("email"), name: sealed("name"), locale: Some(sealed("locale")) }
}

fn linked() -> UserEvent {
    UserEvent::IdentityLinked { issuer: issuer(), subject: sealed("subject") }
}

fn receipt() -> Receipt {
    Receipt { id: Uuid::from_u128(7), erased_at: NOW, subjects: vec![SubjectId(Uuid::from_u128(1))] }
}

fn register() -> UserCommand {
    UserCommand::Register { email: sealed("email"), name: sealed("name"), locale: Some(sealed("locale")) }
}

/// One of every command there is but registration, and what suspended users can be asked all the same.
fn every_command() -> Vec<(UserCommand, bool)> {
    let session = SessionId(Uuid::from_u128(2));
    let change = PersonalChange { avatar: Change::Clear, ..PersonalChange::default() };
    vec![
        (UserCommand::VerifyEmail, false),
        (UserCommand::ChangeProfile(change), false),
        (UserCommand::ChangeEmail { email: sealed("other") }, false),
        (UserCommand::ChangePassword, false),
        (UserCommand::SignIn { session, method: SignInMethod::Password }, false),
        (UserCommand::SignOut { session }, true),
        (UserCommand::RevokeSessions { reason: RevocationReason::Suspended }, true),
        (UserCommand::EnableSecondFactor, false),
        (UserCommand::DisableSecondFactor, false),
        (UserCommand::UseRecoveryCode, false),
        (UserCommand::LinkIdentity { issuer: issuer(), subject: sealed("subject") }, false),
        (UserCommand::UnlinkIdentity { issuer: issuer() }, true),
        (UserCommand::GrantSuperadmin, false),
        (UserCommand::RevokeSuperadmin, true),
        (UserCommand::Suspend { reason: reason() }, false),
        (UserCommand::Resume, true),
        (UserCommand::Erase { receipt: receipt() }, true),
    ]
}

#[test]
fn a_user_is_registered_once_also_after_being_erased() {
    users().given_no_previous_events().when(register()).then_expect_events(vec![registered()]);
    for after in [vec![], vec![UserEvent::Erased { receipt: receipt() }]] {
        let history = [vec![registered()], after].concat();
        users().given(history).when(register()).then_expect_error(UserRejection::AlreadyExists);
    }
}

#[test]
fn nothing_is_asked_of_a_user_that_does_not_exist_or_is_erased() {
    for (command, _) in every_command() {
        users().given_no_previous_events().when(command.clone()).then_expect_error(UserRejection::NotFound);
        users()
            .given(vec![registered(), UserEvent::Erased { receipt: receipt() }])
            .when(command)
            .then_expect_error(UserRejection::Erased);
    }
}

#[test]
fn a_suspended_user_loses_and_never_gains() {
    let history = || {
        vec![
            registered(),
            linked(),
            UserEvent::SuperadminGranted {},
            UserEvent::Suspended { reason: reason() },
        ]
    };
    for (command, allowed) in every_command() {
        let name = command.name();
        let result = users().given(history()).when(command).inspect_result();
        assert_eq!(result.err(), (!allowed).then_some(UserRejection::Suspended), "{name}");
    }
    let resumed = [history(), vec![UserEvent::Resumed {}]].concat();
    users()
        .given(resumed)
        .when(UserCommand::ChangePassword)
        .then_expect_events(vec![UserEvent::PasswordChanged {}]);
}

#[test]
fn a_sign_in_carries_the_moment_in_which_it_was_decided() {
    let session = SessionId(Uuid::from_u128(2));
    let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let signed_in = UserEvent::SignedIn { session, method: SignInMethod::Totp, at };
    TestFramework::<User>::with(Moment(at))
        .given(vec![registered()])
        .when(UserCommand::SignIn { session, method: SignInMethod::Totp })
        .then_expect_events(vec![signed_in.clone()]);
    let mut user = User::default();
    user.apply(registered());
    user.apply(signed_in);
    assert_eq!(user.last_sign_in, Some(at));
}

#[test]
fn another_address_has_to_be_verified_anew() {
    let verified = vec![registered(), UserEvent::EmailVerified {}];
    users()
        .given(verified.clone())
        .when(UserCommand::VerifyEmail)
        .then_expect_error(UserRejection::AlreadyVerified);
    users()
        .given([verified, vec![UserEvent::EmailChanged { email: sealed("other") }]].concat())
        .when(UserCommand::VerifyEmail)
        .then_expect_events(vec![UserEvent::EmailVerified {}]);
}

#[test]
fn what_is_there_is_not_added_and_what_is_not_is_not_taken() {
    use UserRejection as Rejected;
    let link = || UserCommand::LinkIdentity { issuer: issuer(), subject: sealed("subject") };
    let unlink = || UserCommand::UnlinkIdentity { issuer: issuer() };
    let cases = [
        (None, UserCommand::DisableSecondFactor, Rejected::SecondFactorNotEnabled),
        (None, UserCommand::UseRecoveryCode, Rejected::SecondFactorNotEnabled),
        (None, unlink(), Rejected::IdentityNotLinked),
        (None, UserCommand::RevokeSuperadmin, Rejected::NotSuperadmin),
        (None, UserCommand::Resume, Rejected::NotSuspended),
        (None, UserCommand::ChangeProfile(PersonalChange::default()), Rejected::NothingToChange),
        (
            Some(UserEvent::SecondFactorEnabled {}),
            UserCommand::EnableSecondFactor,
            Rejected::SecondFactorEnabled,
        ),
        (Some(linked()), link(), Rejected::IdentityLinked),
        (Some(UserEvent::SuperadminGranted {}), UserCommand::GrantSuperadmin, Rejected::AlreadySuperadmin),
    ];
    for (before, command, rejection) in cases {
        let history = [Some(registered()), before].into_iter().flatten().collect();
        users().given(history).when(command).then_expect_error(rejection);
    }
}

#[test]
fn a_profile_changes_in_what_is_named() {
    let mut user = User::default();
    user.apply(registered());
    user.apply(UserEvent::ProfileChanged(PersonalChange {
        name: None,
        avatar: Change::Set(sealed("avatar")),
        locale: Change::Clear,
        preferences: Change::Keep,
    }));
    assert_eq!((user.name, user.avatar, user.locale), (sealed("name"), Some(sealed("avatar")), None));
}

#[test]
fn nothing_personal_is_left_of_an_erased_user_not_even_sealed() {
    let mut user = User::default();
    for event in [
        registered(),
        UserEvent::EmailVerified {},
        linked(),
        UserEvent::SuperadminGranted {},
        UserEvent::SecondFactorEnabled {},
        UserEvent::Erased { receipt: receipt() },
    ] {
        user.apply(event);
    }
    assert_eq!(user, User { status: UserStatus::Erased, ..User::default() });
}
