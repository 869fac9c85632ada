use cqrs_es::test::TestFramework;
use proptest::prelude::*;

use super::*;
use crate::{AssetCode, WalletPath};

const NOW: DateTime<Utc> = DateTime::from_timestamp(1_000, 0).expect("a valid time");
const LATER: DateTime<Utc> = DateTime::from_timestamp(2_000, 0).expect("a valid time");

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn posting(from: &str, to: &str, text: &str) -> Posting {
    Posting {
        from: WalletPath::new(from).unwrap(),
        to: WalletPath::new(to).unwrap(),
        amount: amount(text),
        asset: AssetCode::new("USD").unwrap(),
    }
}

fn new(postings: Vec<Posting>) -> NewTransaction {
    NewTransaction { postings, ..NewTransaction::default() }
}

fn body(expires_at: Option<DateTime<Utc>>) -> TransactionBody {
    TransactionBody {
        postings: vec![posting("a", "@revenue", "10.00")],
        recorded_at: NOW,
        expires_at,
        ..TransactionBody::default()
    }
}

fn at(now: DateTime<Utc>) -> TestFramework<Transaction> {
    TestFramework::with(Moment(now))
}

fn settle(text: &str) -> TransactionCommand {
    TransactionCommand::Settle { amounts: Some(vec![amount(text)]) }
}

fn reverse(text: &str) -> TransactionCommand {
    TransactionCommand::Reverse { amounts: Some(vec![amount(text)]) }
}

#[test]
fn a_hold_is_settled_in_part_and_only_once() {
    let held = vec![TransactionEvent::Held(Box::new(body(None)))];
    let settled = TransactionEvent::Settled { amounts: vec![amount("4.20")] };
    at(NOW).given(held.clone()).when(settle("4.2")).then_expect_events(vec![settled.clone()]);
    let done = vec![held[0].clone(), settled];
    for again in [settle("4.20"), TransactionCommand::Release, TransactionCommand::Expire] {
        let refused = TransactionRejection::NotPending(TransactionStatus::Settled);
        at(NOW).given(done.clone()).when(again).then_expect_error(refused);
    }
}

#[test]
fn a_settlement_of_nothing_is_a_settlement() {
    at(NOW)
        .given(vec![TransactionEvent::Held(Box::new(body(None)))])
        .when(settle("0"))
        .then_expect_events(vec![TransactionEvent::Settled { amounts: vec![amount("0.00")] }]);
}

#[test]
fn a_settlement_never_exceeds_its_hold() {
    let held = vec![TransactionEvent::Held(Box::new(body(None)))];
    at(NOW)
        .given(held.clone())
        .when(settle("10.01"))
        .then_expect_error(TransactionRejection::MoreThanHeld { index: 0 });
    at(NOW)
        .given(held.clone())
        .when(settle("-0.01"))
        .then_expect_error(TransactionRejection::Negative { index: 0 });
    at(NOW)
        .given(held.clone())
        .when(settle("1.001"))
        .then_expect_error(TransactionRejection::Amount { index: 0, source: crate::MoneyError::TooPrecise });
    at(NOW)
        .given(held)
        .when(TransactionCommand::Settle { amounts: Some(vec![]) })
        .then_expect_error(TransactionRejection::AmountsMismatch { expected: 1 });
}

#[test]
fn a_rejected_or_released_hold_cannot_be_settled() {
    let released = vec![TransactionEvent::Held(Box::new(body(None))), TransactionEvent::Released {}];
    let refused = TransactionRejection::NotPending(TransactionStatus::Released);
    at(NOW).given(released).when(settle("1.00")).then_expect_error(refused);
}

#[test]
fn an_expired_hold_is_refused_before_any_sweep() {
    let held = vec![TransactionEvent::Held(Box::new(body(Some(LATER))))];
    at(NOW)
        .given(held.clone())
        .when(TransactionCommand::Expire)
        .then_expect_error(TransactionRejection::NotDue);
    at(LATER).given(held.clone()).when(settle("1.00")).then_expect_error(TransactionRejection::HoldExpired);
    at(LATER)
        .given(held)
        .when(TransactionCommand::Expire)
        .then_expect_events(vec![TransactionEvent::Expired {}]);
}

