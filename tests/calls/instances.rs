//! Several programs on the same servers: a call is cancelled at any of them, whichever makes it.

use std::time::Duration;

use counterfoil::servers::connect_nats;
use domain::{Slug, TenantId};
use futures_util::StreamExt as _;
use journal::{Journal, Role};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Method, Response};
use serde_json::json;

use crate::server::{Answer, Client};
use crate::support::private_nats;
use crate::world::{Shape, World, units};

/// A stream that has begun and goes on for half a minute.
struct Stream {
    response: Response,
    execution: String,
}

impl Stream {
    /// Calls at the instance of `caller`, and waits until the execution can be found.
    async fn begin(caller: &Client, owner: &Client, model: &str, key: Option<&str>) -> Self {
        let text = "count to a thousand slowly [[words 1000]] [[delay 30]]";
        let request = caller.request(Method::POST, &Shape::Chat.path(model, true));
        let request =
            request.header("Counterfoil-Wallet", "payer").json(&Shape::Chat.body(model, text, true));
        let request = key.into_iter().fold(request, |request, key| request.header("Idempotency-Key", key));
        let mut response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let execution = response.headers()["counterfoil-execution"].to_str().unwrap().to_owned();
        assert!(response.chunk().await.unwrap().is_some());
        while owner.get(&format!("/v1/executions/{execution}")).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { response, execution }
    }

    /// Cancels it at the instance of `client`.
    async fn cancelled_by(&self, client: &Client) -> Answer {
        client.post(&format!("/v1/executions/{}/cancel", self.execution), json!({})).await
    }

