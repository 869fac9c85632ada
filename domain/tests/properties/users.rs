use cqrs_es::Aggregate as _;
use domain::user::{
    PersonalChange, Receipt, RevocationReason, SignInMethod, UserCommand, UserRejection, UserStatus,
};
use domain::{Reason, Sealed, SessionId, User, WebAddress};
use proptest::prelude::*;
use uuid::Uuid;

use crate::{assert_replays, at, config, decided};

#[derive(Debug, Clone, Copy)]
enum Do {
    Register,
    Verify,
    /// Whether there is something to change.
    Change(bool),
    Email,
    Password,
    SignIn,
    SignOut,
    Revoke,
    Enable,
    Disable,
    Recover,
    Link(u8),
    Unlink(u8),
    Grant,
    Demote,
    Suspend,
    Resume,
    Erase,
}

fn commands() -> impl Strategy<Value = Vec<Do>> {
    use Do::{
        Change, Demote, Disable, Email, Enable, Grant, Link, Password, Recover, Register, Resume, Revoke,
        SignIn, SignOut, Suspend, Unlink, Verify,
    };
    let plain = prop::sample::select(vec![
        Register, Verify, Email, Password, SignIn, SignIn, SignOut, Revoke, Enable, Disable, Recover, Grant,
        Demote, Suspend, Resume, Resume,
    ]);
    let one = prop_oneof![
        12 => plain,
        2 => any::<bool>().prop_map(Change),
        2 => (0..3_u8).prop_map(Link),
        2 => (0..3_u8).prop_map(Unlink),
    ];
    let end = prop_oneof![2 => Just(None), 1 => Just(Some(Do::Erase))];
    let first = prop_oneof![9 => Just(Register), 1 => Just(SignIn)];
    (first, prop::collection::vec(one, 0..40), end).prop_map(|(first, mut rest, end)| {
        rest.insert(0, first);
        rest.extend(end);
        rest.extend([SignIn, Resume, Register]);
        rest
    })
}

fn sealed(text: &str) -> Sealed {
    Sealed::new(&format!("s1.{text}")).unwrap()
}

fn issuer(number: u8) -> WebAddress {
    WebAddress::new(&format!("https://id{number}.example")).unwrap()
}

fn real(command: Do) -> UserCommand {
    let session = SessionId(Uuid::from_u128(1));
    match command {
        Do::Register => UserCommand::Register { email: sealed("email"), name: sealed("name"), locale: None },
        Do::Verify => UserCommand::VerifyEmail,
        Do::Change(true) => UserCommand::ChangeProfile(PersonalChange {
            name: Some(sealed("other")),
            ..PersonalChange::default()
        }),
        Do::Change(false) => UserCommand::ChangeProfile(PersonalChange::default()),
        Do::Email => UserCommand::ChangeEmail { email: sealed("new") },
        Do::Password => UserCommand::ChangePassword,
        Do::SignIn => UserCommand::SignIn { session, method: SignInMethod::Password },
        Do::SignOut => UserCommand::SignOut { session },
        Do::Revoke => UserCommand::RevokeSessions { reason: RevocationReason::Requested },
        Do::Enable => UserCommand::EnableSecondFactor,
        Do::Disable => UserCommand::DisableSecondFactor,
        Do::Recover => UserCommand::UseRecoveryCode,
        Do::Link(number) => UserCommand::LinkIdentity { issuer: issuer(number), subject: sealed("subject") },
        Do::Unlink(number) => UserCommand::UnlinkIdentity { issuer: issuer(number) },
        Do::Grant => UserCommand::GrantSuperadmin,
        Do::Demote => UserCommand::RevokeSuperadmin,
        Do::Suspend => UserCommand::Suspend { reason: Reason::new("under review").unwrap() },
        Do::Resume => UserCommand::Resume,
        Do::Erase => UserCommand::Erase {
            receipt: Receipt { id: Uuid::from_u128(2), erased_at: at(0), subjects: Vec::new() },
        },
    }
}

