//! The kept form of every event, as golden files: a change of form is seen in review.
//!
//! To accept a deliberate change (with a new version and an upcaster!), run with `UPDATE_GOLDEN=1`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

#[path = "golden/metering.rs"]
mod metering;

use std::fs;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use domain::application::{ApplicationChange, ApplicationEvent, Details, Environment, IssuedKey, Scope};
use domain::tenant::{Branding, ProfileChange, TenantEvent};
use domain::transaction::{Posting, TransactionBody, TransactionEvent};
use domain::user::{PersonalChange, Receipt, RevocationReason, SignInMethod, UserEvent};
use domain::wallet::{Balance, WalletEvent};
use domain::{
    Amount, AssetCode, Change, Colour, Description, Digest, DomainName, Event, InvitationId, KeyId, Label,
    Metadata, PublicId, Reason, Reference, Role, Scale, Sealed, SessionId, Slug, SubjectId, TenantName,
    TransactionId, UserId, WalletPath, WebAddress, event,
};
use uuid::Uuid;

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn time(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 123_456_000)
}

fn metadata() -> Metadata {
    serde_json::from_str(r#"{"order":{"id":7}}"#).unwrap()
}

fn balance() -> Balance {
    Balance { posted: amount("87.50"), held: amount("2.00"), incoming: amount("0.00") }
}

fn sealed(what: &str) -> Sealed {
    Sealed::new(&format!("s1.{what}")).unwrap()
}

fn digest() -> Digest {
    Digest::new(&"0f".repeat(32)).unwrap()
}

fn body() -> TransactionBody {
    TransactionBody {
        postings: vec![Posting {
            from: WalletPath::new("customers:42").unwrap(),
            to: WalletPath::new("@revenue").unwrap(),
            amount: amount("12.50"),
            asset: AssetCode::new("USD").unwrap(),
        }],
        recorded_at: time(1_700_000_000).unwrap(),
        effective_at: time(1_600_000_000),
        expires_at: time(1_800_000_000),
        reference: Some(Reference::new("invoice 7").unwrap()),
        adjustment: Some(Reason::new("goodwill").unwrap()),
        metadata: metadata(),
    }
}

/// Compares an event with its file, and reads the file back.
fn assert_form<E: Event>(aggregate: &str, original: &E) {
    assert_variant(aggregate, "", original);
}

/// The same for a form that the event has besides, such as `.bare`: with everything left out that can be.
fn assert_variant<E: Event>(aggregate: &str, variant: &str, original: &E) {
    let name = format!("{aggregate}.{}{variant}.v{}.json", original.kind(), E::VERSION);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(&name);
    let payload = event::encode(original).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{payload}\n")).unwrap();
    }
    let kept = fs::read_to_string(&path).expect(&name);
    assert_eq!(payload, kept.trim_end(), "{name}: the form has changed");
    let back: E = event::decode(original.kind(), E::VERSION, kept.trim_end()).unwrap();
    assert_eq!(back, *original, "{name}");
}

#[test]
fn tenant_events_keep_their_form() {
    let slug = Slug::new("acme").unwrap();
    assert_form("tenant", &TenantEvent::Created { slug, name: TenantName::new("Acme").unwrap() });
    let code = AssetCode::new("USD").unwrap();
    assert_form("tenant", &TenantEvent::AssetRegistered { code, scale: Scale::new(2).unwrap() });
    let profile = ProfileChange {
        name: Some(TenantName::new("Acme & Sons").unwrap()),
        domain: Change::Set(DomainName::new("ledger.acme.example").unwrap()),
        branding: Some(Branding {
            logo: Some(WebAddress::new("https://acme.example/logo.svg").unwrap()),
            primary_colour: Some(Colour::new("#00ff7f").unwrap()),
            secondary_colour: None,
        }),
    };
    assert_form("tenant", &TenantEvent::ProfileChanged(profile));
    assert_form("tenant", &TenantEvent::Suspended { reason: Reason::new("unpaid").unwrap() });
    assert_form("tenant", &TenantEvent::Resumed {});
    assert_form("tenant", &TenantEvent::Closed {});
}

#[test]
fn membership_events_keep_their_form() {
    let (user, invitation) = (UserId(Uuid::from_u128(1)), InvitationId(Uuid::from_u128(2)));
    assert_form("tenant", &TenantEvent::MemberAdded { user, role: Role::Owner });
    assert_form("tenant", &TenantEvent::MemberRoleChanged { user, role: Role::Auditor });
    assert_form("tenant", &TenantEvent::MemberRemoved { user });
    let invited = TenantEvent::Invited {
        invitation,
        email: sealed("email"),
        role: Role::Member,
        expires_at: time(1_800_000_000).unwrap(),
        digest: digest(),
    };
    assert_form("tenant", &invited);
    assert_form("tenant", &TenantEvent::InvitationAccepted { invitation, user, role: Role::Member });
    assert_form("tenant", &TenantEvent::InvitationWithdrawn { invitation });
}

