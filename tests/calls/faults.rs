//! The fault catalogue: for each fault what the client saw, what was billed, that nothing stays held, and that the ledger
//! verifies.

use futures_util::future::join_all;
use serde_json::Value;

use crate::world::{INPUT, OUTPUT, Said, Shape, World, cost, units, words};

/// What a call was billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Billed {
    /// Nothing, because nothing was answered.
    Nothing,
    /// What the provider reported: tokens of input and of output.
    Reported(u64, u64),
    /// What passed, as far as we counted: at least so many tokens of output.
    Estimated(u64),
}

/// A fault, and what is to come of it.
#[derive(Debug, Clone, Copy)]
struct Case {
    fault: &'static str,
    stream: bool,
    /// The HTTP status that the client sees.
    seen: u16,
    /// A code in what the client sees, whole or in band.
    says: &'static str,
    status: &'static str,
    /// Why it failed.
    reason: &'static str,
    billed: Billed,
    /// How many times the provider was asked.
    tries: usize,
}

const fn case(fault: &'static str, stream: bool, seen: u16, says: &'static str) -> Case {
    Case { fault, stream, seen, says, status: "failed", reason: "", billed: Billed::Nothing, tries: 2 }
}

impl Case {
    const fn fails(self, reason: &'static str, billed: Billed, tries: usize) -> Self {
        Self { status: "failed", reason, billed, tries, ..self }
    }

    const fn completes(self, billed: Billed, tries: usize) -> Self {
        Self { status: "completed", billed, tries, ..self }
    }
}

/// What a wallet has before its call: more than the dearest of them is thought to cost while it goes on.
const FUNDS: &str = "1000";
/// The question has four words, the answer twelve.
const ASK: &str = "count to twelve please";
/// What a whole answer is billed.
const WHOLE: Billed = Billed::Reported(4, 12);

/// Faults, as they are in every shape.
const CASES: &[Case] = &[
    case("", false, 200, "w12").completes(WHOLE, 1),
    case("", true, 200, "w12").completes(WHOLE, 1),
    case("slow-headers", false, 504, "provider_timeout").fails("provider_timeout", Billed::Nothing, 2),
    case("slow-headers", true, 504, "provider_timeout").fails("provider_timeout", Billed::Nothing, 2),
    case("slow-once", true, 200, "w12").completes(WHOLE, 2),
    case("no-first-token", true, 504, "provider_timeout").fails("provider_timeout", Billed::Nothing, 2),
    case("stall", true, 200, "provider_timeout").fails("provider_timeout", Billed::Estimated(3), 1),
    case("cut", true, 200, "stream_cut").fails("stream_cut", Billed::Estimated(3), 1),
    case("clean-cut", true, 200, "stream_cut").fails("stream_cut", Billed::Estimated(3), 1),
    case("cut-once", false, 200, "w12").completes(WHOLE, 2),
    case("malformed", true, 200, "malformed_answer").fails("malformed_answer", Billed::Estimated(3), 1),
    case("error-event", true, 200, "provider_error").fails("provider_error", Billed::Estimated(3), 1),
    case("429", false, 429, "provider_rate_limited").fails("provider_rate_limited", Billed::Nothing, 2),
    case("429-retry", true, 429, "provider_rate_limited").fails("provider_rate_limited", Billed::Nothing, 2),
    case("429-once", true, 200, "w12").completes(WHOLE, 2),
    case("429-retry-once", false, 200, "w12").completes(WHOLE, 2),
    case("500", true, 502, "provider_error").fails("provider_error", Billed::Nothing, 2),
    case("500-once", false, 200, "w12").completes(WHOLE, 2),
    case("529", false, 502, "provider_error").fails("provider_error", Billed::Nothing, 2),
    case("400", false, 400, "made to fail").fails("invalid_request", Billed::Nothing, 1),
    case("401", false, 502, "provider_error").fails("provider_error", Billed::Nothing, 1),
    case("wrong-usage", true, 200, "w12").completes(Billed::Reported(40, 12_000), 1),
    case("no-usage", true, 200, "w12").completes(Billed::Estimated(8), 1),
    case("no-usage", false, 200, "w12").completes(Billed::Estimated(8), 1),
    case("zero-usage", true, 200, "w12").completes(Billed::Reported(0, 0), 1),
    case("zero-usage", false, 200, "w12").completes(Billed::Reported(0, 0), 1),
    case("absurd-usage", false, 200, "w12").completes(Billed::Estimated(8), 1),
    case("double-end", true, 200, "w12").completes(WHOLE, 1),
    case("huge-chunk", true, 200, "w12").completes(WHOLE, 1),
    case("content-filter", true, 200, "w5").completes(Billed::Reported(4, 5), 1),
    case("content-filter-400", false, 400, "filter").fails("content_filter", Billed::Nothing, 1),
];

