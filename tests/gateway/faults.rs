//! What can go wrong with a provider: what the client sees, what is paid, and that nothing stays held.

use domain::catalogue::{Dialect, Timeouts};
use domain::execution::{AttemptOutcome, ExecutionStatus, FailureReason, Operation};
use domain::{Execution, Usage, UsageSource};
use gateway::{BreakerOptions, Options};
use std::time::Duration;

use crate::provider::{
    DONE, Provider, ROLE, STOP, Script, Step, answer, chunk, delta, end, head, stream, usage, used, whole,
    with_header,
};
use crate::support::ledger::amount;
use crate::world::{Offered, World, openai, quick, read};

fn good() -> Script {
    stream(&[ROLE, &delta("good"), STOP, &usage(10, 5), DONE])
}

fn outcomes(execution: &Execution) -> Vec<AttemptOutcome> {
    execution.attempts.iter().map(|attempt| attempt.outcome).collect()
}

fn impatient(name: &'static str, address: &str) -> Offered {
    let timeouts =
        Timeouts { connect_ms: 1_000, first_token_ms: 150, between_tokens_ms: 150, total_ms: 5_000 };
    Offered { timeouts, ..openai(name, address) }
}

/// A provider with this fault, and behind it a good one: the client has the good answer, and pays for it alone.
async fn assert_failed_over(fault: Script, expected: AttemptOutcome) {
    let (bad, fine) = (Provider::new([fault]).await, Provider::new([good()]).await);
    let world = World::new(&[impatient("bad", &bad.address), openai("fine", &fine.address)]).await;
    let (status, text) = read(world.gateway.call(world.streamed()).await).await;
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("good") && text.ends_with(DONE) && !text.contains("error"), "{text}");
    let (execution, settled) = world.settled().await;
    assert_eq!(outcomes(&execution), [expected, AttemptOutcome::Answered]);
    assert_eq!(settled.provider.unwrap().as_str(), "fine");
    assert_eq!(settled.cost, amount("0.20"));
}

