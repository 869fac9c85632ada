//! What is never spent, and what is paid when a call is ended from this side.

use std::time::Duration;

use commands::Command;
use domain::catalogue::{CatalogueCommand, Enforcement, Governed, Mode, Policy};
use domain::execution::{AttemptOutcome, Basis, ExecutionStatus, FailureReason, Operation};
use domain::{AssetCode, ExecutionId, UsageSource, WalletPath};
use gateway::{Departure, Options, ReplyBody};

use crate::provider::{DONE, Provider, STOP, Script, Step, chunk, delta, end, head, stream, usage, whole};
use crate::support::ledger::amount;
use crate::world::{Offered, World, header, openai, quick, read};

/// So many pieces of ten tokens each, about.
fn long(pieces: usize) -> Script {
    let piece = delta(&"word".repeat(10));
    let mut script = vec![head()];
    script.extend(std::iter::repeat_n(chunk(&piece), pieces));
    script.extend([
        chunk(STOP),
        chunk(&usage(20, 10 * u64::try_from(pieces).unwrap())),
        chunk(DONE),
        end(),
        Step::Break,
    ]);
    script
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_wallet_is_refused_before_a_provider_is_asked() {
    let provider = Provider::new([whole(200, "{}")]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    world.leave("0.50").await;
    let (status, text) = read(world.gateway.call(world.chat()).await).await;
    assert_eq!(status, 402);
    assert!(text.contains("allowance_exhausted") && text.contains("insufficient_quota"), "{text}");
    assert!(provider.asked().is_empty() && world.executions().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_answers_without_a_bound_are_held_for_as_many() {
    let provider = Provider::new([whole(200, "{}")]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    // Enough for one answer of the configured length, and for half of a second one.
    world.leave("3.50").await;
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"n":4}"#;
    let (status, text) = read(world.gateway.call(world.call(Operation::OpenAiChat, body)).await).await;
    assert_eq!(status, 402, "{text}");
    assert!(provider.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_estimate_was_made_by_is_recorded() {
    let body = crate::provider::answer("x", &crate::provider::used(10, 10));
    let provider = Provider::new([whole(200, &body), long(1)]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    read(world.gateway.call(world.chat()).await).await;
    read(world.gateway.call(world.streamed()).await).await;
    let mut found = Vec::new();
    for id in world.executions().await {
        found.push(world.execution(id).await.body.basis);
    }
    assert_eq!(found, [Some(Basis::ClientBound), Some(Basis::Tranche)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_that_is_no_number_is_refused_in_the_shape_that_was_asked_for() {
    let provider = Provider::new([whole(200, "{}")]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let cases = [
        (
            Operation::OpenAiChat,
            r#"{"model":"m","messages":[],"max_tokens":"many"}"#,
            "invalid_request_error",
        ),
        (
            Operation::AnthropicMessages,
            r#"{"model":"m","messages":[],"max_tokens":-1}"#,
            "invalid_request_error",
        ),
        (
            Operation::GeminiGenerate,
            r#"{"contents":[],"generationConfig":{"maxOutputTokens":[]}}"#,
            "INVALID_ARGUMENT",
        ),
    ];
    for (operation, body, kind) in cases {
        let (status, text) = read(world.gateway.call(world.call(operation, body)).await).await;
        assert_eq!(status, 400, "{text}");
        assert!(text.contains(kind) && text.to_lowercase().contains("invalid_parameter"), "{text}");
    }
    assert!(provider.asked().is_empty() && world.executions().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_grows_while_tokens_flow() {
    let provider = Provider::new([long(30)]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let (_, text) = read(world.gateway.call(world.streamed()).await).await;
    assert!(text.ends_with(DONE), "{text}");
    let (execution, settled) = world.settled().await;
    assert_eq!(settled.cost, amount("6.20"));
    assert_eq!(
        (settled.from_holds, settled.debt.is_zero()),
        (settled.cost, true),
        "all of it was held before it passed"
    );
    assert!(execution.extensions >= 5, "300 tokens in tranches of 50: {}", execution.extensions);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_keeps_up_with_an_event_of_many_tranches() {
    let provider = Provider::new([stream(&[
        &delta(&"some ".repeat(800)),
        &delta("more"),
        STOP,
        &usage(10, 1_000),
        DONE,
    ])])
    .await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    assert!(read(world.gateway.call(world.streamed()).await).await.1.ends_with(DONE));
    let (execution, settled) = world.settled().await;
    assert_eq!((settled.cost, settled.from_holds), (amount("20.10"), amount("20.10")));
    assert!(execution.extensions <= 2, "all of it at once: {}", execution.extensions);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_that_a_provider_does_not_keep_to_is_no_licence() {
    let provider = Provider::new([long(500)]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    world.leave("5.00").await;
    let body = r#"{"model":"m","messages":[],"max_tokens":20,"stream":true}"#;
    let call = world.call(Operation::OpenAiChat, body);
    let (_, text) = read(world.gateway.call(call).await).await;
    assert!(text.contains("budget_exhausted"), "{text}");
    let (_, settled) = world.settled().await;
    assert!(
        settled.debt.minor() <= 200,
        "no more than what lies between the bound and the doubt: {}",
        settled.debt
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_hard_limit_the_stream_ends_with_a_word_and_is_paid() {
    let provider = Provider::new([long(500)]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    world.leave("3.00").await;
    let (status, text) = read(world.gateway.call(world.streamed()).await).await;
    assert_eq!(status, 200);
    let (came, error) = text.rsplit_once("data: ").unwrap();
    assert!(came.contains("wordword") && error.contains("budget_exhausted"), "{error}");
    let (execution, settled) = world.settled().await;
    assert_eq!(execution.reason, Some(FailureReason::BudgetExhausted));
    assert_eq!(settled.usage_source, UsageSource::Estimated);
    assert!(settled.cost.is_positive() && settled.cost.minor() <= 300, "{}", settled.cost);
    assert!(settled.debt.is_zero());
    assert!(!world.ledger.wallet("w").await.balance.posted.is_negative());
}

#[tokio::test(flavor = "multi_thread")]
async fn more_used_than_held_is_paid_and_what_nothing_covers_is_owed() {
    let provider = Provider::new([stream(&[&delta("a"), STOP, &usage(100, 200), DONE])]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    world.leave("2.00").await;
    assert_eq!(read(world.gateway.call(world.streamed()).await).await.0, 200);
    let (_, settled) = world.settled().await;
    assert_eq!((settled.cost, settled.debt), (amount("5.00"), amount("3.00")));
    assert_eq!(world.ledger.wallet("w").await.balance.posted, amount("0.00"));
    world.ledger.submit(crate::support::ledger::transfer("@world", "w", "1.00")).await.unwrap();
    let (status, text) = read(world.gateway.call(world.chat()).await).await;
    assert_eq!(status, 402, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_without_a_price_is_not_called_under_a_hard_limit() {
    let provider = Provider::new([whole(200, "{}")]).await;
    let free = Offered { price: None, ..openai("p", &provider.address) };
    let world = World::new(std::slice::from_ref(&free)).await;
    let (status, text) = read(world.gateway.call(world.chat()).await).await;
    assert_eq!(status, 422);
    assert!(text.contains("model_unpriced"), "{text}");
    let bad = Provider::new([whole(500, "{}")]).await;
    world.offer(&[openai("bad", &bad.address), free]);
    assert_eq!(read(world.gateway.call(world.chat()).await).await.0, 502);
    assert!(provider.asked().is_empty(), "nor instead of one that has a price and fails");
    assert!(!bad.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dearer_provider_is_asked_only_when_the_hold_covers_it() {
    let body = crate::provider::answer("x", &crate::provider::used(10, 10));
    let (bad, dear) = (Provider::new([whole(500, "{}")]).await, Provider::new([whole(200, &body)]).await);
    let offered = [
        openai("bad", &bad.address),
        Offered { price: Some(("100000", "200000")), ..openai("dear", &dear.address) },
    ];
    let world = World::new(&offered).await;
    world.leave("5.00").await;
    let (status, _) = read(world.gateway.call(world.chat()).await).await;
    assert_eq!(status, 502);
    assert!(dear.asked().is_empty(), "25 would have to be held");
    world.ledger.submit(crate::support::ledger::transfer("@world", "w", "95.00")).await.unwrap();
    assert_eq!(read(world.gateway.call(world.chat()).await).await, (200, body));
    let ids = world.executions().await;
    let paid = world.execution(ids[1]).await;
    let settled = paid.settled.unwrap();
    assert_eq!((settled.cost, settled.from_holds), (amount("3.00"), amount("3.00")));
    assert_eq!(settled.provider.unwrap().as_str(), "dear");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dearer_provider_that_is_tried_again_is_held_for_once() {
    let body = crate::provider::answer("x", &crate::provider::used(10, 10));
    let bad = Provider::new([whole(500, "{}")]).await;
    let dear = Provider::new([whole(500, "{}"), whole(200, &body)]).await;
    let offered = [
        openai("bad", &bad.address),
        Offered { price: Some(("100000", "200000")), ..openai("dear", &dear.address) },
    ];
    let world = World::new(&offered).await;
    // Once is some 24; again all that lies between the prices would be more than there is.
    world.leave("30.00").await;
    assert_eq!(read(world.gateway.call(world.chat()).await).await, (200, body));
    assert_eq!((bad.asked().len(), dear.asked().len()), (2, 2));
    let (execution, settled) = world.settled().await;
    assert_eq!(execution.extensions, 1, "what is held already is not held again");
    assert_eq!((settled.cost, settled.from_holds), (amount("3.00"), amount("3.00")));
}

/// Begins to read a stream, and goes away after its first part.
async fn leave_after_the_first(world: &World) {
    let reply = world.gateway.call(world.streamed()).await;
    let ReplyBody::Stream(mut chunks) = reply.body else { panic!("it is a stream") };
    assert!(chunks.recv().await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_is_billed_by_what_the_provider_reports() {
    let script = vec![
        head(),
        chunk(&delta("first")),
        Step::Wait,
        chunk(STOP),
        chunk(&usage(30, 20)),
        chunk(DONE),
        end(),
    ];
    let provider = Provider::new([script]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    leave_after_the_first(&world).await;
    provider.go();
    let (execution, settled) = world.settled().await;
    assert_eq!(execution.status, ExecutionStatus::Completed);
    assert_eq!((settled.cost, settled.usage_source), (amount("0.70"), UsageSource::Reported));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_calls_without_a_client_are_cancelled_the_provider_is_left_and_the_bill_is_an_estimate() {
    let script = vec![head(), chunk(&delta("first")), Step::Stall];
    let provider = Provider::new([script]).await;
    let options = Options { departure: Departure::Cancel, ..quick() };
    let world = World::with(&[openai("p", &provider.address)], options).await;
    leave_after_the_first(&world).await;
    tokio::time::timeout(Duration::from_secs(10), provider.hung_up()).await.unwrap();
    let (execution, settled) = world.settled().await;
    assert_eq!(execution.reason, Some(FailureReason::ClientGone));
    assert_eq!(settled.usage_source, UsageSource::Estimated);
    assert!(settled.cost.is_positive());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_before_the_answer_leaves_nothing_held() {
    let provider = Provider::new([vec![Step::Stall]]).await;
    let options = Options { departure: Departure::Cancel, ..quick() };
    let world = World::with(&[openai("p", &provider.address)], options).await;
    let calling = tokio::time::timeout(Duration::from_millis(600), world.gateway.call(world.chat()));
    assert!(calling.await.is_err(), "the client gives up");
    let (execution, settled) = world.settled().await;
    assert_eq!(execution.attempts[0].outcome, AttemptOutcome::Stopped);
    assert_eq!(settled.usage.output, 0);
    assert!(settled.cost.is_positive(), "the provider was sent the input");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_can_be_cancelled() {
    let provider = Provider::new([vec![head(), chunk(&delta("first")), Step::Stall]]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let reply = world.gateway.call(world.streamed()).await;
    let id = ExecutionId(header(&reply, "counterfoil-execution").unwrap().parse().unwrap());
    let ReplyBody::Stream(mut chunks) = reply.body else { panic!("it is a stream") };
    assert!(chunks.recv().await.is_some());
    assert!(!world.gateway.cancel(world.ledger.tenant, ExecutionId::default()));
    assert!(world.gateway.cancel(world.ledger.tenant, id));
    let last = String::from_utf8(chunks.recv().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(last.contains("\"cancelled\""), "{last}");
    assert!(chunks.recv().await.is_none());
    let (execution, settled) = world.settled().await;
    assert_eq!(execution.status, ExecutionStatus::Cancelled);
    assert!(settled.cost.is_positive());
    assert!(!world.gateway.cancel(world.ledger.tenant, id), "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_program_waits_for_calls_and_ends_those_that_take_too_long() {
    let short =
        vec![head(), chunk(&delta("a")), Step::Wait, chunk(STOP), chunk(&usage(1, 1)), chunk(DONE), end()];
    let endless = vec![head(), chunk(&delta("b")), Step::Stall];
    let provider = Provider::new([short, endless]).await;
    let options = Options { drain: Duration::from_secs(2), ..quick() };
    let world = World::with(&[openai("p", &provider.address)], options).await;
    let first = world.gateway.call(world.streamed()).await;
    let second = world.gateway.call(world.streamed()).await;
    let (first, second) = (tokio::spawn(read(first)), tokio::spawn(read(second)));
    let gateway = world.gateway.clone();
    let draining = tokio::spawn(async move { gateway.drain().await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(read(world.gateway.call(world.chat()).await).await.0, 503, "no new calls");
    provider.go();
    draining.await.unwrap();
    assert!(first.await.unwrap().1.ends_with(DONE));
    assert!(second.await.unwrap().1.contains("interrupted"));
    for id in world.executions().await {
        assert!(world.execution(id).await.status.is_final(), "all is recorded when it returns");
    }
    assert!(world.ledger.wallet("w").await.balance.held.is_zero());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_journal_is_away_an_answer_is_kept_back_a_moment_and_settled_afterwards() {
    let script =
        vec![head(), chunk(&delta("a")), Step::Wait, chunk(STOP), chunk(&usage(30, 20)), chunk(DONE), end()];
    let provider = Provider::new([script]).await;
    let options = Options { settle: Duration::from_millis(300), ..quick() };
    let world = World::with(&[openai("p", &provider.address)], options).await;
    let reply = world.gateway.call(world.streamed()).await;
    // Somebody else is in the middle of an append and does not come to its end.
    let pool = world.ledger.database.pool(journal::Role::Owner, 1).await;
    let mut other = journal::begin(&pool, None).await.unwrap();
    let held = sqlx::query("UPDATE journal.heads SET position = position WHERE partition = $1")
        .bind(world.ledger.partition().0)
        .execute(&mut *other)
        .await
        .unwrap();
    assert_eq!(held.rows_affected(), 1);
    provider.go();
    assert!(read(reply).await.1.ends_with(DONE), "the client is not kept waiting");
    let id = world.executions().await.first().copied().unwrap();
    assert_eq!(world.execution(id).await.status, ExecutionStatus::Running);
    other.commit().await.unwrap();
    let (_, settled) = world.settled().await;
    assert_eq!(settled.cost, amount("0.70"));
}

/// Lets all calls of the wallet pass, with a warning, and gives it so much.
async fn warn(world: &World, amount_given: &str) {
    let policy = Policy {
        mode: Mode::Lifetime,
        amount: amount(amount_given),
        asset: AssetCode::new("USD").unwrap(),
        enforcement: Enforcement::Warn,
    };
    let governed = Governed::Wallet(WalletPath::new("w").unwrap());
    let command = Command::Catalogue(CatalogueCommand::SetPolicy { governed, policy });
    world.ledger.run(command, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_is_about_the_provider_that_answers() {
    let body = crate::provider::answer("x", &crate::provider::used(30, 20));
    let (bad, good) = (Provider::new([whole(500, "{}")]).await, Provider::new([whole(200, &body)]).await);
    let priced = [openai("bad", &bad.address), Offered { price: None, ..openai("good", &good.address) }];
    let world = World::new(&priced).await;
    warn(&world, "100.00").await;
    let reply = world.gateway.call(world.chat()).await;
    assert_eq!((reply.status, header(&reply, "counterfoil-warning")), (200, Some("model_unpriced")));
    world.offer(&[Offered { price: None, ..openai("bad", &bad.address) }, openai("good", &good.address)]);
    let reply = world.gateway.call(world.chat()).await;
    assert_eq!((reply.status, header(&reply, "counterfoil-warning")), (200, None));
    assert_eq!(world.ledger.wallet("@revenue").await.balance.posted, amount("0.70"), "the second alone");
}

/// Cancels the only call as soon as it is recorded and its provider was `reached`, and gives what it came to.
async fn cancelled(
    world: &World,
    provider: Option<&Provider>,
) -> (domain::Execution, domain::execution::Settled) {
    let gateway = world.gateway.clone();
    let call = world.streamed();
    let calling = tokio::spawn(async move { read(gateway.call(call).await).await });
    let reached = || provider.is_none_or(|provider| !provider.asked().is_empty());
    while world.executions().await.is_empty() || !reached() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What was sent is on its way.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(world.gateway.cancel(world.ledger.tenant, world.executions().await.first().copied().unwrap()));
    assert_eq!(calling.await.unwrap().0, 499);
    world.settled().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_billed_for_a_call_that_is_cancelled_before_a_connection_stood() {
    // It takes connections, and never says a word: TLS is never agreed on.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let world = World::new(&[openai("p", &address)]).await;
    let (execution, settled) = cancelled(&world, None).await;
    assert_eq!(execution.status, ExecutionStatus::Cancelled);
    assert_eq!(execution.attempts[0].outcome, AttemptOutcome::Stopped);
    assert!(settled.cost.is_zero(), "{}", settled.cost);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_reported_before_a_call_is_cancelled_is_what_is_billed() {
    let script = vec![head(), chunk(&usage(7, 0)), Step::Stall];
    let provider = Provider::new([script]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let (_, settled) = cancelled(&world, Some(&provider)).await;
    assert_eq!((settled.usage.input, settled.cost), (7, amount("0.07")), "and no estimate");

    let cut = vec![head(), chunk(&usage(9, 0)), Step::Break];
    let (first, listener) =
        (Provider::new([cut]).await, tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    let silent = format!("https://{}", listener.local_addr().unwrap());
    let world = World::new(&[openai("first", &first.address), openai("silent", &silent)]).await;
    let (_, settled) = cancelled(&world, Some(&first)).await;
    assert_eq!((settled.usage.input, settled.cost), (9, amount("0.09")), "by the one that was asked before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_warns_lets_a_call_pass_and_says_so() {
    let body = crate::provider::answer("x", &crate::provider::used(30, 20));
    let provider = Provider::new([whole(200, &body)]).await;
    let priced = openai("p", &provider.address);
    let world = World::new(std::slice::from_ref(&priced)).await;
    world.leave("0.00").await;
    warn(&world, "1.00").await;
    let reply = world.gateway.call(world.chat()).await;
    assert_eq!(header(&reply, "counterfoil-warning"), Some("allowance_exceeded"));
    assert_eq!(read(reply).await, (200, body));
    let (_, settled) = world.settled().await;
    assert_eq!(
        (settled.cost, settled.from_holds),
        (amount("0.70"), amount("0.70")),
        "1.00 was granted and held"
    );
    world.offer(&[Offered { price: None, ..priced }]);
    let reply = world.gateway.call(world.chat()).await;
    assert_eq!(header(&reply, "counterfoil-warning"), Some("model_unpriced"));
    assert_eq!(reply.status, 200);
    assert_eq!(
        world.ledger.wallet("w").await.balance.posted,
        amount("0.30"),
        "what has no price costs nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_is_frozen_in_the_middle_is_not_said_to_be_used_up() {
    let provider = Provider::new([long(500)]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let reply = world.gateway.call(world.streamed()).await;
    let ReplyBody::Stream(mut chunks) = reply.body else { panic!("it is a stream") };
    let mut text = chunks.recv().await.unwrap().unwrap().to_vec();
    let freeze = Command::FreezeWallet { path: WalletPath::new("w").unwrap() };
    world.ledger.run(freeze, None).await.unwrap();
    while let Some(chunk) = chunks.recv().await {
        text.extend_from_slice(&chunk.unwrap());
    }
    let text = String::from_utf8(text).unwrap();
    let (_, error) = text.rsplit_once("data: ").unwrap();
    assert!(error.contains("wallet_frozen") && error.contains("permission_error"), "{error}");
    let (execution, settled) = world.settled().await;
    assert_eq!(execution.reason, Some(FailureReason::HoldRefused));
    assert!(settled.cost.is_positive(), "what passed is paid");
}
