use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::*;
use crate::catalogue::{Enforcement, Mode, Policy, Rollover};

const ID: AllowanceId = AllowanceId(Uuid::from_u128(7));
/// A month of the tests, in seconds.
const MONTH: i64 = 1_000;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn allowances(seconds: i64) -> TestFramework<Allowance> {
    TestFramework::with(Moment(at(seconds)))
}

fn folded(events: impl IntoIterator<Item = AllowanceEvent>) -> Allowance {
    events.into_iter().fold(Allowance::default(), |mut allowance, event| {
        allowance.apply(event);
        allowance
    })
}

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn wallet() -> WalletPath {
    WalletPath::new("customers:42").unwrap()
}

fn scale() -> Scale {
    Scale::new(2).unwrap()
}

fn asset() -> AssetCode {
    AssetCode::new("USD").unwrap()
}

fn assign(wallet: WalletPath) -> AllowanceCommand {
    let (level, user) = (Some(LevelName::new("pro").unwrap()), Some(UserRef::new("4711").unwrap()));
    AllowanceCommand::Assign { id: ID, wallet, asset: asset(), scale: scale(), level, user }
}

fn assigned() -> AllowanceEvent {
    let (level, user) = (Some(LevelName::new("pro").unwrap()), Some(UserRef::new("4711").unwrap()));
    AllowanceEvent::Assigned { id: ID, wallet: wallet(), asset: asset(), scale: scale(), level, user }
}

fn id(number: u128) -> GrantId {
    GrantId(Uuid::from_u128(number))
}

fn execution(number: u128) -> ExecutionId {
    ExecutionId(Uuid::from_u128(number))
}

fn grant(number: u128, text: &str, priority: u16, ends: Option<i64>) -> AllowanceCommand {
    let (grant, expires_at) = (id(number), ends.map(at));
    AllowanceCommand::Grant { grant, amount: amount(text), priority, expires_at }
}

fn granted(number: u128, text: &str, priority: u16, ends: Option<i64>) -> AllowanceEvent {
    let (grant, expires_at) = (id(number), ends.map(at));
    AllowanceEvent::Granted { grant, amount: amount(text), priority, expires_at }
}

fn parts(of: &[(u128, &str)]) -> Vec<Part> {
    of.iter().map(|(number, text)| Part { grant: id(*number), amount: amount(text) }).collect()
}

fn reserve(text: &str) -> AllowanceCommand {
    AllowanceCommand::Reserve { execution: execution(1), amount: amount(text) }
}

fn reserved(of: &[(u128, &str)]) -> AllowanceEvent {
    AllowanceEvent::Reserved { execution: execution(1), parts: parts(of) }
}

/// Of a wallet that has more left than was granted.
fn burn(text: &str) -> AllowanceCommand {
    burn_down_to("1000.00", text)
}

fn burn_down_to(available: &str, text: &str) -> AllowanceCommand {
    let (execution, amount, available) = (execution(1), amount(text), amount(available));
    AllowanceCommand::Burn { execution, amount, available }
}

fn burned(of: &[(u128, &str)]) -> AllowanceEvent {
    AllowanceEvent::Burned { execution: execution(1), parts: parts(of) }
}

fn expired(grant: GrantId, text: &str, moved: &str) -> AllowanceEvent {
    AllowanceEvent::Expired { grant, amount: amount(text), moved: amount(moved) }
}

fn policy(mode: Mode, text: &str) -> Policy {
    Policy { mode, amount: amount(text), asset: asset(), enforcement: Enforcement::Hard }
}

fn monthly(rollover: Rollover, text: &str) -> Policy {
    policy(Mode::Monthly { rollover }, text)
}

/// The month of this number.
fn month(number: i64) -> Period {
    Period { start: at(number * MONTH), end: at((number + 1) * MONTH) }
}

fn renew(policy: Policy, number: i64, begun: u32, available: &str) -> AllowanceCommand {
    AllowanceCommand::Renew {
        policy: Some(policy),
        period: (month(number), begun),
        available: amount(available),
    }
}