/// A provider with this fault in the middle of its stream: the client has what came and an error in the stream.
async fn assert_broken(fault: Script, outcome: AttemptOutcome, reason: FailureReason, code: &str) {
    let (bad, other) = (Provider::new([fault]).await, Provider::new([good()]).await);
    let world = World::new(&[impatient("bad", &bad.address), openai("other", &other.address)]).await;
    let (status, text) = read(world.gateway.call(world.streamed()).await).await;
    assert_eq!(status, 200);
    let (came, error) = text.rsplit_once("data: ").unwrap();
    assert!(came.contains("partial"), "{text}");
    assert!(error.starts_with("{\"error\":{") && error.contains(code) && error.ends_with("\n\n"), "{text}");
    assert!(!text.contains("[DONE]"), "it does not look whole");
    assert!(other.asked().is_empty(), "what the client has seen of one provider is not continued by another");
    let (execution, settled) = world.settled().await;
    assert_eq!((execution.status, execution.reason), (ExecutionStatus::Failed, Some(reason)));
    assert_eq!(outcomes(&execution), [outcome]);
    assert_eq!(settled.usage_source, UsageSource::Estimated);
    assert_eq!(settled.usage.output, 2, "`partial` is two tokens, about");
    assert!(settled.cost.is_positive());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_refuses_connections_is_passed_over() {
    let (nowhere, fine) = (Provider::nowhere().await, Provider::new([good()]).await);
    let world = World::new(&[openai("gone", &nowhere), openai("fine", &fine.address)]).await;
    assert!(read(world.gateway.call(world.streamed()).await).await.1.contains("good"));
    let (execution, _) = world.settled().await;
    assert_eq!(outcomes(&execution), [AttemptOutcome::Unreachable, AttemptOutcome::Answered]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_nowhere_is_passed_over() {
    let fine = Provider::new([good()]).await;
    let world =
        World::new(&[openai("gone", "http://no-such-host.invalid"), openai("fine", &fine.address)]).await;
    assert!(read(world.gateway.call(world.streamed()).await).await.1.contains("good"));
    let (execution, _) = world.settled().await;
    assert_eq!(outcomes(&execution), [AttemptOutcome::Unreachable, AttemptOutcome::Answered]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_no_head_or_no_first_token_in_time_is_passed_over() {
    assert_failed_over(vec![Step::Stall], AttemptOutcome::TimedOut).await;
    assert_failed_over(vec![head(), chunk(ROLE), Step::Stall], AttemptOutcome::TimedOut).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fails_before_the_first_token_is_passed_over() {
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"o"}}"#;
    for (status, body) in
        [(500, "{}"), (529, overloaded), (503, "<html>"), (401, "{}"), (402, "{}"), (404, "{}")]
    {
        let expected =
            if status == 404 { AttemptOutcome::InvalidRequest } else { AttemptOutcome::ProviderError };
        assert_failed_over(whole(status, body), expected).await;
    }
    assert_failed_over(stream(&[ROLE]), AttemptOutcome::Cut).await;
    assert_failed_over(vec![head(), chunk(ROLE), Step::Break], AttemptOutcome::Cut).await;
    assert_failed_over(stream(&["data: {\"choices\":[\n\n"]), AttemptOutcome::Malformed).await;
    let error = "data: {\"error\":{\"message\":\"boom\",\"code\":\"server_error\"}}\n\n";
    assert_failed_over(stream(&[ROLE, error]), AttemptOutcome::ProviderError).await;
    assert_failed_over(whole(429, "{}"), AttemptOutcome::RateLimited).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_cut_ends_in_an_error_and_not_as_if_it_were_whole() {
    let cut = || AttemptOutcome::Cut;
    let (reason, code) = (FailureReason::StreamCut, "stream_cut");
    assert_broken(vec![head(), chunk(&delta("partial")), Step::Break], cut(), reason, code).await;
    assert_broken(stream(&[&delta("partial"), STOP]), cut(), reason, code).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_falls_silent_is_not_waited_for() {
    let ping = ": keep-alive\n\n".repeat(3);
    let script = vec![head(), chunk(&delta("partial")), chunk(&ping), Step::Stall];
    assert_broken(script, AttemptOutcome::TimedOut, FailureReason::ProviderTimeout, "provider_timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_and_errors_in_a_stream_end_it() {
    let nonsense = stream(&[&delta("partial"), "data: {\"choices\":[{\"delta\":{\"con\n\n", DONE]);
    assert_broken(nonsense, AttemptOutcome::Malformed, FailureReason::MalformedAnswer, "malformed_answer")
        .await;
    let error = "data: {\"error\":{\"message\":\"boom\",\"type\":\"server_error\",\"code\":null}}\n\n";
    let failing = stream(&[&delta("partial"), error, DONE]);
    assert_broken(failing, AttemptOutcome::ProviderError, FailureReason::ProviderError, "provider_error")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_whole_is_not_begun_with_another_providers_half() {
    let body = answer("good", &used(10, 5));
    let half = vec![
        Step::Send(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"id\":"
                .to_vec(),
        ),
        Step::Break,
    ];
    let (bad, fine) = (Provider::new([half]).await, Provider::new([whole(200, &body)]).await);
    let world = World::new(&[openai("bad", &bad.address), openai("fine", &fine.address)]).await;
    assert_eq!(read(world.gateway.call(world.chat()).await).await, (200, body));
    let (execution, settled) = world.settled().await;
    assert_eq!(outcomes(&execution), [AttemptOutcome::Cut, AttemptOutcome::Answered]);
    assert_eq!(settled.cost, amount("0.20"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_that_says_it_failed_leads_on_and_is_not_paid() {
    let failed = r#"{"id":"r","status":"failed","error":{"code":"server_error","message":"x"},"output":[],"usage":null}"#;
    let fine = r#"{"id":"r","status":"completed","error":null,"output":[],"usage":{"input_tokens":10,"output_tokens":5}}"#;
    let cases = [
        (Operation::OpenAiResponses, r#"{"model":"m","input":"hi"}"#, failed, fine.to_owned()),
        (
            Operation::OpenAiChat,
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#,
            r#"{"error":{"message":"x","code":502}}"#,
            answer("good", &used(10, 5)),
        ),
    ];
    for (operation, body, failed, good) in cases {
        let (bad, other) =
            (Provider::new([whole(200, failed)]).await, Provider::new([whole(200, &good)]).await);
        let world = World::new(&[openai("bad", &bad.address), openai("other", &other.address)]).await;
        assert_eq!(read(world.gateway.call(world.call(operation, body)).await).await, (200, good));
        let (execution, settled) = world.settled().await;
        assert_eq!(outcomes(&execution), [AttemptOutcome::ProviderError, AttemptOutcome::Answered]);
        assert_eq!(settled.cost, amount("0.20"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_that_says_it_failed_is_told_as_a_failure_where_nobody_else_answers() {
    let failed = r#"{"error":{"message":"x","code":"server_error"}}"#;
    let provider = Provider::new([whole(200, failed)]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let (status, text) = read(world.gateway.call(world.chat()).await).await;
    assert!(status == 502 && text.contains("provider_error"), "{status} {text}");
    let (execution, settled) = world.settled().await;
    assert_eq!(execution.reason, Some(FailureReason::ProviderError));
    assert!(settled.cost.is_zero());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_provider_is_tried_again_until_it_answers() {
    let body = answer("good", &used(10, 5));
    let scripts =
        [whole(500, "{}"), with_header(429, "retry-after: 0", "{}"), whole(529, "{}"), whole(200, &body)];
    let provider = Provider::new(scripts).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    assert_eq!(read(world.gateway.call(world.chat()).await).await, (200, body));
    let (execution, _) = world.settled().await;
    let expected = [
        AttemptOutcome::ProviderError,
        AttemptOutcome::RateLimited,
        AttemptOutcome::ProviderError,
        AttemptOutcome::Answered,
    ];
    assert_eq!(outcomes(&execution), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_beyond_the_deadline_is_handed_to_the_client() {
    let provider = Provider::new([with_header(429, "retry-after: 3600", "{}")]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let reply = world.gateway.call(world.streamed()).await;
    let wait: u64 = crate::world::header(&reply, "retry-after").unwrap().parse().unwrap();
    assert_eq!((reply.status, wait), (429, 3_600));
    assert_eq!(provider.asked().len(), 1, "it is not asked again before it wants to be");
    let (execution, settled) = world.settled().await;
    assert_eq!(execution.reason, Some(FailureReason::ProviderRateLimited));
    assert!(settled.cost.is_zero());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_one_provider_asked_for_holds_up_no_other() {
    let body = answer("good", &used(10, 5));
    let limited = Provider::new([with_header(429, "retry-after: 3600", "{}")]).await;
    let shaky = Provider::new([whole(500, "{}"), whole(200, &body)]).await;
    let world = World::new(&[openai("limited", &limited.address), openai("shaky", &shaky.address)]).await;
    assert_eq!(read(world.gateway.call(world.chat()).await).await, (200, body));
    assert_eq!((limited.asked().len(), shaky.asked().len()), (1, 2), "who wants to be left alone is");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_provider_is_at_its_limit_clients_are_told_so_and_for_how_long() {
    let provider = Provider::new([with_header(429, "retry-after: 90", "{}")]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    assert_eq!(world.gateway.call(world.streamed()).await.status, 429);
    let messages = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    let contents = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;
    let calls = [
        (world.chat(), "rate_limit_error"),
        (world.streamed(), "rate_limit_error"),
        (world.call(Operation::AnthropicMessages, messages), "rate_limit_error"),
        (world.call(Operation::GeminiGenerate, contents), "RESOURCE_EXHAUSTED"),
    ];
    for (call, kind) in calls {
        let operation = call.operation;
        let reply = world.gateway.call(call).await;
        let wait: u64 = crate::world::header(&reply, "retry-after").unwrap().parse().unwrap();
        assert!((1..=90).contains(&wait), "{operation:?}: what is left of the pause: {wait}");
        let (status, text) = read(reply).await;
        assert_eq!(status, 429, "{operation:?}: {text}");
        assert!(text.contains(kind), "{operation:?}: {text}");
        assert!(text.to_lowercase().contains("provider_rate_limited"), "{operation:?}: {text}");
    }
    assert_eq!(provider.asked().len(), 1, "it is left alone");
    for id in world.executions().await {
        assert_eq!(world.execution(id).await.reason, Some(FailureReason::ProviderRateLimited));
    }
    assert!(world.ledger.wallet("w").await.balance.held.is_zero());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_of_one_that_fails_is_no_limit_of_the_clients() {
    let provider = Provider::new([with_header(503, "retry-after: 90", "{}")]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    assert_eq!(read(world.gateway.call(world.chat()).await).await.0, 502);
    let (status, text) = read(world.gateway.call(world.chat()).await).await;
    assert_eq!(status, 503);
    assert!(text.contains("provider_unavailable"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_at_its_limit_is_named_where_the_others_will_not_recover() {
    let limited = Provider::new([with_header(429, "retry-after: 90", "{}")]).await;
    let closed = Provider::new([whole(401, "{}")]).await;
    let world = World::new(&[openai("limited", &limited.address)]).await;
    assert_eq!(world.gateway.call(world.chat()).await.status, 429);
    world.offer(&[openai("limited", &limited.address), openai("closed", &closed.address)]);
    let reply = world.gateway.call(world.chat()).await;
    assert_eq!(reply.status, 429, "to come again is worth it");
    assert!(crate::world::header(&reply, "retry-after").is_some());
    assert_eq!((limited.asked().len(), closed.asked().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_beyond_all_measure_is_no_surprise() {
    let never = u64::MAX.to_string();
    let provider = Provider::new([with_header(429, &format!("retry-after: {never}"), "{}")]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let reply = world.gateway.call(world.streamed()).await;
    assert_eq!(reply.status, 429);
    assert_eq!(crate::world::header(&reply, "retry-after"), Some(never.as_str()));
    assert!(world.settled().await.1.cost.is_zero());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_filter_ended_is_not_asked_of_another_even_if_its_stream_is_cut() {
    let filtered = STOP.replace("\"stop\"", "\"content_filter\"");
    let cut = vec![head(), chunk(ROLE), chunk(&filtered), Step::Break];
    let (strict, lax) = (Provider::new([cut]).await, Provider::new([good()]).await);
    let world = World::new(&[openai("strict", &strict.address), openai("lax", &lax.address)]).await;
    assert_eq!(read(world.gateway.call(world.streamed()).await).await.0, 400);
    assert!(lax.asked().is_empty());
    assert_eq!(world.settled().await.0.reason, Some(FailureReason::ContentFilter));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_reports_before_it_is_cut_is_paid_where_nobody_answers() {
    let cut = || vec![head(), chunk(ROLE), chunk(&usage(10, 0)), Step::Break];
    let provider = Provider::new([cut(), cut(), cut(), cut()]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    assert_eq!(read(world.gateway.call(world.streamed()).await).await.0, 502);
    let (execution, settled) = world.settled().await;
    assert_eq!(execution.reason, Some(FailureReason::StreamCut));
    assert_eq!((settled.cost, settled.usage.input), (amount("0.10"), 10), "once, whatever was tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_used_that_failed_is_kept_with_its_cost_and_the_answer_alone_is_paid() {
    let cut = vec![head(), chunk(ROLE), chunk(&usage(10, 0)), Step::Break];
    let error = "data: {\"error\":{\"message\":\"boom\",\"code\":\"server_error\"}}\n\n";
    let failing = stream(&[ROLE, &usage(7, 1), error]);
    let (cut, failing) = (Provider::new([cut]).await, Provider::new([failing]).await);
    let fine = Provider::new([good()]).await;
    let dear = Offered { price: Some(("30000", "60000")), ..openai("failing", &failing.address) };
    let world = World::new(&[openai("cut", &cut.address), dear, openai("fine", &fine.address)]).await;
    assert!(read(world.gateway.call(world.streamed()).await).await.1.contains("good"));
    let (execution, settled) = world.settled().await;
    let known = |at: usize| {
        let attempt = &execution.attempts[at];
        (attempt.usage.map(|usage| (usage.input, usage.output)), attempt.usage_source, attempt.cost)
    };
    let reported = Some(UsageSource::Reported);
    assert_eq!(known(0), (Some((10, 0)), reported, Some(amount("0.10"))));
    assert_eq!(known(1), (Some((7, 1)), reported, Some(amount("0.27"))), "at its own price");
    assert_eq!(known(2), (Some((10, 5)), reported, Some(amount("0.20"))));
    assert_eq!((settled.provider.unwrap().as_str(), settled.cost), ("fine", amount("0.20")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_says_of_a_part_before_its_own_error_is_kept_and_not_owed() {
    let begun = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\
                 \"role\":\"assistant\",\"content\":[],\"model\":\"x\",\"usage\":{\"input_tokens\":25,\"output_tokens\":0}}}\n\n";
    let overloaded = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"o\"}}\n\n";
    let provider = Provider::new([stream(&[begun, overloaded])]).await;
    let offered = Offered { dialect: Dialect::Anthropic, ..openai("p", &provider.address) };
    let world = World::new(&[offered]).await;
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":20,"stream":true}"#;
    let call = world.call(Operation::AnthropicMessages, body);
    assert_eq!(read(world.gateway.call(call).await).await.0, 502);
    let (execution, settled) = world.settled().await;
    assert_eq!(execution.attempts.len(), 4);
    for attempt in &execution.attempts {
        assert_eq!((attempt.usage.unwrap().input, attempt.usage_source), (25, Some(UsageSource::InputOnly)));
        assert_eq!(attempt.cost, Some(amount("0.25")));
    }
    assert!(settled.cost.is_zero());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filters_refusal_is_not_got_round() {
    let body =
        r#"{"error":{"message":"no","type":"invalid_request_error","param":null,"code":"content_filter"}}"#;
    let (strict, lax) = (Provider::new([whole(400, body)]).await, Provider::new([good()]).await);
    let world = World::new(&[openai("strict", &strict.address), openai("lax", &lax.address)]).await;
    assert_eq!(read(world.gateway.call(world.streamed()).await).await, (400, body.to_owned()));
    assert!(lax.asked().is_empty());
    let (execution, settled) = world.settled().await;
    assert_eq!(execution.reason, Some(FailureReason::ContentFilter));
    assert!(settled.cost.is_zero());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_a_filter_ended_is_whole_and_paid() {
    let filtered = STOP.replace("\"stop\"", "\"content_filter\"");
    let provider = Provider::new([stream(&[&delta("hm"), &filtered, &usage(10, 1), DONE])]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    assert!(read(world.gateway.call(world.streamed()).await).await.1.ends_with(DONE));
    let (execution, settled) = world.settled().await;
    assert_eq!(execution.status, ExecutionStatus::Completed);
    assert_eq!(outcomes(&execution), [AttemptOutcome::ContentFilter]);
    assert_eq!(settled.cost, amount("0.12"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_request_is_wrong_everywhere() {
    let body = r#"{"error":{"message":"bad temperature","type":"invalid_request_error","param":"temperature","code":null}}"#;
    let (first, second) = (Provider::new([whole(400, body)]).await, Provider::new([good()]).await);
    let world = World::new(&[openai("first", &first.address), openai("second", &second.address)]).await;
    assert_eq!(read(world.gateway.call(world.streamed()).await).await, (400, body.to_owned()));
    assert!(second.asked().is_empty());
    assert_eq!(world.settled().await.0.reason, Some(FailureReason::InvalidRequest));
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_what_is_reported_even_if_that_is_nothing_and_an_estimate_where_nothing_is() {
    let text = "12345678";
    let cases = [
        (stream(&[&delta(text), STOP, &usage(0, 0), DONE]), 0, UsageSource::Reported),
        (
            stream(&[&delta(text), STOP, &usage(7, 3), &usage(7, 3), DONE, &usage(9, 9), DONE]),
            10,
            UsageSource::Reported,
        ),
        (stream(&[&delta(text), STOP, DONE]), 2 + 10, UsageSource::Estimated),
        (stream(&[&delta(text), STOP, &usage(u64::MAX / 4, 1), DONE]), 2 + 10, UsageSource::Estimated),
    ];
    for (script, total, source) in cases {
        let provider = Provider::new([script]).await;
        let world = World::new(&[openai("p", &provider.address)]).await;
        let (status, text) = read(world.gateway.call(world.streamed()).await).await;
        assert_eq!((status, text.matches("[DONE]").count()), (200, 1), "{text}");
        let (execution, settled) = world.settled().await;
        assert_eq!(execution.status, ExecutionStatus::Completed);
        assert_eq!((settled.usage.total(), settled.usage_source), (total, source));
        assert_eq!(settled.cost.is_zero(), total == 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_keeps_failing_is_left_alone() {
    let provider = Provider::new([whole(500, "{}")]).await;
    let breaker =
        BreakerOptions { failures: 4, first: Duration::from_secs(60), longest: Duration::from_secs(60) };
    let world = World::with(&[openai("p", &provider.address)], Options { breaker, ..quick() }).await;
    assert_eq!(read(world.gateway.call(world.chat()).await).await.0, 502);
    let before = provider.asked().len();
    assert_eq!(before, 4);
    let reply = world.gateway.call(world.chat()).await;
    assert!(crate::world::header(&reply, "retry-after").is_some());
    let (status, text) = read(reply).await;
    assert_eq!(status, 503);
    assert!(text.contains("provider_unavailable"), "{text}");
    assert_eq!(provider.asked().len(), before, "it was not asked");
    for id in world.executions().await {
        assert!(world.execution(id).await.status.is_final());
    }
    assert!(world.ledger.wallet("w").await.balance.held.is_zero());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_begins_and_then_breaks_is_left_alone_as_well() {
    let bad = Provider::new([vec![head(), chunk(&delta("partial")), Step::Break]]).await;
    let fine = Provider::new([good()]).await;
    let breaker =
        BreakerOptions { failures: 2, first: Duration::from_secs(60), longest: Duration::from_secs(60) };
    let offered = [openai("bad", &bad.address), openai("fine", &fine.address)];
    let world = World::with(&offered, Options { breaker, ..quick() }).await;
    for _ in 0..2 {
        let (_, text) = read(world.gateway.call(world.streamed()).await).await;
        assert!(text.contains("stream_cut"), "{text}");
    }
    let (_, text) = read(world.gateway.call(world.streamed()).await).await;
    assert!(text.contains("good") && text.ends_with(DONE), "{text}");
    assert_eq!(bad.asked().len(), 2, "it is not asked a third time");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_end_without_a_blank_line() {
    let script =
        vec![head(), chunk(&delta("good")), chunk(&usage(2, 1)), chunk("data: [DONE]"), end(), Step::Break];
    let provider = Provider::new([script]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    assert!(read(world.gateway.call(world.streamed()).await).await.1.ends_with(DONE));
    let (_, settled) = world.settled().await;
    assert_eq!(settled.usage, Usage { input: 2, output: 1, ..Usage::default() });
}
