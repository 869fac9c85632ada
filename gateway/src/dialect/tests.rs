use domain::{Usage, UsageSource};

use super::*;
use crate::sse::{Event, Parser};

fn asked(operation: Operation, body: &str) -> Asked {
    read(operation, "gemini-pro", true, Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

fn events(stream: &str) -> Vec<Event> {
    let mut parser = Parser::new(1 << 20);
    parser.push(stream.as_bytes());
    parser.end();
    std::iter::from_fn(|| parser.next().unwrap()).collect()
}

/// The signs of a stream, and the meter behind it.
fn metered(operation: Operation, stream: &str) -> (Vec<Sign>, Meter) {
    let mut meter = Meter::new(operation);
    let signs = events(stream).iter().map(|event| meter.event(event).unwrap()).collect();
    (signs, meter)
}

fn whole(operation: Operation, body: &str) -> Meter {
    let mut meter = Meter::new(operation);
    meter.whole(body.as_bytes()).unwrap();
    meter
}

const CHAT: &str = r#"data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}

data: {"id":"c1","choices":[{"index":0,"delta":{"content":"Hello, world"},"finish_reason":null}],"usage":null}

data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}

data: {"id":"c1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}

data: [DONE]

"#;

const MESSAGES: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"m1","role":"assistant","content":[],"usage":{"input_tokens":25,"cache_creation_input_tokens":7,"cache_read_input_tokens":100,"cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":4},"output_tokens":1}}}

event: ping
data: {"type":"ping"}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello, world"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":null,"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

"#;

const GEMINI: &str = r#"data: {"candidates":[{"content":{"role":"model","parts":[{"text":"Hello"}]},"index":0}],"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":1,"totalTokenCount":9}}