/// The grant of a month, whose name is as much of a contract as an event's form.
fn of_month(number: i64) -> GrantId {
    GrantId(Uuid::new_v5(&ID.0, &(number * MONTH * 1_000_000).to_be_bytes()))
}

fn allocated(number: i64, added: &str, carried: &str) -> AllowanceEvent {
    let carried_from = (carried != "0.00").then(|| of_month(number - 1));
    allocated_from(number, added, carried, carried_from)
}

fn allocated_from(number: i64, added: &str, carried: &str, from: Option<GrantId>) -> AllowanceEvent {
    AllowanceEvent::Allocated {
        grant: of_month(number),
        period: Some(month(number)),
        added: amount(added),
        carried: amount(carried),
        carried_from: from,
        missed: None,
    }
}

/// What came back to one month when it was over, and is carried into another.
fn late(from: i64, into: i64, text: &str) -> AllowanceEvent {
    allocated_from(into, "0.00", text, Some(of_month(from)))
}

#[test]
fn an_allowance_is_assigned_and_assigned_anew() {
    allowances(0).given_no_previous_events().when(assign(wallet())).then_expect_events(vec![assigned()]);
    let (level, user) = (None, None);
    let nobody =
        AllowanceEvent::Assigned { id: ID, wallet: wallet(), asset: asset(), scale: scale(), level, user };
    let owing = AllowanceEvent::Indebted { execution: execution(1), amount: amount("3.00") };
    let allowance = folded([assigned(), granted(1, "5.00", 1, None), owing, nobody]);
    assert_eq!((&allowance.level, &allowance.user), (&None, &None));
    assert_eq!((allowance.debt, allowance.grants.len()), (amount("3.00"), 1), "what it had, it keeps");
    let system = WalletPath::new("@revenue").unwrap();
    allowances(0)
        .given_no_previous_events()
        .when(assign(system))
        .then_expect_error(AllowanceRejection::SystemWallet);
}

#[test]
fn nothing_is_asked_of_an_allowance_that_does_not_exist() {
    let (execution, some) = (execution(1), amount("1.00"));
    for command in [
        grant(1, "-1.00", 1, Some(0)),
        renew(policy(Mode::Lifetime, "1.00"), 0, 1, "0.00"),
        reserve("1.00"),
        burn("1.00"),
        AllowanceCommand::Owe { execution, amount: some },
        AllowanceCommand::Repay { available: some },
        AllowanceCommand::Exceed { execution, short: some },
    ] {
        allowances(0)
            .given_no_previous_events()
            .when(command)
            .then_expect_error(AllowanceRejection::NotFound);
    }
}

#[test]
fn rejections_of_a_grant_come_in_the_order_of_the_list() {
    let mut full = folded([assigned()]);
    for number in 0..MAX_GRANTS as u128 {
        full.apply(granted(number, "1.00", 1, None));
    }
    for (command, expected) in [
        (grant(1, "0.00", 1, Some(100)), AllowanceRejection::GrantExists),
        (grant(5_000, "0.00", 1, Some(100)), AllowanceRejection::NotPositive),
        (grant(5_000, "-1.00", 1, Some(100)), AllowanceRejection::NotPositive),
        (grant(5_000, "1.00", 1, Some(100)), AllowanceRejection::ExpiryInThePast),
        (grant(5_000, "1.00", 1, Some(101)), AllowanceRejection::TooManyGrants),
    ] {
        assert_eq!(full.decide(command, at(100)), Err(expected));
    }
    let command = grant(5_000, "1.00", 9, Some(101));
    let event = granted(5_000, "1.00", 9, Some(101));
    allowances(100).given(vec![assigned()]).when(command).then_expect_events(vec![event]);
}