/// Makes the call of a case on a wallet of its own, at a provider of its own.
async fn run(world: &World, shape: Shape, mut case: Case) -> Vec<String> {
    if case.reason == "content_filter" && matches!(shape, Shape::Messages | Shape::Gemini) {
        // Their errors have no code for it. What is wrong is not asked of others either.
        case.reason = "invalid_request";
    }
    let model = if case.fault.is_empty() {
        shape.model().to_owned()
    } else {
        format!("{}--{}", shape.model(), case.fault)
    };
    let alias = format!("{shape:?}-{}-{}", case.fault, case.stream).to_lowercase();
    let (dialect, prefix) = match shape {
        Shape::Chat | Shape::Responses => ("openai", "/openai/v1"),
        Shape::Messages => ("anthropic", "/anthropic"),
        Shape::Gemini => ("gemini", "/gemini"),
    };
    // In the address, so that the list of requests tells the cases apart.
    world.provider(dialect, &alias, &format!("{}/{alias}{prefix}", world.providers.base)).await;
    // The fault that happens once is counted by the name of the model: one for each case.
    let once = case.fault.ends_with("-once");
    let model = if once { format!("{alias}{model}") } else { model };
    world.model(&alias, &alias, &model).await;
    let wallet = format!("faults:{alias}");
    world.fund(&wallet, FUNDS).await;
    let said = world.call(&wallet, shape, &alias, ASK, case.stream).await;
    let mut wrong = seen(case, &said);
    let executions = world.executions(&wallet, 1).await;
    let asked = world.providers.requests().await;
    let tries = asked
        .iter()
        .filter(|request| request["path"].as_str().unwrap().starts_with(&format!("/{alias}/")))
        .count();
    if executions.len() != 1 {
        wrong.push(format!("there are {} executions", executions.len()));
    }
    let execution = &executions[0];
    if tries != case.tries || execution["attempts"].as_array().unwrap().len() != case.tries {
        wrong.push(format!("tried {tries} times and not {}: {}", case.tries, execution["attempts"]));
    }
    if execution["status"] != case.status || (case.status == "failed" && execution["reason"] != case.reason) {
        wrong.push(format!(
            "is {} for {}, and not {} for {}",
            execution["status"], execution["reason"], case.status, case.reason
        ));
    }
    wrong.extend(billed(case.billed, execution));
    let paid = units(execution["cost"].as_str().unwrap());
    let balance = world.balance(&wallet).await;
    if balance != (units(FUNDS) - paid, 0) {
        wrong.push(format!("{paid} was paid, and the wallet has {balance:?}"));
    }
    wrong
        .into_iter()
        .map(|wrong| format!("{shape:?} {} stream {}: {wrong}", case.fault, case.stream))
        .collect()
}

/// What the client saw.
fn seen(case: Case, said: &Said) -> Vec<String> {
    let mut wrong = Vec::new();
    let excerpt: String = said.text.chars().take(2_000).collect();
    if said.status != case.seen {
        wrong.push(format!("the client saw {}: {excerpt}", said.status));
    }
    let text = said.text.to_lowercase();
    if !text.contains(case.says) {
        wrong.push(format!("the client saw no {}: {excerpt}", case.says));
    }
    if said.status == 429 && said.header("retry-after").is_none() {
        wrong.push("the client is not told when to come back".to_owned());
    }
    // A stream that was not whole must not look whole.
    let whole = ["[done]", "message_stop", "response.completed", "finishreason\":\"stop"];
    if case.status == "failed"
        && case.stream
        && case.seen == 200
        && whole.iter().any(|end| text.contains(end))
    {
        wrong.push(format!("what failed looks whole: {excerpt}"));
    }
    wrong
}

/// What was billed.
fn billed(expected: Billed, execution: &Value) -> Vec<String> {
    let usage = &execution["usage"];
    let tokens = |name: &str| usage[name].as_u64().unwrap_or_default();
    let source = execution["usage_source"].as_str().unwrap_or_default();
    let mut wrong = Vec::new();
    let right = match expected {
        Billed::Nothing => cost(usage) == 0,
        Billed::Reported(input, output) => {
            source == "reported" && tokens("input") == input && tokens("output") == output
        }
        Billed::Estimated(least) => source == "estimated" && tokens("output") >= least && tokens("input") > 0,
    };
    if !right {
        wrong.push(format!("billed {usage} as {source}, and not {expected:?}"));
    }
    if units(execution["cost"].as_str().unwrap_or("0")) != cost(usage) {
        wrong.push(format!("{usage} costs {}", execution["cost"]));
    }
    wrong
}

