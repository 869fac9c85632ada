//! Clients that read slowly: what waits for them, and what they are told.

use std::time::Duration;

use domain::execution::ExecutionStatus;
use gateway::{BreakerOptions, Broken, Call, Options, Reply, ReplyBody};

use crate::provider::{DONE, Provider, STOP, Script, Step, chunk, delta, end, head, usage};
use crate::support::ledger::amount;
use crate::world::{World, openai, quick, read};

/// A stream of so many words, with what follows them.
fn words(count: usize, rest: &[Step]) -> Script {
    let words = (0..count).map(|number| chunk(&delta(&format!("w{number} "))));
    std::iter::once(head()).chain(words).chain(rest.iter().cloned()).collect()
}

fn good() -> Vec<Step> {
    vec![chunk(STOP), chunk(&usage(30, 20)), chunk(DONE), end()]
}

/// Reads nothing for so long, and then all there is: the text, and whether it came to its end.
async fn late(reply: Reply, pause: Duration) -> (String, Result<(), Broken>) {
    let ReplyBody::Stream(mut chunks) = reply.body else { panic!("it is a stream") };
    tokio::time::sleep(pause).await;
    let mut text = String::new();
    while let Some(chunk) = chunks.recv().await {
        match chunk {
            Ok(chunk) => text.push_str(std::str::from_utf8(&chunk).unwrap()),
            Err(broken) => return (text, Err(broken)),
        }
    }
    (text, Ok(()))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_too_slowly_has_the_answer_broken_off_and_not_shortened() {
    let provider = Provider::new([words(40, &good())]).await;
    let options = Options { total: Duration::from_secs(1), ..quick() };
    let world = World::with(&[openai("p", &provider.address)], options).await;
    let reply = world.gateway.call(world.streamed()).await;
    let (text, end) = late(reply, Duration::from_secs(2)).await;
    assert!(text.contains("w0 ") && !text.contains("w39 "), "{text}");
    assert!(end == Err(Broken) || text.contains("\"error\""), "it looks whole: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_slowly_within_the_time_of_the_call_has_all_of_it() {
    let provider = Provider::new([words(15, &good())]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    // More waits than is read: the end of the answer waits as well, longer than once.
    let reply = world.gateway.call(world.streamed()).await;
    let (text, end) = late(reply, Duration::from_secs(11)).await;
    assert!(end.is_ok() && text.ends_with(DONE), "{text}");
    let (execution, settled) = world.settled().await;
    assert_eq!((execution.status, settled.cost), (ExecutionStatus::Completed, amount("0.70")));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_another_program_with_the_key_does_not_wait_for_the_one_that_reads_slowly() {
    let provider = Provider::new([words(15, &good())]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let keyed = || Call { key: Some("k".to_owned()), ..world.streamed() };
    // Its end does not fit behind what waits for it already.
    let slow = world.gateway.call(keyed()).await;
    world.settled().await;
    let (status, text) = read(world.another(quick()).await.call(keyed()).await).await;
    assert!(status == 200 && text.ends_with(DONE), "{status} {text}");
    assert_eq!(read(slow).await, (200, text), "who reads slowly has it as well");
    assert_eq!(provider.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_keeps_a_provider_waiting_does_not_have_it_left_alone() {
    let provider = Provider::new([words(60, &[Step::Break])]).await;
    let breaker =
        BreakerOptions { failures: 1, first: Duration::from_secs(60), longest: Duration::from_secs(60) };
    let world = World::with(&[openai("p", &provider.address)], Options { breaker, ..quick() }).await;
    for _ in 0..2 {
        let reply = world.gateway.call(world.streamed()).await;
        let (text, end) = late(reply, Duration::from_secs(2)).await;
        assert!(end.is_ok() && text.contains("stream_cut"), "{text}");
    }
    assert_eq!(provider.asked().len(), 2);
    // Who reads as fast as it comes is nobody's excuse.
    let reply = world.gateway.call(world.streamed()).await;
    assert!(late(reply, Duration::ZERO).await.0.contains("stream_cut"));
    assert_eq!(world.gateway.call(world.streamed()).await.status, 503);
    assert_eq!(provider.asked().len(), 3);
}