#[test]
fn grants_are_used_by_priority_then_the_soonest_end_then_those_without_then_the_id() {
    let history = vec![
        assigned(),
        granted(1, "1.00", 5, None),
        granted(2, "1.00", 5, Some(900)),
        granted(3, "1.00", 5, Some(800)),
        granted(4, "1.00", 4, None),
        granted(6, "1.00", 5, Some(900)),
        granted(5, "1.00", 5, None),
    ];
    let order = [(4, "1.00"), (3, "1.00"), (2, "1.00"), (6, "1.00"), (1, "1.00"), (5, "0.50")];
    allowances(0).given(history.clone()).when(reserve("5.50")).then_expect_events(vec![reserved(&order)]);
    allowances(0).given(history).when(burn("5.50")).then_expect_events(vec![burned(&order)]);
}

#[test]
fn a_grant_that_is_over_is_not_promised_but_what_was_promised_of_it_can_be_used() {
    let history = vec![assigned(), granted(1, "5.00", 1, Some(100)), reserved(&[(1, "2.00")])];
    allowances(99)
        .given(history.clone())
        .when(reserve("9.00"))
        .then_expect_events(vec![reserved(&[(1, "3.00")])]);
    allowances(100).given(history.clone()).when(reserve("9.00")).then_expect_events(vec![]);
    allowances(100).given(history).when(burn("9.00")).then_expect_events(vec![burned(&[(1, "2.00")])]);
}

#[test]
fn what_the_wallet_paid_out_of_ended_grants_is_used_of_them() {
    // 5.00 of a grant that is over, 1.00 of one that is not, and the wallet's own.
    let history = vec![
        assigned(),
        granted(1, "5.00", 1, Some(100)),
        granted(2, "1.00", 9, None),
        reserved(&[(1, "2.00")]),
    ];
    let used = |more: &[(u128, &str)]| {
        let all = [&[(1, "2.00"), (2, "1.00")], more].concat();
        vec![burned(&all)]
    };
    for (left, of_ended) in [
        // The wallet's own bore what no grant did; then, of 5.00, all but 1.00 and 3.00.
        ("7.00", &[][..]),
        ("3.00", &[]),
        ("2.00", &[(1, "1.00")]),
        ("0.00", &[(1, "3.00")]),
        // Something else was taken out of the wallet: this call used no more than it cost.
        ("-3.00", &[(1, "3.00")]),
    ] {
        let burn = burn_down_to(left, "8.00");
        allowances(100).given(history.clone()).when(burn).then_expect_events(used(of_ended));
    }
}

#[test]
fn what_was_promised_is_used_first_and_the_rest_is_free_again() {
    let history = vec![
        assigned(),
        granted(2, "5.00", 5, None),
        reserved(&[(2, "2.00")]),
        // Came later and would be used before.
        granted(1, "5.00", 1, None),
        reserved(&[(1, "1.00")]),
    ];
    for (cost, used) in [
        ("1.50", vec![(2, "1.50")]),
        ("2.50", vec![(2, "2.00"), (1, "0.50")]),
        ("4.00", vec![(2, "2.00"), (1, "1.00"), (1, "1.00")]),
        ("20.00", vec![(2, "2.00"), (1, "1.00"), (1, "4.00"), (2, "3.00")]),
    ] {
        allowances(0).given(history.clone()).when(burn(cost)).then_expect_events(vec![burned(&used)]);
        let mut allowance = folded(history.clone());
        allowance.apply(burned(&used));
        assert!(allowance.reserved.is_empty());
        assert!(allowance.grants.values().all(|grant| grant.reserved.is_zero()));
    }
    let returned = AllowanceEvent::Returned { execution: execution(1) };
    allowances(0).given(history.clone()).when(burn("0.00")).then_expect_events(vec![returned.clone()]);
    let mut allowance = folded(history);
    allowance.apply(returned);
    assert!(allowance.grants.values().all(|grant| grant.free() == amount("5.00")));
    assert_eq!(allowance.decide(burn("0.00"), at(0)), Ok(vec![]), "nothing is promised any more");
}

#[test]
fn a_grant_that_is_used_up_is_forgotten_and_its_id_is_free() {
    let history = vec![assigned(), granted(1, "5.00", 1, None), burned(&[(1, "5.00")])];
    assert!(folded(history.clone()).grants.is_empty());
    allowances(0).given(history.clone()).when(reserve("1.00")).then_expect_events(vec![]);
    allowances(0).given(history).when(burn("1.00")).then_expect_events(vec![]);
}

