//! How many calls there can be, in which asset they are paid, and that no call outlasts its time.

use std::time::Duration;

use commands::Command;
use domain::catalogue::{CatalogueCommand, Enforcement, Governed, Mode, Policy};
use domain::execution::{ExecutionStatus, FailureReason, Operation};
use domain::{AssetCode, ExecutionId, TenantId, WalletPath};
use gateway::{Options, Reply, ReplyBody};
use sqlx::{Postgres, Transaction};

use crate::provider::{
    DONE, Provider, STOP, Script, Step, answer, chunk, delta, end, head, usage, used, whole,
};
use crate::support::ledger::amount;
use crate::world::{Offered, World, header, openai, quick, read};

/// A stream that goes on when the test says so.
fn waiting() -> Script {
    vec![head(), chunk(&delta("a")), Step::Wait, chunk(STOP), chunk(&usage(1, 1)), chunk(DONE), end()]
}

/// The next part of a stream, within a time that is long enough for everything but a call that waits for ever.
async fn next(reply: &mut Reply) -> Option<String> {
    let ReplyBody::Stream(chunks) = &mut reply.body else { panic!("it is a stream") };
    let chunk = tokio::time::timeout(Duration::from_secs(10), chunks.recv()).await.unwrap();
    chunk.map(|bytes| String::from_utf8(bytes.unwrap().to_vec()).unwrap())
}

