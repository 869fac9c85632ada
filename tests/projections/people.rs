//! People and programs: what the read models say of users, members, invitations, applications and API keys.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use commands::Command;
use counterfoil::system::SystemIds;
use domain::application::{
    ApplicationChange, ApplicationCommand, ApplicationStatus, Details, Environment, IssuedKey, Replacement,
    Scope,
};
use domain::tenant::{Branding, ProfileChange, TenantCommand, TenantStatus};
use domain::user::{PersonalChange, Receipt, SignInMethod, UserCommand, UserStatus};
use domain::{
    ApplicationId, Change, Digest, DomainName, Ids as _, InvitationId, KeyId, Label, PublicId, Reason, Role,
    Sealed, SessionId, SubjectId, TenantId, TenantName, UserId, WebAddress,
};
use journal::Role as As;
use projections::{InvitationStatus, Kind, VerifyError, rebuild, verify};
use uuid::Uuid;

use crate::support::Database;
use crate::support::ledger::{Ledger, transfer};
use crate::world::{Running, assert_verified, caught_up, head, neighbour, verifier};

const TICK: Duration = Duration::from_millis(50);

pub fn sealed(text: &str) -> Sealed {
    Sealed::new(&format!("s1.{text}")).unwrap()
}

pub fn digest(id: Uuid) -> Digest {
    Digest::new(&format!("{0}{0}", id.simple())).unwrap()
}

pub fn public_id(key: KeyId) -> PublicId {
    PublicId::new(&key.0.simple().to_string()).unwrap()
}

/// The platform's own streams on the ledger's database.
pub async fn platform(ledger: &Ledger) -> Ledger {
    let mut platform = ledger.restarted().await;
    platform.tenant = TenantId::PLATFORM;
    platform
}

/// Everybody and everything that was made.
pub struct Made {
    pub alice: UserId,
    pub bob: UserId,
    pub carol: UserId,
    pub dave: UserId,
    pub accepted: InvitationId,
    pub withdrawn: InvitationId,
    pub open: InvitationId,
    pub shop: ApplicationId,
    pub old: ApplicationId,
    /// Rotated, revoked, in the place of the rotated one, of the archived application.
    pub keys: [KeyId; 4],
}

async fn ask(ledger: &Ledger, commands: Vec<Command>) {
    let commands = commands.into_iter().map(|command| (command, None)).collect();
    for outcome in ledger.run_all(commands).await {
        outcome.unwrap();
    }
}

fn of_user(id: UserId, command: UserCommand) -> Command {
    Command::User { id, command }
}

pub async fn register(platform: &Ledger, name: &str) -> UserId {
    let id = UserId(SystemIds.next());
    let (email, locale) = (sealed(&format!("{name}-email")), Some(sealed("en")));
    let register = UserCommand::Register { email, name: sealed(name), locale };
    ask(platform, vec![of_user(id, register)]).await;
    id
}

/// Something of everything that can happen to people and programs of the ledger's tenant.
pub async fn company(ledger: &Ledger, platform: &Ledger) -> Made {
    let (alice, bob) = (register(platform, "alice").await, register(platform, "bob").await);
    let (carol, dave) = (register(platform, "carol").await, register(platform, "dave").await);
    users(platform, alice, bob, carol, dave).await;
    let (accepted, withdrawn, open) = members(ledger, [alice, bob, carol, dave]).await;
    let (shop, old, keys) = programs(ledger).await;
    Made { alice, bob, carol, dave, accepted, withdrawn, open, shop, old, keys }
}

