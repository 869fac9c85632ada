use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::*;
use crate::{AssetCode, MOST_TOKENS, ModelName, Price, ProviderName, Rates, UsageSource, WalletPath};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

/// Executions at the second 100.
fn executions() -> TestFramework<Execution> {
    TestFramework::with(Moment(at(100)))
}

fn folded(events: impl IntoIterator<Item = ExecutionEvent>) -> Execution {
    events.into_iter().fold(Execution::default(), |mut execution, event| {
        execution.apply(event);
        execution
    })
}

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn asset(code: &str) -> AssetCode {
    AssetCode::new(code).unwrap()
}

fn provider() -> ProviderName {
    ProviderName::new("a").unwrap()
}

fn model() -> ModelName {
    ModelName::new("m").unwrap()
}

fn transaction(number: u128) -> TransactionId {
    TransactionId(Uuid::from_u128(number))
}

fn output(tokens: u64) -> Usage {
    Usage { output: tokens, ..Usage::default() }
}

fn quoted(code: &str) -> Quoted {
    let (input, output) = (amount("1"), amount("2"));
    let rates =
        Rates { input, output, cache_read: None, cache_write: None, cache_write_long: None, reasoning: None };
    let price = Price { version: 1, asset: asset(code), rates };
    Quoted { provider: provider(), model: model(), price }
}

fn body() -> ExecutionBody {
    ExecutionBody {
        wallet: WalletPath::new("customers:42").unwrap(),
        asset: asset("USD"),
        requested_at: at(100),
        model: model(),
        estimate: output(10),
        quoted: Some(quoted("USD")),
        enforcement: Enforcement::Hard,
        expires_at: at(200),
        ..ExecutionBody::default()
    }
}

fn request(body: ExecutionBody) -> ExecutionCommand {
    ExecutionCommand::Request { body: Box::new(body), hold: Some(transaction(1)), held: amount("1.00") }
}

fn requested(body: ExecutionBody) -> ExecutionEvent {
    ExecutionEvent::Requested { body: Box::new(body), hold: Some(transaction(1)), held: amount("1.00") }
}

fn extend() -> ExecutionCommand {
    ExecutionCommand::Extend { estimate: output(5), hold: Some(transaction(2)), held: amount("0.50") }
}

fn extended() -> ExecutionEvent {
    ExecutionEvent::Extended { estimate: output(5), hold: Some(transaction(2)), held: amount("0.50") }
}

fn attempt(number: u32, outcome: AttemptOutcome) -> Attempt {
    Attempt {
        number,
        provider: provider(),
        model: model(),
        outcome,
        status: None,
        first_token_ms: None,
        total_ms: 10,
        usage: None,
        usage_source: None,
        price_version: None,
        cost: None,
    }
}

fn settled() -> Box<Settled> {
    Box::new(Settled {
        provider: Some(provider()),
        model: Some(model()),
        usage: output(9),
        usage_source: UsageSource::Reported,
        price_version: Some(1),
        cost: amount("0.90"),
        from_holds: amount("0.90"),
        overdrawn: amount("0.00"),
        debt: amount("0.00"),
        overdraw_transaction: None,
        debt_transaction: None,
    })
}

fn finish(attempts: Vec<Attempt>, end: End) -> ExecutionCommand {
    ExecutionCommand::Finish { attempts, end, settled: settled() }
}

/// Every event that ends an execution, with the status that it gives.
fn ends() -> [(ExecutionEvent, ExecutionStatus); 4] {
    [
        (ExecutionEvent::Completed {}, ExecutionStatus::Completed),
        (ExecutionEvent::Failed { reason: FailureReason::StreamCut }, ExecutionStatus::Failed),
        (ExecutionEvent::Cancelled {}, ExecutionStatus::Cancelled),
        (ExecutionEvent::Expired {}, ExecutionStatus::Expired),
    ]
}

