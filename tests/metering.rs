//! Metered calls on a real database: what is held, paid, owed and given back, in one commit with the call itself.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use commands::{
    AllowanceChange, Command, Failure, FinishedCall, NewCall, Outcome, Rejection, Resource,
    TransactionRequest,
};
use cqrs_es::Aggregate as _;
use domain::allowance::AllowanceRejection;
use domain::catalogue::{
    CatalogueCommand, CatalogueRejection, Enforcement, Governed, Level, Mode, Policy, Rollover,
};
use domain::execution::{End, ExecutionRejection, ExecutionStatus, FailureReason, Operation, Quoted};
use domain::tenant::TenantCommand;
use domain::wallet::WalletRejection;
use domain::{
    Allowance, AllowanceId, AssetCode, Digest, Execution, ExecutionId, GrantId, LevelName, Metadata,
    ModelName, Price, ProviderName, Rates, Reason, Scale, TransactionId, Usage, UsageSource, UserRef,
    WalletId, WalletPath, ZoneName, event,
};
use support::ledger::{Ledger, amount, key, transfer};
use uuid::Uuid;

const CALL: ExecutionId = ExecutionId(Uuid::from_u128(0xe1));

fn path(text: &str) -> WalletPath {
    WalletPath::new(text).unwrap()
}

/// One token of input costs a cent, one of output two.
fn price() -> Price {
    let rates = Rates {
        input: amount("10000.00"),
        output: amount("20000.00"),
        cache_read: None,
        cache_write: None,
        cache_write_long: None,
        reasoning: None,
    };
    Price { version: 1, asset: AssetCode::new("USD").unwrap(), rates }
}

fn quoted() -> Quoted {
    let (provider, model) = (ProviderName::new("openai").unwrap(), ModelName::new("gpt").unwrap());
    Quoted { provider, model, price: price() }
}

fn tokens(input: u64, output: u64) -> Usage {
    Usage { input, output, ..Usage::default() }
}

fn call(ledger: &Ledger, id: ExecutionId, wallet: &str, estimate: Usage) -> Command {
    let call = NewCall {
        requested_at: None,
        wallet: path(wallet),
        application: None,
        user: None,
        model: ModelName::new("fast").unwrap(),
        operation: Operation::OpenAiChat,
        fingerprint: Digest::new(&"0f".repeat(32)).unwrap(),
        estimate,
        basis: None,
        quotes: vec![quoted()],
        expires_at: ledger.clock.get() + TimeDelta::minutes(10),
    };
    Command::Execute { id, call: Box::new(call) }
}

fn finished(id: ExecutionId, usage: Usage) -> Command {
    let finished = FinishedCall {
        attempts: Vec::new(),
        end: End::Completed,
        usage,
        usage_source: UsageSource::Reported,
        paid: Some(quoted()),
    };
    Command::FinishExecution { id, finished: Box::new(finished) }
}

fn extension(id: ExecutionId, estimate: Usage) -> Command {
    Command::ExtendExecution { id, estimate }
}

fn policy(mode: Mode, text: &str, enforcement: Enforcement) -> Policy {
    Policy { mode, amount: amount(text), asset: AssetCode::new("USD").unwrap(), enforcement }
}

async fn set_policy(ledger: &Ledger, wallet: &str, policy: Policy) {
    let governed = Governed::Wallet(path(wallet));
    done(ledger, Command::Catalogue(CatalogueCommand::SetPolicy { governed, policy })).await;
}

async fn done(ledger: &Ledger, command: Command) -> Outcome {
    ledger.run(command, None).await.unwrap()
}

fn execution(outcome: &Outcome) -> Execution {
    match &outcome.resource {
        Resource::Execution(_, execution) => (**execution).clone(),
        other => panic!("{other:?}"),
    }
}

fn rejection(result: Result<Outcome, Failure>) -> Rejection {
    match result {
        Err(Failure::Rejected(rejection)) => rejection,
        other => panic!("{other:?}"),
    }
}

/// Posted and held of a wallet.
async fn balance(ledger: &Ledger, wallet: &str) -> (String, String) {
    let balance = ledger.wallet(wallet).await.balance;
    (balance.posted.to_string(), balance.held.to_string())
}

/// An allowance folded from the journal alone.
async fn allowance(ledger: &Ledger, wallet: &str) -> Allowance {
    let id = AllowanceId::of(WalletId::of(ledger.tenant, &path(wallet)));
    let events = ledger.journal.stream(ledger.partition(), id.0, i64::MAX).await.unwrap();
    events.iter().fold(Allowance::default(), |mut allowance, recorded| {
        let text = &recorded.text;
        allowance.apply(event::decode(&text.event_type, text.event_version, &text.payload).unwrap());
        allowance
    })
}