async fn has_room(world: &World) {
    let room = async {
        while world.gateway.has_room(world.ledger.tenant).is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), room).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_the_limit_are_refused_before_anything_is_done_and_a_stream_counts_to_its_end() {
    let provider = Provider::new([waiting(), whole(200, &answer("x", &used(1, 1)))]).await;
    let world = World::with(&[openai("p", &provider.address)], Options { calls: 1, ..quick() }).await;
    assert!(world.gateway.has_room(world.ledger.tenant).is_ok());
    let mut first = world.gateway.call(world.streamed()).await;
    assert!(next(&mut first).await.is_some());
    // Its client goes; it is drained, and counts.
    drop(first);
    for (operation, code) in [
        (Operation::OpenAiChat, r#""code":"too_many_calls""#),
        (Operation::AnthropicMessages, r#""code":"too_many_calls""#),
        (Operation::GeminiGenerate, r#""reason":"TOO_MANY_CALLS""#),
    ] {
        let refused = world.gateway.call(world.call(operation, "{}")).await;
        assert_eq!((refused.status, header(&refused, "retry-after")), (503, Some("1")), "{operation:?}");
        let (_, text) = read(refused).await;
        assert!(text.contains(code), "{text}");
        assert_eq!(world.gateway.has_room(world.ledger.tenant).unwrap_err().code, "too_many_calls");
    }
    assert_eq!((provider.asked().len(), world.executions().await.len()), (1, 1));
    provider.go();
    has_room(&world).await;
    assert_eq!(world.settled().await.0.status, ExecutionStatus::Completed);
    assert_eq!(read(world.gateway.call(world.chat()).await).await.0, 200);
    has_room(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_has_its_share_of_the_calls_is_told_so_and_keeps_no_other_out() {
    let provider = Provider::new([waiting()]).await;
    let options = Options { calls: 3, calls_per_tenant: 1, ..quick() };
    let world = World::with(&[openai("p", &provider.address)], options).await;
    let mut first = world.gateway.call(world.streamed()).await;
    assert!(next(&mut first).await.is_some());
    let refused = world.gateway.call(world.chat()).await;
    assert_eq!((refused.status, header(&refused, "retry-after")), (429, Some("1")));
    assert!(read(refused).await.1.contains(r#""code":"too_many_calls_of_tenant""#));
    assert!(world.gateway.has_room(TenantId::PLATFORM).is_ok(), "there is room for others");
    assert_eq!((provider.asked().len(), world.executions().await.len()), (1, 1));
    provider.go();
    assert!(read(first).await.1.ends_with(DONE));
    has_room(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_a_call_or_hears_an_earlier_answer_counts_until_that_is_told() {
    let provider = Provider::new([waiting()]).await;
    let world = World::with(&[openai("p", &provider.address)], Options { calls: 2, ..quick() }).await;
    let keyed = || gateway::Call { key: Some("k".into()), ..world.streamed() };
    let mut first = world.gateway.call(keyed()).await;
    assert!(next(&mut first).await.is_some());
    let joined = world.gateway.call(keyed()).await;
    assert_eq!(world.gateway.call(keyed()).await.status, 503);
    provider.go();
    assert!(read(first).await.1.ends_with(DONE));
    assert!(read(joined).await.1.ends_with(DONE));
    has_room(&world).await;
    assert_eq!(header(&world.gateway.call(keyed()).await, "counterfoil-replayed"), Some("true"));
    has_room(&world).await;
    assert_eq!(provider.asked().len(), 1);
}

async fn warns(world: &World) {
    let policy = Policy {
        mode: Mode::Lifetime,
        amount: amount("0.00"),
        asset: AssetCode::new("USD").unwrap(),
        enforcement: Enforcement::Warn,
    };
    let governed = Governed::Wallet(WalletPath::new("w").unwrap());
    let set = Command::Catalogue(CatalogueCommand::SetPolicy { governed, policy });
    world.ledger.run(set, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_providers_those_are_asked_whose_price_is_in_the_asset_of_the_wallet() {
    let body = answer("x", &used(30, 20));
    let euros = Provider::new([whole(200, "{}")]).await;
    let (bad, fine) = (Provider::new([whole(500, "{}")]).await, Provider::new([whole(200, &body)]).await);
    let in_euros = Offered { asset: "EUR", ..openai("euros", &euros.address) };
    let world = World::new(&[in_euros.clone(), openai("fine", &fine.address)]).await;
    assert_eq!(read(world.gateway.call(world.chat()).await).await, (200, body));
    let (_, settled) = world.settled().await;
    assert_eq!((settled.provider.unwrap().as_str(), settled.cost), ("fine", amount("0.70")));
    // Nor is it the one to fall back on, whatever is enforced: it could not be paid.
    world.offer(&[openai("bad", &bad.address), in_euros.clone()]);
    assert_eq!(read(world.gateway.call(world.chat()).await).await.0, 502);
    warns(&world).await;
    assert_eq!(read(world.gateway.call(world.chat()).await).await.0, 502);
    // Where there is no other, nobody is asked.
    let executions = world.executions().await.len();
    world.offer(std::slice::from_ref(&in_euros));
    let (status, text) = read(world.gateway.call(world.chat()).await).await;
    assert_eq!(status, 422);
    assert!(text.contains("price_asset_mismatch"), "{text}");
    assert_eq!((euros.asked().len(), world.executions().await.len()), (0, executions));
}

/// Somebody else is in the middle of an append and does not come to its end.
async fn busy(world: &World) -> Transaction<'static, Postgres> {
    let pool = world.ledger.database.pool(journal::Role::Owner, 1).await;
    let mut other = journal::begin(&pool, None).await.unwrap();
    sqlx::query("UPDATE journal.heads SET position = position WHERE partition = $1")
        .bind(world.ledger.partition().0)
        .execute(&mut *other)
        .await
        .unwrap();
    other
}

/// A call whose hold has to grow while the ledger is busy.
async fn stalled(options: Options) -> (World, Reply, Transaction<'static, Postgres>) {
    let much = delta(&"word".repeat(60));
    let script = vec![head(), chunk(&delta("a")), Step::Wait, chunk(&much), Step::Stall];
    let provider = Provider::new([script]).await;
    let options = Options { settle: Duration::from_millis(100), ..options };
    let world = World::with(&[openai("p", &provider.address)], options).await;
    let mut reply = world.gateway.call(world.streamed()).await;
    assert!(next(&mut reply).await.is_some());
    let other = busy(&world).await;
    provider.go();
    assert!(next(&mut reply).await.unwrap().contains("wordword"));
    (world, reply, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_cancelled_also_while_its_hold_does_not_come() {
    let (world, mut reply, other) = stalled(quick()).await;
    let id = ExecutionId(header(&reply, "counterfoil-execution").unwrap().parse().unwrap());
    assert!(world.gateway.cancel(world.ledger.tenant, id));
    assert!(next(&mut reply).await.unwrap().contains("\"cancelled\""));
    assert!(next(&mut reply).await.is_none());
    other.commit().await.unwrap();
    let (execution, settled) = world.settled().await;
    assert_eq!(execution.status, ExecutionStatus::Cancelled);
    assert!(settled.usage.output >= 60, "what passed is paid: {:?}", settled.usage);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_at_its_time_also_while_its_hold_does_not_come() {
    let (world, mut reply, other) = stalled(Options { total: Duration::from_secs(2), ..quick() }).await;
    assert!(next(&mut reply).await.unwrap().contains("provider_timeout"));
    assert!(next(&mut reply).await.is_none());
    other.commit().await.unwrap();
    let (execution, settled) = world.settled().await;
    assert_eq!(execution.reason, Some(FailureReason::ProviderTimeout));
    assert!(settled.usage.output >= 60, "what passed is paid: {:?}", settled.usage);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_at_its_time_also_while_the_hold_for_a_dearer_provider_does_not_come() {
    let mut failing = whole(500, "{}");
    failing.insert(0, Step::Wait);
    let (bad, dear) = (Provider::new([failing]).await, Provider::new([whole(200, "{}")]).await);
    let offered = [
        openai("bad", &bad.address),
        Offered { price: Some(("11000", "22000")), ..openai("dear", &dear.address) },
    ];
    let options = Options { total: Duration::from_secs(3), settle: Duration::from_millis(100), ..quick() };
    let world = World::with(&offered, options).await;
    let calling = tokio::spawn({
        let (gateway, call) = (world.gateway.clone(), world.chat());
        async move { read(gateway.call(call).await).await }
    });
    while bad.asked().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let other = busy(&world).await;
    bad.go();
    let (status, text) = tokio::time::timeout(Duration::from_secs(15), calling).await.unwrap().unwrap();
    assert_eq!(status, 504, "{text}");
    assert!(text.contains("provider_timeout"), "{text}");
    other.commit().await.unwrap();
    let (execution, settled) = world.settled().await;
    assert_eq!((execution.attempts.len(), settled.cost), (1, amount("0.00")));
    assert!(dear.asked().is_empty());
}