    /// Reads to the end, which is to say that the call was cancelled.
    async fn expect_cancelled(mut self, world: &World) {
        let mut text = String::new();
        while let Ok(Some(chunk)) = self.response.chunk().await {
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        assert!(text.contains("cancelled") && !text.contains("[DONE]"), "{text}");
        let ended = world.executions("payer", 1).await;
        let ended = ended.into_iter().find(|one| one["id"] == self.execution.as_str()).unwrap();
        assert_eq!(ended["status"], "cancelled", "{ended}");
        assert!(units(ended["cost"].as_str().unwrap()) > 0, "what was used is paid: {ended}");
        assert_eq!(world.balance("payer").await.1, 0, "nothing is held for it any more");
    }
}

fn expect_elsewhere(refused: &Answer) {
    assert_eq!((refused.status, refused.text("/code")), (409, "execution_elsewhere"), "{refused:?}");
    assert!(refused.text("/detail").contains("no instance that could be reached"), "{refused:?}");
}

async fn started(settings: &[(&str, &str)]) -> Option<(World, String)> {
    let world = World::start(settings).await?;
    let model = world.fault(Shape::Chat, "").await;
    world.fund("payer", "1").await;
    Some((world, model))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_cancelled_at_an_instance_that_does_not_make_it() {
    let Some((world, model)) = started(&[]).await else { return };
    let stranger = world.server.tenant("other").await;
    let another = world.server.another();
    let owner = another.client(&world.owner.token);

    let stream = Stream::begin(&world.caller, &owner, &model, None).await;
    let foreign = stream.cancelled_by(&another.client(&stranger.token)).await;
    assert_eq!((foreign.status, foreign.text("/code")), (404, "execution_not_found"), "{foreign:?}");
    let path = format!("/v1/executions/{}", stream.execution);
    assert_eq!(owner.get(&path).await.text("/status"), "running");
    let cancelled = stream.cancelled_by(&owner).await;
    assert_eq!((cancelled.status, cancelled.text("/id")), (202, stream.execution.as_str()), "{cancelled:?}");
    let again = format!("{path}/cancel");
    stream.expect_cancelled(&world).await;
    let again = owner.post(&again, json!({})).await;
    assert_eq!((again.status, again.text("/code")), (409, "execution_ended"));

    // The other way round, and with a key, under whose id the call is known as well.
    let caller = another.client(&world.caller.token);
    let stream = Stream::begin(&caller, &world.owner, &model, Some("once")).await;
    assert_eq!(stream.cancelled_by(&world.owner).await.status, 202);
    stream.expect_cancelled(&world).await;
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_no_instance_makes_any_more_is_not_cancelled_and_ends_by_itself() {
    let settings = [
        ("COUNTERFOIL_GATEWAY__TOTAL_MS", "6000"),
        ("COUNTERFOIL_GATEWAY__GRACE_MS", "2000"),
        ("COUNTERFOIL_SWEEP__INTERVAL_MS", "300"),
    ];
    let Some((world, model)) = started(&settings).await else { return };
    let another = world.server.another();
    let caller = another.client(&world.caller.token);
    let stream = Stream::begin(&caller, &world.owner, &model, None).await;
    // SIGKILL.
    drop(another);
    expect_elsewhere(&stream.cancelled_by(&world.owner).await);
    let ended = world.executions("payer", 1).await;
    assert_eq!(ended[0]["status"], "expired", "{}", ended[0]);
    assert_eq!(world.balance("payer").await.1, 0);
    world.verify();
}

/// Instances hear each other again when the server that was between them comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_cancelled_at_another_instance_after_nats_was_killed() {
    let Some((world, model)) = started(&[]).await else { return };
    let another = world.server.another();
    let owner = another.client(&world.owner.token);
    let stream = Stream::begin(&world.caller, &owner, &model, None).await;
    let nats = world.server.nats.addresses().nats_pid.unwrap();
    kill(Pid::from_raw(i32::try_from(nats).unwrap()), Signal::SIGKILL).unwrap();
    tokio::task::block_in_place(|| world.server.nats.restarted());
    let cancelling = async {
        loop {
            let answer = stream.cancelled_by(&owner).await;
            if answer.status == 202 {
                return;
            }
            // Not both are connected again.
            expect_elsewhere(&answer);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), cancelling).await.expect("they find each other again");
    stream.expect_cancelled(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_nats_a_call_is_cancelled_where_it_is_made_and_nowhere_else() {
    let Some((mut world, model)) = started(&[]).await else { return };
    let another = world.server.another();
    let owner = another.client(&world.owner.token);
    let stream = Stream::begin(&world.caller, &owner, &model, None).await;
    // The one that both know ends for good; this is one that they do not know.
    world.server.nats = tokio::task::block_in_place(private_nats);
    expect_elsewhere(&stream.cancelled_by(&owner).await);
    assert_eq!(stream.cancelled_by(&world.owner).await.status, 202);
    stream.expect_cancelled(&world).await;
}

/// Whoever is let into NATS can send anything there.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_no_question_and_questions_of_other_tenants_cancel_nothing() {
    let Some((world, model)) = started(&[]).await else { return };
    let stream = Stream::begin(&world.caller, &world.owner, &model, None).await;
    let url = world.server.nats.nats_url();
    let nats = connect_nats(&url, async_nats::ConnectOptions::new()).await.unwrap();
    let database = Journal::open(world.server.database.pool(Role::Writer, 1).await).await.unwrap();
    let subject = format!("calls.{}.cancel", database.database_id());
    let mut answers = nats.subscribe("answers").await.unwrap();
    let question = |slug| {
        let tenant = TenantId::of(&Slug::new(slug).unwrap());
        json!({"tenant": tenant, "execution": stream.execution}).to_string()
    };
    for payload in [
        String::new(),
        "nonsense".to_owned(),
        "{}".to_owned(),
        format!("{{\"execution\":\"{}\"}}", stream.execution),
        json!({"tenant": "acme", "execution": stream.execution}).to_string(),
        "[".repeat(100_000),
        question("other"),
    ] {
        nats.publish_with_reply(subject.clone(), "answers", payload.into()).await.unwrap();
    }
    nats.publish(subject.clone(), question("acme").into()).await.unwrap();
    nats.flush().await.unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(500), answers.next()).await.is_err(),
        "none of these is answered"
    );
    let path = format!("/v1/executions/{}", stream.execution);
    assert_eq!(world.owner.get(&path).await.text("/status"), "running");
    // Whoever listens has got over all of that.
    nats.publish_with_reply(subject, "answers", question("acme").into()).await.unwrap();
    let answered = tokio::time::timeout(Duration::from_secs(10), answers.next()).await;
    assert!(answered.expect("it is answered").is_some());
    stream.expect_cancelled(&world).await;
}
