use chrono::TimeDelta;
use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::*;
use crate::{Event, Scale, event};

const T1: TransactionId = TransactionId(Uuid::from_u128(1));
const LATER: DateTime<Utc> = DateTime::from_timestamp(1_000, 0).expect("a valid time");

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn path() -> WalletPath {
    WalletPath::new("customers:42").unwrap()
}

fn asset() -> AssetCode {
    AssetCode::new("USD").unwrap()
}

fn opened(minimum: Option<&str>) -> WalletEvent {
    WalletEvent::Opened {
        path: path(),
        asset: asset(),
        scale: Scale::new(2).unwrap(),
        minimum: minimum.map(amount),
        metadata: Metadata::default(),
    }
}

fn balance(posted: &str, held: &str, incoming: &str) -> Balance {
    Balance { posted: amount(posted), held: amount(held), incoming: amount(incoming) }
}

fn movement(step: Step) -> WalletCommand {
    WalletCommand::Move(Movement { transaction_id: T1, path: path(), asset: asset(), step })
}

fn post(text: &str) -> WalletCommand {
    movement(Step::Post { amount: amount(text), effective_at: None, adjustment: false })
}

fn hold(text: &str) -> WalletCommand {
    movement(Step::Hold { outgoing: amount(text), incoming: amount("0.00"), expires_at: Some(LATER) })
}

fn posted(text: &str, after: &str) -> WalletEvent {
    let balance = balance(after, "0.00", "0.00");
    WalletEvent::Posted { transaction_id: T1, amount: amount(text), effective_at: None, balance }
}

fn held(text: &str, balance: Balance) -> WalletEvent {
    WalletEvent::Held {
        transaction_id: T1,
        outgoing: amount(text),
        incoming: amount("0.00"),
        expires_at: Some(LATER),
        balance,
    }
}

fn wallets() -> TestFramework<Wallet> {
    TestFramework::with(Moment(DateTime::UNIX_EPOCH))
}

fn folded(events: Vec<WalletEvent>) -> Wallet {
    events.into_iter().fold(Wallet::default(), |mut wallet, event| {
        wallet.apply(event);
        wallet
    })
}

#[test]
fn a_wallet_spends_down_to_its_minimum_and_no_further() {
    let funded = vec![opened(Some("0.00")), posted("10.00", "10.00")];
    wallets().given(funded.clone()).when(post("-10.00")).then_expect_events(vec![posted("-10.00", "0.00")]);
    wallets().given(funded).when(post("-10.01")).then_expect_error(WalletRejection::InsufficientFunds {
        path: path(),
        available: amount("10.00"),
        needed: amount("10.01"),
    });
}

#[test]
fn a_credit_line_is_a_negative_minimum() {
    let credit = vec![opened(Some("-5.00"))];
    wallets().given(credit.clone()).when(post("-5.00")).then_expect_events(vec![posted("-5.00", "-5.00")]);
    assert_eq!(folded(credit).available(), Ok(amount("5.00")));
}

#[test]
fn a_wallet_without_a_limit_goes_below_zero() {
    wallets()
        .given(vec![opened(None)])
        .when(post("-1000.00"))
        .then_expect_events(vec![posted("-1000.00", "-1000.00")]);
}

#[test]
fn holds_cannot_overspend() {
    let funded = vec![opened(Some("0.00")), posted("10.00", "10.00")];
    let after = balance("10.00", "8.00", "0.00");
    wallets().given(funded.clone()).when(hold("8.00")).then_expect_events(vec![held("8.00", after)]);
    let mut spent = funded;
    spent.push(held("8.00", after));
    for command in [hold("2.01"), post("-2.01")] {
        wallets().given(spent.clone()).when(command).then_expect_error(WalletRejection::InsufficientFunds {
            path: path(),
            available: amount("2.00"),
            needed: amount("2.01"),
        });
    }
}

#[test]
fn what_is_incoming_cannot_be_spent() {
    let announced = WalletEvent::Held {
        transaction_id: T1,
        outgoing: amount("0.00"),
        incoming: amount("9.00"),
        expires_at: None,
        balance: balance("0.00", "0.00", "9.00"),
    };
    let wallet = folded(vec![opened(Some("0.00")), announced]);
    assert_eq!(wallet.available(), Ok(amount("0.00")));
    assert_eq!(
        wallet.decide(WalletCommand::Close),
        Err(WalletRejection::NotEmpty(balance("0.00", "0.00", "9.00")))
    );
}