#[test]
fn user_events_keep_their_form() {
    let session = SessionId(Uuid::from_u128(3));
    let issuer = WebAddress::new("https://accounts.example").unwrap();
    let (email, name, locale) = (sealed("email"), sealed("name"), Some(sealed("locale")));
    assert_form("user", &UserEvent::Registered { email, name, locale });
    assert_form("user", &UserEvent::EmailVerified {});
    let change = PersonalChange {
        name: Some(sealed("name")),
        avatar: Change::Clear,
        locale: Change::Keep,
        preferences: Change::Set(sealed("preferences")),
    };
    assert_form("user", &UserEvent::ProfileChanged(change));
    assert_form("user", &UserEvent::EmailChanged { email: sealed("email") });
    assert_form("user", &UserEvent::PasswordChanged {});
    let at = time(1_700_000_000).unwrap();
    assert_form("user", &UserEvent::SignedIn { session, method: SignInMethod::OpenId, at });
    assert_form("user", &UserEvent::SignedOut { session });
    assert_form("user", &UserEvent::SessionsRevoked { reason: RevocationReason::TokenReused });
    assert_form("user", &UserEvent::SecondFactorEnabled {});
    assert_form("user", &UserEvent::SecondFactorDisabled {});
    assert_form("user", &UserEvent::RecoveryCodeUsed {});
    let subject = sealed("subject");
    assert_form("user", &UserEvent::IdentityLinked { issuer: issuer.clone(), subject });
    assert_form("user", &UserEvent::IdentityUnlinked { issuer });
    assert_form("user", &UserEvent::SuperadminGranted {});
    assert_form("user", &UserEvent::SuperadminRevoked {});
    assert_form("user", &UserEvent::Suspended { reason: Reason::new("abuse").unwrap() });
    assert_form("user", &UserEvent::Resumed {});
    let subjects = vec![SubjectId(Uuid::from_u128(1)), SubjectId(Uuid::from_u128(2))];
    let receipt = Receipt { id: Uuid::from_u128(4), erased_at: at, subjects };
    assert_form("user", &UserEvent::Erased { receipt });
}

#[test]
fn application_events_keep_their_form() {
    let key = KeyId(Uuid::from_u128(5));
    let label = |text: &str| Label::new(text).unwrap();
    let details = Details {
        name: label("Web shop"),
        description: Some(Description::new("Sells.\nA lot.").unwrap()),
        category: Some(label("shops")),
        icon: Some(WebAddress::new("https://shop.example/icon.svg").unwrap()),
        template: Some(label("shop")),
        metadata: metadata(),
    };
    assert_form("application", &ApplicationEvent::Created(details));
    let change = ApplicationChange {
        name: Some(label("Shop")),
        description: Change::Clear,
        category: Change::Set(label("stores")),
        icon: Change::Keep,
        template: Change::Keep,
        metadata: Some(metadata()),
    };
    assert_form("application", &ApplicationEvent::Changed(change));
    assert_form("application", &ApplicationEvent::Archived {});
    let issued = IssuedKey {
        key,
        public_id: PublicId::new("q7Xz0aB1c2D3").unwrap(),
        environment: Environment::Live,
        digest: digest(),
        scopes: [Scope::Transact, Scope::Read].into(),
        expires_at: time(1_800_000_000),
        addresses: ["192.0.2.0/24".parse().unwrap(), "2001:db8::1".parse().unwrap()].into(),
    };
    assert_form("application", &ApplicationEvent::KeyIssued(issued));
    assert_form("application", &ApplicationEvent::KeyExpires { key, at: time(1_800_000_000).unwrap() });
    assert_form("application", &ApplicationEvent::KeyRevoked { key });
}

#[test]
fn transaction_events_keep_their_form() {
    assert_form("transaction", &TransactionEvent::Posted(Box::new(body())));
    assert_form("transaction", &TransactionEvent::Held(Box::new(body())));
    assert_form("transaction", &TransactionEvent::Settled { amounts: vec![amount("10.00")] });
    assert_form("transaction", &TransactionEvent::Released {});
    assert_form("transaction", &TransactionEvent::Expired {});
    assert_form("transaction", &TransactionEvent::Reversed { amounts: vec![amount("10.00")] });
}

#[test]
fn wallet_events_keep_their_form() {
    let transaction_id = TransactionId(Uuid::from_u128(7));
    let (some, none, balance) = (amount("2.00"), amount("0.00"), balance());
    let (effective_at, expires_at) = (time(1_600_000_000), time(1_800_000_000));
    let opened = WalletEvent::Opened {
        path: WalletPath::new("customers:42").unwrap(),
        asset: AssetCode::new("USD").unwrap(),
        scale: Scale::new(2).unwrap(),
        minimum: Some(amount("-5.00")),
        metadata: metadata(),
    };
    assert_form("wallet", &opened);
    assert_form("wallet", &WalletEvent::Frozen {});
    assert_form("wallet", &WalletEvent::Unfrozen {});
    assert_form("wallet", &WalletEvent::Closed {});
    assert_form("wallet", &WalletEvent::Posted { transaction_id, amount: some, effective_at, balance });
    assert_form("wallet", &WalletEvent::Reversed { transaction_id, amount: some, effective_at, balance });
    assert_form(
        "wallet",
        &WalletEvent::Held { transaction_id, outgoing: some, incoming: none, expires_at, balance },
    );
    let settled = WalletEvent::Settled {
        transaction_id,
        amount: some,
        outgoing: some,
        incoming: none,
        effective_at,
        expires_at,
        balance,
    };
    assert_form("wallet", &settled);
    assert_form(
        "wallet",
        &WalletEvent::Released { transaction_id, outgoing: some, incoming: none, expires_at, balance },
    );
    assert_form(
        "wallet",
        &WalletEvent::Expired { transaction_id, outgoing: some, incoming: none, expires_at, balance },
    );
}
