use std::collections::BTreeMap;

use cqrs_es::Aggregate as _;
use domain::tenant::{TenantCommand, TenantEvent, TenantRejection, TenantStatus};
use domain::{Digest, InvitationId, Reason, Role, Sealed, Slug, Tenant, TenantName, UserId};
use proptest::prelude::*;
use uuid::Uuid;

use crate::{assert_replays, at, config, decided};

#[derive(Debug, Clone)]
enum Do {
    Add(u128, Role, Role),
    Change(u128, Role, Role),
    Remove(u128, Role),
    Leave(u128),
    /// Which, the role it offers, in which role, and for how many seconds.
    Invite(u128, Role, Role, i64),
    /// Which, who, and whether the token is the right one.
    Accept(u128, u128, bool),
    Withdraw(u128, Role),
    Suspend,
    Resume,
    Close,
    Wait(i64),
}

fn commands() -> impl Strategy<Value = Vec<Do>> {
    let user = || 0..4_u128;
    let letter = || 0..3_u128;
    let role = || prop::sample::select(Role::ALL.to_vec());
    let by = || prop_oneof![3 => Just(Role::Owner), 2 => Just(Role::Admin), 1 => role()];
    let right = || prop_oneof![9 => Just(true), 1 => Just(false)];
    let one = prop_oneof![
        6 => (user(), role(), by()).prop_map(|(user, role, by)| Do::Add(user, role, by)),
        6 => (user(), role(), by()).prop_map(|(user, role, by)| Do::Change(user, role, by)),
        4 => (user(), by()).prop_map(|(user, by)| Do::Remove(user, by)),
        4 => user().prop_map(Do::Leave),
        6 => (letter(), role(), by(), -1..4_i64).prop_map(|(id, role, by, time)| Do::Invite(id, role, by, time)),
        6 => (letter(), user(), right()).prop_map(|(id, user, right)| Do::Accept(id, user, right)),
        3 => (letter(), by()).prop_map(|(id, by)| Do::Withdraw(id, by)),
        1 => Just(Do::Suspend),
        2 => Just(Do::Resume),
        3 => (1..3_i64).prop_map(Do::Wait),
    ];
    // Nothing comes after the end, so the end comes rarely.
    let end = prop_oneof![4 => Just(None), 1 => Just(Some(Do::Close))];
    (prop::collection::vec(one, 0..40), end).prop_map(|(mut commands, end)| {
        commands.extend(end);
        commands.push(Do::Resume);
        commands
    })
}

fn digest(letter: u128, right: bool) -> Digest {
    Digest::new(&format!("{:064x}", letter * 2 + u128::from(right))).unwrap()
}

fn real(command: &Do, now: i64) -> TenantCommand {
    let user = |n: &u128| UserId(Uuid::from_u128(*n));
    let letter = |n: &u128| InvitationId(Uuid::from_u128(*n));
    match command {
        Do::Add(n, role, by) => TenantCommand::AddMember { user: user(n), role: *role, by: *by },
        Do::Change(n, role, by) => TenantCommand::ChangeMemberRole { user: user(n), role: *role, by: *by },
        Do::Remove(n, by) => TenantCommand::RemoveMember { user: user(n), by: *by },
        Do::Leave(n) => TenantCommand::Leave { user: user(n) },
        Do::Invite(n, role, by, lifetime) => TenantCommand::Invite {
            invitation: letter(n),
            email: Sealed::new("s1.abc").unwrap(),
            role: *role,
            expires_at: at(now + lifetime),
            digest: digest(*n, true),
            by: *by,
        },
        Do::Accept(n, who, right) => TenantCommand::AcceptInvitation {
            invitation: letter(n),
            user: user(who),
            digest: digest(*n, *right),
        },
        Do::Withdraw(n, by) => TenantCommand::WithdrawInvitation { invitation: letter(n), by: *by },
        Do::Suspend => TenantCommand::Suspend { reason: Reason::new("unpaid").unwrap() },
        Do::Resume | Do::Wait(_) => TenantCommand::Resume,
        Do::Close => TenantCommand::Close,
    }
}

/// How far an invitation has come.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Letter {
    Open(Role, i64),
    Used,
    Back,
}

#[derive(Debug, Default)]
struct Model {
    status: TenantStatus,
    members: BTreeMap<u128, Role>,
    letters: BTreeMap<u128, Letter>,
}

/// Superadmins and owners have a say over every member's role, admins over those below an owner.
fn over(by: Role, role: Role) -> Result<(), &'static str> {
    let rank = |role| match role {
        Role::Superadmin => 4,
        Role::Owner => 3,
        Role::Admin => 2,
        Role::Member | Role::Viewer | Role::Auditor => 1,
    };
    let fine = rank(by) >= 2 && rank(role) < 4 && rank(by) >= rank(role);
    if fine { Ok(()) } else { Err("role_not_governed") }
}

