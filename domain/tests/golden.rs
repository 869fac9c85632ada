//! The kept form of every event, as golden files: a change of form is seen in review.
//!
//! To accept a deliberate change (with a new version and an upcaster!), run with `UPDATE_GOLDEN=1`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use domain::tenant::TenantEvent;
use domain::transaction::{Posting, TransactionBody, TransactionEvent};
use domain::wallet::{Balance, WalletEvent};
use domain::{
    Amount, AssetCode, Event, Metadata, Reason, Reference, Scale, Slug, TenantName, TransactionId,
    WalletPath, event,
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
    let name = format!("{aggregate}.{}.v{}.json", original.kind(), E::VERSION);
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
