//! Which price is paid where it changes.

use domain::execution::ExecutionStatus;

use crate::provider::{DONE, Provider, STOP, Step, answer, chunk, delta, end, head, usage, used, whole};
use crate::support::ledger::amount;
use crate::world::{World, openai, read};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_pays_the_price_at_which_it_was_asked_for_though_it_be_set_anew_before_the_end() {
    let script =
        vec![head(), chunk(&delta("a")), Step::Wait, chunk(STOP), chunk(&usage(30, 20)), chunk(DONE), end()];
    let provider = Provider::new([script, whole(200, &answer("x", &used(30, 20)))]).await;
    let world = World::new(&[openai("p", &provider.address)]).await;
    let reply = world.gateway.call(world.streamed()).await;
    let running = world.executions().await[0];
    assert_eq!(world.execution(running).await.status, ExecutionStatus::Running);
    world.price_anew("p", ("50000", "100000"));
    provider.go();
    assert!(read(reply).await.1.ends_with(DONE));
    let (execution, settled) = world.settled().await;
    assert_eq!((settled.price_version, settled.cost), (Some(3), amount("0.70")));
    assert_eq!(execution.attempts[0].price_version, Some(3));
    // Who asks now pays what it costs now.
    assert_eq!(read(world.gateway.call(world.chat()).await).await.0, 200);
    let ids = world.executions().await;
    let settled = world.execution(*ids.iter().find(|id| **id != running).unwrap()).await.settled.unwrap();
    assert_eq!((settled.price_version, settled.cost), (Some(4), amount("3.50")));
}