#[test]
fn a_reversal_never_exceeds_the_original_in_sum() {
    let posted = TransactionEvent::Posted(Box::new(body(None)));
    let first = TransactionEvent::Reversed { amounts: vec![amount("7.00")] };
    at(NOW).given(vec![posted.clone()]).when(reverse("7.00")).then_expect_events(vec![first.clone()]);
    at(NOW)
        .given(vec![posted.clone(), first.clone()])
        .when(reverse("3.01"))
        .then_expect_error(TransactionRejection::MoreThanOriginal { index: 0 });
    let rest = TransactionEvent::Reversed { amounts: vec![amount("3.00")] };
    at(NOW)
        .given(vec![posted.clone(), first.clone()])
        .when(TransactionCommand::Reverse { amounts: None })
        .then_expect_events(vec![rest.clone()]);
    at(NOW)
        .given(vec![posted, first, rest])
        .when(TransactionCommand::Reverse { amounts: None })
        .then_expect_error(TransactionRejection::NotReversible(TransactionStatus::Reversed));
}

#[test]
fn only_what_was_settled_can_be_reversed() {
    let settled = vec![
        TransactionEvent::Held(Box::new(body(None))),
        TransactionEvent::Settled { amounts: vec![amount("4.00")] },
    ];
    at(NOW)
        .given(settled)
        .when(reverse("4.01"))
        .then_expect_error(TransactionRejection::MoreThanOriginal { index: 0 });
}

#[test]
fn rejections_come_in_the_order_of_the_list() {
    let past = Some(NOW);
    let many = vec![posting("a", "b", "1.00"); MAX_POSTINGS + 1];
    let cases = [
        (NewTransaction { expires_at: past, ..new(vec![]) }, TransactionRejection::NoPostings),
        (NewTransaction { expires_at: past, ..new(many) }, TransactionRejection::TooManyPostings),
        (
            NewTransaction { expires_at: past, ..new(vec![posting("a", "a", "0.00")]) },
            TransactionRejection::SameWallet { index: 0 },
        ),
        (
            NewTransaction { expires_at: past, ..new(vec![posting("a", "b", "0.00")]) },
            TransactionRejection::NotPositive { index: 0 },
        ),
        (
            NewTransaction { expires_at: past, ..new(vec![posting("a", "b", "1.00")]) },
            TransactionRejection::ExpiryInThePast,
        ),
        (new(vec![posting("a", "b", "1.00")]), TransactionRejection::AlreadyExists),
    ];
    for (new, refused) in cases {
        at(NOW)
            .given(vec![TransactionEvent::Posted(Box::new(body(None)))])
            .when(TransactionCommand::Hold(new))
            .then_expect_error(refused);
    }
    let expiring = NewTransaction { expires_at: Some(LATER), ..new(vec![]) };
    at(NOW)
        .given_no_previous_events()
        .when(TransactionCommand::Post(expiring))
        .then_expect_error(TransactionRejection::ExpiryWithoutHold);
}

proptest! {
    #[test]
    fn the_legs_of_any_postings_add_up_to_zero(
        moves in prop::collection::vec((0..5_u8, 0..5_u8, 1..1_000_000_i64), 1..20)
    ) {
        let postings: Vec<Posting> = moves
            .iter()
            .filter(|(from, to, _)| from != to)
            .map(|(from, to, cents)| {
                let text = Amount::from_minor(i128::from(*cents), crate::Scale::new(2).unwrap()).to_string();
                posting(&format!("w{from}"), &format!("w{to}"), &text)
            })
            .collect();
        let amounts: Vec<Amount> = postings.iter().map(|posting| posting.amount).collect();
        let legs = legs(&postings, &amounts).unwrap();
        let sum: i128 = legs.iter().map(|leg| leg.net().unwrap().minor()).sum();
        prop_assert_eq!(sum, 0);
        let mut paths: Vec<_> = legs.iter().map(|leg| leg.path.clone()).collect();
        paths.dedup();
        prop_assert_eq!(paths.len(), legs.len());
    }
}
