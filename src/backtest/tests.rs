use domain::catalogue::Rollover;

use super::*;

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn asset(code: &str) -> AssetCode {
    AssetCode::new(code).unwrap()
}

fn call(wallet: &str, at: &str, cost: &str) -> Call {
    let (held, cost) = (amount(cost), amount(cost));
    let wallet = WalletPath::new(wallet).unwrap();
    Call { wallet, asset: asset("USD"), requested_at: at.parse().unwrap(), held, cost }
}

fn question(mode: Mode) -> Question {
    Question {
        mode,
        amount: amount("10"),
        enforcement: Enforcement::Hard,
        balance: amount("0"),
        zone: ZoneName::new("Europe/Berlin").unwrap(),
        from: None,
        asset: None,
    }
}

fn monthly(rollover: Rollover) -> Question {
    question(Mode::Monthly { rollover })
}

fn tally(question: &Question, calls: &[Call]) -> Tally {
    question.replay(calls.to_vec()).unwrap().outcome.total
}

/// Which of these calls of one wallet are allowed.
fn allowed(question: &Question, calls: &[(&str, &str)]) -> Vec<bool> {
    let calls: Vec<_> = calls.iter().map(|(at, cost)| call("a", at, cost)).collect();
    (0..calls.len())
        .map(|n| tally(question, &calls[..=n]).allowed > tally(question, &calls[..n]).allowed)
        .collect()
}

#[test]
fn months_without_a_call_are_granted_as_the_ledger_grants_them() {
    let calls = [("2026-01-10T00:00:00Z", "10.00"), ("2026-04-10T00:00:00Z", "30.00")];
    assert_eq!(allowed(&monthly(Rollover::Full), &calls), [true, true]);
    assert_eq!(allowed(&monthly(Rollover::None), &calls), [true, false]);
    let capped = Rollover::Capped { most: amount("15") };
    assert_eq!(allowed(&monthly(capped), &[calls[0], ("2026-04-10T00:00:00Z", "25.01")]), [true, false]);
    assert_eq!(allowed(&monthly(capped), &[calls[0], ("2026-04-10T00:00:00Z", "25.00")]), [true, true]);
}

#[test]
fn a_month_begins_where_the_tenant_is() {
    let calls = [
        ("2026-01-15T00:00:00Z", "10.00"),
        ("2026-01-31T22:59:59Z", "1.00"),
        ("2026-01-31T23:00:00Z", "1.00"),
    ];
    assert_eq!(allowed(&monthly(Rollover::None), &calls), [true, false, true]);
}

#[test]
fn the_policy_holds_from_the_time_that_is_said_or_from_the_first_call() {
    let calls = [("2026-03-15T00:00:00Z", "30.00")];
    let full = monthly(Rollover::Full);
    assert_eq!(allowed(&full, &calls), [false]);
    let from = |text: &str| Question { from: Some(text.parse().unwrap()), ..full.clone() };
    assert_eq!(allowed(&from("2026-01-15T00:00:00Z"), &calls), [true]);
    // Calls are recorded after they were asked for, some long after.
    assert_eq!(allowed(&from("2026-06-15T00:00:00Z"), &[("2026-03-15T00:00:00Z", "10.00")]), [true]);
}

#[test]
fn what_was_held_has_to_be_there_and_what_it_cost_is_taken() {
    let once = question(Mode::Lifetime);
    let held = |text: &str, at: &str, cost: &str| Call { held: amount(text), ..call("a", at, cost) };
    let calls = [
        held("10.00", "2026-01-01T00:00:00Z", "1.00"),
        held("9.01", "2026-01-02T00:00:00Z", "1.00"),
        held("9.00", "2026-01-03T00:00:00Z", "1.00"),
        held("0", "2026-01-04T00:00:00Z", "8.01"),
        held("0", "2026-01-05T00:00:00Z", "8.00"),
    ];
    let Tally { allowed, refused, cost_allowed, cost_refused, .. } = tally(&once, &calls);
    assert_eq!((allowed, refused), (3, 2));
    assert_eq!((cost_allowed, cost_refused), (amount("10.00"), amount("9.01")));
}

#[test]
fn a_wallet_has_what_it_has_besides_and_what_is_owed_is_paid_from_the_next_month() {
    let mut warned = monthly(Rollover::None);
    warned.enforcement = Enforcement::Warn;
    warned.balance = amount("1");
    // Eleven are there; of the next month's ten four pay what was owed.
    let calls = [
        call("a", "2026-01-10T00:00:00Z", "15.00"),
        call("a", "2026-02-10T00:00:00Z", "6.00"),
        call("a", "2026-02-11T00:00:00Z", "0.50"),
    ];
    let found = tally(&warned, &calls);
    assert_eq!((found.allowed, found.refused, found.flagged, found.short), (3, 0, 2, amount("4.50")));
    assert_eq!(found.first_at, Some(calls[0].requested_at));
}

#[test]
fn calls_of_several_assets_are_tried_by_one() {
    let once = question(Mode::Lifetime);
    let euros = Call { asset: asset("EUR"), ..call("b", "2026-01-01T00:00:00Z", "11.00") };
    let calls = vec![call("a", "2026-01-01T00:00:00Z", "10.00"), euros];
    let refused = once.replay(calls.clone()).unwrap_err();
    assert!(refused.to_string().contains("(EUR, USD)"), "{refused}");
    let one = |code| Question { asset: Some(asset(code)), ..once.clone() };
    assert_eq!((tally(&one("USD"), &calls).allowed, tally(&one("EUR"), &calls).refused), (1, 1));
    assert_eq!(tally(&one("GBP"), &calls).allowed, 0);
}

#[test]
fn wallets_are_told_apart_and_summed_up() {
    let mut once = question(Mode::Lifetime);
    once.amount = amount("1");
    let calls = vec![
        // In whatever order they come.
        call("a", "2026-01-02T00:00:00Z", "0.60"),
        call("a", "2026-01-01T00:00:00Z", "0.70"),
        call("b", "2026-01-01T00:00:00Z", "0.80"),
    ];
    let said = once.replay(calls.clone()).unwrap().to_string();
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["a", "1", "0.70", "1", "0.60", "2026-01-02T00:00:00+00:00"]);
    assert_eq!(lines[2], ["b", "1", "0.80", "0", "0.00", "-"]);
    assert!(said.ends_with("2 wallets: 2 calls would have been allowed, 1 refused"), "{said}");
    once.enforcement = Enforcement::Monitor;
    let said = once.replay(calls).unwrap().to_string();
    assert!(said.contains("flagged") && said.contains("missing") && said.contains(" 0.30 "), "{said}");
    assert!(said.ends_with("2 wallets: 3 calls would have been allowed, 1 flagged"), "{said}");
    assert!(
        once.replay(vec![])
            .unwrap()
            .to_string()
            .ends_with("0 wallets: 0 calls would have been allowed, 0 flagged")
    );
}