#[test]
fn an_execution_is_requested_once() {
    executions().given_no_previous_events().when(request(body())).then_expect_events(vec![requested(body())]);
    let over = ExecutionBody { expires_at: at(1), quoted: None, ..body() };
    for end in ends().into_iter().map(|(end, _)| Some(end)).chain([None]) {
        let history: Vec<_> = [requested(body())].into_iter().chain(end).collect();
        executions()
            .given(history)
            .when(request(over.clone()))
            .then_expect_error(ExecutionRejection::AlreadyExists);
    }
}

#[test]
fn rejections_of_a_request_come_in_the_order_of_the_list() {
    let now = ExecutionBody { expires_at: at(100), ..body() };
    let later = ExecutionBody { expires_at: at(101), ..body() };
    for (body, expected) in [
        (ExecutionBody { quoted: None, ..now.clone() }, ExecutionRejection::ExpiryInThePast),
        (ExecutionBody { quoted: Some(quoted("EUR")), ..now }, ExecutionRejection::ExpiryInThePast),
        (
            ExecutionBody { quoted: None, estimate: output(MOST_TOKENS + 1), ..later.clone() },
            ExecutionRejection::UsageTooLarge,
        ),
        (
            ExecutionBody { quoted: None, estimate: output(MOST_TOKENS), ..later.clone() },
            ExecutionRejection::Unpriced,
        ),
        (ExecutionBody { quoted: Some(quoted("EUR")), ..later.clone() }, ExecutionRejection::AssetMismatch),
    ] {
        executions().given_no_previous_events().when(request(body)).then_expect_error(expected);
    }
    executions()
        .given_no_previous_events()
        .when(request(later.clone()))
        .then_expect_events(vec![requested(later)]);
}

#[test]
fn only_a_hard_policy_refuses_what_has_no_price_and_none_takes_a_price_in_another_asset() {
    for enforcement in [Enforcement::Monitor, Enforcement::Warn] {
        let unpriced = ExecutionBody { quoted: None, enforcement, ..body() };
        executions()
            .given_no_previous_events()
            .when(request(unpriced.clone()))
            .then_expect_events(vec![requested(unpriced)]);
        let foreign = ExecutionBody { quoted: Some(quoted("EUR")), enforcement, ..body() };
        executions()
            .given_no_previous_events()
            .when(request(foreign))
            .then_expect_error(ExecutionRejection::AssetMismatch);
    }
}

#[test]
fn nothing_is_asked_of_an_execution_that_does_not_exist_or_has_ended() {
    let too_many = vec![attempt(1, AttemptOutcome::Cut); MAX_ATTEMPTS + 1];
    for command in [extend(), finish(too_many, End::Completed), ExecutionCommand::Expire] {
        executions()
            .given_no_previous_events()
            .when(command.clone())
            .then_expect_error(ExecutionRejection::NotFound);
        for (end, status) in ends() {
            executions()
                .given(vec![requested(body()), end, ExecutionEvent::Settled(settled())])
                .when(command.clone())
                .then_expect_error(ExecutionRejection::Ended(status));
        }
    }
}

#[test]
fn what_one_came_to_that_expired_can_be_said_once_and_it_stays_expired() {
    let tried = attempt(1, AttemptOutcome::Answered);
    let said = vec![ExecutionEvent::Attempted(tried.clone()), ExecutionEvent::Settled(settled())];
    let history = vec![requested(body()), ExecutionEvent::Expired {}];
    for end in [End::Completed, End::Failed(FailureReason::StreamCut), End::Cancelled] {
        executions()
            .given(history.clone())
            .when(finish(vec![tried.clone()], end))
            .then_expect_events(said.clone());
    }
    let execution = folded(history.into_iter().chain(said));
    assert_eq!((execution.status, execution.settled), (ExecutionStatus::Expired, Some(settled())));
}

#[test]
fn an_extension_holds_more_and_adds_to_the_estimate() {
    executions().given(vec![requested(body())]).when(extend()).then_expect_events(vec![extended()]);
    let dry = ExecutionEvent::Extended { estimate: output(5), hold: None, held: amount("0.00") };
    let execution = folded([requested(body()), extended(), dry]);
    assert_eq!((execution.estimate, execution.extensions), (output(20), 2));
    let tranche = |number, held| Tranche { transaction: transaction(number), held: amount(held) };
    assert_eq!(execution.holds, [tranche(1, "1.00"), tranche(2, "0.50")]);
    assert_eq!(execution.body.estimate, output(10), "what was asked for first is kept");
}

