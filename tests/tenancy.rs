//! Tenants, users and applications in the pipeline, on a real Postgres: who may write, and what belongs to whom.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use chrono::TimeDelta;
use commands::{Command, Failure, Outcome, Resource, TransactionRequest};
use domain::application::{
    ApplicationChange, ApplicationCommand, ApplicationRejection, Details, Environment, IssuedKey,
    Replacement, Scope,
};
use domain::tenant::{TenantCommand, TenantRejection, TenantStatus};
use domain::transaction::TransactionStatus;
use domain::user::{SignInMethod, UserCommand, UserRejection};
use domain::{
    Application, ApplicationId, AssetCode, Change, Digest, KeyId, Label, Metadata, PublicId, Reason, Role,
    Scale, Sealed, SessionId, Slug, Tenant, TenantId, TenantName, TransactionId, User, UserId, WalletPath,
};
use support::ledger::{Ledger, amount, key, transfer};
use uuid::Uuid;

const ALICE: UserId = UserId(Uuid::from_u128(0xa11ce));
const SHOP: ApplicationId = ApplicationId(Uuid::from_u128(0x5409));

fn suspend() -> Command {
    Command::Tenant(TenantCommand::Suspend { reason: Reason::new("unpaid").unwrap() })
}

fn path(text: &str) -> WalletPath {
    WalletPath::new(text).unwrap()
}

fn wallet(text: &str) -> Command {
    let asset = AssetCode::new("USD").unwrap();
    Command::OpenWallet { path: path(text), asset, minimum: None, metadata: Metadata::default() }
}

fn digest() -> Digest {
    Digest::new(&"0f".repeat(32)).unwrap()
}

fn create_shop() -> Command {
    let details = Details { name: Label::new("Shop").unwrap(), ..Details::default() };
    Command::Application { id: SHOP, command: ApplicationCommand::Create(details) }
}

fn rename_shop() -> Command {
    let change =
        ApplicationChange { category: Change::Set(Label::new("shops").unwrap()), ..Default::default() };
    Command::Application { id: SHOP, command: ApplicationCommand::Change(change) }
}

fn issue(n: u128) -> Command {
    let issued = IssuedKey {
        key: KeyId(Uuid::from_u128(n)),
        public_id: PublicId::new(&format!("public{n:06}")).unwrap(),
        environment: Environment::Test,
        digest: digest(),
        scopes: [Scope::Read].into(),
        expires_at: None,
        addresses: [].into(),
    };
    Command::Application { id: SHOP, command: ApplicationCommand::IssueKey(issued) }
}

fn revoke(n: u128) -> Command {
    let key = KeyId(Uuid::from_u128(n));
    Command::Application { id: SHOP, command: ApplicationCommand::RevokeKey { key } }
}

fn register(id: UserId) -> Command {
    let sealed = |text: &str| Sealed::new(&format!("s1.{text}")).unwrap();
    let command = UserCommand::Register { email: sealed("email"), name: sealed("name"), locale: None };
    Command::User { id, command }
}

async fn platform(ledger: &Ledger) -> Ledger {
    let mut platform = ledger.restarted().await;
    platform.tenant = TenantId::PLATFORM;
    platform
}

fn tenant(outcome: Result<Outcome, Failure>) -> Tenant {
    match outcome.unwrap().resource {
        Resource::Tenant(_, tenant) => tenant,
        other => panic!("{other:?}"),
    }
}

fn user(outcome: Result<Outcome, Failure>) -> User {
    match outcome.unwrap().resource {
        Resource::User(_, user) => user,
        other => panic!("{other:?}"),
    }
}

fn application(outcome: Result<Outcome, Failure>) -> Application {
    match outcome.unwrap().resource {
        Resource::Application(_, application) => application,
        other => panic!("{other:?}"),
    }
}

fn refused(rejection: impl Into<commands::Rejection>) -> Result<Outcome, Failure> {
    Err(Failure::Rejected(rejection.into()))
}

async fn expiring(ledger: &Ledger) -> TransactionId {
    let expires_at = Some(ledger.clock.get() + TimeDelta::minutes(1));
    let hold = TransactionRequest { pending: true, expires_at, ..transfer("a", "b", "5.00") };
    ledger.transaction(hold).await.unwrap().0
}