async fn users(platform: &Ledger, alice: UserId, bob: UserId, carol: UserId, dave: UserId) {
    let session = SessionId(SystemIds.next());
    let issuer = |host: &str| WebAddress::new(&format!("https://{host}.example")).unwrap();
    let link = |host: &str| UserCommand::LinkIdentity { issuer: issuer(host), subject: sealed("subject") };
    let more = PersonalChange {
        avatar: Change::Set(sealed("avatar")),
        preferences: Change::Set(sealed("preferences")),
        ..PersonalChange::default()
    };
    let less =
        PersonalChange { name: Some(sealed("alice2")), locale: Change::Clear, ..PersonalChange::default() };
    let reason = Reason::new("under review").unwrap();
    ask(
        platform,
        vec![
            of_user(alice, UserCommand::VerifyEmail),
            of_user(alice, UserCommand::ChangeProfile(more)),
            of_user(alice, UserCommand::ChangeProfile(less)),
            of_user(alice, UserCommand::SignIn { session, method: SignInMethod::Password }),
            of_user(alice, UserCommand::EnableSecondFactor),
            of_user(alice, link("one")),
            of_user(alice, link("two")),
            of_user(alice, UserCommand::UnlinkIdentity { issuer: issuer("one") }),
            of_user(bob, UserCommand::Suspend { reason }),
            of_user(carol, UserCommand::GrantSuperadmin),
        ],
    )
    .await;
    ask(platform, vec![of_user(alice, UserCommand::SignOut { session })]).await;
    let receipt = Receipt {
        id: SystemIds.next(),
        erased_at: platform.clock.get(),
        subjects: vec![SubjectId::from(dave)],
    };
    ask(platform, vec![of_user(dave, link("one")), of_user(dave, UserCommand::Erase { receipt })]).await;
}

async fn members(
    ledger: &Ledger,
    [alice, bob, carol, dave]: [UserId; 4],
) -> (InvitationId, InvitationId, InvitationId) {
    let add = |user, role, by| Command::Tenant(TenantCommand::AddMember { user, role, by });
    let remove = |user| Command::Tenant(TenantCommand::RemoveMember { user, by: Role::Owner });
    let (accepted, withdrawn, open) = (SystemIds.next(), SystemIds.next(), SystemIds.next());
    let invite = |id: Uuid| {
        Command::Tenant(TenantCommand::Invite {
            invitation: InvitationId(id),
            email: sealed("invited"),
            role: Role::Auditor,
            expires_at: ledger.clock.get() + TimeDelta::days(7),
            digest: digest(id),
            by: Role::Owner,
        })
    };
    let withdraw = Command::Tenant(TenantCommand::WithdrawInvitation {
        invitation: InvitationId(withdrawn),
        by: Role::Owner,
    });
    let accept = Command::Tenant(TenantCommand::AcceptInvitation {
        invitation: InvitationId(accepted),
        user: carol,
        digest: digest(accepted),
    });
    ask(
        ledger,
        vec![
            add(alice, Role::Owner, Role::Superadmin),
            add(bob, Role::Member, Role::Owner),
            add(dave, Role::Viewer, Role::Owner),
            remove(dave),
            add(dave, Role::Member, Role::Owner),
            invite(withdrawn),
            invite(open),
            withdraw,
            invite(accepted),
        ],
    )
    .await;
    ledger.clock.advance(TimeDelta::minutes(1));
    let promote = TenantCommand::ChangeMemberRole { user: bob, role: Role::Admin, by: Role::Owner };
    ask(ledger, vec![Command::Tenant(promote), remove(dave), accept]).await;
    let reason = Reason::new("unpaid").unwrap();
    let profile = ProfileChange {
        name: Some(TenantName::new("Acme & Sons").unwrap()),
        domain: Change::Set(DomainName::new("ledger.acme.example").unwrap()),
        branding: Some(Branding {
            logo: Some(WebAddress::new("https://acme.example/logo.svg").unwrap()),
            ..Branding::default()
        }),
    };
    ask(
        ledger,
        vec![
            Command::Tenant(TenantCommand::ChangeProfile(profile)),
            Command::Tenant(TenantCommand::Suspend { reason }),
            Command::Tenant(TenantCommand::Resume),
        ],
    )
    .await;
    (InvitationId(accepted), InvitationId(withdrawn), InvitationId(open))
}