impl Model {
    fn owners(&self) -> usize {
        self.members.values().filter(|role| **role == Role::Owner).count()
    }

    /// Whether a member may stop being what they are.
    fn goes(&self, before: Role) -> Result<(), &'static str> {
        if before == Role::Owner && self.owners() == 1 { Err("last_owner") } else { Ok(()) }
    }

    fn expected(&mut self, command: &Do, now: i64) -> Result<(), &'static str> {
        match (self.status, command) {
            (TenantStatus::Closed, _) => return Err("tenant_closed"),
            (
                TenantStatus::Suspended,
                Do::Resume | Do::Close | Do::Remove(..) | Do::Leave(_) | Do::Withdraw(..),
            )
            | (TenantStatus::Active, _) => {}
            (TenantStatus::Suspended, _) => return Err("tenant_suspended"),
        }
        match *command {
            Do::Add(user, role, by) => {
                if self.members.contains_key(&user) {
                    return Err("member_exists");
                }
                over(by, role)?;
                self.members.insert(user, role);
            }
            Do::Change(user, role, by) => {
                let before = *self.members.get(&user).ok_or("member_not_found")?;
                over(by, before)?;
                over(by, role)?;
                if before == role {
                    return Err("role_unchanged");
                }
                self.goes(before)?;
                self.members.insert(user, role);
            }
            Do::Remove(user, by) => {
                let before = *self.members.get(&user).ok_or("member_not_found")?;
                over(by, before)?;
                self.goes(before)?;
                self.members.remove(&user);
            }
            Do::Leave(user) => {
                self.goes(*self.members.get(&user).ok_or("member_not_found")?)?;
                self.members.remove(&user);
            }
            Do::Invite(letter, role, by, lifetime) => {
                if self.letters.contains_key(&letter) {
                    return Err("invitation_exists");
                }
                if lifetime <= 0 {
                    return Err("invitation_expired");
                }
                over(by, role)?;
                self.letters.insert(letter, Letter::Open(role, now + lifetime));
            }
            Do::Accept(letter, user, right) => {
                let (role, until) = self.open(letter)?;
                if !right {
                    return Err("invitation_not_found");
                }
                if until <= now {
                    return Err("invitation_expired");
                }
                if self.members.contains_key(&user) {
                    return Err("member_exists");
                }
                self.members.insert(user, role);
                self.letters.insert(letter, Letter::Used);
            }
            Do::Withdraw(letter, by) => {
                over(by, self.open(letter)?.0)?;
                self.letters.insert(letter, Letter::Back);
            }
            Do::Suspend => self.status = TenantStatus::Suspended,
            Do::Resume | Do::Wait(_) if self.status == TenantStatus::Active => {
                return Err("tenant_not_suspended");
            }
            Do::Resume | Do::Wait(_) => self.status = TenantStatus::Active,
            Do::Close => self.status = TenantStatus::Closed,
        }
        Ok(())
    }

    fn open(&self, letter: u128) -> Result<(Role, i64), &'static str> {
        match self.letters.get(&letter) {
            None => Err("invitation_not_found"),
            Some(Letter::Used) => Err("invitation_accepted"),
            Some(Letter::Back) => Err("invitation_withdrawn"),
            Some(Letter::Open(role, until)) => Ok((*role, *until)),
        }
    }
}

#[test]
fn members_come_and_go_as_their_model_says_and_never_leave_a_tenant_without_its_owner() {
    proptest!(config(512), |(commands in commands())| {
        let (mut model, mut live, mut kept, mut now) = (Model::default(), Tenant::default(), Vec::new(), 0);
        let created =
            TenantEvent::Created { slug: Slug::new("acme").unwrap(), name: TenantName::new("Acme").unwrap() };
        live.apply(created.clone());
        kept.push(created);
        let mut owned = false;
        for command in &commands {
            if let Do::Wait(seconds) = command {
                now += seconds;
                continue;
            }
            let decision = decided(live.decide(real(command, now), at(now)), TenantRejection::code, &mut kept);
            prop_assert_eq!(
                decision.as_ref().map(|_| ()).map_err(|code| *code),
                model.expected(command, now),
                "{:?}", command
            );
            if let Ok(happened) = decision {
                live.apply(happened);
            }
            prop_assert_eq!(live.status, model.status);
            let members = live.members.iter().map(|(user, role)| (user.0.as_u128(), *role));
            prop_assert!(members.eq(model.members.iter().map(|(user, role)| (*user, *role))));
            let owners = live.members.values().filter(|role| **role == Role::Owner).count();
            owned = owned || owners > 0;
            prop_assert!(!owned || owners > 0, "no owner is left");
            prop_assert!(live.members.values().all(|role| *role != Role::Superadmin));
        }
        assert_replays(&kept, &live);
    });
}