#[test]
fn an_end_comes_with_the_tries_before_it_and_what_it_came_to_after_it() {
    let tries = vec![attempt(1, AttemptOutcome::TimedOut), attempt(2, AttemptOutcome::Answered)];
    let ends = [
        (End::Completed, ExecutionEvent::Completed {}, ExecutionStatus::Completed),
        (
            End::Failed(FailureReason::BudgetExhausted),
            ExecutionEvent::Failed { reason: FailureReason::BudgetExhausted },
            ExecutionStatus::Failed,
        ),
        (End::Cancelled, ExecutionEvent::Cancelled {}, ExecutionStatus::Cancelled),
    ];
    for (end, event, status) in ends {
        let expected: Vec<_> = tries
            .iter()
            .cloned()
            .map(ExecutionEvent::Attempted)
            .chain([event, ExecutionEvent::Settled(settled())])
            .collect();
        executions()
            .given(vec![requested(body()), extended()])
            .when(finish(tries.clone(), end))
            .then_expect_events(expected.clone());
        let execution = folded([requested(body())].into_iter().chain(expected));
        assert_eq!((execution.status, &execution.attempts), (status, &tries));
        assert_eq!(execution.settled, Some(settled()));
        let failed = matches!(end, End::Failed(_));
        assert_eq!(execution.reason, failed.then_some(FailureReason::BudgetExhausted));
        assert!(execution.status.is_final());
    }
}

#[test]
fn tries_are_kept_up_to_a_bound() {
    let tries = |count| vec![attempt(1, AttemptOutcome::RateLimited); count];
    let running = folded([requested(body())]);
    let decided = running.decide(finish(tries(MAX_ATTEMPTS), End::Completed), at(100)).unwrap();
    assert_eq!(decided.len(), MAX_ATTEMPTS + 2);
    executions()
        .given(vec![requested(body())])
        .when(finish(tries(MAX_ATTEMPTS + 1), End::Completed))
        .then_expect_error(ExecutionRejection::TooManyAttempts);
}

#[test]
fn a_late_end_is_taken_as_long_as_nobody_noticed_that_the_time_is_over() {
    let running = folded([requested(body())]);
    assert!(running.decide(finish(vec![], End::Completed), at(10_000)).is_ok());
}

#[test]
fn an_execution_expires_at_its_time_and_not_before() {
    executions()
        .given(vec![requested(body())])
        .when(ExecutionCommand::Expire)
        .then_expect_error(ExecutionRejection::NotDue);
    TestFramework::<Execution>::with(Moment(at(200)))
        .given(vec![requested(body()), extended()])
        .when(ExecutionCommand::Expire)
        .then_expect_events(vec![ExecutionEvent::Expired {}]);
    let execution = folded([requested(body()), ExecutionEvent::Expired {}]);
    assert_eq!((execution.status, execution.settled), (ExecutionStatus::Expired, None));
}

#[test]
fn an_estimate_beyond_all_numbers_stays_what_it_was() {
    let most = ExecutionEvent::Extended { estimate: output(u64::MAX), hold: None, held: amount("0.00") };
    let execution = folded([requested(body()), most]);
    assert_eq!((execution.estimate, execution.extensions), (output(10), 1));
}

#[test]
fn a_state_reads_back_as_it_was_written() {
    let tried = ExecutionEvent::Attempted(attempt(1, AttemptOutcome::Answered));
    let events = [requested(body()), extended(), tried];
    let end =
        [ExecutionEvent::Failed { reason: FailureReason::ClientGone }, ExecutionEvent::Settled(settled())];
    let whole: Vec<_> = events.into_iter().chain(end).collect();
    for cut in 0..=whole.len() {
        let state = folded(whole[..cut].iter().cloned());
        let json = serde_json::to_value(&state).unwrap();
        assert_eq!(serde_json::from_value::<Execution>(json).unwrap(), state, "after {cut} events");
    }
}