/// What may be known of a user, and no more.
#[derive(Debug, Default, PartialEq)]
struct Model {
    status: UserStatus,
    verified: bool,
    superadmin: bool,
    second_factor: bool,
    signed_in: Option<i64>,
    issuers: [bool; 3],
}

impl Model {
    fn of(user: &User) -> Self {
        Self {
            status: user.status,
            verified: user.verified,
            superadmin: user.superadmin,
            second_factor: user.second_factor,
            signed_in: user.last_sign_in.map(|at| at.timestamp()),
            issuers: [0, 1, 2].map(|number| user.issuers.contains(&issuer(number))),
        }
    }

    fn expected(&mut self, command: Do, now: i64) -> Result<(), &'static str> {
        let takes_away =
            matches!(command, Do::Resume | Do::Erase | Do::SignOut | Do::Revoke | Do::Demote | Do::Unlink(_));
        match (self.status, command) {
            (UserStatus::Absent, Do::Register) => {
                self.status = UserStatus::Active;
                return Ok(());
            }
            (_, Do::Register) => return Err("user_exists"),
            (UserStatus::Absent, _) => return Err("user_not_found"),
            (UserStatus::Erased, _) => return Err("user_erased"),
            (UserStatus::Active, Do::Resume) => return Err("user_not_suspended"),
            (UserStatus::Suspended, _) if !takes_away => return Err("user_suspended"),
            (UserStatus::Active | UserStatus::Suspended, _) => {}
        }
        let unless = |refused: bool, code| if refused { Err(code) } else { Ok(()) };
        match command {
            Do::Verify => {
                unless(self.verified, "email_already_verified")?;
                self.verified = true;
            }
            Do::Change(something) => unless(!something, "nothing_to_change")?,
            Do::Email => self.verified = false,
            Do::Password | Do::SignOut | Do::Revoke => {}
            Do::SignIn => self.signed_in = Some(now),
            Do::Enable => {
                unless(self.second_factor, "second_factor_enabled")?;
                self.second_factor = true;
            }
            Do::Disable => {
                unless(!self.second_factor, "second_factor_not_enabled")?;
                self.second_factor = false;
            }
            Do::Recover => unless(!self.second_factor, "second_factor_not_enabled")?,
            Do::Link(number) => {
                let linked = &mut self.issuers[usize::from(number)];
                unless(*linked, "identity_linked")?;
                *linked = true;
            }
            Do::Unlink(number) => {
                let linked = &mut self.issuers[usize::from(number)];
                unless(!*linked, "identity_not_linked")?;
                *linked = false;
            }
            Do::Grant => {
                unless(self.superadmin, "already_superadmin")?;
                self.superadmin = true;
            }
            Do::Demote => {
                unless(!self.superadmin, "not_superadmin")?;
                self.superadmin = false;
            }
            Do::Suspend => self.status = UserStatus::Suspended,
            Do::Register | Do::Resume => self.status = UserStatus::Active,
            Do::Erase => *self = Self { status: UserStatus::Erased, ..Self::default() },
        }
        Ok(())
    }
}

#[test]
fn users_are_what_their_model_says_and_of_an_erased_one_nothing_is_left() {
    proptest!(config(512), |(commands in commands())| {
        let (mut model, mut live, mut kept) = (Model::default(), User::default(), Vec::new());
        for (command, now) in commands.into_iter().zip(0..) {
            let decision = decided(live.decide(real(command), at(now)), UserRejection::code, &mut kept);
            prop_assert_eq!(
                decision.as_ref().map(|_| ()).map_err(|code| *code),
                model.expected(command, now),
                "{:?}", command
            );
            if let Ok(happened) = decision {
                live.apply(happened);
            }
            prop_assert_eq!(&Model::of(&live), &model);
            if live.status == UserStatus::Erased {
                prop_assert_eq!(&live, &User { status: UserStatus::Erased, ..User::default() });
            }
        }
        assert_replays(&kept, &live);
    });
}