#[test]
fn debts_are_noted_and_repaid_as_far_as_there_is_something() {
    let owe = |text| AllowanceCommand::Owe { execution: execution(1), amount: amount(text) };
    let owing = AllowanceEvent::Indebted { execution: execution(1), amount: amount("3.00") };
    let repay = |text| AllowanceCommand::Repay { available: amount(text) };
    let repaid = |text| AllowanceEvent::DebtRepaid { amount: amount(text), parts: vec![] };
    allowances(0).given(vec![assigned()]).when(owe("3.00")).then_expect_events(vec![owing.clone()]);
    allowances(0).given(vec![assigned()]).when(owe("0.00")).then_expect_events(vec![]);
    let history = vec![assigned(), owing.clone()];
    allowances(0).given(vec![assigned()]).when(repay("9.00")).then_expect_events(vec![]);
    for (available, expected) in
        [("-1.00", None), ("0.00", None), ("1.00", Some("1.00")), ("9.00", Some("3.00"))]
    {
        let expected: Vec<_> = expected.map(repaid).into_iter().collect();
        allowances(0).given(history.clone()).when(repay(available)).then_expect_events(expected);
    }
    assert_eq!(folded([assigned(), owing, repaid("1.25")]).debt, amount("1.75"));
}

#[test]
fn what_grants_pay_of_a_debt_is_used_of_them() {
    let owing = AllowanceEvent::Indebted { execution: execution(1), amount: amount("6.00") };
    let repay = |text| AllowanceCommand::Repay { available: amount(text) };
    let repaid = |text, of| AllowanceEvent::DebtRepaid { amount: amount(text), parts: parts(of) };
    let granted = [granted(2, "2.00", 5, None), granted(1, "5.00", 1, Some(100)), reserved(&[(1, "1.00")])];
    let history: Vec<_> = [assigned(), owing].into_iter().chain(granted).collect();
    // What is promised is not available, what is over pays nothing, and what no grant covers is the wallet's own.
    let whole = repaid("6.00", &[(1, "4.00"), (2, "2.00")]);
    allowances(0).given(history.clone()).when(repay("9.00")).then_expect_events(vec![whole.clone()]);
    allowances(0)
        .given(history.clone())
        .when(repay("3.00"))
        .then_expect_events(vec![repaid("3.00", &[(1, "3.00")])]);
    allowances(100)
        .given(history.clone())
        .when(repay("9.00"))
        .then_expect_events(vec![repaid("6.00", &[(2, "2.00")])]);
    let allowance = folded(history.into_iter().chain([whole]));
    let left: Vec<_> = allowance.grants.iter().map(|(id, grant)| (*id, grant.remaining)).collect();
    assert_eq!((left, allowance.debt), (vec![(id(1), amount("1.00"))], amount("0.00")));
}

#[test]
fn what_was_let_through_is_noted_and_changes_nothing() {
    let (execution, short) = (execution(1), amount("3.00"));
    let exceeded = AllowanceEvent::Exceeded { execution, short };
    let command = AllowanceCommand::Exceed { execution, short };
    allowances(0).given(vec![assigned()]).when(command).then_expect_events(vec![exceeded.clone()]);
    assert_eq!(folded([assigned(), exceeded]), folded([assigned()]));
}

