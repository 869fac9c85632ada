use super::*;
use crate::AssetCode;
use crate::catalogue::{Mode, Rollover};

/// A period of the tests, in seconds.
const MONTH: i64 = 1_000;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn path(name: &str) -> WalletPath {
    WalletPath::new(name).unwrap()
}

fn month(moment: DateTime<Utc>) -> Period {
    let number = moment.timestamp().div_euclid(MONTH);
    Period { start: at(number * MONTH), end: at((number + 1) * MONTH) }
}

fn trial(mode: Mode, text: &str, enforcement: Enforcement) -> Trial {
    let asset = AssetCode::new("USD").unwrap();
    let policy = Policy { mode, amount: amount(text), asset, enforcement };
    Trial { policy, scale: Scale::new(2).unwrap(), from: at(0) }
}

fn monthly(rollover: Rollover, text: &str) -> Trial {
    trial(Mode::Monthly { rollover }, text, Enforcement::Hard)
}

fn call(seconds: i64, wallet: &str, cost: &str) -> PastCall {
    PastCall { at: at(seconds), wallet: path(wallet), needed: amount(cost), cost: amount(cost) }
}

/// A call for which more was held, or less, than it came to.
fn held(needed: &str, call: PastCall) -> PastCall {
    PastCall { needed: amount(needed), ..call }
}

fn run(trial: &Trial, balance: &str, calls: &[PastCall]) -> Outcome {
    backtest(trial, |_| amount(balance), month, calls.iter().cloned()).unwrap()
}

/// Which calls of the wallet `a` are refused by a hard policy.
fn refused(trial: &Trial, balance: &str, calls: &[(i64, &str)]) -> Vec<i64> {
    let calls: Vec<_> = calls.iter().map(|(at, cost)| call(*at, "a", cost)).collect();
    let count = |calls: &[PastCall]| run(trial, balance, calls).total.refused;
    (0..calls.len())
        .filter(|n| count(&calls[..=*n]) > count(&calls[..*n]))
        .map(|n| calls[n].at.timestamp())
        .collect()
}

#[test]
fn hard_refuses_what_is_not_there_and_takes_what_is() {
    let trial = trial(Mode::Lifetime, "10.00", Enforcement::Hard);
    let calls = [
        call(1, "a", "6.00"),
        call(2, "b", "10.00"),
        call(3, "a", "4.01"),
        call(4, "a", "4.00"),
        call(5, "a", "0.01"),
        call(6, "b", "0"),
    ];
    let Outcome { total, wallets } = run(&trial, "0.00", &calls);
    let expected = |allowed, refused, cost_allowed, cost_refused, first: Option<i64>| Tally {
        allowed,
        refused,
        flagged: 0,
        cost_allowed: amount(cost_allowed),
        cost_refused: amount(cost_refused),
        short: amount("0.00"),
        first_at: first.map(at),
    };
    assert_eq!(wallets[&path("a")], expected(2, 2, "10.00", "4.02", Some(3)));
    assert_eq!(wallets[&path("b")], expected(2, 0, "10.00", "0.00", None));
    assert_eq!(total, expected(4, 2, "20.00", "4.02", Some(3)));
}

#[test]
fn what_a_wallet_has_besides_is_spent_too_and_stays_from_month_to_month() {
    let none = monthly(Rollover::None, "10.00");
    let calls = [
        (1, "12.00"),
        (1_000, "13.01"),
        (1_001, "12.99"),
        (1_002, "0.02"),
        (1_003, "0.01"),
        (2_000, "10.01"),
    ];
    assert_eq!(refused(&none, "5.00", &calls), [1_000, 1_002, 2_000]);
    // What is granted is spent first, and what is left of it is gone with the month.
    assert_eq!(
        refused(&none, "5.00", &[(1, "6.00"), (1_000, "15.01"), (1_001, "15.00"), (1_002, "0.01")]),
        [1_000, 1_002]
    );
}

#[test]
fn what_is_carried_over_is_what_the_rollover_says_through_months_without_a_call() {
    let capped = |most| Rollover::Capped { most: amount(most) };
    for (rollover, there) in [
        (Rollover::None, "10.00"),
        (capped("4.00"), "14.00"),
        (capped("15.00"), "25.00"),
        (Rollover::Full, "40.00"),
    ] {
        // The months 0 to 3 have begun, and in the first nothing was used.
        let trial = monthly(rollover, "10.00");
        let more = amount(there).checked_add(amount("0.01")).unwrap().to_string();
        assert_eq!(refused(&trial, "0.00", &[(3_500, &more), (3_501, there)]), [3_500], "{rollover:?}");
    }
}

#[test]
fn warn_and_monitor_let_through_and_what_was_missing_is_owed() {
    for enforcement in [Enforcement::Warn, Enforcement::Monitor] {
        let mode = Mode::Monthly { rollover: Rollover::None };
        let trial = trial(mode, "10.00", enforcement);
        // Of the second month's ten, four pay what was owed.
        let calls = [call(1, "a", "14.00"), call(1_000, "a", "6.00"), call(1_001, "a", "0.50")];
        let tally = run(&trial, "0.00", &calls).total;
        assert_eq!((tally.allowed, tally.refused, tally.flagged), (3, 0, 2));
        assert_eq!((tally.cost_allowed, tally.cost_refused), (amount("20.50"), amount("0.00")));
        assert_eq!((tally.short, tally.first_at), (amount("4.50"), Some(at(1))));
    }
}