data: {"candidates":[{"content":{"role":"model","parts":[{"text":", world"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":8,"cachedContentTokenCount":2,"candidatesTokenCount":3,"thoughtsTokenCount":20,"totalTokenCount":31}}

"#;

const RESPONSES: &str = r#"event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"r1","status":"in_progress","usage":null}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":1,"delta":"Hello"}

event: response.completed
data: {"type":"response.completed","sequence_number":2,"response":{"id":"r1","status":"completed","usage":{"input_tokens":11,"input_tokens_details":{"cached_tokens":1},"output_tokens":6,"output_tokens_details":{"reasoning_tokens":5},"total_tokens":17}}}

"#;

#[test]
fn what_is_asked_is_read_from_each_shape() {
    let chat = asked(
        Operation::OpenAiChat,
        r#"{"model":"fast","stream":true,"n":3,"max_tokens":10,"messages":[],"stream_options":{"include_usage":true}}"#,
    );
    assert_eq!(
        (chat.model.as_str(), chat.stream, chat.usage_asked, chat.most_output),
        ("fast", true, true, Some(30))
    );
    let messages = asked(Operation::AnthropicMessages, r#"{"model":"m","max_tokens":64}"#);
    assert_eq!((messages.stream, messages.most_output), (false, Some(64)));
    let gemini =
        asked(Operation::GeminiGenerate, r#"{"generationConfig":{"maxOutputTokens":5,"candidateCount":2}}"#);
    assert_eq!((gemini.model.as_str(), gemini.stream, gemini.most_output), ("gemini-pro", true, Some(10)));
    let odd = asked(Operation::OpenAiChat, r#"{"model":"m","n":2,"max_tokens":1e2}"#);
    assert_eq!((odd.answers, odd.most_output), (2, Some(200)), "however it is written");
    let many = asked(Operation::GeminiGenerate, r#"{"generationConfig":{"candidateCount":3}}"#);
    assert_eq!((many.answers, many.most_output), (3, None));
    let older =
        asked(Operation::OpenAiResponses, r#"{"model":"m","previous_response_id":"r","conversation":null}"#);
    assert_eq!(older.input.held(900) - older.input.held(0), 900);
    let cached = asked(Operation::GeminiGenerate, r#"{"cachedContent":"cachedContents/a"}"#);
    assert_eq!(cached.input.held(900) - cached.input.held(0), 900);
    let bad = |operation, body: &'static str| {
        read(operation, "", false, Bytes::from_static(body.as_bytes())).unwrap_err().code
    };
    assert_eq!(bad(Operation::OpenAiChat, r#"{"model":"m","max_tokens":"9"}"#), "invalid_parameter");
    assert_eq!(bad(Operation::OpenAiChat, r#"{"model":"m","n":{}}"#), "invalid_parameter");
    assert_eq!(
        bad(Operation::OpenAiResponses, r#"{"model":"m","max_output_tokens":true}"#),
        "invalid_parameter"
    );
    assert_eq!(bad(Operation::OpenAiChat, "{}"), "missing_model");
    assert_eq!(bad(Operation::OpenAiChat, "[1]"), "malformed_body");
    assert_eq!(bad(Operation::OpenAiChat, r#"{"model":"a","model":"b"}"#), "duplicate_member");
    assert_eq!(bad(Operation::OpenAiResponses, r#"{"model":"a","background":true}"#), "unsupported_feature");
}

#[test]
fn a_flag_is_true_or_false_or_nothing() {
    use Operation::{AnthropicMessages, OpenAiChat, OpenAiResponses};
    for operation in [OpenAiChat, OpenAiResponses, AnthropicMessages] {
        for (value, expected) in [("true", true), ("false", false), ("null", false)] {
            let body = format!(r#"{{"model":"m","stream":{value},"background":null}}"#);
            assert_eq!(asked(operation, &body).stream, expected, "{operation:?}: {value}");
        }
        for value in ["\"true\"", "1", "0", "[]", "{}", "\"\"", "[true]"] {
            let body = format!(r#"{{"model":"m","stream":{value}}}"#);
            let refused = read(operation, "", false, body.into_bytes().into()).unwrap_err();
            assert_eq!((refused.status, refused.code.as_ref()), (400, "invalid_parameter"), "{value}");
            assert!(refused.message.contains("`stream`"), "{}", refused.message);
        }
    }
    let body = Bytes::from_static(br#"{"model":"m","background":"true"}"#);
    let refused = read(OpenAiResponses, "", false, body).unwrap_err();
    assert_eq!((refused.status, refused.code.as_ref()), (400, "invalid_parameter"));
}

#[test]
fn of_two_bounds_the_larger_one_is_held_for() {
    let bound = |operation, body: &str| asked(operation, body).most_output;
    for (newer, older) in [(10, 500), (500, 10)] {
        let body = format!(r#"{{"model":"m","max_completion_tokens":{newer},"max_tokens":{older}}}"#);
        assert_eq!(bound(Operation::OpenAiChat, &body), Some(500), "{body}");
        let body =
            format!(r#"{{"generationConfig":{{"maxOutputTokens":{newer},"max_output_tokens":{older}}}}}"#);
        assert_eq!(bound(Operation::GeminiGenerate, &body), Some(500), "{body}");
        let body = format!(
            r#"{{"generationConfig":{{"maxOutputTokens":{newer},"candidateCount":2}},"generation_config":{{"max_output_tokens":{older},"candidate_count":3}}}}"#
        );
        let both = asked(Operation::GeminiGenerate, &body);
        assert_eq!((both.answers, both.most_output), (3, Some(1_500)), "{body}");
    }
    let body = r#"{"generationConfig":null,"generation_config":{"maxOutputTokens":7}}"#;
    assert_eq!(bound(Operation::GeminiGenerate, body), Some(7));
    let twice = Bytes::from_static(br#"{"generationConfig":{"maxOutputTokens":7,"maxOutputTokens":900}}"#);
    assert_eq!(read(Operation::GeminiGenerate, "m", true, twice).unwrap_err().code, "duplicate_member");
}

#[test]
fn a_body_passes_byte_for_byte_but_for_the_model_and_the_usage_that_is_asked_for() {
    let body = r#"{ "temperature":1.0, "model" :"fast","x_unknown":{"a":[1e5,"\u00e9"]},"stream": true, "messages":[]}"#;
    let sent = forwarded(Operation::OpenAiChat, &asked(Operation::OpenAiChat, body), "gpt-9");
    let expected = body.replace("\"fast\"", "\"gpt-9\"").replacen(
        "{ ",
        "{\"stream_options\":{\"include_usage\":true}, ",
        1,
    );
    assert_eq!(std::str::from_utf8(&sent).unwrap(), expected);
    let options = r#"{"model":"fast","stream":true,"stream_options":{"include_obfuscation":false}}"#;
    let sent = forwarded(Operation::OpenAiChat, &asked(Operation::OpenAiChat, options), "gpt-9");
    let text = std::str::from_utf8(&sent).unwrap();
    assert!(text.contains(r#"{"include_usage":true,"include_obfuscation":false}"#), "{text}");
    let gemini = r#"{"contents":[] , "labels":{}}"#;
    let sent = forwarded(Operation::GeminiGenerate, &asked(Operation::GeminiGenerate, gemini), "gemini-9");
    assert_eq!(sent, gemini);
}

#[test]
fn a_models_name_leads_to_no_other_path() {
    for model in [
        "a/../../files",
        "models/../cachedContents/x",
        "models/models/x",
        "a/b",
        "a:countTokens",
        "a//b",
        "tuned@1+x",
        "a/..",
        "a/./b",
    ] {
        let name = domain::ModelName::new(model).unwrap();
        let written = address(Operation::GeminiGenerate, "https://g.example/v1beta", name.as_str(), true);
        let url: reqwest::Url = written.parse().unwrap();
        let parts: Vec<_> = url.path_segments().unwrap().collect();
        let [version, models, call] = parts.as_slice() else { panic!("{model}: {url}") };
        assert_eq!((*version, *models), ("v1beta", "models"), "{model}: {url}");
        assert_eq!(call.matches(':').count(), 1, "{model}: {url}");
        assert!(call.ends_with(":streamGenerateContent"), "{model}: {url}");
        assert_eq!(url.query(), Some("alt=sse"));
        let (sent, _) = call.split_once(':').unwrap();
        let decoded = percent_encoding::percent_decode_str(sent).decode_utf8().unwrap();
        assert_eq!(decoded, model.strip_prefix("models/").unwrap_or(model), "what is meant is said");
    }
}

#[test]
fn an_address_is_the_sdks_base_and_the_path_of_the_operation() {
    let at = |operation, base, stream| address(operation, base, "m", stream);
    assert_eq!(
        at(Operation::OpenAiChat, "https://api.openai.com/v1", true),
        "https://api.openai.com/v1/chat/completions"
    );
    assert_eq!(at(Operation::OpenAiResponses, "http://host:1/", true), "http://host:1/v1/responses");
    assert_eq!(at(Operation::AnthropicMessages, "https://a.example", true), "https://a.example/v1/messages");
    assert_eq!(
        at(Operation::AnthropicCountTokens, "https://a.example/v1/", false),
        "https://a.example/v1/messages/count_tokens"
    );
    assert_eq!(
        at(Operation::GeminiGenerate, "https://g.example", true),
        "https://g.example/v1beta/models/m:streamGenerateContent?alt=sse"
    );
    assert_eq!(
        at(Operation::GeminiEmbed, "https://g.example/v1", false),
        "https://g.example/v1/models/m:embedContent"
    );
}

#[test]
fn a_stream_is_metered_to_the_token_in_each_shape() {
    let cases = [
        (
            Operation::OpenAiChat,
            CHAT,
            Usage { input: 5, cache_read: 4, output: 10, reasoning: 2, ..Usage::default() },
        ),
        (
            Operation::AnthropicMessages,
            MESSAGES,
            Usage {
                input: 25,
                cache_read: 100,
                cache_write: 3,
                cache_write_long: 4,
                output: 15,
                reasoning: 0,
            },
        ),
        (
            Operation::GeminiGenerate,
            GEMINI,
            Usage { input: 6, cache_read: 2, output: 3, reasoning: 20, ..Usage::default() },
        ),
        (
            Operation::OpenAiResponses,
            RESPONSES,
            Usage { input: 10, cache_read: 1, output: 1, reasoning: 5, ..Usage::default() },
        ),
    ];
    for (operation, stream, usage) in cases {
        let (signs, meter) = metered(operation, stream);
        assert_eq!(meter.settled(999), (usage, UsageSource::Reported), "{operation:?}");
        let ended = signs.last() == Some(&Sign::End) || meter.is_whole();
        assert!(ended, "{operation:?}: {signs:?}");
        assert!(signs.contains(&Sign::Content));
    }
}

#[test]
fn a_role_a_ping_and_a_start_are_no_first_token() {
    for (operation, stream) in [(Operation::OpenAiChat, CHAT), (Operation::AnthropicMessages, MESSAGES)] {
        let (signs, _) = metered(operation, stream);
        assert_eq!(signs[0], Sign::Quiet);
        assert_eq!(signs[1] == Sign::Content, operation == Operation::OpenAiChat, "{signs:?}");
    }
}

#[test]
fn a_stream_that_is_cut_is_not_whole_and_is_billed_by_what_is_known() {
    let cut = |stream: &str, at: &str| stream.split_once(at).unwrap().0.to_owned();
    let (_, meter) = metered(Operation::OpenAiChat, &cut(CHAT, "data: {\"id\":\"c1\",\"choices\":[]"));
    assert_eq!(meter.settled(7), (Usage { input: 7, output: 3, ..Usage::default() }, UsageSource::Estimated));
    let (_, meter) = metered(Operation::AnthropicMessages, &cut(MESSAGES, "event: message_delta"));
    let known =
        Usage { input: 25, cache_read: 100, cache_write: 3, cache_write_long: 4, output: 3, reasoning: 0 };
    assert_eq!(meter.settled(7), (known, UsageSource::Estimated), "the seed of the output is no count");
    let (_, meter) = metered(Operation::AnthropicMessages, &cut(MESSAGES, "event: content_block_delta"));
    assert_eq!(meter.settled(7).1, UsageSource::InputOnly);
    let (_, meter) = metered(
        Operation::GeminiGenerate,
        &cut(GEMINI, "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\", w"),
    );
    assert!(!meter.is_whole());
    assert_eq!(meter.settled(7), (Usage { input: 8, output: 2, ..Usage::default() }, UsageSource::Estimated));
}

#[test]
fn zero_is_zero_and_nothing_is_an_estimate() {
    let answer = |usage: &str| {
        format!(r#"{{"choices":[{{"message":{{"role":"assistant","content":"12345678"}}}}]{usage}}}"#)
    };
    let zero = whole(Operation::OpenAiChat, &answer(r#","usage":{"prompt_tokens":0,"completion_tokens":0}"#));
    assert_eq!(zero.settled(50), (Usage::default(), UsageSource::Reported));
    let estimate = (Usage { input: 50, output: 2, ..Usage::default() }, UsageSource::Estimated);
    for none in ["", r#","usage":null"#, r#","usage":{"prompt_tokens":-4,"completion_tokens":"x"}"#] {
        assert_eq!(whole(Operation::OpenAiChat, &answer(none)).settled(50), estimate, "{none}");
    }
    let embedding = whole(
        Operation::OpenAiEmbeddings,
        r#"{"data":[{"embedding":[0.5]}],"usage":{"prompt_tokens":4,"total_tokens":4}}"#,
    );
    assert_eq!(embedding.settled(50), (Usage { input: 4, ..Usage::default() }, UsageSource::Reported));
}

#[test]
fn a_report_that_comes_twice_is_taken_once() {
    let twice = CHAT.replace(
        "data: [DONE]",
        &format!(
            "{}\n\ndata: [DONE]",
            CHAT.lines().rev().find(|line| line.contains("choices\":[]")).unwrap()
        ),
    );
    let (signs, meter) = metered(Operation::OpenAiChat, &twice);
    assert_eq!(meter.settled(0).0.total(), 21);
    assert_eq!(signs.last(), Some(&Sign::End));
    let (_, meter) = metered(
        Operation::AnthropicMessages,
        &format!("{MESSAGES}event: message_delta{}", MESSAGES.split_once("event: message_delta").unwrap().1),
    );
    assert_eq!(meter.settled(0).0.output, 15);
}

#[test]
fn errors_in_a_stream_are_seen_in_each_shape() {
    let cases = [
        (
            Operation::OpenAiChat,
            "data: {\"error\":{\"message\":\"boom\",\"type\":\"server_error\",\"code\":null}}\n\n",
            500,
        ),
        (
            Operation::OpenAiResponses,
            "event: error\ndata: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"boom\"}\n\n",
            429,
        ),
        (
            Operation::OpenAiResponses,
            "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"boom\"}}}\n\n",
            500,
        ),
        (
            Operation::AnthropicMessages,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"boom\"}}\n\n",
            529,
        ),
        (
            Operation::GeminiGenerate,
            "data: {\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\",\"message\":\"boom\"}}\n\n",
            503,
        ),
    ];
    for (operation, stream, status) in cases {
        let (signs, _) = metered(operation, stream);
        let [Sign::Fault(reported)] = signs.as_slice() else { panic!("{signs:?}") };
        assert_eq!((reported.message.as_str(), reported.status()), ("boom", status), "{operation:?}");
    }
}

#[test]
fn a_whole_answer_that_says_it_failed_is_none() {
    let limited = r#"{"id":"r","object":"response","status":"failed","error":{"code":"rate_limit_exceeded","message":"slow"},"output":[],"usage":null}"#;
    let silent = r#"{"id":"r","object":"response","status":"failed","error":null,"output":[],"usage":null}"#;
    let plain = r#"{"error":{"message":"no model is free","code":502}}"#;
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"o"}}"#;
    for (operation, body, status) in [
        (Operation::OpenAiResponses, limited, 429),
        (Operation::OpenAiResponses, silent, 500),
        (Operation::OpenAiChat, plain, 500),
        (Operation::OpenAiEmbeddings, plain, 500),
        (Operation::AnthropicMessages, overloaded, 529),
        (Operation::GeminiGenerate, plain, 500),
    ] {
        let sign = Meter::new(operation).whole(body.as_bytes()).unwrap();
        let Sign::Fault(reported) = sign else { panic!("{operation:?}: {sign:?}") };
        assert_eq!(reported.status(), status, "{operation:?}");
    }
    let good = r#"{"id":"r","status":"completed","error":null,"output":[],"usage":null}"#;
    assert_eq!(Meter::new(Operation::OpenAiResponses).whole(good.as_bytes()), Ok(Sign::End));
    let short = r#"{"id":"r","status":"incomplete","error":null,"output":[],"usage":null}"#;
    assert_eq!(Meter::new(Operation::OpenAiResponses).whole(short.as_bytes()), Ok(Sign::End));
}

#[test]
fn a_filter_that_ends_an_answer_is_seen() {
    let refused = [
        (
            Operation::OpenAiChat,
            r#"{"choices":[{"message":{"content":""},"finish_reason":"content_filter"}]}"#,
        ),
        (Operation::AnthropicMessages, r#"{"content":[],"stop_reason":"refusal"}"#),
        (Operation::GeminiGenerate, r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#),
        (Operation::GeminiGenerate, r#"{"candidates":[{"finishReason":"PROHIBITED_CONTENT"}]}"#),
        (
            Operation::OpenAiResponses,
            r#"{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}"#,
        ),
    ];
    for (operation, body) in refused {
        assert!(whole(operation, body).is_refused(), "{body}");
    }
    assert!(
        !whole(Operation::OpenAiChat, r#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#)
            .is_refused()
    );
}

#[test]
fn a_client_that_did_not_ask_for_the_usage_sees_none_of_it() {
    let seen: Vec<u8> =
        events(CHAT).iter().filter_map(chat::without_usage).flat_map(|chunk| chunk.to_vec()).collect();
    let text = String::from_utf8(seen).unwrap();
    assert!(!text.contains("usage"), "{text}");
    let unasked = CHAT.replace(",\"usage\":null", "");
    let (before, _) = unasked.split_once("data: {\"id\":\"c1\",\"choices\":[]").unwrap();
    assert_eq!(
        text,
        format!(
            "{before}data: [DONE]

"
        ),
        "and every other byte"
    );
}

#[test]
fn what_is_no_json_is_malformed() {
    for operation in [
        Operation::OpenAiChat,
        Operation::AnthropicMessages,
        Operation::GeminiGenerate,
        Operation::OpenAiResponses,
    ] {
        let mut meter = Meter::new(operation);
        for bad in ["data: {\"a\":\n\n", "data: 7\n\n", "data: <html>\n\n"] {
            assert!(meter.event(&events(bad)[0]).is_err(), "{operation:?} {bad}");
        }
        assert!(meter.whole(b"<html>").is_err());
    }
}

mod any {
    use proptest::prelude::*;

    use super::*;

    fn operations() -> impl Strategy<Value = Operation> {
        prop::sample::select(vec![
            Operation::OpenAiChat,
            Operation::OpenAiResponses,
            Operation::OpenAiEmbeddings,
            Operation::AnthropicMessages,
            Operation::AnthropicCountTokens,
            Operation::GeminiGenerate,
            Operation::GeminiEmbed,
        ])
    }

    /// JSON that looks like what providers send, here and there.
    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "[a-z_]{0,8}".prop_map(Value::from),
            prop::sample::select(vec![
                "message_start",
                "message_delta",
                "response.completed",
                "error",
                "STOP"
            ])
            .prop_map(Value::from),
        ];
        let names = prop::sample::select(vec![
            "usage",
            "choices",
            "delta",
            "message",
            "type",
            "error",
            "candidates",
            "usageMetadata",
            "prompt_tokens",
            "input_tokens",
            "output_tokens",
            "completion_tokens",
            "prompt_tokens_details",
            "cached_tokens",
            "cache_creation",
            "response",
            "content",
            "finishReason",
            "promptTokenCount",
            "details",
            "retryDelay",
        ]);
        leaf.prop_recursive(5, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((names.clone(), inner), 0..6).prop_map(|members| {
                    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn answers_of_any_form_are_metered_without_a_panic(operation in operations(), values in prop::collection::vec(json(), 1..4)) {
            let mut meter = Meter::new(operation);
            for value in values {
                let text = value.to_string();
                let _ = meter.whole(text.as_bytes());
                for event in events(&format!("data: {text}\n\n")) {
                    let _ = meter.event(&event);
                }
            }
            let (usage, _) = meter.settled(1);
            prop_assert!(usage.total() < 8_000_000_000 + 1_000_000);
        }

        #[test]
        fn bodies_of_any_form_are_read_or_refused(operation in operations(), body in json()) {
            let body = Bytes::from(body.to_string());
            if let Ok(asked) = read(operation, "m", true, body) {
                prop_assert!(!asked.model.is_empty());
                let sent = forwarded(operation, &asked, "other");
                prop_assert!(serde_json::from_slice::<Value>(&sent).is_ok_and(|sent| sent.is_object()));
            }
        }
    }
}
