//! Answers as they should be: what the client gets, what the provider was sent, what was paid.

use domain::catalogue::Dialect;
use domain::execution::{AttemptOutcome, ExecutionStatus, Operation};
use domain::{Usage, UsageSource};
use gateway::{Call, Options, Query, ReplyBody};
use std::time::Duration;

use crate::provider::{
    DONE, Provider, ROLE, STOP, Step, answer, chunk, delta, end, head, stream, usage, used, whole,
};
use crate::support::ledger::amount;
use crate::world::{Offered, World, header, openai, quick, read};

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_passes_byte_for_byte_and_is_paid_to_the_token() {
    let body = answer("hello", &used(30, 20));
    let provider = Provider::new([whole(200, &body)]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let reply = world.gateway.call(world.chat()).await;
    assert!(header(&reply, "counterfoil-execution").is_some());
    assert!(header(&reply, "counterfoil-position").is_some(), "who has the answer finds it settled");
    assert_eq!(read(reply).await, (200, body));
    let sent = provider.asked().pop().unwrap();
    assert!(sent.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains("authorization: Bearer upstream-key"));
    assert!(
        sent.ends_with(r#"{"model":"real","messages":[{"role":"user","content":"hi"}],"max_tokens":100}"#)
    );
    let (execution, settled) = world.settled().await;
    assert_eq!(execution.status, ExecutionStatus::Completed);
    assert_eq!(settled.usage, Usage { input: 30, output: 20, ..Usage::default() });
    assert_eq!((settled.usage_source, settled.price_version), (UsageSource::Reported, Some(3)));
    assert_eq!(settled.cost, amount("0.70"));
    assert_eq!(world.ledger.wallet("w").await.balance.posted, amount("99.30"));
    assert_eq!(execution.attempts.len(), 1);
    assert_eq!(execution.attempts[0].outcome, AttemptOutcome::Answered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_passes_as_the_client_asked_for_it_and_is_paid_to_the_token() {
    let chunks = [ROLE, &delta("hel"), &delta("lo ü"), STOP, &usage(30, 20), DONE];
    let provider = Provider::new([stream(&chunks)]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let reply = world.gateway.call(world.streamed()).await;
    assert_eq!(header(&reply, "content-type"), Some("text/event-stream"));
    let (status, text) = read(reply).await;
    let expected = chunks.concat().replace(&usage(30, 20), "").replace(",\"usage\":null", "");
    assert_eq!((status, text), (200, expected), "without the usage that it did not ask for");
    assert!(provider.asked()[0].contains(r#""stream_options":{"include_usage":true}"#));
    let (execution, settled) = world.settled().await;
    assert_eq!(settled.cost, amount("0.70"));
    assert!(execution.attempts[0].first_token_ms.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_query_of_a_call_goes_to_providers_of_its_shape_and_the_clients_key_to_none() {
    let failing = Provider::new([whole(500, "{}")]).await;
    let other = Provider::new([whole(200, &answer("hello", &used(3, 2)))]).await;
    let first = Offered { dialect: Dialect::Anthropic, ..openai("a", &failing.address) };
    let world = World::new(&[first, openai("b", &other.address)]).await;
    let body = r#"{"model":"m","max_tokens":10,"messages":[{"role":"user","content":"hi"}]}"#;
    let call = world.call(Operation::AnthropicMessages, body);
    let reply = world.gateway.call(Call { query: Query::of("key=cf_1&beta=true"), ..call }).await;
    assert_eq!(read(reply).await.0, 200);
    let (own, translated) = (failing.asked().pop().unwrap(), other.asked().pop().unwrap());
    assert!(own.starts_with("POST /v1/messages?beta=true HTTP/1.1\r\n"), "{own}");
    assert!(translated.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{translated}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_stream_comes_after_its_settlement() {
    let script =
        vec![head(), chunk(&delta("a")), Step::Wait, chunk(STOP), chunk(&usage(1, 1)), chunk(DONE), end()];
    let provider = Provider::new([script]).await;
    let options = Options { settle: Duration::from_secs(60), ..quick() };
    let world = World::with(&[openai("p", &provider.address)], options).await;
    let reply = world.gateway.call(world.streamed()).await;
    let ReplyBody::Stream(mut chunks) = reply.body else { panic!("it is a stream") };
    let id = world.executions().await[0];
    // Somebody else is in the middle of an append, so that no end can be recorded.
    let pool = world.ledger.database.pool(journal::Role::Owner, 1).await;
    let mut other = journal::begin(&pool, None).await.unwrap();
    sqlx::query("UPDATE journal.heads SET position = position WHERE partition = $1")
        .bind(world.ledger.partition().0)
        .execute(&mut *other)
        .await
        .unwrap();
    provider.go();
    let mut read = Vec::new();
    let early = async {
        while let Some(Ok(chunk)) = chunks.recv().await {
            read.push(chunk);
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(1), early).await.is_err(), "it is kept back");
    assert!(read.iter().all(|chunk| *chunk != DONE), "{read:?}");
    other.commit().await.unwrap();
    assert_eq!(chunks.recv().await, Some(Ok(DONE.into())));
    assert_eq!(world.execution(id).await.status, ExecutionStatus::Completed, "before the end is told");
    assert_eq!(chunks.recv().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_may_be_torn_anywhere_and_events_be_of_any_size() {
    let huge = "x".repeat(700_000);
    let (first, second) = (delta("ü€😀"), delta(&huge));
    let whole_text = [&first, &second, STOP, &usage(3, 4), DONE].concat();
    let bytes = whole_text.as_bytes();
    let mut script = vec![head()];
    for piece in [&bytes[..3], &bytes[3..119], &bytes[119..121], &bytes[121..5_000], &bytes[5_000..]] {
        let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
        framed.extend_from_slice(piece);
        framed.extend_from_slice(b"\r\n");
        script.push(Step::Send(framed));
    }
    script.push(end());
    let provider = Provider::new([script]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    world.ledger.submit(crate::support::ledger::transfer("@world", "w", "9000.00")).await.unwrap();
    let (_, text) = read(world.gateway.call(world.streamed()).await).await;
    assert!(text.contains(&huge) && text.contains("ü€😀") && text.ends_with(DONE));
    let (_, settled) = world.settled().await;
    assert_eq!(settled.usage, Usage { input: 3, output: 4, ..Usage::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn anthropic_is_answered_by_a_provider_that_speaks_openai() {
    let chunks = [ROLE, &delta("hello"), STOP, &usage(30, 20), DONE];
    let provider = Provider::new([stream(&chunks), whole(200, &answer("hello", &used(30, 20)))]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let body = r#"{"model":"m","max_tokens":40,"stream":true,"system":"s","messages":[{"role":"user","content":"hi"}]}"#;
    let (status, text) = read(world.gateway.call(world.call(Operation::AnthropicMessages, body)).await).await;
    assert_eq!(status, 200);
    for part in
        ["event: message_start", "\"text\":\"hello\"", "\"stop_reason\":\"end_turn\"", "event: message_stop"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(provider.asked()[0].contains(r#"{"content":"s","role":"system"}"#), "{}", provider.asked()[0]);
    let (_, settled) = world.settled().await;
    assert_eq!(settled.cost, amount("0.70"));
    let whole = body.replace("\"stream\":true,", "");
    let (status, text) =
        read(world.gateway.call(world.call(Operation::AnthropicMessages, &whole)).await).await;
    assert_eq!(status, 200);
    assert!(text.contains("\"type\":\"message\"") && text.contains("\"input_tokens\":30"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_dialect_cannot_say_is_refused_before_anything_is_held() {
    let provider = Provider::new([whole(200, "{}")]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let body =
        r#"{"model":"m","max_tokens":40,"thinking":{"type":"enabled","budget_tokens":2000},"messages":[]}"#;
    let (status, text) = read(world.gateway.call(world.call(Operation::AnthropicMessages, body)).await).await;
    assert_eq!(status, 400);
    assert!(text.contains("untranslatable") && text.contains("thinking"), "{text}");
    assert!(provider.asked().is_empty() && world.executions().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn counting_tokens_costs_nothing_and_leaves_nothing() {
    let provider = Provider::new([whole(200, r#"{"input_tokens":14}"#)]).await;
    let anthropic = Offered { dialect: Dialect::Anthropic, ..openai("a", &provider.address) };
    let world = World::new(&[anthropic]).await;
    world.leave("0.00").await;
    let call = world.call(Operation::AnthropicCountTokens, r#"{"model":"m","messages":[]}"#);
    assert_eq!(read(world.gateway.call(call).await).await, (200, r#"{"input_tokens":14}"#.to_owned()));
    assert!(provider.asked()[0].starts_with("POST /v1/messages/count_tokens "));
    assert!(world.executions().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn embeddings_pay_for_their_input() {
    let provider =
        Provider::new([whole(200, r#"{"data":[],"usage":{"prompt_tokens":8,"total_tokens":8}}"#)]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let call = world.call(Operation::OpenAiEmbeddings, r#"{"model":"m","input":"hi"}"#);
    assert_eq!(read(world.gateway.call(call).await).await.0, 200);
    let (_, settled) = world.settled().await;
    assert_eq!((settled.usage.total(), settled.cost), (8, amount("0.08")));
}

#[tokio::test(flavor = "multi_thread")]
async fn gemini_is_spoken_to_where_its_address_names_the_model() {
    let chunk = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hi\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":5,\"candidatesTokenCount\":1,\"thoughtsTokenCount\":4}}\r\n\r\n";
    let provider = Provider::new([stream(&[chunk])]).await;
    let gemini = Offered { dialect: Dialect::Gemini, ..openai("g", &provider.address) };
    let world = World::new(&[gemini]).await;
    let call = world.call(Operation::GeminiGenerate, r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#);
    assert_eq!(read(world.gateway.call(call).await).await, (200, chunk.to_owned()));
    assert!(provider.asked()[0].starts_with("POST /v1beta/models/real:streamGenerateContent?alt=sse "));
    let (_, settled) = world.settled().await;
    assert_eq!(settled.usage, Usage { input: 5, output: 1, reasoning: 4, ..Usage::default() });
    assert_eq!(settled.cost, amount("0.15"));
}
