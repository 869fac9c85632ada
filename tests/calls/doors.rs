//! Who is let in by which credential, who pays, and in which shape one is refused.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::send;
use crate::world::{INPUT, OUTPUT, Shape, World, said, units, words};

const ASK: &str = "count to twelve please";

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_by_each_header_and_who_has_none_is_refused_in_the_shape_asked() {
    let Some(world) = World::start(&[]).await else { return };
    for shape in Shape::ALL {
        world.fault(shape, "").await;
    }
    world.fund("payer", "1").await;
    let key = world.caller.token.clone();
    let anonymous = |shape: Shape, query: &str| {
        let path = shape.path(shape.model(), false);
        let sign = if query.is_empty() { "" } else { "?" };
        let request = world.caller.anonymous(Method::POST, &format!("{path}{sign}{query}"));
        request.header("Counterfoil-Wallet", "payer").json(&shape.body(shape.model(), ASK, false))
    };
    let bearer = format!("Bearer {key}");
    for shape in Shape::ALL {
        for (name, value) in
            [("Authorization", bearer.as_str()), ("x-api-key", &key), ("x-goog-api-key", &key)]
        {
            let answer = said(anonymous(shape, "").header(name, value)).await;
            assert_eq!(answer.status, 200, "{shape:?} {name}: {}", answer.text);
        }
        assert_eq!(said(anonymous(shape, &format!("key={key}"))).await.status, 200);
        let refusals = [
            (said(anonymous(shape, "")).await, "token_missing"),
            (said(anonymous(shape, "").header("x-api-key", "wrong")).await, "token_malformed"),
            (
                said(anonymous(shape, "").header("x-api-key", &key).header("Authorization", "Bearer x"))
                    .await,
                "token_malformed",
            ),
        ];
        for (answer, code) in refusals {
            let body = answer.json();
            assert_eq!(answer.status, 401, "{shape:?}: {body}");
            let (kind, expected) = match shape {
                Shape::Chat | Shape::Responses => (&body["error"]["code"], code),
                Shape::Messages => (&body["error"]["type"], "authentication_error"),
                Shape::Gemini => (&body["error"]["status"], "UNAUTHENTICATED"),
            };
            assert_eq!(kind, expected, "{body}");
            assert!(body.to_string().to_lowercase().contains(code), "{body}");
        }
    }
    // The providers were called by their own key, never by ours.
    let asked = world.providers.requests().await;
    assert_eq!(asked.len(), 16);
    assert!(asked.iter().all(|request| request["credential"] == "the-providers-key"), "{asked:#?}");
    assert!(!serde_json::to_string(&asked).unwrap().contains(&key), "our key stays here");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_an_sdk_is_told_in_its_own_shape() {
    let Some(world) = World::start(&[]).await else { return };
    let cases = [
        ("/openai/v1/files", "/error/code", "route_not_found", "/error/type", "invalid_request_error"),
        ("/openai/v1/chat/completions/x", "/error/code", "route_not_found", "/error/param", ""),
        ("/anthropic/v1/complete", "/error/type", "not_found_error", "/type", "error"),
        (
            "/gemini/v1beta/cachedContents",
            "/error/status",
            "NOT_FOUND",
            "/error/details/0/reason",
            "ROUTE_NOT_FOUND",
        ),
        (
            "/gemini/v1beta/models/../files",
            "/error/status",
            "NOT_FOUND",
            "/error/details/0/reason",
            "ROUTE_NOT_FOUND",
        ),
    ];
    for (path, one, expected, other, besides) in cases {
        for request in [world.caller.request(Method::POST, path), world.caller.anonymous(Method::GET, path)] {
            let answer = said(request).await;
            let body = answer.json();
            assert_eq!(answer.status, 404, "{path}: {body}");
            assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
            let text = |pointer: &str| body.pointer(pointer).unwrap().as_str().unwrap_or_default().to_owned();
            assert_eq!((text(one).as_str(), text(other).as_str()), (expected, besides), "{path}: {body}");
            assert!(body["error"]["message"].as_str().unwrap().contains("nothing at"), "{path}: {body}");
        }
    }
    let wrong = said(world.caller.request(Method::GET, "/openai/v1/embeddings")).await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    assert_eq!(wrong.json()["error"]["code"], "method_not_allowed");
    let long = format!("/anthropic/v1/messages?{}", "x".repeat(10_000));
    let long = said(world.caller.request(Method::POST, &long)).await;
    assert_eq!((long.status, long.json()["type"].as_str()), (414, Some("error")), "{}", long.text);
    // Everywhere else a problem is a problem.
    let ours = world.owner.get("/v1/files").await;
    assert_eq!((ours.status, ours.text("/code")), (404, "route_not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_lead_nowhere_or_elsewhere_are_refused_where_they_are_written() {
    let Some(world) = World::start(&[]).await else { return };
    for address in [
        "http://127.0.0.1:99999",
        "https://[zz",
        "http://127.0.0.1:0",
        "https://1.2.3.4.5",
        "https://a/v1?x=1",
    ] {
        let request = world.owner.request(Method::PUT, "/v1/providers/odd");
        let refused = send(request.json(&json!({"dialect": "openai", "base_url": address}))).await;
        assert_eq!((refused.status, refused.text("/code")), (422, "invalid_web_address"), "{address}");
        assert_eq!(refused.text("/errors/0/field"), "base_url");
    }
    assert_eq!(world.owner.get("/v1/providers/odd").await.status, 404);
    for model in ["a/../../files", "a/..", "a//b", "a/./b", "models/"] {
        let routes = json!([{"provider": "fake-gemini", "model": "fine"}, {"provider": "fake-gemini", "model": model}]);
        let request = world.owner.request(Method::PUT, "/v1/models/odd");
        let refused = send(request.json(&json!({"routes": routes}))).await;
        assert_eq!((refused.status, refused.text("/code")), (422, "invalid_model"), "{model}");
        assert_eq!(refused.text("/errors/0/field"), "routes[1].model");
    }
    world.fund("payer", "1").await;
    for model in ["a%2F..%2F..%2Ffiles", "..%2Fgemini-fake", "gemini-fake%3Fkey=x", "gemini-fake%23"] {
        let path = format!("/gemini/v1beta/models/{model}:generateContent");
        let request = world.caller.request(Method::POST, &path).header("Counterfoil-Wallet", "payer");
        let answer = said(request.json(&Shape::Gemini.body("", ASK, false))).await;
        assert_eq!(
            (answer.status, answer.json()["error"]["status"].as_str()),
            (404, Some("NOT_FOUND")),
            "{model}"
        );
    }
    assert!(world.providers.requests().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_execute_can_call() {
    let Some(world) = World::start(&[]).await else { return };
    world.fault(Shape::Chat, "").await;
    world.fund("payer", "1").await;
    let application = world.owner.made("/v1/applications", json!({"name": "Other"})).await;
    let keys = format!("/v1/applications/{}/keys", application.text("/id"));
    for (scopes, status) in
        [(json!(["read", "transact", "administer", "audit"]), 403), (json!(["execute"]), 200)]
    {
        let key = world.owner.made(&keys, json!({"scopes": scopes})).await;
        world.owner.after(&key, &keys).await;
        let client = world.server.client(key.text("/key"));
        let request =
            client.request(Method::POST, "/openai/v1/chat/completions").header("Counterfoil-Wallet", "payer");
        let answer = said(request.json(&Shape::Chat.body("gpt-fake", ASK, false))).await;
        assert_eq!(answer.status, status, "{scopes}: {}", answer.text);
        let models = client.request(Method::GET, "/openai/v1/models");
        assert_eq!(said(models).await.status, status);
    }
    let viewer = world.server.client(&world.server.token("acme", "viewer"));
    let request = viewer.request(Method::POST, "/anthropic/v1/messages").json(&json!({}));
    let answer = said(request).await;
    assert_eq!((answer.status, answer.json()["error"]["type"].as_str()), (403, Some("permission_error")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wallet_is_named_by_a_header_or_by_the_application() {
    let Some(world) = World::start(&[]).await else { return };
    world.fault(Shape::Chat, "").await;
    world.fund("own", "1").await;
    world.fund("other", "1").await;
    let body = json!({"name": "Named", "metadata": {"wallet": "own"}});
    let application = world.owner.made("/v1/applications", body).await;
    let keys = format!("/v1/applications/{}/keys", application.text("/id"));
    let key = world.owner.made(&keys, json!({"scopes": ["execute"]})).await;
    world.owner.after(&key, &keys).await;
    let client = world.server.client(key.text("/key"));
    let call = |headers: &[(&str, &str)]| {
        let request = client.request(Method::POST, "/openai/v1/chat/completions");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        said(request.json(&Shape::Chat.body("gpt-fake", ASK, false)))
    };
    assert_eq!(call(&[]).await.status, 200);
    assert_eq!(call(&[("Counterfoil-Wallet", "other"), ("Counterfoil-User", "ada")]).await.status, 200);
    let own = world.executions("own", 1).await;
    let other = world.executions("other", 1).await;
    assert_eq!((own.len(), other.len()), (1, 1));
    assert_eq!((&own[0]["user"], &other[0]["user"]), (&Value::Null, &json!("ada")));
    assert_eq!(own[0]["application"], application.body["id"]);
    let paid = 4 * INPUT + 12 * OUTPUT;
    assert_eq!(world.balance("own").await, (units("1") - paid, 0));
    for (headers, status, code) in [
        (&[("Counterfoil-Wallet", "no such path!")][..], 400, "invalid_path"),
        (&[("Counterfoil-Wallet", "nowhere")], 404, "wallet_not_found"),
    ] {
        let answer = call(headers).await;
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].as_str()),
            (status, Some(code)),
            "{}",
            answer.text
        );
    }
    let nobodys =
        said(world.caller.request(Method::POST, "/openai/v1/chat/completions").json(&json!({}))).await;
    assert_eq!((nobodys.status, nobodys.json()["error"]["code"].as_str()), (400, Some("wallet_not_named")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_price_or_no_money_never_reaches_a_provider() {
    let Some(world) = World::start(&[]).await else { return };
    let route = json!({"routes": [{"provider": "fake-openai", "model": "gpt-free"}]});
    let made = world.put("/v1/models/unpriced", route).await;
    world.owner.after(&made, "/v1/models").await;
    let priced = world.fault(Shape::Chat, "").await;
    world.fund("payer", "1").await;
    world.fund("pauper", "0.000001").await;
    for (wallet, model, status, code) in [
        ("payer", "unpriced", 422, "model_unpriced"),
        ("payer", "unheard-of", 404, "unknown_model"),
        ("pauper", &priced, 402, "allowance_exhausted"),
    ] {
        for stream in [false, true] {
            let answer = world.call(wallet, Shape::Chat, model, ASK, stream).await;
            assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (status, Some(code)));
        }
    }
    assert_eq!(world.providers.requests().await.len(), 0);
    assert_eq!(world.balance("pauper").await, (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn unpriced_is_what_was_answered_without_a_price_whatever_was_asked_first() {
    let Some(world) = World::start(&[]).await else { return };
    world.fund("payer", "1").await;
    let policy = json!({"mode": "lifetime", "amount": "1", "asset": "USD", "enforcement": "warn"});
    world.put("/v1/policies/wallet/payer", policy).await;
    let (good, bad) = ("gpt-fake", "gpt-fake--500");
    world.price("fake-openai", bad).await;
    world.provider("openai", "unpriced", &format!("{}/openai/v1", world.providers.base)).await;
    let cases = [
        // What is asked first fails in the first two.
        ("priced-first", ("fake-openai", bad), ("unpriced", good), true, 0),
        ("unpriced-first", ("unpriced", bad), ("fake-openai", good), false, 4 * INPUT + 12 * OUTPUT),
        ("priced-and-fails", ("fake-openai", bad), ("fake-openai", bad), false, 0),
        ("unpriced-and-fails", ("unpriced", bad), ("unpriced", bad), true, 0),
    ];
    world.price("fake-openai", good).await;
    for (number, (alias, first, second, unpriced, cost)) in cases.into_iter().enumerate() {
        let route =
            |(provider, model), priority| json!({"provider": provider, "model": model, "priority": priority});
        let mut routes = vec![route(first, 0)];
        if second != first {
            routes.push(route(second, 1));
        }
        let made = world.put(&format!("/v1/models/{alias}"), json!({"routes": routes})).await;
        world.owner.after(&made, "/v1/models").await;
        world.call("payer", Shape::Chat, alias, ASK, false).await;
        let executions = world.executions("payer", number + 1).await;
        let last = executions.last().unwrap();
        assert_eq!((last["model"].as_str(), &last["unpriced"]), (Some(alias), &json!(unpriced)), "{last}");
        assert_eq!(units(last["cost"].as_str().unwrap()), cost, "{last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_with_the_same_key_is_answered_alike_and_billed_once() {
    let Some(world) = World::start(&[]).await else { return };
    let model = world.fault(Shape::Chat, "").await;
    world.fund("payer", "1").await;
    for stream in [false, true] {
        let text = "count to thirty slowly [[words 30]] [[delay 20]]";
        let request = || {
            let request = world.request("payer", Shape::Chat, &model, text, stream);
            said(request.header("Idempotency-Key", format!("once-{stream}")))
        };
        // Two at once, and one afterwards.
        let (first, joined) = tokio::join!(request(), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            request().await
        });
        let later = request().await;
        assert_eq!(first.status, 200, "{}", first.text);
        assert_eq!(words(&first.text), 30);
        assert_eq!((&joined.text, &later.text), (&first.text, &first.text), "stream {stream}");
        let other = world.request("payer", Shape::Chat, &model, "another question", stream);
        let other = said(other.header("Idempotency-Key", format!("once-{stream}"))).await;
        assert!(matches!(other.status, 409 | 422), "{}: {}", other.status, other.text);
    }
    assert_eq!(world.executions("payer", 2).await.len(), 2);
    assert_eq!(world.providers.requests().await.len(), 2, "each was asked once");
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_is_billed_for_what_the_provider_reports() {
    let Some(world) = World::start(&[]).await else { return };
    let model = world.fault(Shape::Messages, "").await;
    world.fund("payer", "1").await;
    let text = "count to forty slowly [[words 40]] [[delay 20]]";
    let mut response = world.request("payer", Shape::Messages, &model, text, true).send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    let executions = world.executions("payer", 1).await;
    assert_eq!(executions[0]["usage_source"], "reported", "{}", executions[0]);
    assert_eq!(executions[0]["usage"]["output"], 40);
    assert_eq!(world.balance("payer").await.1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_can_be_ended_and_what_was_used_is_paid() {
    let Some(world) = World::start(&[]).await else { return };
    let model = world.fault(Shape::Chat, "").await;
    world.fund("payer", "1").await;
    let text = "count to a thousand slowly [[words 1000]] [[delay 30]]";
    let running = world.call("payer", Shape::Chat, &model, text, true);
    let ending = async {
        loop {
            let listed = world.owner.get("/v1/executions?status=running&wallet=payer").await;
            if let Some(execution) = listed.items().first() {
                tokio::time::sleep(Duration::from_millis(500)).await;
                let id = execution["id"].as_str().unwrap().to_owned();
                hold_is_refused(&world, &id).await;
                return world.owner.post(&format!("/v1/executions/{id}/cancel"), json!({})).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (said, ended) = tokio::join!(running, ending);
    assert_eq!(ended.status, 202, "{ended:?}");
    assert!(said.text.contains("error") && !said.text.contains("[DONE]"), "{}", said.text);
    let executions = world.executions("payer", 1).await;
    assert_eq!(executions[0]["status"], "cancelled");
    assert!(units(executions[0]["cost"].as_str().unwrap()) > 0);
    assert_eq!(world.balance("payer").await.1, 0);
    let id = executions[0]["id"].as_str().unwrap();
    let again = world.owner.post(&format!("/v1/executions/{id}/cancel"), json!({})).await;
    assert_eq!((again.status, again.text("/code")), (409, "execution_ended"));
}

/// Where there is room for one call and one is running, each other one is refused so, and nothing of it is begun; when the first
/// one has ended there is room again.
async fn expect_room_for_one_call(setting: &str, status: u16, code: &str) {
    let Some(world) = World::start(&[(setting, "1")]).await else { return };
    let model = world.fault(Shape::Chat, "").await;
    world.fund("payer", "1").await;
    let text = "count to a thousand slowly [[words 1000]] [[delay 30]]";
    let mut running = world.request("payer", Shape::Chat, &model, text, true).send().await.unwrap();
    assert!(running.chunk().await.unwrap().is_some());
    for shape in Shape::ALL {
        let refused = world.call("payer", shape, &model, ASK, false).await;
        assert_eq!((refused.status, refused.header("retry-after")), (status, Some("1")), "{}", refused.text);
        assert!(refused.text.to_lowercase().contains(&format!("\"{code}\"")), "{shape:?}: {}", refused.text);
    }
    let input = json!({"messages": [{"role": "user", "content": ASK}]});
    let native = json!({"model": model, "wallet": "payer", "input": input});
    let refused = world.caller.post("/v1/executions", native).await;
    assert_eq!((refused.status, refused.text("/code")), (status, code), "{refused:?}");
    let listed = world.owner.get("/v1/executions?wallet=payer").await;
    assert_eq!(listed.items().len(), 1, "nothing was begun");
    let id = listed.items()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(world.owner.post(&format!("/v1/executions/{id}/cancel"), json!({})).await.status, 202);
    world.executions("payer", 1).await;
    drop(running);
    let answered = async {
        while world.call("payer", Shape::Chat, &model, ASK, false).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answered).await.expect("there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_calls_than_are_taken_at_once_are_told_to_come_again_in_every_shape() {
    expect_room_for_one_call("COUNTERFOIL_GATEWAY__CALLS", 503, "too_many_calls").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_its_share_of_the_calls_is_told_to_come_again_in_every_shape() {
    let setting = "COUNTERFOIL_GATEWAY__CALLS_PER_TENANT";
    expect_room_for_one_call(setting, 429, "too_many_calls_of_tenant").await;
}

/// What is held for a call that is running cannot be taken from under it.
async fn hold_is_refused(world: &World, execution: &str) {
    let listed = world.owner.get(&format!("/v1/transactions?metadata[execution]={execution}")).await;
    let id = listed.items()[0]["id"].as_str().unwrap().to_owned();
    for step in ["settle", "release", "reverse"] {
        let refused = world.owner.post(&format!("/v1/transactions/{id}/{step}"), json!({})).await;
        assert_eq!((refused.status, refused.text("/code")), (409, "hold_of_an_execution"), "{refused:?}");
        let what_to_do = format!("POST /v1/executions/{execution}/cancel");
        assert!(refused.text("/detail").contains(&what_to_do), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_call_answers_whole_and_tells_problems() {
    let Some(world) = World::start(&[]).await else { return };
    let model = world.fault(Shape::Chat, "").await;
    world.fund("payer", "1").await;
    let input = json!({"messages": [{"role": "user", "content": ASK}]});
    let made =
        world.caller.made("/v1/executions", json!({"model": model, "wallet": "payer", "input": input})).await;
    assert!(made.text("/answer/choices/0/message/content").ends_with("w12"));
    world.executions("payer", 1).await;
    let shown = world.owner.get(&format!("/v1/executions/{}", made.text("/id"))).await;
    assert_eq!((shown.text("/status"), shown.text("/wallet")), ("completed", "payer"));
    for (body, status, code) in [
        (json!({"model": "unheard-of", "wallet": "payer", "input": input}), 404, "unknown_model"),
        (json!({"model": model, "input": input}), 400, "wallet_not_named"),
        (json!({"model": model, "wallet": "payer", "input": {"stream": true}}), 422, "unknown_field"),
    ] {
        let refused = world.caller.post("/v1/executions", body).await;
        assert_eq!((refused.status, refused.text("/code")), (status, code), "{refused:?}");
    }
    // What is refused here is not said to be a provider's word.
    world.owner.made("/v1/wallets/payer/freeze", json!({})).await;
    let routes = json!([{"provider": "nobody", "model": "m"}]);
    world.put("/v1/models/stray", json!({"routes": routes})).await;
    let bounded = json!({"messages": [], "max_tokens": "x"});
    for (body, status, code) in [
        (json!({"model": model, "wallet": "payer", "input": input}), 409, "wallet_frozen"),
        (json!({"model": "stray", "wallet": "payer", "input": input}), 503, "no_provider"),
        (json!({"model": model, "wallet": "payer", "input": bounded}), 400, "invalid_parameter"),
    ] {
        let refused = world.caller.post("/v1/executions", body).await;
        assert_eq!((refused.status, refused.text("/code")), (status, code), "{refused:?}");
    }
    let nothing = json!({"routes": routes, "max_output_tokens": 0});
    let refused = world.owner.request(Method::PUT, "/v1/models/none").json(&nothing);
    let refused = send(refused).await;
    assert_eq!((refused.status, refused.text("/code")), (422, "invalid_body"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_call_tells_its_execution_its_position_and_what_a_policy_would_have_it_know() {
    let Some(world) = World::start(&[("COUNTERFOIL_GATEWAY__ATTEMPTS", "1")]).await else { return };
    let model = world.fault(Shape::Chat, "").await;
    let failing = world.fault(Shape::Chat, "500").await;
    world.fund("payer", "1").await;
    let policy = json!({"mode": "lifetime", "amount": "0.000001", "asset": "USD", "enforcement": "warn"});
    world.put("/v1/policies/wallet/payer", policy).await;
    let input = json!({"messages": [{"role": "user", "content": ASK}]});
    let call = |model: &str| {
        let body = json!({"model": model, "wallet": "payer", "input": input});
        said(world.caller.request(Method::POST, "/v1/executions").json(&body))
    };
    let made = call(&model).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.header("counterfoil-execution"), made.json()["id"].as_str());
    assert!(made.header("counterfoil-position").is_some_and(|position| position.starts_with('p')));
    assert_eq!(made.header("counterfoil-warning"), None, "there is enough");
    world
        .owner
        .made(
            "/v1/transactions",
            json!({"postings": [{"from": "payer", "to": "@world", "amount": "0.999", "asset": "USD"}]}),
        )
        .await;
    let warned = call(&model).await;
    assert_eq!((warned.status, warned.header("counterfoil-warning")), (201, Some("allowance_exceeded")));
    let failed = call(&failing).await;
    assert_eq!((failed.status, failed.header("counterfoil-warning")), (502, Some("allowance_exceeded")));
    assert!(failed.json()["request_id"].is_string(), "{}", failed.text);
    let executions = world.executions("payer", 3).await;
    assert_eq!(failed.header("counterfoil-execution"), executions[2]["id"].as_str());
    // The same at the addresses of SDKs.
    let warned = world.call("payer", Shape::Chat, &model, ASK, true).await;
    assert_eq!((warned.status, warned.header("counterfoil-warning")), (200, Some("allowance_exceeded")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_client_goes_away_is_cancelled_where_that_is_configured() {
    let Some(world) = World::start(&[("COUNTERFOIL_GATEWAY__CLIENT_GONE", "cancel")]).await else { return };
    let model = world.fault(Shape::Messages, "").await;
    world.fund("payer", "1").await;
    let text = "count to a thousand slowly [[words 1000]] [[delay 20]]";
    let mut response = world.request("payer", Shape::Messages, &model, text, true).send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    let executions = world.executions("payer", 1).await;
    assert_eq!(
        (&executions[0]["status"], &executions[0]["reason"]),
        (&json!("failed"), &json!("client_gone")),
        "{}",
        executions[0]
    );
    let output = executions[0]["usage"]["output"].as_u64().unwrap();
    assert!(output < 900 && executions[0]["usage_source"] != "reported", "{}", executions[0]);
    assert_eq!(world.balance("payer").await.1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_never_shown_and_survives_a_change_that_leaves_it_out() {
    let Some(world) = World::start(&[]).await else { return };
    let model = world.fault(Shape::Chat, "").await;
    world.fund("payer", "1").await;
    let base = format!("{}/openai/v1", world.providers.base);
    world
        .put("/v1/providers/fake-openai", json!({"dialect": "openai", "base_url": base, "priority": 7}))
        .await;
    let shown = world.owner.get("/v1/providers/fake-openai").await;
    assert_eq!((&shown.body["has_credential"], &shown.body["priority"]), (&json!(true), &json!(7)));
    assert_eq!(world.call("payer", Shape::Chat, &model, ASK, false).await.status, 200);
    let asked = world.providers.requests().await;
    assert_eq!(asked[0]["credential"], "the-providers-key");
    // Whoever may define providers does not get to read it by sending calls elsewhere.
    let elsewhere = json!({"dialect": "openai", "base_url": format!("{base}/elsewhere")});
    let request = world.owner.request(Method::PUT, "/v1/providers/fake-openai");
    let refused = send(request.json(&elsewhere)).await;
    assert_eq!((refused.status, refused.text("/code")), (409, "credential_elsewhere"));
    // Neither in the events nor anywhere else where it could be read.
    let (_, events) = world.owner.state().await;
    assert!(!serde_json::to_string(&events).unwrap().contains("the-providers-key"));
    let request = world.owner.request(Method::PUT, "/v1/providers/fake-openai");
    let body = json!({"dialect": "openai", "base_url": base, "credential": null});
    assert_eq!(send(request.json(&body)).await.body["has_credential"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_platform_offers_can_be_called_by_every_tenant_and_written_by_operators_alone() {
    let Some(world) = World::start(&[]).await else { return };
    let model = Shape::Chat.model();
    world.fund("payer", "1").await;
    let operator = world.server.client(&world.server.token("platform", "superadmin"));
    let base = format!("{}/openai/v1", world.providers.base);
    let provider = json!({"dialect": "openai", "base_url": base, "credential": "the-platforms-key"});
    let route = json!({"routes": [{"provider": "shared", "model": model}]});
    let price = json!({"provider": "shared", "model": model, "asset": "USD", "rates": {"input": "3", "output": "15"}});
    let written = [
        ("/v1/platform/providers/shared", provider),
        ("/v1/platform/models/for-all", route),
        ("/v1/platform/prices", price),
    ];
    for (path, body) in &written {
        let refused = send(world.owner.request(Method::PUT, path).json(body)).await;
        assert_eq!((refused.status, refused.text("/code")), (403, "forbidden"), "{path}");
        let made = send(operator.request(Method::PUT, path).json(body)).await;
        assert_eq!(made.status, 200, "{made:?}");
    }
    // It is nobody's own: neither the tenant that asks nor the operator's has it.
    assert_eq!(world.owner.get("/v1/providers/shared").await.status, 404);
    assert_eq!(operator.get("/v1/providers/shared").await.status, 404);
    for _ in 0..100 {
        if operator.get("/v1/platform/prices").await.body["items"][0]["provider"] == "shared" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let answer = world.call("payer", Shape::Chat, "for-all", ASK, false).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(world.providers.requests().await[0]["credential"], "the-platforms-key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_used_for_another_native_call_is_named_as_such() {
    let Some(world) = World::start(&[]).await else { return };
    let model = world.fault(Shape::Chat, "").await;
    world.fund("payer", "1").await;
    let call = |text: &str| {
        let input = json!({"messages": [{"role": "user", "content": text}]});
        let request = world.caller.request(Method::POST, "/v1/executions").header("Idempotency-Key", "once");
        request.json(&json!({"model": model, "wallet": "payer", "input": input}))
    };
    assert_eq!(send(call("one")).await.status, 201);
    let refused = send(call("another")).await;
    assert_eq!((refused.status, refused.text("/code")), (409, "idempotency_key_reused"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_spends_most_can_be_asked_of_some_calls_alone() {
    let Some(world) = World::start(&[]).await else { return };
    let model = world.fault(Shape::Chat, "").await;
    world.fund("payer", "1").await;
    assert_eq!(world.call("payer", Shape::Chat, &model, ASK, false).await.status, 200);
    let spenders = async |filter: &str| {
        let said = world.owner.get(&format!("/v1/analytics/top-spenders?{filter}")).await;
        said.body["rows"].as_array().unwrap_or_else(|| panic!("{said:?}")).len()
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while spenders(&format!("model={model}&wallet=payer&outcome=completed")).await == 0 {
        assert!(tokio::time::Instant::now() < deadline, "the call is not counted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for filter in
        ["model=another", "wallet=another", "outcome=failed", "provider=another", "user=another", "asset=EUR"]
    {
        assert_eq!(spenders(filter).await, 0, "{filter}");
    }
}