#[test]
fn a_frozen_wallet_keeps_its_promises_and_takes_adjustments() {
    let after = balance("10.00", "8.00", "0.00");
    let frozen =
        vec![opened(Some("0.00")), posted("10.00", "10.00"), held("8.00", after), WalletEvent::Frozen {}];
    for command in [post("1.00"), post("-1.00"), hold("1.00")] {
        wallets().given(frozen.clone()).when(command).then_expect_error(WalletRejection::Frozen(path()));
    }
    let wallet = folded(frozen);
    let settle = Step::Settle {
        amount: amount("-3.00"),
        outgoing: amount("8.00"),
        incoming: amount("0.00"),
        effective_at: None,
        expires_at: Some(LATER),
    };
    let settled = wallet.decide(movement(settle)).unwrap();
    assert_eq!(settled.balance(), Some(balance("7.00", "0.00", "0.00")));
    let adjust = Step::Post { amount: amount("1.00"), effective_at: None, adjustment: true };
    assert!(wallet.decide(movement(adjust)).is_ok());
}

#[test]
fn rejections_come_in_the_order_of_the_list() {
    let wrong_asset = WalletCommand::Move(Movement {
        transaction_id: T1,
        path: path(),
        asset: AssetCode::new("EUR").unwrap(),
        step: Step::Post { amount: amount("-99.00"), effective_at: None, adjustment: false },
    });
    let absent = Wallet::default();
    assert_eq!(absent.decide(wrong_asset.clone()), Err(WalletRejection::NotFound(path())));
    let closed = folded(vec![opened(Some("0.00")), WalletEvent::Closed {}]);
    assert_eq!(closed.decide(wrong_asset.clone()), Err(WalletRejection::Closed(path())));
    let frozen = folded(vec![opened(Some("0.00")), WalletEvent::Frozen {}]);
    assert_eq!(frozen.decide(wrong_asset.clone()), Err(WalletRejection::Frozen(path())));
    let open = folded(vec![opened(Some("0.00"))]);
    assert!(matches!(open.decide(wrong_asset), Err(WalletRejection::AssetMismatch { .. })));
    assert!(matches!(open.decide(post("-99.00")), Err(WalletRejection::InsufficientFunds { .. })));
}

#[test]
fn a_sum_beyond_all_numbers_is_refused() {
    let most = Amount::from_minor(i128::MAX, Scale::new(2).unwrap());
    let full = Balance { posted: most, ..balance("0.00", "0.00", "0.00") };
    let event = WalletEvent::Posted { transaction_id: T1, amount: most, effective_at: None, balance: full };
    wallets()
        .given(vec![opened(None), event])
        .when(post("0.01"))
        .then_expect_error(WalletRejection::Overflow(path()));
}

#[test]
fn expiring_holds_are_due_at_their_time_and_forgotten_when_given_back() {
    let mut wallet = folded(vec![
        opened(Some("0.00")),
        posted("10.00", "10.00"),
        held("8.00", balance("10.00", "8.00", "0.00")),
    ]);
    assert_eq!(wallet.due(LATER - TimeDelta::microseconds(1)).count(), 0);
    assert_eq!(wallet.due(LATER).collect::<Vec<_>>(), [T1]);
    let release =
        Step::Release { outgoing: amount("8.00"), incoming: amount("0.00"), expires_at: Some(LATER) };
    wallet.apply(wallet.decide(movement(release)).unwrap());
    assert_eq!(wallet.due(LATER).count(), 0);
    assert_eq!(
        wallet.decide(movement(release)),
        Err(WalletRejection::HoldMissing(path())),
        "a hold is given back once"
    );
}

#[test]
fn the_kept_form_of_every_event_names_its_variant() {
    let events = [
        opened(Some("0.00")),
        posted("1.00", "1.00"),
        held("1.00", balance("1.00", "1.00", "0.00")),
        WalletEvent::Frozen {},
    ];
    for original in events {
        let payload = event::encode(&original).unwrap();
        let back: WalletEvent = event::decode(original.kind(), WalletEvent::VERSION, &payload).unwrap();
        assert_eq!(back, original);
    }
}
