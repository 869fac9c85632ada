//! Calls that are asked for again with the same key.

use chrono::TimeDelta;
use commands::{Command, FinishedCall};
use domain::execution::{End, ExecutionStatus, Operation};
use domain::{ExecutionId, Usage, UsageSource};
use gateway::Call;

use crate::provider::{
    DONE, Provider, STOP, Step, answer, chunk, delta, end, head, stream, usage, used, whole, with_header,
};
use crate::support::ledger::amount;
use crate::world::{World, header, openai, quick, read};

fn keyed(call: Call, key: &str) -> Call {
    Call { key: Some(key.to_owned()), ..call }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_call_is_told_again_and_paid_once() {
    let body = answer("hello", &used(30, 20));
    let provider = Provider::new([whole(200, &body)]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    assert_eq!(read(world.gateway.call(keyed(world.chat(), "k")).await).await, (200, body.clone()));
    for gateway in [world.gateway.clone(), world.another(quick()).await] {
        // What is kept is written a moment after the answer was given.
        let again = gateway.call(keyed(world.chat(), "k")).await;
        assert_eq!(header(&again, "counterfoil-replayed"), Some("true"));
        assert_eq!(read(again).await, (200, body.clone()));
    }
    assert_eq!(provider.asked().len(), 1);
    let (_, settled) = world.settled().await;
    assert_eq!(settled.cost, amount("0.70"));
    assert_eq!(world.ledger.wallet("w").await.balance.posted, amount("99.30"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_call_is_joined_from_its_beginning() {
    let script = vec![
        head(),
        chunk(&delta("first")),
        Step::Wait,
        chunk(&delta("second")),
        chunk(STOP),
        chunk(&usage(3, 2)),
        chunk(DONE),
        end(),
    ];
    let provider = Provider::new([script]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let first = world.gateway.call(keyed(world.streamed(), "k")).await;
    let second = world.gateway.call(keyed(world.streamed(), "k")).await;
    provider.go();
    let ((_, one), (_, other)) = tokio::join!(read(first), read(second));
    assert!(one.contains("first") && one.contains("second") && one.ends_with(DONE));
    assert_eq!(one, other);
    assert_eq!(provider.asked().len(), 1);
    world.settled().await;
    let third = world.gateway.call(keyed(world.streamed(), "k")).await;
    assert_eq!(read(third).await, (200, one));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_the_same_time_are_one_call() {
    let body = answer("hello", &used(30, 20));
    let provider = Provider::new([whole(200, &body)]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let other = world.another(quick()).await;
    let calls = (0..20).map(|number| {
        let gateway = if number % 2 == 0 { world.gateway.clone() } else { other.clone() };
        let call = keyed(world.chat(), "k");
        async move { read(gateway.call(call).await).await }
    });
    for answered in futures_util::future::join_all(calls).await {
        assert_eq!(answered, (200, body.clone()));
    }
    assert_eq!(provider.asked().len(), 1);
    world.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gave_up_finds_its_call_again() {
    let script = vec![
        head(),
        chunk(&delta("first")),
        Step::Wait,
        chunk(STOP),
        chunk(&usage(3, 2)),
        chunk(DONE),
        end(),
    ];
    let provider = Provider::new([script]).await;
    let options = gateway::Options { departure: gateway::Departure::Cancel, ..quick() };
    let world = World::with(&[openai("p", &provider.address)], options).await;
    drop(world.gateway.call(keyed(world.streamed(), "k")).await);
    let again = world.gateway.call(keyed(world.streamed(), "k")).await;
    provider.go();
    let (_, text) = read(again).await;
    assert!(text.contains("first") && text.ends_with(DONE), "{text}");
    assert_eq!(provider.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_one_request() {
    let provider = Provider::new([whole(200, &answer("hello", &used(1, 1)))]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    assert_eq!(read(world.gateway.call(keyed(world.chat(), "k")).await).await.0, 200);
    let body = r#"{"model":"m","messages":[{"role":"user","content":"other"}]}"#;
    for gateway in [world.gateway.clone(), world.another(quick()).await] {
        let other = keyed(world.call(Operation::OpenAiChat, body), "k");
        let (status, text) = read(gateway.call(other).await).await;
        assert_eq!(status, 422);
        assert!(text.contains("idempotency_key_reused"), "{text}");
    }
    assert_eq!(provider.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_leaves_its_key_free() {
    let body = answer("hello", &used(1, 1));
    let provider = Provider::new([whole(200, &body)]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    world.leave("0.10").await;
    assert_eq!(read(world.gateway.call(keyed(world.chat(), "k")).await).await.0, 402);
    world.ledger.submit(crate::support::ledger::transfer("@world", "w", "50.00")).await.unwrap();
    assert_eq!(read(world.gateway.call(keyed(world.chat(), "k")).await).await, (200, body));
}

/// A provider that is at its limit for all tries of one call, and answers the next one.
async fn limited(body: &str) -> Provider {
    let limit = || with_header(429, "retry-after: 0", "{}");
    Provider::new([limit(), limit(), limit(), limit(), whole(200, body)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_cost_nothing_is_not_told_again_but_the_call_made_anew() {
    let body = answer("hello", &used(30, 20));
    let provider = limited(&body).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    assert_eq!(read(world.gateway.call(keyed(world.chat(), "k")).await).await.0, 429);
    let other = world.another(quick()).await;
    let anew = other.call(keyed(world.chat(), "k")).await;
    assert_eq!(header(&anew, "counterfoil-replayed"), None);
    let made = header(&anew, "counterfoil-execution").unwrap().to_owned();
    assert_eq!(read(anew).await, (200, body.clone()));
    for gateway in [&world.gateway, &other] {
        let again = gateway.call(keyed(world.chat(), "k")).await;
        assert_eq!(header(&again, "counterfoil-replayed"), Some("true"), "an answer is told again");
        assert_eq!(header(&again, "counterfoil-execution"), Some(made.as_str()));
        assert_eq!(read(again).await, (200, body.clone()));
    }
    assert_eq!((provider.asked().len(), world.executions().await.len()), (5, 2));
    assert_eq!(world.ledger.wallet("@revenue").await.balance.posted, amount("0.70"));
    assert_eq!(world.ledger.wallet("w").await.balance.posted, amount("99.30"));
    let text = r#"{"model":"m","messages":[{"role":"user","content":"other"}]}"#;
    let other_request = keyed(world.call(Operation::OpenAiChat, text), "k");
    assert_eq!(read(world.gateway.call(other_request).await).await.0, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_make_a_call_anew_at_the_same_time_are_billed_once() {
    let body = answer("hello", &used(30, 20));
    let provider = limited(&body).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let other = world.another(quick()).await;
    for round in 0..3 {
        let calls = (0..20).map(|number| {
            let gateway = if number % 2 == 0 { world.gateway.clone() } else { other.clone() };
            let call = keyed(world.chat(), "k");
            async move { read(gateway.call(call).await).await }
        });
        for (status, text) in futures_util::future::join_all(calls).await {
            assert!(status == 200 && text == body || status == 429 && round == 0, "{round}: {status} {text}");
        }
    }
    assert_eq!(provider.asked().len(), 5);
    assert_eq!(world.ledger.wallet("@revenue").await.balance.posted, amount("0.70"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_was_paid_or_begun_is_told_again() {
    let cut = || vec![head(), chunk(&delta("partial")), Step::Break];
    let provider = Provider::new([cut(), stream(&[&delta("good"), STOP, &usage(1, 1), DONE])]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let (_, first) = read(world.gateway.call(keyed(world.streamed(), "k")).await).await;
    assert!(first.contains("stream_cut"), "{first}");
    for gateway in [world.gateway.clone(), world.another(quick()).await] {
        assert_eq!(read(gateway.call(keyed(world.streamed(), "k")).await).await, (200, first.clone()));
    }
    assert_eq!(provider.asked().len(), 1);
}

/// A call with the key `k` that a program began and whose end it does not record, and which has expired.
async fn cut_off(world: &World, provider: &Provider) -> ExecutionId {
    let (gateway, call) = (world.gateway.clone(), keyed(world.chat(), "k"));
    tokio::spawn(async move { gateway.call(call).await });
    while provider.asked().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    world.ledger.clock.advance(TimeDelta::hours(1));
    *world.executions().await.first().unwrap()
}

/// Tells the end of a call that has expired.
async fn end_late(world: &World, id: ExecutionId) {
    let finished = FinishedCall {
        attempts: Vec::new(),
        end: End::Completed,
        usage: Usage { input: 10, ..Usage::default() },
        usage_source: UsageSource::Reported,
        paid: world.execution(id).await.body.quoted.clone(),
    };
    let late = Command::FinishExecution { id, finished: Box::new(finished) };
    world.ledger.run(late, None).await.unwrap();
    assert!(world.execution(id).await.settled.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_cut_off_is_made_anew_under_its_key_when_it_has_expired() {
    let body = answer("hello", &used(30, 20));
    let provider = Provider::new([vec![Step::Stall], whole(200, &body)]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let first = cut_off(&world, &provider).await;
    let other = world.another(quick()).await;
    let anew = other.call(keyed(world.chat(), "k")).await;
    assert_eq!(header(&anew, "counterfoil-replayed"), None);
    let made = header(&anew, "counterfoil-execution").unwrap().to_owned();
    assert_eq!(read(anew).await, (200, body.clone()));
    assert_eq!(world.execution(first).await.status, ExecutionStatus::Expired);
    assert_eq!(world.executions().await, [first, first.again()]);
    // It is paid as well, and the key leads to the answer that was given.
    end_late(&world, first).await;
    for gateway in [other, world.another(quick()).await] {
        let again = gateway.call(keyed(world.chat(), "k")).await;
        assert_eq!(header(&again, "counterfoil-replayed"), Some("true"));
        assert_eq!(header(&again, "counterfoil-execution"), Some(made.as_str()));
        assert_eq!(read(again).await, (200, body.clone()));
    }
    assert_eq!((provider.asked().len(), world.executions().await.len()), (2, 2));
    assert_eq!(world.ledger.wallet("@revenue").await.balance.posted, amount("0.80"));
    assert!(world.ledger.wallet("w").await.balance.held.is_zero());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_cut_off_and_paid_later_is_not_made_anew() {
    let provider = Provider::new([vec![Step::Stall], whole(200, &answer("hello", &used(1, 1)))]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let first = cut_off(&world, &provider).await;
    world.ledger.run(Command::ExpireExecution { id: first }, None).await.unwrap();
    end_late(&world, first).await;
    let other = world.another(quick()).await;
    let (status, text) = read(other.call(keyed(world.chat(), "k")).await).await;
    assert!(status == 409 && text.contains("answer_not_kept"), "{status} {text}");
    assert_eq!((provider.asked().len(), world.executions().await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_kept_for_its_time_and_never_in_plain() {
    let provider = Provider::new([stream(&[&delta("secret words"), STOP, &usage(1, 1), DONE])]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    assert_eq!(read(world.gateway.call(keyed(world.streamed(), "k")).await).await.0, 200);
    assert_eq!(read(world.gateway.call(keyed(world.streamed(), "k")).await).await.0, 200);
    let pool = world.ledger.database.pool(journal::Role::Identity, 1).await;
    let mut dump: Vec<(Vec<u8>,)> = Vec::new();
    while dump.is_empty() {
        // It is kept a moment after it was given.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        dump = sqlx::query_as("SELECT sealed FROM identity.kept_responses").fetch_all(&pool).await.unwrap();
    }
    assert_eq!(dump.len(), 1);
    assert!(!String::from_utf8_lossy(&dump[0].0).contains("secret words"));
    world.ledger.clock.advance(TimeDelta::hours(25));
    assert_eq!(world.gateway.sweep().await.unwrap(), 1);
    let (status, text) = read(world.gateway.call(keyed(world.streamed(), "k")).await).await;
    assert_eq!(status, 409);
    assert!(text.contains("answer_not_kept"), "{text}");
    assert_eq!(provider.asked().len(), 1, "it is not made again");
}
