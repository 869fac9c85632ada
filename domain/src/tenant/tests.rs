use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::*;
use crate::{Change, Colour, Reason};

fn tenants() -> TestFramework<Tenant> {
    TestFramework::with(Moment(DateTime::UNIX_EPOCH))
}

fn created() -> TenantEvent {
    TenantEvent::Created { slug: Slug::new("acme").unwrap(), name: TenantName::new("Acme").unwrap() }
}

fn usd(scale: u8) -> (AssetCode, Scale) {
    (AssetCode::new("USD").unwrap(), Scale::new(scale).unwrap())
}

fn suspended() -> TenantEvent {
    TenantEvent::Suspended { reason: Reason::new("unpaid").unwrap() }
}

const ALICE: UserId = UserId(Uuid::from_u128(1));
const BOB: UserId = UserId(Uuid::from_u128(2));
const LETTER: InvitationId = InvitationId(Uuid::from_u128(3));

fn joined(user: UserId, role: Role) -> TenantEvent {
    TenantEvent::MemberAdded { user, role }
}

fn digest(byte: &str) -> Digest {
    Digest::new(&byte.repeat(32)).unwrap()
}

fn later(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn invited(role: Role) -> TenantEvent {
    let email = Sealed::new("s1.abc").unwrap();
    TenantEvent::Invited { invitation: LETTER, email, role, expires_at: later(60), digest: digest("0f") }
}

fn invite(role: Role, by: Role, expires_at: DateTime<Utc>) -> TenantCommand {
    let email = Sealed::new("s1.abc").unwrap();
    TenantCommand::Invite { invitation: LETTER, email, role, expires_at, digest: digest("0f"), by }
}

fn accept(byte: &str) -> TenantCommand {
    TenantCommand::AcceptInvitation { invitation: LETTER, user: BOB, digest: digest(byte) }
}

fn withdraw(by: Role) -> TenantCommand {
    TenantCommand::WithdrawInvitation { invitation: LETTER, by }
}

/// One of every command there is.
fn every_command() -> Vec<TenantCommand> {
    let (code, scale) = usd(2);
    let by = Role::Superadmin;
    vec![
        TenantCommand::RegisterAsset { code, scale },
        TenantCommand::ChangeProfile(ProfileChange { domain: Change::Clear, ..ProfileChange::default() }),
        TenantCommand::Suspend { reason: Reason::new("unpaid").unwrap() },
        TenantCommand::Resume,
        TenantCommand::Close,
        TenantCommand::AddMember { user: BOB, role: Role::Viewer, by },
        TenantCommand::ChangeMemberRole { user: ALICE, role: Role::Owner, by },
        TenantCommand::RemoveMember { user: ALICE, by },
        TenantCommand::Leave { user: ALICE },
        invite(Role::Member, by, later(60)),
        accept("0f"),
        withdraw(by),
    ]
}

#[test]
fn a_tenant_is_created_once() {
    let create =
        TenantCommand::Create { slug: Slug::new("acme").unwrap(), name: TenantName::new("Acme").unwrap() };
    tenants().given_no_previous_events().when(create.clone()).then_expect_events(vec![created()]);
    for after in [None, Some(suspended()), Some(TenantEvent::Closed {})] {
        let history = [Some(created()), after].into_iter().flatten().collect();
        tenants().given(history).when(create.clone()).then_expect_error(TenantRejection::AlreadyExists);
    }
}

#[test]
fn an_asset_keeps_its_scale_for_good() {
    let (code, scale) = usd(2);
    let registered = TenantEvent::AssetRegistered { code: code.clone(), scale };
    let register = TenantCommand::RegisterAsset { code: code.clone(), scale };
    tenants().given(vec![created()]).when(register).then_expect_events(vec![registered.clone()]);
    let (_, finer) = usd(9);
    tenants()
        .given(vec![created(), registered])
        .when(TenantCommand::RegisterAsset { code: code.clone(), scale: finer })
        .then_expect_error(TenantRejection::AssetExists(code));
}

#[test]
fn nothing_is_asked_of_a_tenant_that_does_not_exist() {
    for command in every_command() {
        tenants().given_no_previous_events().when(command).then_expect_error(TenantRejection::NotFound);
    }
}

#[test]
fn a_suspended_tenant_can_be_resumed_or_closed_and_access_to_it_be_taken_away_and_nothing_else() {
    let history = || vec![created(), joined(ALICE, Role::Admin), invited(Role::Member), suspended()];
    for command in every_command() {
        let test = tenants().given(history()).when(command.clone());
        match command {
            TenantCommand::Resume => test.then_expect_events(vec![TenantEvent::Resumed {}]),
            TenantCommand::Close => test.then_expect_events(vec![TenantEvent::Closed {}]),
            TenantCommand::RemoveMember { user, .. } | TenantCommand::Leave { user } => {
                test.then_expect_events(vec![TenantEvent::MemberRemoved { user }]);
            }
            TenantCommand::WithdrawInvitation { invitation, .. } => {
                test.then_expect_events(vec![TenantEvent::InvitationWithdrawn { invitation }]);
            }
            _ => test.then_expect_error(TenantRejection::Suspended),
        }
    }
}

#[test]
fn a_resumed_tenant_is_as_it_was() {
    let (code, scale) = usd(2);
    tenants()
        .given(vec![created(), suspended(), TenantEvent::Resumed {}])
        .when(TenantCommand::RegisterAsset { code: code.clone(), scale })
        .then_expect_events(vec![TenantEvent::AssetRegistered { code, scale }]);
    tenants()
        .given(vec![created()])
        .when(TenantCommand::Resume)
        .then_expect_error(TenantRejection::NotSuspended);
}

#[test]
fn a_closed_tenant_refuses_everything_also_if_it_was_suspended_before() {
    for before in [None, Some(suspended())] {
        for command in every_command() {
            let history = [Some(created()), before.clone(), Some(TenantEvent::Closed {})];
            let history = history.into_iter().flatten().collect();
            tenants().given(history).when(command).then_expect_error(TenantRejection::Closed);
        }
    }
}

#[test]
fn a_profile_changes_in_what_is_named_and_a_domain_can_be_given_up() {
    let mut tenant = Tenant::default();
    tenant.apply(created());
    let domain = DomainName::new("ledger.acme.example").unwrap();
    let colour = Colour::new("#102030").unwrap();
    let branding = Branding { primary_colour: Some(colour), ..Branding::default() };
    tenant.apply(TenantEvent::ProfileChanged(ProfileChange {
        name: None,
        domain: Change::Set(domain.clone()),
        branding: Some(branding.clone()),
    }));
    assert_eq!((tenant.name.as_str(), tenant.domain.as_ref()), ("Acme", Some(&domain)));
    tenant.apply(TenantEvent::ProfileChanged(ProfileChange {
        name: Some(TenantName::new("Zeta").unwrap()),
        domain: Change::Clear,
        branding: None,
    }));
    assert_eq!((tenant.name.as_str(), tenant.domain.as_ref()), ("Zeta", None));
    assert_eq!(*tenant.branding, branding);
    tenants()
        .given(vec![created()])
        .when(TenantCommand::ChangeProfile(ProfileChange::default()))
        .then_expect_error(TenantRejection::NothingToChange);
}

#[test]
fn the_last_owner_stays_its_owner() {
    let by = Role::Superadmin;
    let departures = [
        TenantCommand::Leave { user: ALICE },
        TenantCommand::RemoveMember { user: ALICE, by },
        TenantCommand::ChangeMemberRole { user: ALICE, role: Role::Admin, by },
    ];
    for command in departures {
        let one = vec![created(), joined(ALICE, Role::Owner), joined(BOB, Role::Admin)];
        tenants().given(one).when(command.clone()).then_expect_error(TenantRejection::LastOwner);
        let locked = vec![created(), joined(ALICE, Role::Owner), joined(BOB, Role::Admin), suspended()];
        let result = tenants().given(locked).when(command.clone()).inspect_result();
        assert!(result.is_err(), "also while it is suspended: {result:?}");
        let two = vec![created(), joined(ALICE, Role::Owner), joined(BOB, Role::Owner)];
        let result = tenants().given(two).when(command).inspect_result();
        assert!(result.is_ok(), "{result:?}");
    }
}

#[test]
fn an_admin_cannot_touch_owners_nor_make_them() {
    let by = Role::Admin;
    let refused = TenantRejection::RoleNotGoverned(Role::Owner);
    for command in [
        TenantCommand::RemoveMember { user: ALICE, by },
        TenantCommand::ChangeMemberRole { user: ALICE, role: Role::Viewer, by },
        TenantCommand::ChangeMemberRole { user: BOB, role: Role::Owner, by },
        TenantCommand::AddMember { user: UserId(Uuid::from_u128(9)), role: Role::Owner, by },
        invite(Role::Owner, by, later(60)),
    ] {
        let history = vec![created(), joined(ALICE, Role::Owner), joined(BOB, Role::Admin)];
        tenants().given(history).when(command).then_expect_error(refused.clone());
    }
    tenants().given(vec![created(), invited(Role::Owner)]).when(withdraw(by)).then_expect_error(refused);
}

#[test]
fn nobody_becomes_a_superadmin_by_being_a_member() {
    for command in [
        TenantCommand::AddMember { user: BOB, role: Role::Superadmin, by: Role::Superadmin },
        TenantCommand::ChangeMemberRole { user: ALICE, role: Role::Superadmin, by: Role::Superadmin },
        invite(Role::Superadmin, Role::Superadmin, later(60)),
    ] {
        tenants()
            .given(vec![created(), joined(ALICE, Role::Admin)])
            .when(command)
            .then_expect_error(TenantRejection::RoleNotGoverned(Role::Superadmin));
    }
}

#[test]
fn a_membership_begins_once_and_changes_to_something_else() {
    let by = Role::Owner;
    let history = || vec![created(), joined(ALICE, Role::Viewer)];
    tenants()
        .given(history())
        .when(TenantCommand::AddMember { user: ALICE, role: Role::Admin, by })
        .then_expect_error(TenantRejection::MemberExists);
    tenants()
        .given(history())
        .when(TenantCommand::ChangeMemberRole { user: ALICE, role: Role::Viewer, by })
        .then_expect_error(TenantRejection::RoleUnchanged(Role::Viewer));
    for command in [
        TenantCommand::ChangeMemberRole { user: BOB, role: Role::Viewer, by },
        TenantCommand::RemoveMember { user: BOB, by },
        TenantCommand::Leave { user: BOB },
    ] {
        tenants().given(history()).when(command).then_expect_error(TenantRejection::MemberNotFound);
    }
}

#[test]
fn an_invitation_makes_a_member_in_the_role_it_offers_once() {
    let accepted = TenantEvent::InvitationAccepted { invitation: LETTER, user: BOB, role: Role::Member };
    let history = || vec![created(), invited(Role::Member)];
    tenants().given(history()).when(accept("0f")).then_expect_events(vec![accepted.clone()]);
    let mut used = history();
    used.push(accepted);
    let mut tenant = Tenant::default();
    used.iter().cloned().for_each(|event| tenant.apply(event));
    assert_eq!(tenant.members.get(&BOB), Some(&Role::Member));
    for command in [accept("0f"), withdraw(Role::Owner)] {
        tenants().given(used.clone()).when(command).then_expect_error(TenantRejection::InvitationAccepted);
    }
    tenants()
        .given(used)
        .when(invite(Role::Member, Role::Owner, later(60)))
        .then_expect_error(TenantRejection::InvitationExists);
}

#[test]
fn an_invitation_says_nothing_to_whoever_has_another_token() {
    for history in [vec![created()], vec![created(), invited(Role::Owner)]] {
        tenants().given(history).when(accept("00")).then_expect_error(TenantRejection::InvitationNotFound);
    }
}

#[test]
fn an_invitation_ends_when_it_is_withdrawn_or_its_time_is_over() {
    let withdrawn = TenantEvent::InvitationWithdrawn { invitation: LETTER };
    tenants()
        .given(vec![created(), invited(Role::Member)])
        .when(withdraw(Role::Admin))
        .then_expect_events(vec![withdrawn.clone()]);
    for command in [accept("0f"), withdraw(Role::Owner)] {
        tenants()
            .given(vec![created(), invited(Role::Member), withdrawn.clone()])
            .when(command)
            .then_expect_error(TenantRejection::InvitationWithdrawn);
    }
    for (moment, refused) in [(59, false), (60, true)] {
        let result = TestFramework::<Tenant>::with(Moment(later(moment)))
            .given(vec![created(), invited(Role::Member)])
            .when(accept("0f"))
            .inspect_result();
        assert_eq!(result.err(), refused.then_some(TenantRejection::InvitationExpired), "at {moment}");
    }
    tenants()
        .given(vec![created()])
        .when(invite(Role::Member, Role::Owner, later(0)))
        .then_expect_error(TenantRejection::InvitationExpired);
}

#[test]
fn a_member_needs_no_invitation() {
    tenants()
        .given(vec![created(), joined(BOB, Role::Viewer), invited(Role::Owner)])
        .when(accept("0f"))
        .then_expect_error(TenantRejection::MemberExists);
}

#[test]
fn a_tenant_has_room_for_so_many_and_no_more() {
    let mut full = Tenant::default();
    full.apply(created());
    let ids = |count: usize| (100..).take(count).map(Uuid::from_u128);
    ids(MAX_MEMBERS).for_each(|id| full.apply(joined(UserId(id), Role::Viewer)));
    for id in ids(MAX_INVITATIONS) {
        full.apply(TenantEvent::Invited {
            invitation: InvitationId(id),
            email: Sealed::new("s1.abc").unwrap(),
            role: Role::Viewer,
            expires_at: later(60),
            digest: digest("0f"),
        });
    }
    let add = TenantCommand::AddMember { user: BOB, role: Role::Viewer, by: Role::Owner };
    assert_eq!(full.decide(add, later(0)), Err(TenantRejection::TooManyMembers));
    let one_more = invite(Role::Viewer, Role::Owner, later(100));
    assert_eq!(full.decide(one_more.clone(), later(59)), Err(TenantRejection::TooManyInvitations));
    assert!(full.decide(one_more, later(60)).is_ok(), "those that have expired make room");
}

#[test]
fn a_snapshot_from_before_there_were_members_is_an_active_tenant_without_any() {
    let old = r#"{"slug":"acme","name":"Acme","assets":{"USD":2}}"#;
    let tenant: Tenant = serde_json::from_str(old).unwrap();
    let mut folded = Tenant::default();
    let (code, scale) = usd(2);
    folded.apply(created());
    folded.apply(TenantEvent::AssetRegistered { code, scale });
    assert_eq!(tenant, folded);
    assert_eq!(tenant.writable(), Ok(()));
}