#[test]
fn a_lifetime_grant_is_given_once_and_raised_by_the_difference() {
    let lifetime = |text| renew(policy(Mode::Lifetime, text), 0, 1, "0.00");
    let grant = GrantId(Uuid::new_v5(&ID.0, b"lifetime"));
    let once = |text| AllowanceEvent::Allocated {
        grant,
        period: None,
        added: amount(text),
        carried: amount("0.00"),
        carried_from: None,
        missed: None,
    };
    allowances(0).given(vec![assigned()]).when(lifetime("5.00")).then_expect_events(vec![once("5.00")]);
    let history = vec![assigned(), once("5.00")];
    for (to, added) in [("5.00", None), ("4.00", None), ("5", None), ("7.50", Some("2.50"))] {
        let expected: Vec<_> = added.map(once).into_iter().collect();
        allowances(0).given(history.clone()).when(lifetime(to)).then_expect_events(expected);
    }
    // Lowered and raised again, or used up: what was given is not given again.
    let used = AllowanceEvent::Burned {
        execution: execution(1),
        parts: vec![Part { grant, amount: amount("5.00") }],
    };
    let history = vec![assigned(), once("5.00"), used];
    allowances(0).given(history.clone()).when(lifetime("5.00")).then_expect_events(vec![]);
    allowances(0).given(history.clone()).when(lifetime("6.00")).then_expect_events(vec![once("1.00")]);
    let mut allowance = folded(history);
    allowance.apply(once("1.00"));
    assert_eq!((allowance.lifetime, allowance.grants[&grant].amount), (amount("6.00"), amount("6.00")));
    assert_eq!(allowance.grants[&grant].remaining, amount("1.00"));
}

#[test]
fn a_policy_in_another_asset_or_none_grants_nothing() {
    let foreign = Policy { asset: AssetCode::new("EUR").unwrap(), ..monthly(Rollover::Full, "5.00") };
    allowances(0).given(vec![assigned()]).when(renew(foreign, 0, 1, "0.00")).then_expect_events(vec![]);
    let nothing = AllowanceCommand::Renew { policy: None, period: (month(0), 1), available: amount("0.00") };
    allowances(0).given(vec![assigned()]).when(nothing).then_expect_events(vec![]);
}

#[test]
fn a_month_is_granted_once() {
    let full = monthly(Rollover::Full, "5.00");
    let first = || renew(full.clone(), 3, 1, "0.00");
    allowances(3 * MONTH)
        .given(vec![assigned()])
        .when(first())
        .then_expect_events(vec![allocated(3, "5.00", "0.00")]);
    // Nor for months before it, asked for by somebody whose clock is late; nor when it is raised in the middle.
    let history = vec![assigned(), allocated(3, "5.00", "0.00")];
    let raised = renew(monthly(Rollover::Full, "9.00"), 3, 0, "5.00");
    for command in [first(), renew(full.clone(), 2, 1, "5.00"), raised] {
        allowances(3 * MONTH + 1).given(history.clone()).when(command).then_expect_events(vec![]);
    }
}

#[test]
fn what_is_left_of_a_month_is_carried_as_the_rollover_says_and_the_rest_expires() {
    let capped = |most| Rollover::Capped { most: amount(most) };
    let history = vec![assigned(), allocated(0, "10.00", "0.00"), burned(&[]), reserved(&[])];
    let cases = [
        (Rollover::None, "0.00", Some("10.00")),
        (capped("4.00"), "4.00", Some("6.00")),
        (capped("40.00"), "10.00", None),
        (capped("0.00"), "0.00", Some("10.00")),
        (Rollover::Full, "10.00", None),
    ];
    for (rollover, carried, gone) in cases {
        let gone = gone.map(|gone| expired(of_month(0), gone, gone));
        let expected: Vec<_> = [allocated(1, "5.00", carried)].into_iter().chain(gone).collect();
        allowances(MONTH)
            .given(history.clone())
            .when(renew(monthly(rollover, "5.00"), 1, 1, "10.00"))
            .then_expect_events(expected.clone());
        let allowance = folded(history.iter().cloned().chain(expected));
        let whole = sum(amount("5.00"), amount(carried));
        assert_eq!(allowance.grants.keys().copied().collect::<Vec<_>>(), [of_month(1)]);
        let grant = &allowance.grants[&of_month(1)];
        assert_eq!((grant.amount, grant.remaining), (whole, whole), "{rollover:?}");
    }
}