/// Everything that can be asked of a ledger, in a form that would be accepted, but expiries.
fn every_ledger_command(posted: TransactionId, held: TransactionId) -> Vec<Command> {
    let adjustment = Some(Reason::new("goodwill").unwrap());
    vec![
        Command::RegisterAsset { code: AssetCode::new("EUR").unwrap(), scale: Scale::new(2).unwrap() },
        wallet("new"),
        Command::FreezeWallet { path: path("a") },
        Command::UnfreezeWallet { path: path("frozen") },
        Command::CloseWallet { path: path("empty") },
        Command::Transact(transfer("a", "b", "1.00")),
        Command::Transact(TransactionRequest { pending: true, ..transfer("a", "b", "1.00") }),
        Command::Transact(TransactionRequest { adjustment, ..transfer("a", "b", "1.00") }),
        Command::Settle { id: held, amounts: None },
        Command::Release { id: held },
        Command::Reverse { id: posted, amounts: None },
        create_shop(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_or_closed_tenant_refuses_every_command_of_its_ledger_but_expiries() {
    for (end, rejection) in [
        (suspend(), TenantRejection::Suspended),
        (Command::Tenant(TenantCommand::Close), TenantRejection::Closed),
    ] {
        let ledger = Ledger::funded(&["a", "frozen"]).await;
        ledger.run(wallet("empty"), None).await.unwrap();
        ledger.run(Command::FreezeWallet { path: path("frozen") }, None).await.unwrap();
        let posted = ledger.transaction(transfer("a", "b", "1.00")).await.unwrap().0;
        let held = expiring(&ledger).await;
        ledger.run(end, None).await.unwrap();
        let before = ledger.events().await.len();
        // Whoever remembers the tenant, and whoever has to load it.
        for writer in [&ledger, &ledger.restarted().await] {
            for command in every_ledger_command(posted, held) {
                let name = command.name();
                assert_eq!(writer.run(command, None).await, refused(rejection.clone()), "{name}");
            }
            let batch = Command::Batch(vec![transfer("a", "b", "1.00")]);
            let failure = writer.run(batch, None).await.unwrap_err();
            assert!(
                matches!(&failure, Failure::Rejected(why) if why.code() == rejection.code()),
                "{failure}"
            );
        }
        assert_eq!(ledger.events().await.len(), before, "what is refused is not recorded");

        ledger.clock.advance(TimeDelta::minutes(2));
        let expired = ledger.run(Command::Expire { id: held }, None).await.unwrap().resource;
        let Resource::Transactions(made) = expired else { panic!("{expired:?}") };
        assert_eq!(made[0].1.status, TransactionStatus::Expired);
        assert!(ledger.wallet("a").await.balance.held.is_zero());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_holds_for_what_comes_behind_it_in_the_same_batch_until_it_is_resumed() {
    let ledger = Ledger::funded(&["a"]).await;
    let post = || Command::Transact(transfer("a", "b", "1.00"));
    let batch = [post(), suspend(), post(), Command::Tenant(TenantCommand::Resume), post()];
    let answers = ledger.run_all(batch.into_iter().map(|command| (command, None)).collect()).await;
    assert_eq!(answers[2], refused(TenantRejection::Suspended));
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 4, "{answers:?}");
    assert_eq!(ledger.wallet("b").await.balance.posted, amount("2.00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_accepted_before_the_suspension_is_answered_as_then() {
    let ledger = Ledger::funded(&["a"]).await;
    let post = || Command::Transact(transfer("a", "b", "1.00"));
    let first = ledger.run(post(), key("k", "post")).await.unwrap();
    ledger.run(suspend(), None).await.unwrap();
    let again = ledger.restarted().await.run(post(), key("k", "post")).await.unwrap();
    assert_eq!(again, Outcome { replayed: true, ..first });
    assert_eq!(ledger.run(post(), key("l", "post")).await, refused(TenantRejection::Suspended));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_begins_with_its_owner_in_one_append_and_the_answer_is_the_same_again() {
    let mut ledger = Ledger::with_cache(1_000).await;
    let slug = Slug::new("owned").unwrap();
    ledger.tenant = TenantId::of(&slug);
    let name = TenantName::new("Owned").unwrap();
    let create = || Command::CreateTenant { slug: slug.clone(), name: name.clone(), owner: Some(ALICE) };
    let first = ledger.run(create(), key("k", "create")).await.unwrap();
    let events = ledger.events().await;
    let ours: Vec<_> = events.iter().filter(|event| event.text.tenant_id == ledger.tenant.0).collect();
    let kinds: Vec<_> = ours.iter().map(|event| event.text.event_type.as_str()).collect();
    assert_eq!(kinds, ["created", "member_added"]);
    assert_eq!(ours[0].text.command_id, ours[1].text.command_id);
    let mut restarted = ledger.restarted().await;
    restarted.tenant = ledger.tenant;
    let again = restarted.run(create(), key("k", "create")).await.unwrap();
    assert_eq!(again, Outcome { replayed: true, ..first });
    let made = tenant(Ok(again));
    assert_eq!(made.members.get(&ALICE), Some(&Role::Owner));
    assert_eq!(made.status, TenantStatus::Active);
    let leave = Command::Tenant(TenantCommand::Leave { user: ALICE });
    assert_eq!(ledger.run(leave, None).await, refused(TenantRejection::LastOwner));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_the_platforms_and_no_tenant_finds_one() {
    let ledger = Ledger::with_cache(1_000).await;
    let platform = platform(&ledger).await;
    assert_eq!(ledger.run(register(ALICE), None).await, refused(UserRejection::NotFound));
    let first = platform.run(register(ALICE), key("k", "register")).await.unwrap();
    let session = SessionId(Uuid::from_u128(9));
    let sign_in = || Command::User {
        id: ALICE,
        command: UserCommand::SignIn { session, method: SignInMethod::Password },
    };
    let signed_in = user(platform.run(sign_in(), None).await);
    assert_eq!(signed_in.last_sign_in, Some(platform.clock.get()));
    assert_eq!(ledger.run(sign_in(), None).await, refused(UserRejection::NotFound));
    let again = platform.run(register(ALICE), key("k", "register")).await.unwrap();
    assert_eq!(again, Outcome { replayed: true, ..first }, "as it was then, not as it is now");
    let events = platform.events().await;
    let ours = events.iter().filter(|event| event.text.aggregate_id == ALICE.0);
    assert!(ours.clone().all(|event| event.text.tenant_id == TenantId::PLATFORM.0));
    assert_eq!(ours.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_users_is_on_the_platform() {
    let platform = platform(&Ledger::with_cache(1_000).await).await;
    for command in [wallet("a"), create_shop(), suspend(), Command::Transact(transfer("a", "b", "1.00"))] {
        let name = command.name();
        assert_eq!(platform.run(command, None).await, refused(TenantRejection::NotFound), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_application_is_as_if_it_were_not_there() {
    let ledger = Ledger::with_cache(1_000).await;
    ledger.run(create_shop(), None).await.unwrap();
    ledger.run(issue(1), None).await.unwrap();
    let other = ledger.neighbour().await;
    for command in [create_shop(), rename_shop(), issue(2), revoke(1)] {
        let name = command.name();
        assert_eq!(other.run(command, None).await, refused(ApplicationRejection::NotFound), "{name}");
    }
    assert!(ledger.run(rename_shop(), None).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_one_append_and_its_answer_knows_both_keys_the_second_time_too() {
    let ledger = Ledger::with_cache(1_000).await;
    ledger.run(create_shop(), None).await.unwrap();
    ledger.run(issue(1), None).await.unwrap();
    let until = ledger.clock.get() + TimeDelta::hours(1);
    let (old, new) = (KeyId(Uuid::from_u128(1)), KeyId(Uuid::from_u128(2)));
    let rotate = || {
        let public_id = PublicId::new("public000002").unwrap();
        let replacement = Replacement { key: new, public_id, digest: digest(), expires_at: Change::Keep };
        Command::Application {
            id: SHOP,
            command: ApplicationCommand::RotateKey { key: old, replacement, until },
        }
    };
    let first = ledger.run(rotate(), key("k", "rotate")).await.unwrap();
    let again = ledger.restarted().await.run(rotate(), key("k", "rotate")).await.unwrap();
    assert_eq!(again, Outcome { replayed: true, ..first });
    let shop = application(Ok(again));
    assert_eq!(shop.keys[&old].expires_at, Some(until));
    assert_eq!((shop.keys[&new].expires_at, shop.keys[&new].environment), (None, Environment::Test));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_can_be_revoked_also_while_nothing_else_can_be_written() {
    let ledger = Ledger::with_cache(1_000).await;
    ledger.run(create_shop(), None).await.unwrap();
    ledger.run(issue(1), None).await.unwrap();
    ledger.run(suspend(), None).await.unwrap();
    assert_eq!(ledger.run(issue(2), None).await, refused(TenantRejection::Suspended));
    let shop = application(ledger.run(revoke(1), None).await);
    assert!(shop.keys.is_empty());
}