#[test]
fn what_was_held_has_to_be_there_and_what_it_cost_is_taken() {
    let once = |enforcement| trial(Mode::Lifetime, "10.00", enforcement);
    let calls =
        [held("10.00", call(1, "a", "4.00")), held("6.01", call(2, "a", "1.00")), call(3, "a", "6.00")];
    let tally = run(&once(Enforcement::Hard), "0.00", &calls).total;
    assert_eq!((tally.allowed, tally.refused, tally.cost_allowed), (2, 1, amount("10.00")));
    let tally = run(&once(Enforcement::Warn), "0.00", &calls).total;
    assert_eq!((tally.allowed, tally.flagged, tally.short), (3, 2, amount("1.01")));
    // Who came to owe something is refused until it is paid.
    let calls = [held("1.00", call(1, "a", "12.00")), held("0.00", call(2, "a", "0.00"))];
    let tally = run(&once(Enforcement::Hard), "0.00", &calls).total;
    assert_eq!((tally.allowed, tally.refused, tally.cost_allowed), (1, 1, amount("12.00")));
    let monthly = monthly(Rollover::None, "10.00");
    let calls = [calls[0].clone(), call(1_000, "a", "8.01"), call(1_001, "a", "8.00")];
    assert_eq!(run(&monthly, "0.00", &calls).total.refused, 1);
}

#[test]
fn every_wallet_has_a_balance_of_its_own_and_one_below_zero_has_nothing() {
    let trial = trial(Mode::Lifetime, "0", Enforcement::Hard);
    let balance = |wallet: &WalletPath| amount(if *wallet == path("a") { "1" } else { "-5.00" });
    let calls = [call(1, "a", "1.00"), call(2, "b", "0.01"), call(3, "b", "0.00")];
    let outcome = backtest(&trial, balance, month, calls).unwrap();
    assert_eq!(outcome.wallets[&path("a")].allowed, 1);
    assert_eq!((outcome.wallets[&path("b")].allowed, outcome.wallets[&path("b")].refused), (1, 1));
}

#[test]
fn the_policy_holds_from_its_beginning_on_even_where_the_first_call_is_later() {
    let full = monthly(Rollover::Full, "1.00");
    assert_eq!(refused(&full, "0.00", &[(2_000, "3.00"), (2_001, "0.01")]), [2_001]);
    let later = Trial { from: at(2_000), ..full };
    assert_eq!(refused(&later, "0.00", &[(2_000, "1.01"), (2_001, "1.00")]), [2_000]);
}

#[test]
fn no_calls_come_to_nothing() {
    let Outcome { total, wallets } = run(&monthly(Rollover::Full, "1.00"), "0.00", &[]);
    assert_eq!((total, wallets.len()), (Tally::none(Scale::new(2).unwrap()), 0));
}

#[test]
fn what_cannot_be_tried_is_an_error() {
    let trial = monthly(Rollover::Full, "1.00");
    let tried = |trial: &Trial, balance: &str, calls: Vec<PastCall>| {
        backtest(trial, |_| amount(balance), month, calls).map(|outcome| outcome.total.allowed)
    };
    let unordered = vec![call(2, "a", "0.10"), call(1, "b", "0.10")];
    assert_eq!(tried(&trial, "0", unordered), Err(BacktestError::Unordered));
    assert_eq!(tried(&trial, "0", vec![call(-1, "a", "0.10")]), Err(BacktestError::Unordered));
    assert_eq!(tried(&trial, "0", vec![call(1, "@fees", "0.10")]), Err(BacktestError::SystemWallet));
    assert_eq!(tried(&trial, "0", vec![call(1, "a", "-0.10")]), Err(BacktestError::Negative));
    let negative = held("-0.10", call(1, "a", "0.10"));
    assert_eq!(tried(&trial, "0", vec![negative]), Err(BacktestError::Negative));
    assert_eq!(tried(&monthly(Rollover::Full, "-1.00"), "0", vec![]), Err(BacktestError::Negative));
    let capped = |most| monthly(Rollover::Capped { most: amount(most) }, "1.00");
    assert_eq!(tried(&capped("-1.00"), "0", vec![]), Err(BacktestError::Negative));
    let precise = Err(BacktestError::Amount(MoneyError::TooPrecise));
    assert_eq!(tried(&capped("1.001"), "0", vec![]), precise);
    assert_eq!(tried(&monthly(Rollover::Full, "1.001"), "0", vec![]), precise);
    assert_eq!(tried(&trial, "0.001", vec![call(1, "a", "0.10")]), precise);
    assert_eq!(tried(&trial, "0", vec![call(1, "a", "0.101")]), precise);
    let most = Amount::from_minor(i128::MAX, trial.scale).to_string();
    assert_eq!(
        tried(&trial, &most, vec![call(1, "a", "0.10")]),
        Err(BacktestError::Amount(MoneyError::Overflow))
    );
}

#[test]
fn a_period_that_does_not_end_is_no_way_to_stay_here_for_ever() {
    let trial = monthly(Rollover::Full, "1.00");
    let stuck = |moment| Period { start: moment, end: moment };
    let calls = vec![call(1, "a", "1.00"), call(50_000_000, "a", "1.00")];
    assert!(backtest(&trial, |_| amount("0"), stuck, calls).is_ok());
    let brief =
        |moment: DateTime<Utc>| Period { start: moment, end: moment + chrono::TimeDelta::microseconds(1) };
    let calls = vec![call(1, "a", "1.00"), call(50_000_000, "a", "1.00")];
    assert!(backtest(&trial, |_| amount("0"), brief, calls).is_ok());
}