#[test]
fn missed_months_count_as_if_somebody_had_asked_in_each() {
    let capped = |most| Rollover::Capped { most: amount(most) };
    let history = vec![assigned(), allocated(0, "10.00", "0.00")];
    for (rollover, added, carried, of_missed) in [
        (Rollover::None, "5.00", "0.00", None),
        (capped("4.00"), "5.00", "4.00", None),
        (capped("12.00"), "7.00", "10.00", Some("2.00")),
        (Rollover::Full, "15.00", "10.00", Some("10.00")),
    ] {
        let gone = sum(amount("10.00"), Amount::zero(scale())).minor() - amount(carried).minor();
        let gone = (gone > 0).then(|| {
            let gone = Amount::from_minor(gone, scale());
            AllowanceEvent::Expired { grant: of_month(0), amount: gone, moved: gone }
        });
        let carried_from = (carried != "0.00").then(|| of_month(0));
        let mut granted = allocated_from(3, added, carried, carried_from);
        if let AllowanceEvent::Allocated { missed, .. } = &mut granted {
            *missed = of_missed.map(amount);
        }
        let expected = [granted].into_iter().chain(gone).collect();
        allowances(3 * MONTH)
            .given(history.clone())
            .when(renew(monthly(rollover, "5.00"), 3, 3, "10.00"))
            .then_expect_events(expected);
    }
}

#[test]
fn a_cap_with_more_digits_than_the_asset_still_caps() {
    let rollover = Rollover::Capped { most: amount("4.009") };
    allowances(MONTH)
        .given(vec![assigned(), allocated(0, "10.00", "0.00")])
        .when(renew(monthly(rollover, "5.00"), 1, 1, "10.00"))
        .then_expect_events(vec![allocated(1, "5.00", "4.00"), expired(of_month(0), "6.00", "6.00")]);
}

#[test]
fn what_is_promised_at_the_end_of_a_month_is_neither_carried_nor_expired_until_it_is_given_back() {
    let part = |text| vec![Part { grant: of_month(0), amount: amount(text) }];
    let promised = AllowanceEvent::Reserved { execution: execution(1), parts: part("4.00") };
    let history = vec![assigned(), allocated(0, "10.00", "0.00"), promised, allocated(1, "5.00", "6.00")];
    let again = || renew(monthly(Rollover::Full, "5.00"), 1, 0, "11.00");
    allowances(MONTH).given(history.clone()).when(again()).then_expect_events(vec![]);
    assert_eq!(folded(history.clone()).due_at(), Some(at(2 * MONTH)));
    let used = AllowanceEvent::Burned { execution: execution(1), parts: part("1.00") };
    let history: Vec<_> = history.into_iter().chain([used]).collect();
    assert_eq!(folded(history.clone()).due_at(), Some(at(MONTH)), "what came back is over already");
    allowances(MONTH + 1).given(history.clone()).when(again()).then_expect_events(vec![late(0, 1, "3.00")]);
    let carried = folded(history.into_iter().chain([late(0, 1, "3.00")]));
    assert_eq!(carried.grants.keys().copied().collect::<Vec<_>>(), [of_month(1)]);
    let grant = &carried.grants[&of_month(1)];
    assert_eq!(
        (grant.amount, grant.remaining, carried.carried),
        (amount("14.00"), amount("14.00"), amount("9.00"))
    );
    assert_eq!(carried.decide(again(), at(MONTH + 1)), Ok(vec![]), "it comes once");
}