async fn programs(ledger: &Ledger) -> (ApplicationId, ApplicationId, [KeyId; 4]) {
    let (shop, old) = (ApplicationId(SystemIds.next()), ApplicationId(SystemIds.next()));
    let keys = [(); 4].map(|()| KeyId(SystemIds.next()));
    let of = |id, command| Command::Application { id, command };
    let details = |name: &str| Details { name: Label::new(name).unwrap(), ..Details::default() };
    let issue = |key: KeyId, addresses: &[&str]| {
        ApplicationCommand::IssueKey(IssuedKey {
            key,
            public_id: public_id(key),
            environment: Environment::Live,
            digest: digest(key.0),
            scopes: BTreeSet::from([Scope::Read, Scope::Transact]),
            expires_at: Some(ledger.clock.get() + TimeDelta::days(90)),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        })
    };
    let change = ApplicationChange {
        category: Change::Set(Label::new("sales").unwrap()),
        ..ApplicationChange::default()
    };
    ask(
        ledger,
        vec![
            of(shop, ApplicationCommand::Create(details("Shop"))),
            of(shop, issue(keys[0], &[])),
            of(shop, issue(keys[1], &["192.0.2.0/24", "2001:db8::1"])),
            of(old, ApplicationCommand::Create(details("Old"))),
            of(old, issue(keys[3], &[])),
        ],
    )
    .await;
    ledger.clock.advance(TimeDelta::minutes(1));
    let replacement = Replacement {
        key: keys[2],
        public_id: public_id(keys[2]),
        digest: digest(keys[2].0),
        expires_at: Change::Clear,
    };
    let until = ledger.clock.get() + TimeDelta::hours(1);
    ask(
        ledger,
        vec![
            of(shop, ApplicationCommand::Change(change)),
            of(shop, ApplicationCommand::RotateKey { key: keys[0], replacement, until }),
            of(shop, ApplicationCommand::RevokeKey { key: keys[1] }),
            of(old, ApplicationCommand::Archive),
        ],
    )
    .await;
    (shop, old, keys)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_programs_are_as_their_events_say_in_small_batches_and_in_one() {
    let ledger = Ledger::with_cache(1_000).await;
    let platform = platform(&ledger).await;
    // Followed command by command.
    let running = Running::start(&ledger, None, TICK).await;
    company(&ledger, &platform).await;
    caught_up(&ledger).await;
    assert_verified(&ledger).await;
    running.stop().await;
    // Caught up with.
    let other = neighbour(&ledger, true).await;
    company(&other, &platform).await;
    let running = Running::start(&ledger, None, TICK).await;
    caught_up(&ledger).await;
    assert_verified(&ledger).await;
    running.stop().await;
    // And once more in the largest batches.
    for kind in [Kind::Tenants, Kind::Users, Kind::Applications] {
        let report = rebuild(kind, ledger.database.options(), &ledger.journal, |_| {}).await.unwrap();
        assert_eq!((report.differences, report.not_compared), (vec![], None), "{kind:?}");
        assert!(report.rows.iter().all(|(_, rows)| *rows > 0), "{:?}", report.rows);
    }
    assert_verified(&ledger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_answer_about_people() {
    let ledger = Ledger::with_cache(1_000).await;
    let platform = platform(&ledger).await;
    let began = ledger.clock.get();
    let made = company(&ledger, &platform).await;
    let running = Running::start(&ledger, None, TICK).await;
    let reader = running.reader(&ledger).await;
    for wanted in [head(&ledger).await, head(&platform).await] {
        reader.wait(wanted, Duration::from_secs(60)).await.unwrap();
    }

    let alice = reader.user(made.alice).profile().await.unwrap();
    assert_eq!(alice.position, head(&platform).await);
    let alice = alice.value.unwrap();
    assert_eq!((&alice.email, &alice.name), (&Some(sealed("alice-email")), &Some(sealed("alice2"))));
    assert_eq!((&alice.avatar, &alice.locale), (&Some(sealed("avatar")), &None));
    assert_eq!(alice.preferences, Some(sealed("preferences")));
    assert_eq!((alice.status, alice.last_sign_in), (UserStatus::Active, Some(began)));
    assert_eq!((alice.verified, alice.superadmin, alice.second_factor), (true, false, true));
    assert_eq!(alice.issuers, ["https://two.example"]);
    let dave = reader.user(made.dave).profile().await.unwrap().value.unwrap();
    assert_eq!((dave.status, dave.email, dave.name, dave.locale), (UserStatus::Erased, None, None, None));
    assert!(dave.issuers.is_empty());
    assert_eq!(reader.user(UserId(SystemIds.next())).profile().await.unwrap().value, None);

    let everybody = reader.platform().users(None, 10).await.unwrap().value;
    let ids: Vec<UserId> = everybody.iter().map(|user| user.id).collect();
    assert_eq!(ids, [made.alice, made.bob, made.carol, made.dave]);
    assert!(everybody[2].superadmin && everybody[1].status == UserStatus::Suspended);
    let rest = reader.platform().users(Some(made.bob), 1).await.unwrap().value;
    assert_eq!(rest, everybody[2..3]);

    let questions = reader.tenant(ledger.tenant);
    let members = questions.members(None, 10).await.unwrap();
    assert_eq!(members.position, head(&ledger).await);
    let members: BTreeMap<UserId, _> =
        members.value.into_iter().map(|member| (member.user, member)).collect();
    let roles: Vec<_> = members.values().map(|member| (member.user, member.role)).collect();
    assert_eq!(roles, [(made.alice, Role::Owner), (made.bob, Role::Admin), (made.carol, Role::Auditor)]);
    assert_eq!(members[&made.bob].since, began, "a new role is no new membership");
    assert_eq!(members[&made.carol].since, began + TimeDelta::minutes(1));
    assert_eq!(members[&made.alice].email, Some(sealed("alice-email")));
    assert_eq!(members[&made.carol].name, Some(sealed("carol")));
    let page = questions.members(Some(made.alice), 1).await.unwrap().value;
    assert_eq!(page, [members[&made.bob].clone()]);
    assert_eq!(questions.member(made.bob).await.unwrap().value.as_ref(), Some(&members[&made.bob]));
    assert_eq!(questions.member(made.dave).await.unwrap().value, None);

    let status = |found: &[projections::InvitationView]| {
        found.iter().map(|invitation| (invitation.id, invitation.status)).collect::<Vec<_>>()
    };
    let all = [
        (made.accepted, InvitationStatus::Accepted),
        (made.withdrawn, InvitationStatus::Withdrawn),
        (made.open, InvitationStatus::Open),
    ];
    let invitations = questions.invitations(None, 10).await.unwrap().value;
    assert_eq!(status(&invitations), all);
    assert_eq!(status(&questions.invitations(Some(all[0].0), 1).await.unwrap().value), all[1..2]);
    assert_eq!(questions.invitation(made.open).await.unwrap().value.unwrap(), invitations[2]);
    assert_eq!(invitations[2].email, sealed("invited"));

    let presented = reader.presented_invitation(&digest(made.open.0)).await.unwrap().unwrap();
    assert_eq!((presented.tenant, presented.slug.as_str()), (ledger.tenant, "acme"));
    assert_eq!((presented.name.as_str(), presented.tenant_status), ("Acme & Sons", TenantStatus::Active));
    assert_eq!(presented.invitation, invitations[2]);
    assert_eq!(reader.presented_invitation(&digest(SystemIds.next())).await.unwrap(), None);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_told_of_every_tenant_they_belong_to_and_of_no_other() {
    let ledger = Ledger::with_cache(1_000).await;
    let (near, far) = (neighbour(&ledger, true).await, neighbour(&ledger, false).await);
    let platform = platform(&ledger).await;
    let made = company(&ledger, &platform).await;
    let add = |user, role| Command::Tenant(TenantCommand::AddMember { user, role, by: Role::Superadmin });
    ask(&near, vec![add(made.bob, Role::Owner)]).await;
    ask(&far, vec![add(made.alice, Role::Owner), add(made.bob, Role::Viewer)]).await;
    ask(&far, vec![Command::Tenant(TenantCommand::Close)]).await;
    let running = Running::start(&ledger, None, TICK).await;
    caught_up(&ledger).await;
    let reader = running.reader(&ledger).await;

    let mut expected = vec![
        (ledger.tenant, Role::Admin, TenantStatus::Active),
        (near.tenant, Role::Owner, TenantStatus::Active),
        (far.tenant, Role::Viewer, TenantStatus::Closed),
    ];
    let found = reader.user(made.bob).memberships().await.unwrap();
    assert!(found.is_sorted_by_key(|membership| &membership.slug));
    assert_eq!(found[0].domain.as_deref(), Some("ledger.acme.example"));
    let mut facts: Vec<_> = found.iter().map(|one| (one.tenant, one.role, one.status)).collect();
    expected.sort_by_key(|one| one.0);
    facts.sort_by_key(|one| one.0);
    assert_eq!(facts, expected);
    for membership in found {
        let one = reader.user(made.bob).membership(membership.tenant).await.unwrap();
        assert_eq!(one, Some(membership));
    }
    assert_eq!(reader.user(made.alice).memberships().await.unwrap().len(), 2);
    assert_eq!(reader.user(made.alice).membership(near.tenant).await.unwrap(), None);
    assert_eq!(reader.user(made.dave).memberships().await.unwrap(), []);
    let platforms = reader.user(made.carol).membership(TenantId::PLATFORM).await.unwrap();
    assert_eq!(platforms, None, "nobody is a member of the platform");

    let profile = reader.tenant(ledger.tenant).profile().await.unwrap().value.unwrap();
    assert_eq!((profile.slug.as_str(), profile.name.as_str()), ("acme", "Acme & Sons"));
    assert_eq!(profile.branding.logo.unwrap().as_str(), "https://acme.example/logo.svg");
    assert_eq!(profile.status, TenantStatus::Active);
    let directory = reader.platform().tenants(None, 10).await.unwrap();
    let closed: Vec<_> =
        directory.iter().filter(|one| one.status == TenantStatus::Closed).map(|one| one.id).collect();
    assert_eq!(closed, [far.tenant.0]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_found_by_its_public_half_with_what_became_of_it() {
    let ledger = Ledger::with_cache(1_000).await;
    let made = company(&ledger, &platform(&ledger).await).await;
    let running = Running::start(&ledger, None, TICK).await;
    caught_up(&ledger).await;
    let reader = running.reader(&ledger).await;
    let questions = reader.tenant(ledger.tenant);
    let now = ledger.clock.get();

    let applications = questions.applications(None, 10).await.unwrap().value;
    let ids: Vec<_> = applications.iter().map(|one| (one.id, one.status)).collect();
    assert_eq!(ids, [(made.shop, ApplicationStatus::Active), (made.old, ApplicationStatus::Archived)]);
    assert_eq!(applications[0].details.name.as_str(), "Shop");
    assert_eq!(applications[0].details.category.as_ref().map(Label::as_str), Some("sales"));
    assert_eq!(questions.application(made.old).await.unwrap().value.as_ref(), Some(&applications[1]));
    assert_eq!(questions.applications(Some(made.shop), 1).await.unwrap().value, applications[1..]);
    assert_eq!(questions.application(ApplicationId(SystemIds.next())).await.unwrap().value, None);

    let keys = questions.keys(made.shop, None, 10).await.unwrap().value.unwrap();
    let ids: Vec<KeyId> = keys.iter().map(|key| key.id).collect();
    assert_eq!(ids, made.keys[..3]);
    assert_eq!(keys[0].expires_at, Some(now + TimeDelta::hours(1)), "the rotated one lives on for a while");
    assert_eq!(keys[1].revoked_at, Some(now));
    let addresses: Vec<String> = keys[1].addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["192.0.2.0/24", "2001:db8::1"]);
    assert_eq!((keys[2].expires_at, keys[2].revoked_at), (None, None));
    assert_eq!(keys[2].scopes, BTreeSet::from([Scope::Read, Scope::Transact]));
    assert_eq!(questions.keys(made.shop, Some(ids[0]), 1).await.unwrap().value.unwrap(), keys[1..2]);
    let archived = questions.keys(made.old, None, 10).await.unwrap().value.unwrap();
    assert!(archived.iter().all(|key| key.revoked_at.is_some()) && archived.len() == 1);
    assert_eq!(questions.keys(ApplicationId(SystemIds.next()), None, 1).await.unwrap().value, None);

    for (key, application) in made.keys.into_iter().zip([made.shop, made.shop, made.shop, made.old]) {
        let presented = reader.presented_key(&public_id(key)).await.unwrap().unwrap();
        assert_eq!((presented.tenant, presented.slug.as_str()), (ledger.tenant, "acme"));
        assert_eq!((presented.digest, presented.key.application), (digest(key.0), application));
        assert_eq!(presented.tenant_status, TenantStatus::Active);
        let listed = questions.keys(application, None, 10).await.unwrap().value.unwrap();
        assert!(listed.contains(&presented.key));
    }
    assert_eq!(reader.presented_key(&public_id(KeyId(SystemIds.next()))).await.unwrap(), None);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_ends_when_the_journal_says_so_however_far_behind_the_read_model_is() {
    let ledger = Ledger::with_cache(1_000).await;
    let made = company(&ledger, &platform(&ledger).await).await;
    let running = Running::start(&ledger, None, TICK).await;
    caught_up(&ledger).await;
    let reader = running.reader(&ledger).await;
    running.stop().await;
    let (live, now) = (made.keys[2], ledger.clock.get());
    let presented = async || reader.presented_key(&public_id(live)).await.unwrap().unwrap().key;
    assert_eq!((presented().await.expires_at, presented().await.revoked_at), (None, None));
    let of_shop = |command| Command::Application { id: made.shop, command };
    let new = KeyId(SystemIds.next());
    let replacement =
        Replacement { key: new, public_id: public_id(new), digest: digest(new.0), expires_at: Change::Keep };
    let until = now + TimeDelta::minutes(30);
    ask(&ledger, vec![of_shop(ApplicationCommand::RotateKey { key: live, replacement, until })]).await;
    assert_eq!((presented().await.expires_at, presented().await.revoked_at), (Some(until), None));
    ask(&ledger, vec![of_shop(ApplicationCommand::RevokeKey { key: live })]).await;
    assert!(presented().await.revoked_at.is_some());
    let other = reader.presented_key(&public_id(made.keys[0])).await.unwrap().unwrap().key;
    assert_eq!(other.revoked_at, None, "another key of the application goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_two_tenants_is_nobodys() {
    let ledger = Ledger::with_cache(1_000).await;
    let far = neighbour(&ledger, false).await;
    let key = KeyId(SystemIds.next());
    for tenant in [&ledger, &far] {
        let id = ApplicationId(SystemIds.next());
        let details = Details { name: Label::new("A").unwrap(), ..Details::default() };
        let issued = IssuedKey {
            key,
            public_id: public_id(key),
            environment: Environment::Test,
            digest: digest(key.0),
            scopes: BTreeSet::from([Scope::Read]),
            expires_at: None,
            addresses: BTreeSet::new(),
        };
        ask(tenant, vec![Command::Application { id, command: ApplicationCommand::Create(details) }]).await;
        ask(tenant, vec![Command::Application { id, command: ApplicationCommand::IssueKey(issued) }]).await;
        let running = Running::start(&ledger, None, TICK).await;
        caught_up(&ledger).await;
        let found = running.reader(&ledger).await.presented_key(&public_id(key)).await.unwrap();
        assert_eq!(found.is_some(), tenant.tenant == ledger.tenant);
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_row_of_people_or_programs_is_found_and_repaired() {
    let ledger = Ledger::with_cache(1_000).await;
    company(&ledger, &platform(&ledger).await).await;
    let running = Running::start(&ledger, None, TICK).await;
    caught_up(&ledger).await;
    running.stop().await;
    let owner = ledger.database.pool(As::Owner, 1).await;
    for (kind, harm, named) in [
        (Kind::Tenants, "UPDATE views.tenants SET status = 'closed'", "tenant"),
        (Kind::Tenants, "UPDATE views.tenants SET domain = NULL", "tenant"),
        (Kind::Tenants, "UPDATE views.tenants SET branding = '{}'", "tenant"),
        (Kind::Tenants, "UPDATE views.members SET role = 'owner' WHERE role = 'auditor'", "member"),
        (Kind::Tenants, "UPDATE views.members SET since = since - interval '1 second'", "member"),
        (Kind::Tenants, "DELETE FROM views.members WHERE role = 'auditor'", "member"),
        (
            Kind::Tenants,
            "INSERT INTO views.members SELECT partition, tenant_id, gen_random_uuid(), 'owner', since
             FROM views.members LIMIT 1",
            "member",
        ),
        (
            Kind::Tenants,
            "UPDATE views.invitations SET status = 'open' WHERE status = 'withdrawn'",
            "invitation",
        ),
        (Kind::Tenants, "UPDATE views.invitations SET digest = reverse(digest)", "invitation"),
        (Kind::Users, "UPDATE views.users SET superadmin = true WHERE NOT superadmin", "user"),
        (Kind::Users, "UPDATE views.users SET status = 'active' WHERE status = 'suspended'", "user"),
        (Kind::Users, "UPDATE views.users SET issuers = issuers || '{https://evil.example}'", "user"),
        (Kind::Users, "DELETE FROM views.users WHERE status = 'erased'", "users"),
        (Kind::Applications, "UPDATE views.applications SET details = '{\"name\":\"x\"}'", "application"),
        (Kind::Applications, "UPDATE views.api_keys SET revoked_at = NULL", "key"),
        (Kind::Applications, "UPDATE views.api_keys SET scopes = '{administer}'", "key"),
        (Kind::Applications, "UPDATE views.api_keys SET expires_at = NULL", "key"),
        (Kind::Applications, "UPDATE views.api_keys SET addresses = '{}'", "key"),
        (Kind::Applications, "DELETE FROM views.api_keys WHERE revoked_at IS NOT NULL", "key"),
    ] {
        assert!(sqlx::query(harm).execute(&owner).await.unwrap().rows_affected() > 0, "{harm}");
        let verified = verify(&verifier(&ledger).await, &ledger.journal, |_| {}).await;
        let Err(VerifyError::Difference(difference)) = verified else { panic!("{harm}: {verified:?}") };
        assert!(difference.place.contains(named), "{harm}: {difference}");
        rebuild(kind, ledger.database.options(), &ledger.journal, |_| {}).await.unwrap();
        assert_verified(&ledger).await;
    }
}

/// Applies the migrations whose numbers begin with one of `numbers`, as any program would.
async fn apply(database: &Database, numbers: &[&str]) {
    let pool = journal::connect(database.options(), As::Owner, "public", 1).await.unwrap();
    let mut files: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            numbers.iter().any(|number| name.starts_with(number))
        })
        .collect();
    files.sort();
    assert_eq!(files.len(), numbers.len());
    for file in files {
        sqlx::raw_sql(&std::fs::read_to_string(&file).unwrap()).execute(&pool).await.unwrap();
    }
    pool.close().await;
}

/// What the program before this one made of the tenants in the journal: its statements, and its checkpoints.
const AS_BEFORE: &str = "
    INSERT INTO views.tenants (partition, tenant_id, slug, name, recorded_at)
        SELECT partition, tenant_id, payload->>'slug', payload->>'name', recorded_at FROM journal.events
        WHERE aggregate_type = 'tenant' AND event_type = 'created';
    INSERT INTO views.assets (partition, tenant_id, code, scale)
        SELECT partition, tenant_id, payload->>'code', (payload->>'scale')::integer FROM journal.events
        WHERE aggregate_type = 'tenant' AND event_type = 'asset_registered';
    INSERT INTO views.checkpoints SELECT 'tenants', partition, position FROM journal.heads;";

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_tenants_is_right_after_the_migration_and_under_the_program_before_it() {
    let database = Database::empty().await;
    apply(&database, &["0001", "0002"]).await;
    let owner = journal::connect(database.options(), As::Owner, "views", 1).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO journal.identity (database_id, partitions) VALUES (gen_random_uuid(), 4);
         INSERT INTO journal.heads (partition) SELECT generate_series(0, 3)",
    )
    .execute(&owner)
    .await
    .unwrap();
    let ledger = Ledger::created_on(database.clone(), 1_000).await;
    sqlx::raw_sql(AS_BEFORE).execute(&owner).await.unwrap();
    apply(&database, &["0003", "0004", "0007"]).await;
    // The program before this one goes on for a while, on the new schema.
    let other = neighbour(&ledger, false).await;
    sqlx::raw_sql(&format!("DELETE FROM tenants; DELETE FROM assets; DELETE FROM checkpoints; {AS_BEFORE}"))
        .execute(&owner)
        .await
        .unwrap();
    let running = Running::start(&ledger, None, TICK).await;
    caught_up(&ledger).await;
    assert_verified(&ledger).await;
    let reader = running.reader(&ledger).await;
    for tenant in [&ledger, &other] {
        let profile = reader.tenant(tenant.tenant).profile().await.unwrap().value.unwrap();
        assert_eq!((profile.status, profile.domain), (TenantStatus::Active, None));
        assert_eq!(profile.branding, Branding::default());
    }
    company(&ledger, &platform(&ledger).await).await;
    ledger.submit(transfer("@world", "a", "1.00")).await.unwrap();
    caught_up(&ledger).await;
    assert_verified(&ledger).await;
    running.stop().await;
}