async fn assert_catalogue(shape: Shape) {
    let settings = [("COUNTERFOIL_GATEWAY__ATTEMPTS", "2")];
    let Some(world) = World::start(&settings).await else { return };
    let mut wrong = Vec::new();
    // A few at a time: each is slow because of its pauses, not because of what it computes.
    for cases in CASES.chunks(8) {
        wrong.extend(join_all(cases.iter().map(|case| run(&world, shape, *case))).await.concat());
    }
    world.verify();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_provider_of_chats_is_told_and_billed_right() {
    assert_catalogue(Shape::Chat).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_provider_of_responses_is_told_and_billed_right() {
    assert_catalogue(Shape::Responses).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_provider_of_messages_is_told_and_billed_right() {
    assert_catalogue(Shape::Messages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_provider_of_contents_is_told_and_billed_right() {
    assert_catalogue(Shape::Gemini).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_there_is_passed_over_or_told_and_nothing_is_billed() {
    let Some(world) = World::start(&[("COUNTERFOIL_GATEWAY__ATTEMPTS", "3")]).await else { return };
    for (name, base) in [("refused", "http://127.0.0.1:1/v1"), ("nameless", "http://nobody.invalid/v1")] {
        world.provider("openai", name, base).await;
        world.model(&format!("only-{name}"), name, "gpt-fake").await;
        let wallet = format!("absent:{name}");
        world.fund(&wallet, "1").await;
        let said = world.call(&wallet, Shape::Chat, &format!("only-{name}"), ASK, true).await;
        assert_eq!((said.status, said.json()["error"]["code"].as_str()), (502, Some("provider_unreachable")));
        let executions = world.executions(&wallet, 1).await;
        assert_eq!(executions[0]["reason"], "provider_unreachable");
        assert_eq!(world.balance(&wallet).await, (units("1"), 0));

        // With another provider behind it, the client notices nothing.
        world.price("fake-openai", "gpt-fake").await;
        let routes = serde_json::json!([
            {"provider": name, "model": "gpt-fake", "priority": 0},
            {"provider": "fake-openai", "model": "gpt-fake", "priority": 1},
        ]);
        world.put(&format!("/v1/models/first-{name}"), serde_json::json!({"routes": routes})).await;
        let said = world.call(&wallet, Shape::Chat, &format!("first-{name}"), ASK, true).await;
        assert_eq!((said.status, words(&said.text)), (200, 12), "{}", said.text);
        let executions = world.executions(&wallet, 2).await;
        let attempts = executions[1]["attempts"].as_array().unwrap();
        assert_eq!(attempts.last().unwrap()["provider"], "fake-openai");
        assert_eq!(world.balance(&wallet).await, (units("1") - 4 * INPUT - 12 * OUTPUT, 0));
    }
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filters_refusal_is_not_got_round() {
    let Some(world) = World::start(&[]).await else { return };
    let filtered = world.fault(Shape::Chat, "content-filter-400").await;
    world.fault(Shape::Chat, "").await;
    let routes = serde_json::json!([
        {"provider": "fake-openai", "model": filtered, "priority": 0},
        {"provider": "fake-openai", "model": "gpt-fake", "priority": 1},
    ]);
    world.put("/v1/models/careful", serde_json::json!({"routes": routes})).await;
    world.fund("filtered", "1").await;
    let said = world.call("filtered", Shape::Chat, "careful", ASK, false).await;
    assert_eq!(said.status, 400, "{}", said.text);
    let executions = world.executions("filtered", 1).await;
    assert_eq!(executions[0]["reason"], "content_filter");
    assert_eq!(world.providers.asked_for("gpt-fake").await.len(), 0, "the other provider was not asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_used_than_there_is_becomes_a_debt_that_blocks_and_is_paid() {
    let Some(world) = World::start(&[]).await else { return };
    // Reports a thousand times the output: 12,000 tokens at 15 are 180,000 units, 0.18.
    let dear = world.fault(Shape::Chat, "wrong-usage").await;
    let honest = world.fault(Shape::Chat, "").await;
    world.fund("debtor", "0.10").await;
    let said = world.call("debtor", Shape::Chat, &dear, ASK, true).await;
    assert_eq!(said.status, 200, "{}", said.text);
    let executions = world.executions("debtor", 1).await;
    let part = |name: &str| units(executions[0][name].as_str().unwrap());
    assert_eq!(part("cost"), 40 * INPUT + 12_000 * OUTPUT);
    assert_eq!(part("from_holds") + part("overdrawn"), units("0.10"), "what there was is taken");
    assert_eq!(part("debt"), part("cost") - units("0.10"));
    assert_eq!(world.balance("debtor").await, (0, 0));

    let refused = world.call("debtor", Shape::Chat, &honest, ASK, true).await;
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (402, Some("allowance_in_debt")));
    world
        .owner
        .made(
            "/v1/transactions",
            serde_json::json!({"postings": [
                {"from": "@world", "to": "debtor", "amount": "1", "asset": "USD"}
            ]}),
        )
        .await;
    // Paid at the next call, or by the sweeper before that.
    let said = world.call("debtor", Shape::Chat, &honest, ASK, true).await;
    assert_eq!(said.status, 200, "{}", said.text);
    world.executions("debtor", 2).await;
    let owed = part("debt");
    assert_eq!(world.balance("debtor").await, (units("1") - owed - 4 * INPUT - 12 * OUTPUT, 0));
    world.verify();
}