#[test]
fn what_comes_back_after_its_month_is_carried_as_far_as_the_rollover_has_room() {
    let part = |text| vec![Part { grant: of_month(0), amount: amount(text) }];
    let promised = AllowanceEvent::Reserved { execution: execution(1), parts: part("4.00") };
    let returned = AllowanceEvent::Returned { execution: execution(1) };
    let capped = |most| Rollover::Capped { most: amount(most) };
    let gone = |text| expired(of_month(0), text, text);
    for (rollover, first, then) in [
        (Rollover::None, "0.00", vec![gone("4.00")]),
        (capped("6.00"), "6.00", vec![gone("4.00")]),
        (capped("7.00"), "6.00", vec![late(0, 1, "1.00"), gone("3.00")]),
        (capped("70.00"), "6.00", vec![late(0, 1, "4.00")]),
        (Rollover::Full, "6.00", vec![late(0, 1, "4.00")]),
    ] {
        let history = [
            assigned(),
            allocated(0, "10.00", "0.00"),
            promised.clone(),
            allocated(1, "5.00", first),
            returned.clone(),
        ];
        let rest = amount("6.00").checked_sub(amount(first)).unwrap();
        let ended = rest.is_positive().then(|| AllowanceEvent::Expired {
            grant: of_month(0),
            amount: rest,
            moved: rest,
        });
        let history: Vec<_> = history.into_iter().chain(ended).collect();
        allowances(MONTH)
            .given(history.clone())
            .when(renew(monthly(rollover, "5.00"), 1, 0, "15.00"))
            .then_expect_events(then);
        // What the wallet does not have is not carried.
        allowances(MONTH)
            .given(history)
            .when(renew(monthly(rollover, "5.00"), 1, 0, "0.00"))
            .then_expect_events(vec![expired(of_month(0), "4.00", "0.00")]);
    }
}

#[test]
fn what_comes_back_months_later_goes_into_the_present_month_and_the_cap_counts_what_missed_months_brought() {
    let part = |text| vec![Part { grant: of_month(0), amount: amount(text) }];
    let promised = AllowanceEvent::Reserved { execution: execution(1), parts: part("4.00") };
    let returned = AllowanceEvent::Returned { execution: execution(1) };
    let mut missing = allocated_from(3, "7.00", "6.00", Some(of_month(0)));
    if let AllowanceEvent::Allocated { missed, .. } = &mut missing {
        *missed = Some(amount("2.00"));
    }
    let history = [assigned(), allocated(0, "10.00", "0.00"), promised, missing, returned];
    let capped = |most| monthly(Rollover::Capped { most: amount(most) }, "5.00");
    allowances(3 * MONTH)
        .given(history.to_vec())
        .when(renew(capped("10.00"), 3, 0, "17.00"))
        .then_expect_events(vec![late(0, 3, "2.00"), expired(of_month(0), "2.00", "2.00")]);
    // Together with the next month: that of the month before comes first.
    allowances(4 * MONTH)
        .given(history.to_vec())
        .when(renew(capped("14.00"), 4, 1, "17.00"))
        .then_expect_events(vec![
            allocated(4, "5.00", "13.00"),
            late(0, 4, "1.00"),
            expired(of_month(0), "3.00", "3.00"),
        ]);
    // Where no policy follows, it ends.
    let nothing = AllowanceCommand::Renew { policy: None, period: (month(3), 0), available: amount("17.00") };
    allowances(3 * MONTH).given(history.to_vec()).when(nothing).then_expect_events(vec![expired(
        of_month(0),
        "4.00",
        "4.00",
    )]);
}

#[test]
fn what_the_wallet_does_not_have_is_neither_carried_nor_moved() {
    let history = vec![assigned(), allocated(0, "10.00", "0.00"), granted(1, "2.00", 1, Some(MONTH))];
    allowances(MONTH)
        .given(history.clone())
        .when(renew(monthly(Rollover::Full, "5.00"), 1, 1, "3.00"))
        .then_expect_events(vec![
            allocated(1, "5.00", "3.00"),
            expired(id(1), "2.00", "0.00"),
            expired(of_month(0), "7.00", "0.00"),
        ]);
    allowances(MONTH)
        .given(history)
        .when(renew(monthly(Rollover::None, "5.00"), 1, 1, "3.00"))
        .then_expect_events(vec![
            allocated(1, "5.00", "0.00"),
            expired(id(1), "2.00", "2.00"),
            expired(of_month(0), "10.00", "1.00"),
        ]);
}

#[test]
fn a_month_without_anything_in_it_ends_too() {
    let nothing = monthly(Rollover::Full, "0.00");
    allowances(MONTH)
        .given(vec![assigned(), allocated(0, "0.00", "0.00")])
        .when(renew(nothing, 1, 1, "0.00"))
        .then_expect_events(vec![allocated(1, "0.00", "0.00"), expired(of_month(0), "0.00", "0.00")]);
}