/// The sum of all wallets, which is nothing, always.
async fn trial_balance(ledger: &Ledger) -> i128 {
    let mut posted = BTreeMap::new();
    for recorded in ledger.events().await {
        let text = &recorded.text;
        if text.aggregate_type == domain::Wallet::TYPE {
            let said =
                event::decode::<domain::wallet::WalletEvent>(&text.event_type, 1, &text.payload).unwrap();
            if let Some(balance) = said.balance() {
                posted.insert(text.aggregate_id, balance.posted.minor());
            }
        }
    }
    posted.values().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_held_with_its_request_and_paid_with_its_end_each_in_one_commit() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    let requested = done(&ledger, call(&ledger, CALL, "customers:1", tokens(10, 20))).await;
    assert_eq!(execution(&requested).status, ExecutionStatus::Running);
    assert_eq!(balance(&ledger, "customers:1").await, ("100.00".into(), "0.50".into()));
    let ended = done(&ledger, finished(CALL, tokens(10, 5))).await;
    let settled = *execution(&ended).settled.unwrap();
    assert_eq!((settled.cost, settled.from_holds), (amount("0.20"), amount("0.20")));
    assert_eq!((settled.overdrawn, settled.debt), (amount("0.00"), amount("0.00")));
    assert_eq!(balance(&ledger, "customers:1").await, ("99.80".into(), "0.00".into()));
    assert_eq!(balance(&ledger, "@revenue").await.0, "0.20");
    let events = ledger.events().await;
    let ours: Vec<_> = events.iter().filter(|event| event.text.aggregate_id == CALL.0).collect();
    assert_eq!(ours.len(), 3, "requested, completed, settled");
    let hold = TransactionId::of_execution(CALL, "hold/0");
    for (step, with) in [(ours[0], "held"), (ours[2], "settled")] {
        let beside =
            events.iter().find(|event| event.text.aggregate_id == hold.0 && event.text.event_type == with);
        assert_eq!(beside.unwrap().text.command_id, step.text.command_id, "{with}");
    }
    assert_eq!(trial_balance(&ledger).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_has_the_first_answer_and_no_second_effect() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    let steps = [
        call(&ledger, CALL, "customers:1", tokens(10, 20)),
        extension(CALL, tokens(0, 10)),
        finished(CALL, tokens(10, 25)),
    ];
    for (index, step) in steps.into_iter().enumerate() {
        let name = format!("step {index}");
        let first = ledger.run(step.clone(), key(&name, "same")).await.unwrap();
        let events = ledger.events().await.len();
        let fresh = ledger.restarted().await;
        for program in [&ledger, &fresh] {
            let again = program.run(step.clone(), key(&name, "same")).await.unwrap();
            assert_eq!(again, Outcome { replayed: true, ..first.clone() }, "{name}");
        }
        assert_eq!(ledger.events().await.len(), events, "{name}");
    }
    assert_eq!(balance(&ledger, "customers:1").await, ("99.40".into(), "0.00".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_was_held_draws_on_what_there_is_and_the_rest_is_owed() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    done(&ledger, call(&ledger, CALL, "customers:1", tokens(10, 20))).await;
    let ended = done(&ledger, finished(CALL, tokens(10, 6_000))).await;
    let settled = *execution(&ended).settled.unwrap();
    let parts = (settled.from_holds, settled.overdrawn, settled.debt);
    assert_eq!(parts, (amount("0.50"), amount("99.50"), amount("20.10")));
    assert_eq!(settled.cost, amount("120.10"));
    assert_eq!(balance(&ledger, "customers:1").await, ("0.00".into(), "0.00".into()));
    assert_eq!(balance(&ledger, "@debts").await.0, "-20.10");
    assert_eq!(balance(&ledger, "@revenue").await.0, "120.10");
    assert_eq!(allowance(&ledger, "customers:1").await.debt, amount("20.10"));
    // The wallet is not empty any more, and still owes.
    ledger.submit(transfer("@world", "customers:1", "5.00")).await.unwrap();
    let next = ExecutionId(Uuid::from_u128(2));
    let refused = rejection(ledger.run(call(&ledger, next, "customers:1", tokens(1, 1)), None).await);
    let AllowanceRejection::InDebt { debt, .. } = (match refused {
        Rejection::Allowance(rejection) => rejection,
        other => panic!("{other:?}"),
    }) else {
        panic!("not in debt")
    };
    assert_eq!(debt, amount("15.10"), "what had come in was taken into account");
    ledger.submit(transfer("@world", "customers:1", "20.00")).await.unwrap();
    done(&ledger, call(&ledger, next, "customers:1", tokens(1, 1))).await;
    assert_eq!(allowance(&ledger, "customers:1").await.debt, amount("0.00"));
    assert_eq!(balance(&ledger, "customers:1").await, ("4.90".into(), "0.03".into()));
    assert_eq!(balance(&ledger, "@debts").await.0, "0.00");
    assert_eq!(trial_balance(&ledger).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_calls_at_once_no_more_is_held_than_there_is() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    let calls = (0..150).map(|index| {
        let id = ExecutionId(Uuid::from_u128(100 + index));
        (call(&ledger, id, "customers:1", tokens(100, 0)), None)
    });
    let results = ledger.run_all(calls.collect()).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 100);
    let refused = results.into_iter().find(Result::is_err).unwrap();
    assert!(matches!(rejection(refused), Rejection::Allowance(AllowanceRejection::Exhausted { .. })));
    assert_eq!(balance(&ledger, "customers:1").await, ("100.00".into(), "100.00".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_extended_while_there_is_something_and_not_beyond() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    done(&ledger, call(&ledger, CALL, "customers:1", tokens(0, 2_500))).await;
    let more = done(&ledger, extension(CALL, tokens(0, 2_500))).await;
    assert_eq!(execution(&more).holds.len(), 2);
    assert_eq!(balance(&ledger, "customers:1").await.1, "100.00");
    let refused = rejection(ledger.run(extension(CALL, tokens(0, 1)), None).await);
    assert!(matches!(refused, Rejection::Allowance(AllowanceRejection::Exhausted { .. })), "{refused:?}");
    done(&ledger, finished(CALL, tokens(0, 2_600))).await;
    assert_eq!(balance(&ledger, "customers:1").await, ("48.00".into(), "0.00".into()));
    let ended = rejection(ledger.run(extension(CALL, tokens(0, 1)), None).await);
    assert_eq!(ended, ExecutionRejection::Ended(ExecutionStatus::Completed).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_watched_is_let_through_and_noted() {
    for enforcement in [Enforcement::Monitor, Enforcement::Warn] {
        let ledger = Ledger::funded(&["customers:1"]).await;
        set_policy(&ledger, "customers:1", policy(Mode::Lifetime, "1.00", enforcement)).await;
        let began = execution(&done(&ledger, call(&ledger, CALL, "customers:1", tokens(20_000, 0))).await);
        assert_eq!(began.body.enforcement, enforcement);
        assert_eq!(balance(&ledger, "customers:1").await, ("101.00".into(), "101.00".into()));
        let events = ledger.events().await;
        let noted = events.iter().find(|event| event.text.event_type == "exceeded").unwrap();
        assert!(noted.text.payload.contains(r#""short": "99.00""#), "{}", noted.text.payload);
        done(&ledger, finished(CALL, tokens(20_000, 0))).await;
        assert_eq!(allowance(&ledger, "customers:1").await.debt, amount("99.00"));
        // Debt stops those alone whose limits are hard.
        let next = ExecutionId(Uuid::from_u128(2));
        done(&ledger, call(&ledger, next, "customers:1", tokens(1, 1))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_without_a_price_is_refused_under_a_hard_limit_and_let_through_under_others() {
    let ledger = Ledger::funded(&["customers:1", "customers:2"]).await;
    set_policy(&ledger, "customers:2", policy(Mode::Lifetime, "1.00", Enforcement::Warn)).await;
    let unpriced = |wallet: &str, id| match call(&ledger, id, wallet, tokens(1, 1)) {
        Command::Execute { id, mut call } => {
            call.quotes.clear();
            Command::Execute { id, call }
        }
        other => panic!("{other:?}"),
    };
    let refused = rejection(ledger.run(unpriced("customers:1", CALL), None).await);
    assert_eq!(refused, ExecutionRejection::Unpriced.into());
    let other = ExecutionId(Uuid::from_u128(2));
    let began = execution(&done(&ledger, unpriced("customers:2", other)).await);
    assert!(began.holds.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_is_granted_once_however_many_ask_and_however_many_programs_there_are() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    let zone = ZoneName::new("Europe/Berlin").unwrap();
    done(&ledger, Command::Catalogue(CatalogueCommand::SetTimeZone { zone })).await;
    let monthly = Mode::Monthly { rollover: Rollover::None };
    set_policy(&ledger, "customers:1", policy(monthly, "10.00", Enforcement::Hard)).await;
    let other = ledger.restarted().await;
    let ask = |program: &Ledger, from: u128| {
        let calls = (0..20).map(|index| {
            (call(program, ExecutionId(Uuid::from_u128(from + index)), "customers:1", tokens(1, 0)), None)
        });
        calls.collect::<Vec<_>>()
    };
    let (one, two) = tokio::join!(ledger.run_all(ask(&ledger, 1_000)), other.run_all(ask(&other, 2_000)));
    assert!(one.iter().chain(&two).all(Result::is_ok), "{one:?} {two:?}");
    assert_eq!(balance(&ledger, "customers:1").await, ("110.00".into(), "0.40".into()));
    // Two months later what was not promised is gone, and one month's grant is there.
    ledger.clock.advance(TimeDelta::days(61));
    done(&ledger, Command::Allowance { path: path("customers:1"), change: AllowanceChange::Renew }).await;
    assert_eq!(balance(&ledger, "customers:1").await, ("110.40".into(), "0.40".into()));
    assert_eq!(balance(&ledger, "@expired").await.0, "9.60");
    let idle = Command::Allowance { path: path("customers:1"), change: AllowanceChange::Renew };
    assert_eq!(rejection(ledger.run(idle, None).await), Rejection::NothingDue);
    assert_eq!(trial_balance(&ledger).await, 0);
}

fn monthly(rollover: Rollover, text: &str) -> Policy {
    policy(Mode::Monthly { rollover }, text, Enforcement::Hard)
}

fn renewal(wallet: &str) -> Command {
    Command::Allowance { path: path(wallet), change: AllowanceChange::Renew }
}

/// A call for a user.
fn call_for(user: &str, ledger: &Ledger, id: ExecutionId, wallet: &str, estimate: Usage) -> Command {
    let mut begin = call(ledger, id, wallet, estimate);
    if let Command::Execute { call, .. } = &mut begin {
        call.user = Some(UserRef::new(user).unwrap());
    }
    begin
}

async fn set_user_policy(ledger: &Ledger, user: &str, policy: Policy) {
    let governed = Governed::User(UserRef::new(user).unwrap());
    done(ledger, Command::Catalogue(CatalogueCommand::SetPolicy { governed, policy })).await;
}

/// A wallet that owns nothing.
async fn empty(ledger: &Ledger, wallet: &str) {
    ledger.submit(transfer(wallet, "@world", "100.00")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debt_that_a_grant_has_paid_does_not_cost_the_wallets_own_money_at_the_end_of_the_month() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    empty(&ledger, "customers:1").await;
    let once = policy(Mode::Lifetime, "1.00", Enforcement::Hard);
    set_policy(&ledger, "customers:1", once).await;
    done(&ledger, call(&ledger, CALL, "customers:1", tokens(10, 20))).await;
    done(&ledger, finished(CALL, tokens(600, 0))).await;
    assert_eq!(allowance(&ledger, "customers:1").await.debt, amount("5.00"));
    set_policy(&ledger, "customers:1", monthly(Rollover::None, "20.00")).await;
    done(&ledger, renewal("customers:1")).await;
    assert_eq!(balance(&ledger, "customers:1").await.0, "15.00", "the month's grant has paid the debt");
    let next = ExecutionId(Uuid::from_u128(2));
    done(&ledger, call(&ledger, next, "customers:1", tokens(1_500, 0))).await;
    done(&ledger, finished(next, tokens(1_500, 0))).await;
    ledger.submit(transfer("@world", "customers:1", "10.00")).await.unwrap();
    ledger.clock.advance(TimeDelta::days(31));
    done(&ledger, renewal("customers:1")).await;
    assert_eq!(balance(&ledger, "customers:1").await.0, "30.00");
    assert!(ledger.wallet("@expired").await.balance.posted.is_zero(), "nothing was left");
    assert_eq!(trial_balance(&ledger).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_users_policy_carries_over_does_not_depend_on_who_comes_first_in_the_month() {
    for sweeper_first in [true, false] {
        let ledger = Ledger::funded(&["customers:1"]).await;
        empty(&ledger, "customers:1").await;
        set_user_policy(&ledger, "ada", monthly(Rollover::Full, "20.00")).await;
        done(&ledger, call_for("ada", &ledger, CALL, "customers:1", tokens(800, 0))).await;
        done(&ledger, finished(CALL, tokens(800, 0))).await;
        assert_eq!(balance(&ledger, "customers:1").await.0, "12.00");
        ledger.clock.advance(TimeDelta::days(31));
        if sweeper_first {
            done(&ledger, renewal("customers:1")).await;
        }
        let next = ExecutionId(Uuid::from_u128(2));
        done(&ledger, call_for("ada", &ledger, next, "customers:1", tokens(1, 0))).await;
        assert_eq!(balance(&ledger, "customers:1").await.0, "32.00", "sweeper first: {sweeper_first}");
        assert_eq!(trial_balance(&ledger).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_belongs_to_the_first_user_with_a_policy_who_is_named_until_it_is_said_otherwise() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    let user = |name: &str| Some(UserRef::new(name).unwrap());
    let id = |number| ExecutionId(Uuid::from_u128(number));
    // Who has no policy changes nothing: a call on a wallet without an allowance writes none.
    done(&ledger, call_for("eve", &ledger, id(1), "customers:1", tokens(1, 0))).await;
    assert!(!allowance(&ledger, "customers:1").await.exists());
    set_user_policy(&ledger, "ada", monthly(Rollover::None, "20.00")).await;
    set_user_policy(&ledger, "bob", monthly(Rollover::None, "50.00")).await;
    done(&ledger, call_for("ada", &ledger, id(2), "customers:1", tokens(1, 0))).await;
    done(&ledger, call_for("bob", &ledger, id(3), "customers:1", tokens(1, 0))).await;
    assert_eq!(allowance(&ledger, "customers:1").await.user, user("ada"));
    assert_eq!(balance(&ledger, "customers:1").await.0, "120.00");
    let (level, bob) = (None, user("bob"));
    let assign = AllowanceChange::Assign { level, user: bob.clone() };
    done(&ledger, Command::Allowance { path: path("customers:1"), change: assign }).await;
    done(&ledger, call_for("ada", &ledger, id(4), "customers:1", tokens(1, 0))).await;
    assert_eq!(allowance(&ledger, "customers:1").await.user, bob);
    let events = ledger.events().await;
    assert_eq!(events.iter().filter(|event| event.text.event_type == "assigned").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_goes_on_into_a_new_month_is_extended_from_what_that_grants() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    empty(&ledger, "customers:1").await;
    set_policy(&ledger, "customers:1", monthly(Rollover::None, "10.00")).await;
    let end = commands::month(None, ledger.clock.get()).end;
    ledger.clock.advance(end - ledger.clock.get() - TimeDelta::minutes(1));
    done(&ledger, call(&ledger, CALL, "customers:1", tokens(900, 0))).await;
    let refused = rejection(ledger.run(extension(CALL, tokens(500, 0)), None).await);
    assert!(matches!(refused, Rejection::Allowance(AllowanceRejection::Exhausted { .. })), "{refused:?}");
    ledger.clock.advance(TimeDelta::minutes(2));
    done(&ledger, extension(CALL, tokens(500, 0))).await;
    assert_eq!(balance(&ledger, "customers:1").await, ("19.00".into(), "14.00".into()));
    assert_eq!(balance(&ledger, "@expired").await.0, "1.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_not_extended_from_a_grant_that_is_over() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    empty(&ledger, "customers:1").await;
    let expires_at = Some(ledger.clock.get() + TimeDelta::minutes(5));
    let (grant, priority) = (GrantId(Uuid::from_u128(1)), 1);
    let change = AllowanceChange::Grant { grant, amount: amount("10.00"), priority, expires_at };
    done(&ledger, Command::Allowance { path: path("customers:1"), change }).await;
    done(&ledger, call(&ledger, CALL, "customers:1", tokens(100, 0))).await;
    done(&ledger, extension(CALL, tokens(100, 0))).await;
    ledger.clock.advance(TimeDelta::minutes(6));
    let refused = rejection(ledger.run(extension(CALL, tokens(100, 0)), None).await);
    assert!(matches!(refused, Rejection::Allowance(AllowanceRejection::Exhausted { .. })), "{refused:?}");
    assert_eq!(balance(&ledger, "customers:1").await.1, "2.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_in_while_a_call_goes_on_pays_what_is_owed_and_extends_it() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    let other = ExecutionId(Uuid::from_u128(2));
    for id in [CALL, other] {
        done(&ledger, call(&ledger, id, "customers:1", tokens(100, 0))).await;
    }
    done(&ledger, finished(other, tokens(10_100, 0))).await;
    assert_eq!(allowance(&ledger, "customers:1").await.debt, amount("2.00"));
    let refused = rejection(ledger.run(extension(CALL, tokens(100, 0)), None).await);
    assert!(matches!(refused, Rejection::Allowance(AllowanceRejection::InDebt { .. })), "{refused:?}");
    ledger.submit(transfer("@world", "customers:1", "5.00")).await.unwrap();
    done(&ledger, extension(CALL, tokens(100, 0))).await;
    assert_eq!(allowance(&ledger, "customers:1").await.debt, amount("0.00"));
    assert_eq!(balance(&ledger, "customers:1").await, ("4.00".into(), "2.00".into()));
    assert_eq!(trial_balance(&ledger).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_over_the_months_end_gives_back_is_carried_like_the_rest_of_the_month() {
    let capped = |most| Rollover::Capped { most: amount(most) };
    for (rollover, left, gone) in [
        (Rollover::None, "10.00", "9.00"),
        (capped("7.00"), "17.00", "2.00"),
        (Rollover::Full, "19.00", "0.00"),
    ] {
        let ledger = Ledger::funded(&["customers:1"]).await;
        empty(&ledger, "customers:1").await;
        set_policy(&ledger, "customers:1", monthly(rollover, "10.00")).await;
        let end = commands::month(None, ledger.clock.get()).end;
        ledger.clock.advance(end - ledger.clock.get() - TimeDelta::minutes(1));
        done(&ledger, call(&ledger, CALL, "customers:1", tokens(400, 0))).await;
        ledger.clock.advance(TimeDelta::minutes(2));
        done(&ledger, renewal("customers:1")).await;
        done(&ledger, finished(CALL, tokens(100, 0))).await;
        done(&ledger, renewal("customers:1")).await;
        assert_eq!(balance(&ledger, "customers:1").await, (left.into(), "0.00".into()), "{rollover:?}");
        assert_eq!(
            ledger.wallet("@expired").await.balance.posted.minor(),
            amount(gone).minor(),
            "{rollover:?}"
        );
        let idle = rejection(ledger.run(renewal("customers:1"), None).await);
        assert_eq!(idle, Rejection::NothingDue, "it is done once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_soonest_is_used_first_and_what_comes_back_too_late_is_gone() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    let at = |days| Some(ledger.clock.get() + TimeDelta::days(days));
    let grant = |id: u128, text: &str, expires_at: Option<DateTime<Utc>>| {
        let (grant, priority) = (GrantId(Uuid::from_u128(id)), 100);
        let change = AllowanceChange::Grant { grant, amount: amount(text), priority, expires_at };
        Command::Allowance { path: path("customers:1"), change }
    };
    done(&ledger, grant(1, "5.00", None)).await;
    done(&ledger, grant(2, "5.00", at(30))).await;
    done(&ledger, grant(3, "5.00", at(1))).await;
    let mut asked = call(&ledger, CALL, "customers:1", tokens(700, 0));
    if let Command::Execute { call, .. } = &mut asked {
        call.expires_at = ledger.clock.get() + TimeDelta::days(3);
    }
    done(&ledger, asked).await;
    let reserved: Vec<_> = allowance(&ledger, "customers:1").await.reserved[&CALL]
        .iter()
        .map(|part| (part.grant.0.as_u128(), part.amount))
        .collect();
    assert_eq!(reserved, [(3, amount("5.00")), (2, amount("2.00"))]);
    ledger.clock.advance(TimeDelta::days(2));
    done(&ledger, finished(CALL, tokens(100, 0))).await;
    done(&ledger, Command::Allowance { path: path("customers:1"), change: AllowanceChange::Renew }).await;
    let grants = allowance(&ledger, "customers:1").await.grants;
    let left: Vec<_> = grants.iter().map(|(id, grant)| (id.0.as_u128(), grant.remaining)).collect();
    assert_eq!(left, [(1, amount("5.00")), (2, amount("5.00"))]);
    assert_eq!(balance(&ledger, "@expired").await.0, "4.00");
    assert_eq!(balance(&ledger, "customers:1").await, ("110.00".into(), "0.00".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_end_nobody_recorded_ends_by_itself_and_gives_back_what_it_held() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    set_policy(&ledger, "customers:1", policy(Mode::Lifetime, "1.00", Enforcement::Hard)).await;
    done(&ledger, call(&ledger, CALL, "customers:1", tokens(10, 20))).await;
    let expire = || Command::ExpireExecution { id: CALL };
    assert_eq!(rejection(ledger.run(expire(), None).await), ExecutionRejection::NotDue.into());
    ledger.clock.advance(TimeDelta::minutes(10));
    // Also where the tenant cannot be written any more.
    done(&ledger, Command::Tenant(TenantCommand::Suspend { reason: Reason::new("unpaid").unwrap() })).await;
    let ended = execution(&done(&ledger, expire()).await);
    assert_eq!(ended.status, ExecutionStatus::Expired);
    assert_eq!(balance(&ledger, "customers:1").await, ("101.00".into(), "0.00".into()));
    assert!(allowance(&ledger, "customers:1").await.reserved.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_came_to_is_paid_once_also_when_it_is_said_after_the_call_expired() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    set_policy(&ledger, "customers:1", policy(Mode::Lifetime, "1.00", Enforcement::Hard)).await;
    done(&ledger, call(&ledger, CALL, "customers:1", tokens(10, 20))).await;
    ledger.submit(transfer("customers:1", "@world", "100.00")).await.unwrap();
    ledger.clock.advance(TimeDelta::minutes(10));
    done(&ledger, Command::ExpireExecution { id: CALL }).await;
    let ended = execution(&done(&ledger, finished(CALL, tokens(50, 50))).await);
    assert_eq!(ended.status, ExecutionStatus::Expired, "it does not end twice");
    let settled = ended.settled.unwrap();
    let parts = (settled.cost, settled.from_holds, settled.overdrawn, settled.debt);
    assert_eq!(parts, (amount("1.50"), amount("0.00"), amount("1.00"), amount("0.50")));
    assert_eq!(balance(&ledger, "customers:1").await, ("0.00".into(), "0.00".into()));
    assert_eq!(balance(&ledger, "@revenue").await.0, "1.50");
    assert_eq!(allowance(&ledger, "customers:1").await.debt, amount("0.50"));
    let again = rejection(ledger.run(finished(CALL, tokens(1, 1)), None).await);
    assert_eq!(again, ExecutionRejection::Ended(ExecutionStatus::Expired).into());
    assert_eq!(trial_balance(&ledger).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_holds_of_a_call_that_runs_end_with_it_and_by_nobody_else() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    let other = ExecutionId(Uuid::from_u128(0xe2));
    for id in [CALL, other] {
        done(&ledger, call(&ledger, id, "customers:1", tokens(10, 20))).await;
    }
    done(&ledger, extension(CALL, tokens(0, 10))).await;
    let hold = |name| TransactionId::of_execution(CALL, name);
    let steps = |id| {
        let part = Some(vec![amount("0.10")]);
        let settle = |amounts| Command::Settle { id, amounts };
        [settle(None), settle(part), Command::Release { id }, Command::Reverse { id, amounts: None }]
    };
    let fresh = ledger.restarted().await;
    let events = ledger.events().await.len();
    for command in [hold("hold/0"), hold("hold/1")].into_iter().flat_map(steps) {
        for program in [&ledger, &fresh] {
            let refused = rejection(program.run(command.clone(), None).await);
            assert_eq!(refused, Rejection::HoldOfExecution(CALL), "{}", command.name());
        }
    }
    assert_eq!(ledger.events().await.len(), events);
    let settled = execution(&done(&ledger, finished(CALL, tokens(10, 25))).await).settled.unwrap();
    assert_eq!(settled.from_holds, amount("0.60"), "it has what it held");
    ledger.clock.advance(TimeDelta::minutes(10));
    done(&ledger, Command::ExpireExecution { id: other }).await;
    assert_eq!(balance(&ledger, "customers:1").await, ("99.40".into(), "0.00".into()));
    // What it paid can be given back, like anything that was paid.
    done(&ledger, Command::Reverse { id: hold("hold/0"), amounts: None }).await;
    assert_eq!(balance(&ledger, "customers:1").await.0, "99.90");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_only_says_that_it_holds_for_a_call_is_its_makers() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    done(&ledger, call(&ledger, CALL, "customers:1", tokens(10, 20))).await;
    let wallet = WalletId::of(ledger.tenant, &path("customers:1"));
    for named in [CALL.to_string(), wallet.to_string(), Uuid::from_u128(7).to_string(), "nonsense".into()] {
        let facts = serde_json::json!({"execution": named});
        let metadata = Metadata::new(facts.as_object().unwrap().clone()).unwrap();
        let request =
            TransactionRequest { pending: true, metadata, ..transfer("customers:1", "@world", "1.00") };
        let (id, _) = ledger.transaction(request).await.unwrap();
        done(&ledger, Command::Release { id }).await;
    }
    assert_eq!(balance(&ledger, "customers:1").await, ("100.00".into(), "0.50".into()));
}

/// A call that was begun in a month whose grant was 10.00, in the next one, which nobody noticed yet. It holds 2.00.
async fn across_the_month(own: &str) -> Ledger {
    let ledger = Ledger::funded(&["customers:1"]).await;
    let spent = amount("100.00").checked_sub(amount(own)).unwrap();
    if !spent.is_zero() {
        ledger.submit(transfer("customers:1", "@world", &spent.to_string())).await.unwrap();
    }
    let monthly = Mode::Monthly { rollover: Rollover::None };
    set_policy(&ledger, "customers:1", policy(monthly, "10.00", Enforcement::Hard)).await;
    done(&ledger, call(&ledger, CALL, "customers:1", tokens(0, 100))).await;
    assert_eq!(balance(&ledger, "customers:1").await.1, "2.00");
    ledger.clock.advance(TimeDelta::days(31));
    ledger
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_ends_after_its_month_before_anybody_renewed_loses_nothing_and_counts_nothing_twice() {
    let renew = || Command::Allowance { path: path("customers:1"), change: AllowanceChange::Renew };
    let grants = async |ledger: &Ledger| {
        let allowance = allowance(ledger, "customers:1").await;
        assert!(allowance.reserved.is_empty());
        allowance.grants.values().map(|grant| grant.remaining.to_string()).collect::<Vec<_>>()
    };

    // Beyond its hold it is the wallet's own that pays: the month before has ended, and what is left of its grant goes.
    let ledger = across_the_month("100.00").await;
    let settled = execution(&done(&ledger, finished(CALL, tokens(0, 900))).await).settled.unwrap();
    assert_eq!((settled.from_holds, settled.overdrawn), (amount("2.00"), amount("16.00")));
    done(&ledger, renew()).await;
    assert_eq!(balance(&ledger, "customers:1").await.0, "94.00", "100 - 16, and the new month's 10");
    assert_eq!(
        (balance(&ledger, "@expired").await.0, grants(&ledger).await),
        ("8.00".into(), vec!["10.00".into()])
    );
    assert_eq!(trial_balance(&ledger).await, 0);

    // Where it has too little of its own, no more is used than was given, and the rest is owed.
    let ledger = across_the_month("1.00").await;
    let settled = execution(&done(&ledger, finished(CALL, tokens(0, 900))).await).settled.unwrap();
    assert_eq!((settled.overdrawn, settled.debt), (amount("9.00"), amount("7.00")));
    let next = ExecutionId(Uuid::from_u128(2));
    let refused = rejection(ledger.run(call(&ledger, next, "customers:1", tokens(301, 0)), None).await);
    assert!(matches!(refused, Rejection::Allowance(AllowanceRejection::Exhausted { .. })), "{refused:?}");
    done(&ledger, call(&ledger, next, "customers:1", tokens(300, 0))).await;
    assert_eq!(balance(&ledger, "customers:1").await, ("3.00".into(), "3.00".into()), "1 + 10 + 10 - 18");
    assert_eq!(balance(&ledger, "@debts").await.0, "0.00");
    assert_eq!(trial_balance(&ledger).await, 0);

    // What comes in before anybody renews is nothing of the month that has ended: that was spent.
    let ledger = across_the_month("1.00").await;
    done(&ledger, finished(CALL, tokens(0, 900))).await;
    assert_eq!(grants(&ledger).await, Vec::<String>::new());
    ledger.submit(transfer("@world", "customers:1", "20.00")).await.unwrap();
    done(&ledger, renew()).await;
    assert_eq!(balance(&ledger, "customers:1").await.0, "23.00", "20 - 7 that were owed + 10");
    assert_eq!(trial_balance(&ledger).await, 0);

    // What comes back unused has ended with its month.
    let ledger = across_the_month("100.00").await;
    done(&ledger, Command::ExpireExecution { id: CALL }).await;
    done(&ledger, renew()).await;
    assert_eq!(balance(&ledger, "customers:1").await, ("110.00".into(), "0.00".into()));
    assert_eq!(
        (balance(&ledger, "@expired").await.0, grants(&ledger).await),
        ("10.00".into(), vec!["10.00".into()])
    );
    assert_eq!(rejection(ledger.run(renew(), None).await), Rejection::NothingDue);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_end_is_refused_for_a_number() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    let rates = Rates { input: amount("9999999999"), output: amount("9999999999.99"), ..price().rates };
    let highest = Quoted { price: Price { rates, ..price() }, ..quoted() };
    let set = CatalogueCommand::SetPrice {
        provider: highest.provider.clone(),
        model: highest.model.clone(),
        asset: highest.price.asset.clone(),
        rates,
    };
    done(&ledger, Command::Catalogue(set)).await;
    let mut begin = call(&ledger, CALL, "customers:1", tokens(0, 0));
    if let Command::Execute { call, .. } = &mut begin {
        call.quotes = vec![highest.clone()];
    }
    done(&ledger, begin).await;
    let most = u64::MAX;
    let usage = Usage {
        input: most,
        cache_read: most,
        cache_write: most,
        cache_write_long: most,
        output: most,
        reasoning: most,
    };
    let mut end = finished(CALL, usage);
    if let Command::FinishExecution { finished, .. } = &mut end {
        finished.paid = Some(highest);
    }
    let settled = execution(&done(&ledger, end).await).settled.unwrap();
    assert_eq!(settled.cost, amount("599999999959800.00"), "what can be counted of it");
    assert_eq!((settled.usage, settled.overdrawn), (usage, amount("100.00")));
    assert_eq!(trial_balance(&ledger).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revenue_that_can_count_no_more_refuses_no_end() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    done(&ledger, call(&ledger, CALL, "customers:1", tokens(10, 20))).await;
    let room = domain::Amount::from_minor(i128::MAX - 50, Scale::new(2).unwrap()).to_string();
    ledger.submit(transfer("@bank", "@revenue", &room)).await.unwrap();
    let refused = rejection(ledger.submit(transfer("@bank", "@revenue", "0.01")).await);
    assert_eq!(refused.code(), "balance_overflow", "what is held for it has its room");
    let settled = execution(&done(&ledger, finished(CALL, tokens(10, 45))).await).settled.unwrap();
    assert_eq!((settled.from_holds, settled.overdrawn), (amount("0.50"), amount("0.50")));
    assert_eq!(balance(&ledger, "@revenue:USD").await.0, "0.50");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_does_not_end_without_its_money_while_its_wallet_is_frozen() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    let ends = ledger.clock.get() + TimeDelta::days(1);
    let grant = AllowanceChange::Grant {
        grant: GrantId(Uuid::from_u128(1)),
        amount: amount("5.00"),
        priority: 1,
        expires_at: Some(ends),
    };
    done(&ledger, Command::Allowance { path: path("customers:1"), change: grant }).await;
    done(&ledger, Command::FreezeWallet { path: path("customers:1") }).await;
    ledger.clock.advance(TimeDelta::days(2));
    let renew = || Command::Allowance { path: path("customers:1"), change: AllowanceChange::Renew };
    assert_eq!(rejection(ledger.run(renew(), None).await), Rejection::NothingDue);
    done(&ledger, Command::UnfreezeWallet { path: path("customers:1") }).await;
    done(&ledger, renew()).await;
    assert_eq!(
        balance(&ledger, "customers:1").await.0,
        "100.00",
        "what was granted is gone, not the wallet's own"
    );
    assert_eq!(balance(&ledger, "@expired").await.0, "5.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_owed_is_recorded_whatever_was_done_to_the_tenants_own_wallets() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    let (asset, none) = (AssetCode::new("USD").unwrap(), Metadata::default());
    let debts = Command::OpenWallet {
        path: path("@debts"),
        asset: asset.clone(),
        minimum: Some(amount("0.00")),
        metadata: none.clone(),
    };
    done(&ledger, debts).await;
    done(&ledger, call(&ledger, CALL, "customers:1", tokens(10, 20))).await;
    done(&ledger, Command::FreezeWallet { path: path("@revenue") }).await;
    let settled = execution(&done(&ledger, finished(CALL, tokens(0, 6_000))).await).settled.unwrap();
    let parts = (settled.from_holds, settled.overdrawn, settled.debt);
    assert_eq!(parts, (amount("0.50"), amount("99.50"), amount("20.00")));
    assert_eq!(balance(&ledger, "@revenue").await.0, "0.50");
    assert_eq!(balance(&ledger, "@revenue:USD").await.0, "119.50");
    assert_eq!(balance(&ledger, "@debts:USD").await.0, "-20.00");
    assert_eq!(trial_balance(&ledger).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wallets_of_another_asset_have_revenue_and_grants_of_their_own() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    done(&ledger, call(&ledger, CALL, "customers:1", tokens(10, 20))).await;
    let (points, scale) = (AssetCode::new("POINT").unwrap(), Scale::new(2).unwrap());
    done(&ledger, Command::RegisterAsset { code: points.clone(), scale }).await;
    let open = Command::OpenWallet {
        path: path("customers:2"),
        asset: points.clone(),
        minimum: None,
        metadata: Metadata::default(),
    };
    done(&ledger, open).await;
    let given = Policy { asset: points.clone(), ..policy(Mode::Lifetime, "9.00", Enforcement::Hard) };
    set_policy(&ledger, "customers:2", given).await;
    let other = ExecutionId(Uuid::from_u128(0xe2));
    let mut begin = call(&ledger, other, "customers:2", tokens(10, 20));
    if let Command::Execute { call, .. } = &mut begin {
        let price = Price { asset: points.clone(), ..price() };
        call.quotes = vec![Quoted { price, ..quoted() }];
    }
    done(&ledger, begin).await;
    let mut end = finished(other, tokens(10, 20));
    if let Command::FinishExecution { finished, .. } = &mut end {
        let price = Price { asset: points, ..price() };
        finished.paid = Some(Quoted { price, ..quoted() });
    }
    done(&ledger, end).await;
    assert_eq!(balance(&ledger, "@revenue:POINT").await.0, "0.50");
    assert_eq!(balance(&ledger, "customers:2").await.0, "8.50");
    assert_eq!(trial_balance(&ledger).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_did_is_paid_for_whatever_has_become_of_tenant_and_wallet() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    done(&ledger, call(&ledger, CALL, "customers:1", tokens(10, 20))).await;
    done(&ledger, Command::FreezeWallet { path: path("customers:1") }).await;
    done(&ledger, Command::Tenant(TenantCommand::Suspend { reason: Reason::new("unpaid").unwrap() })).await;
    let mut end = finished(CALL, tokens(10, 100));
    if let Command::FinishExecution { finished, .. } = &mut end {
        finished.end = End::Failed(FailureReason::StreamCut);
    }
    let ended = execution(&done(&ledger, end).await);
    let settled = ended.settled.unwrap();
    let parts = (settled.from_holds, settled.overdrawn, settled.debt);
    assert_eq!(
        parts,
        (amount("0.50"), amount("0.00"), amount("1.60")),
        "a frozen wallet pays what it promised and owes the rest"
    );
    assert_eq!(trial_balance(&ledger).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_call_is_as_if_it_were_not_there() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    done(&ledger, call(&ledger, CALL, "customers:1", tokens(10, 20))).await;
    let other = ledger.neighbour().await;
    let zero = Usage::default();
    for command in [finished(CALL, zero), extension(CALL, zero), Command::ExpireExecution { id: CALL }] {
        let name = command.name();
        assert_eq!(rejection(other.run(command, None).await), ExecutionRejection::NotFound.into(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused() {
    let ledger = Ledger::funded(&["customers:1"]).await;
    let refused = rejection(ledger.run(call(&ledger, CALL, "@world", tokens(1, 1)), None).await);
    assert_eq!(refused, AllowanceRejection::SystemWallet.into());
    let refused = rejection(ledger.run(call(&ledger, CALL, "customers:9", tokens(1, 1)), None).await);
    assert_eq!(refused, WalletRejection::NotFound(path("customers:9")).into());
    let zone = ZoneName::new("Europe/Atlantis").unwrap();
    let unknown = CatalogueCommand::SetTimeZone { zone: zone.clone() };
    assert_eq!(
        rejection(ledger.run(Command::Catalogue(unknown), None).await),
        Rejection::UnknownTimeZone(zone)
    );
    let level = LevelName::new("gold").unwrap();
    let assign = AllowanceChange::Assign { level: Some(level.clone()), user: None };
    let assign = Command::Allowance { path: path("customers:1"), change: assign };
    assert_eq!(rejection(ledger.run(assign.clone(), None).await), CatalogueRejection::LevelNotFound.into());
    let define =
        CatalogueCommand::DefineLevel(Level { name: level.clone(), tier: 1, features: BTreeMap::new() });
    done(&ledger, Command::Catalogue(define)).await;
    let governed = Governed::Level(level);
    let policy = policy(Mode::Lifetime, "3.00", Enforcement::Hard);
    done(&ledger, Command::Catalogue(CatalogueCommand::SetPolicy { governed, policy })).await;
    done(&ledger, assign).await;
    assert_eq!(balance(&ledger, "customers:1").await.0, "103.00", "who comes to a level has what it grants");
}