#[test]
fn another_time_zone_does_not_grant_the_same_month_again() {
    let moved = |number: i64, hours: i64| Period {
        start: at(number * MONTH + hours),
        end: at((number + 1) * MONTH + hours),
    };
    let full = || Some(monthly(Rollover::Full, "5.00"));
    let history = vec![assigned(), allocated(0, "5.00", "0.00")];
    let renew = |period, begun| AllowanceCommand::Renew {
        policy: full(),
        period: (period, begun),
        available: amount("5.00"),
    };
    // Its month begins later than the one that was allocated, and is the same.
    allowances(10).given(history.clone()).when(renew(moved(0, 5), 0)).then_expect_events(vec![]);
    // Nor is anything lost between the end of the month there and its end here.
    allowances(MONTH + 1).given(history.clone()).when(renew(moved(0, 5), 0)).then_expect_events(vec![]);
    let period = moved(1, 5);
    let grant = GrantId(Uuid::new_v5(&ID.0, &period.start.timestamp_micros().to_be_bytes()));
    let (added, carried, carried_from) = (amount("5.00"), amount("5.00"), Some(of_month(0)));
    let (period, missed) = (Some(period), None);
    let event = AllowanceEvent::Allocated { grant, period, added, carried, carried_from, missed };
    allowances(MONTH + 5).given(history).when(renew(moved(1, 5), 1)).then_expect_events(vec![event]);
}

#[test]
fn a_month_that_no_policy_follows_ends_once_and_nothing_is_granted_for_the_time_without() {
    let without = |number| AllowanceCommand::Renew {
        policy: None,
        period: (month(number), u32::try_from(number).unwrap()),
        available: amount("5.00"),
    };
    let lapsed = |text| expired(of_month(0), text, text);
    let unused = vec![assigned(), allocated(0, "5.00", "0.00")];
    let part = vec![Part { grant: of_month(0), amount: amount("5.00") }];
    let burned = AllowanceEvent::Burned { execution: execution(1), parts: part };
    let used: Vec<_> = unused.iter().cloned().chain([burned]).collect();
    for (mut history, gone) in [(unused, "5.00"), (used, "0.00")] {
        assert_eq!(folded(history.clone()).due_at(), Some(at(MONTH)));
        allowances(MONTH - 1).given(history.clone()).when(without(0)).then_expect_events(vec![]);
        allowances(MONTH).given(history.clone()).when(without(1)).then_expect_events(vec![lapsed(gone)]);
        history.push(lapsed(gone));
        assert_eq!(folded(history.clone()).due_at(), None, "it would be due for ever");
        allowances(MONTH).given(history.clone()).when(without(1)).then_expect_events(vec![]);
        let full = || renew(monthly(Rollover::Full, "5.00"), 4, 4, "0.00");
        allowances(4 * MONTH)
            .given(history.clone())
            .when(full())
            .then_expect_events(vec![allocated(4, "5.00", "0.00")]);
        history.push(allocated(4, "5.00", "0.00"));
        assert_eq!(folded(history).due_at(), Some(at(5 * MONTH)));
    }
}

#[test]
fn an_allowance_is_due_when_the_first_of_its_grants_or_its_month_ends() {
    let due = |events: Vec<AllowanceEvent>| folded([assigned()].into_iter().chain(events)).due_at();
    assert_eq!(due(vec![]), None);
    assert_eq!(due(vec![granted(1, "1.00", 1, None)]), None);
    assert_eq!(due(vec![granted(1, "1.00", 1, Some(50)), granted(2, "1.00", 1, Some(40))]), Some(at(40)));
    let promised = reserved(&[(2, "1.00")]);
    let grants = vec![granted(1, "1.00", 1, Some(50)), granted(2, "1.00", 1, Some(40)), promised];
    assert_eq!(due(grants), Some(at(50)), "of what is promised nothing can be taken");
    assert_eq!(due(vec![allocated(0, "0.00", "0.00")]), Some(at(MONTH)));
}
