use domain::Usage;
use proptest::prelude::*;
use serde_json::json;

use super::talk::{Choice, Part, Talk, Tool, Turn, called};
use super::*;
use crate::dialect;
use crate::sse::Parser;

const SHAPES: [Operation; 3] =
    [Operation::OpenAiChat, Operation::AnthropicMessages, Operation::GeminiGenerate];

fn frame(usage: bool) -> Frame {
    Frame { id: "1".into(), model: "alias".into(), created: 7, usage }
}

fn asked(operation: Operation, body: &Value) -> Asked {
    dialect::read(operation, "m", false, body.to_string().into()).unwrap()
}

fn translated(from: Operation, to: Operation, body: &Value) -> Value {
    let body = request(from, to, &asked(from, body), "real", None).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn refused(from: Operation, to: Operation, body: &Value) -> String {
    let refusal = request(from, to, &asked(from, body), "real", None).unwrap_err();
    assert_eq!((refusal.status, refusal.code.as_ref()), (400, "untranslatable"));
    refusal.message
}

fn chat() -> Value {
    json!({
        "model": "m", "max_tokens": 50, "temperature": 1, "stop": "END", "user": "u",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        ],
        "tools": [{"type": "function", "function": {
            "name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {"at": {"type": "integer"}}},
        }}],
        "tool_choice": "auto",
    })
}

#[test]
fn a_chat_becomes_messages() {
    let body = translated(Operation::OpenAiChat, Operation::AnthropicMessages, &chat());
    assert_eq!(
        body,
        json!({
            "model": "real", "max_tokens": 50, "temperature": 1, "stop_sequences": ["END"], "system": "Be brief.",
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                ]},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look", "input": {"at": 1}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "a cat"}]},
            ],
            "tools": [{"name": "look", "description": "Looks.",
                "input_schema": {"type": "object", "properties": {"at": {"type": "integer"}}}}],
            "tool_choice": {"type": "auto"},
        })
    );
}

#[test]
fn a_chat_becomes_contents() {
    let body = translated(Operation::OpenAiChat, Operation::GeminiGenerate, &chat());
    assert_eq!(body["systemInstruction"], json!({"parts": [{"text": "Be brief."}]}));
    assert_eq!(
        body["generationConfig"],
        json!({"maxOutputTokens": 50, "temperature": 1, "stopSequences": ["END"]})
    );
    assert_eq!(
        body["contents"][1],
        json!({"role": "model", "parts": [{"functionCall": {"name": "look", "args": {"at": 1}}}]})
    );
    let answered = json!({"functionResponse": {"name": "look", "response": {"result": "a cat"}}});
    assert_eq!(body["contents"][2], json!({"role": "user", "parts": [answered]}));
}

#[test]
fn what_another_shape_cannot_say_is_refused_by_name() {
    let with = |name: &str, value: Value| {
        let mut body = chat();
        body[name] = value;
        body
    };
    for (name, value) in [
        ("n", json!(2)),
        ("logit_bias", json!({"5": 1})),
        ("response_format", json!({"type": "json_object"})),
        ("reasoning_effort", json!("high")),
        ("x_unknown", json!(true)),
    ] {
        let message = refused(Operation::OpenAiChat, Operation::AnthropicMessages, &with(name, value));
        assert!(message.contains(name), "{message}");
    }
    let linked = json!({"model": "m", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}]}]});
    assert!(refused(Operation::OpenAiChat, Operation::GeminiGenerate, &linked).contains("linked"));
    let thinking = json!({"model": "m", "max_tokens": 5, "messages": [], "thinking": {"type": "enabled", "budget_tokens": 9}});
    assert!(refused(Operation::AnthropicMessages, Operation::OpenAiChat, &thinking).contains("thinking"));
    let safety = json!({"contents": [], "safetySettings": [{}]});
    assert!(refused(Operation::GeminiGenerate, Operation::OpenAiChat, &safety).contains("safetySettings"));
    assert_eq!(
        translated(Operation::OpenAiChat, Operation::AnthropicMessages, &with("n", json!(1)))["max_tokens"],
        50
    );
}

/// A conversation in which one function was called and what it said.
fn looked(is_error: &Value) -> Value {
    json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "Look!"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look", "input": {"at": 1}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": "no \"door\"", "is_error": is_error},
        ]},
    ]})
}

#[test]
fn that_a_tool_failed_is_said_in_every_shape() {
    let there = |to, body: &Value| translated(Operation::AnthropicMessages, to, body);
    let chat = there(Operation::OpenAiChat, &looked(&json!(true)));
    assert_eq!(chat["messages"][2]["content"], r#"{"error":"no \"door\""}"#);
    let gemini = there(Operation::GeminiGenerate, &looked(&json!(true)));
    let response = &gemini["contents"][2]["parts"][0]["functionResponse"]["response"];
    assert_eq!(response, &json!({"error": "no \"door\""}));
    for fine in [json!(false), json!(null)] {
        let chat = there(Operation::OpenAiChat, &looked(&fine));
        assert_eq!(chat["messages"][2]["content"], "no \"door\"", "{fine}");
    }
    let odd = asked(Operation::AnthropicMessages, &looked(&json!("yes")));
    let refusal =
        request(Operation::AnthropicMessages, Operation::OpenAiChat, &odd, "real", None).unwrap_err();
    assert_eq!(refusal.code, "malformed_body");
    assert!(refusal.message.contains("is_error"), "{}", refusal.message);
}

/// Every member of the shapes that is neither translated nor known to change no answer is refused by its name, wherever it
/// stands.
#[test]
fn nothing_is_dropped_wherever_it_stands() {
    let chat = json!({
        "model": "m", "stream_options": {"include_usage": true},
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [
                {"type": "text", "text": "t"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]},
            {"role": "assistant", "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "r"},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    });
    let messages = json!({
        "model": "m", "max_tokens": 5, "thinking": {"type": "disabled"},
        "system": [{"type": "text", "text": "s"}],
        "messages": [
            {"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [
                {"type": "text", "text": "r"}]}]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "f"},
    });
    let gemini = json!({
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [
            {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
            {"role": "model", "parts": [
                {"text": "hm", "thought": true}, {"functionCall": {"name": "f", "args": {}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "r"}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {"maxOutputTokens": 5},
    });
    // What the user's own functions take and say is theirs.
    let free = ["/input", "/input_schema", "/args", "/response"];
    let shapes = [
        (Operation::OpenAiChat, chat, Operation::AnthropicMessages, 12),
        (Operation::AnthropicMessages, messages, Operation::GeminiGenerate, 11),
        (Operation::GeminiGenerate, gemini, Operation::OpenAiChat, 18),
    ];
    for (from, body, to, places) in shapes {
        assert!(request(from, to, &asked(from, &body), "real", None).is_ok(), "{from:?} {body}");
        let mut objects = Vec::new();
        pointers(&body, String::new(), &mut objects);
        objects.retain(|at| !free.iter().any(|free| at.ends_with(free)));
        assert!(objects.len() >= places, "{from:?}: {objects:#?}");
        for at in objects {
            let mut odd = body.clone();
            odd.pointer_mut(&at).unwrap()["x_unknown"] = json!({"a": 1});
            let refusal = request(from, to, &asked(from, &odd), "real", None).expect_err(&at);
            assert_eq!((refusal.status, refusal.code.as_ref()), (400, "untranslatable"), "{from:?} {at}");
        }
    }
}

/// Where in a document objects are.
fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| pointers(value, format!("{at}/{name}"), found));
            found.push(at);
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(place, value)| pointers(value, format!("{at}/{place}"), found));
        }
        _ => {}
    }
}

#[test]
fn of_two_ways_to_describe_a_function_none_is_passed_over() {
    let function =
        json!({"name": "f", "parameters": {"type": "OBJECT"}, "parametersJsonSchema": {"type": "object"}});
    let body = json!({"contents": [], "tools": [{"functionDeclarations": [function]}]});
    assert!(refused(Operation::GeminiGenerate, Operation::OpenAiChat, &body).contains("parameters"));
}

#[test]
fn results_are_found_by_their_place_where_they_have_no_ids() {
    let call = |id: &str, name: &str, at: u32| json!({"id": id, "type": "function", "function": {"name": name, "arguments": json!({"at": at}).to_string()}});
    let result = |id: &str, said: &str| json!({"role": "tool", "tool_call_id": id, "content": said});
    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "Go!"},
        {"role": "assistant", "tool_calls": [call("a", "look", 1), call("b", "look", 2)]},
        result("b", "second"), result("a", "first"),
        // Clients that count anew in each answer.
        {"role": "assistant", "tool_calls": [call("a", "fetch", 3)]},
        result("a", "third"),
    ]});
    let contents = translated(Operation::OpenAiChat, Operation::GeminiGenerate, &body)["contents"].clone();
    let said = |turn: usize, part: usize| {
        let response = &contents[turn]["parts"][part]["functionResponse"];
        (
            response["name"].as_str().unwrap().to_owned(),
            response["response"]["result"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(said(2, 0), ("look".to_owned(), "first".to_owned()));
    assert_eq!(said(2, 1), ("look".to_owned(), "second".to_owned()));
    assert_eq!(said(4, 0), ("fetch".to_owned(), "third".to_owned()));
}

#[test]
fn calls_without_ids_get_others_in_each_answer() {
    let body = json!({"candidates": [{"content": {"parts": [
        {"functionCall": {"name": "f", "args": {}}}, {"functionCall": {"name": "f", "args": {}}},
    ]}, "finishReason": "STOP"}]});
    let (text, meter) = metered(Operation::GeminiGenerate, &body);
    let mut ids = std::collections::BTreeSet::new();
    for id in ["0a", "0b"] {
        let frame = Frame { id: id.into(), ..frame(true) };
        let told = answer(Operation::GeminiGenerate, Operation::OpenAiChat, &text, &meter, &frame).unwrap();
        let told: Value = serde_json::from_slice(&told).unwrap();
        for call in told["choices"][0]["message"]["tool_calls"].as_array().unwrap() {
            ids.insert(call["id"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(ids.len(), 4, "{ids:?}");
}

#[test]
fn what_has_no_counterpart_is_not_spoken() {
    assert_eq!(counterpart(Operation::OpenAiChat, Dialect::Gemini), Some(Operation::GeminiGenerate));
    assert_eq!(
        counterpart(Operation::GeminiGenerate, Dialect::Anthropic),
        Some(Operation::AnthropicMessages)
    );
    for alone in [Operation::OpenAiResponses, Operation::OpenAiEmbeddings] {
        assert_eq!(counterpart(alone, Dialect::Openai), Some(alone));
        assert_eq!(counterpart(alone, Dialect::Anthropic), None);
    }
    assert_eq!(counterpart(Operation::AnthropicCountTokens, Dialect::Gemini), None);
}

fn metered(operation: Operation, body: &Value) -> (Vec<u8>, Meter) {
    let (text, mut meter) = (body.to_string().into_bytes(), Meter::new(operation));
    meter.whole(&text).unwrap();
    (text, meter)
}

#[test]
fn an_answer_is_told_in_every_shape_with_its_usage() {
    let message = json!({
        "id": "m", "type": "message", "role": "assistant", "stop_reason": "tool_use",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 2}}],
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 8},
    });
    let (text, meter) = metered(Operation::AnthropicMessages, &message);
    let told = |to| -> Value {
        serde_json::from_slice(
            &answer(Operation::AnthropicMessages, to, &text, &meter, &frame(true)).unwrap(),
        )
        .unwrap()
    };
    let chat = told(Operation::OpenAiChat);
    let choice = &chat["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], "Let me look.");
    assert_eq!(
        choice["message"]["tool_calls"][0]["function"],
        json!({"name": "look", "arguments": "{\"at\":2}"})
    );
    assert_eq!(chat["usage"]["prompt_tokens"], 15);
    assert_eq!(chat["usage"]["prompt_tokens_details"]["cached_tokens"], 5);
    let gemini = told(Operation::GeminiGenerate);
    let call = json!({"functionCall": {"id": "t1", "name": "look", "args": {"at": 2}}});
    assert_eq!(gemini["candidates"][0]["content"]["parts"], json!([{"text": "Let me look."}, call]));
    assert_eq!(gemini["usageMetadata"]["totalTokenCount"], 23);
}

/// A stream in one shape, as a provider of another shape would have sent it.
fn restreamed(from: Operation, to: Operation, stream: &str) -> String {
    let mut translating = Translating::new(from, to, frame(true));
    let (mut parser, mut meter) = (Parser::new(1 << 20), Meter::new(from));
    parser.push(stream.as_bytes());
    let mut out = Vec::new();
    while let Some(event) = parser.next().unwrap() {
        if meter.event(&event).unwrap() != dialect::Sign::End {
            out.extend_from_slice(&translating.event(&event).unwrap());
        }
    }
    out.extend_from_slice(&translating.end(&meter));
    String::from_utf8(out).unwrap()
}

/// What a stream says: its text, its calls, and what it used.
fn said(operation: Operation, stream: &str) -> (String, Vec<(String, Value)>, Usage) {
    use super::deltas::{Delta, Deltas};
    let mut parser = Parser::new(1 << 20);
    parser.push(stream.as_bytes());
    let (mut deltas, mut meter) = (Deltas::new(operation, "1"), Meter::new(operation));
    let (mut text, mut calls) = (String::new(), Vec::<(String, String)>::new());
    while let Some(event) = parser.next().unwrap() {
        meter.event(&event).unwrap();
        for delta in deltas.read(&event).unwrap() {
            match delta {
                Delta::Text(more) => text.push_str(&more),
                Delta::Call { name, .. } => calls.push((name, String::new())),
                Delta::Arguments(more) => calls.last_mut().unwrap().1.push_str(&more),
            }
        }
    }
    let calls = calls.into_iter().map(|(name, text)| (name, talk::arguments(&text).unwrap()));
    (text, calls.collect(), meter.settled(0).0)
}

#[test]
fn a_stream_says_the_same_in_every_shape() {
    let anthropic = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":4,\"output_tokens\":1}}}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi ü\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"look\",\"input\":{}}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"at\\\":\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"3}\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":9}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );
    let expected = said(Operation::AnthropicMessages, anthropic);
    assert_eq!((expected.0.as_str(), &expected.1), ("Hi ü", &vec![("look".to_owned(), json!({"at": 3}))]));
    for to in SHAPES {
        let there = restreamed(Operation::AnthropicMessages, to, anthropic);
        assert_eq!(said(to, &there), expected, "{to:?}: {there}");
        for and in SHAPES {
            assert_eq!(said(and, &restreamed(to, and, &there)), expected, "{to:?} and {and:?}");
        }
    }
}

#[test]
fn a_stream_of_nothing_has_a_beginning_and_an_end() {
    for from in SHAPES {
        for to in SHAPES {
            let mut translating = Translating::new(from, to, frame(false));
            let text = String::from_utf8(translating.end(&Meter::new(from)).to_vec()).unwrap();
            let mut meter = Meter::new(to);
            let mut parser = Parser::new(1 << 20);
            parser.push(text.as_bytes());
            let mut ended = false;
            while let Some(event) = parser.next().unwrap() {
                ended |= meter.event(&event).unwrap() == dialect::Sign::End;
            }
            assert!(ended || meter.is_whole(), "{from:?} {to:?}: {text}");
        }
    }
}

/// Conversations as all three shapes can say them: the sides take turns, and what is called is answered.
fn talks() -> impl Strategy<Value = Talk> {
    let text = || "[a-zäß€ {}\"\\\\\n]{1,12}";
    let called = prop::option::of(("[a-z_]{1,8}", any::<bool>()));
    let exchange = (text(), any::<bool>(), called, text(), text());
    let tools = prop::collection::vec("[a-z_]{1,8}", 0..3);
    let choices = prop_oneof![
        Just(None),
        Just(Some(Choice::Auto)),
        Just(Some(Choice::Never)),
        Just(Some(Choice::Any)),
        "[a-z]{1,5}".prop_map(|name| Some(Choice::Named(name))),
    ];
    let settings =
        (prop::option::of(text()), prop::option::of(1_u64..9_999), prop::collection::vec("[A-Z]{1,4}", 0..3));
    (prop::collection::vec(exchange, 1..5), tools, choices, settings).prop_map(
        |(exchanges, tools, choice, settings)| {
            let mut talk = Talk { choice, ..Talk::default() };
            (talk.system, talk.most_output, talk.stop) =
                (settings.0.into_iter().collect(), settings.1, settings.2);
            for (number, (question, image, called, result, answer)) in exchanges.into_iter().enumerate() {
                let mut parts = vec![Part::Text(question)];
                if image {
                    parts.push(Part::Image { media: "image/png".into(), data: "QUJD".into() });
                }
                talk.turns.push(Turn { model: false, parts });
                if let Some((name, failed)) = called {
                    let id = format!("call_{number}");
                    let arguments = json!({"q": result, "n": [1, null]});
                    talk.turns.push(Turn {
                        model: true,
                        parts: vec![Part::Call { id: id.clone(), name, arguments }],
                    });
                    talk.turns
                        .push(Turn { model: false, parts: vec![Part::Result { id, text: result, failed }] });
                }
                talk.turns.push(Turn { model: true, parts: vec![Part::Text(answer)] });
            }
            talk.tools = tools
                .into_iter()
                .map(|name| Tool { name, description: None, parameters: Some(json!({"type": "object"})) })
                .collect();
            talk
        },
    )
}

fn written(operation: Operation, talk: Talk) -> Value {
    match operation {
        Operation::AnthropicMessages => Ok(messages::write(talk, "m", None)),
        Operation::GeminiGenerate => gemini::write(talk),
        _ => chat::write(talk, "m"),
    }
    .unwrap()
}

fn read_back(operation: Operation, body: Value) -> Talk {
    let mut talk = match operation {
        Operation::AnthropicMessages => messages::read(body),
        Operation::GeminiGenerate => gemini::read(body),
        _ => chat::read(body),
    }
    .unwrap();
    talk.merge_turns();
    talk
}

/// What a conversation says, without the ids of calls, which one shape leaves out.
fn gist(talk: &Talk) -> Value {
    let name = |id: &str| called(&talk.turns, id).map_or_else(String::new, |(_, name)| name.to_owned());
    let part = |part: &Part| match part {
        Part::Text(text) => json!({"text": text}),
        Part::Image { media, data } => json!({"image": [media, data]}),
        Part::Call { name, arguments, .. } => json!({"call": name, "arguments": arguments}),
        // An object in a text is an object or a text, as the shape has it; and one shape says that a function failed in
        // the text alone.
        Part::Result { id, text, failed } => {
            let object = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
            let error = object.as_ref().filter(|object| object.as_object().is_some_and(|one| one.len() == 1));
            let said =
                if *failed { Some(text.as_str()) } else { error.and_then(|one| one["error"].as_str()) };
            match said {
                Some(error) => json!({"result": name(id), "error": error}),
                None => json!({"result": name(id), "text": object.unwrap_or_else(|| text.as_str().into())}),
            }
        }
    };
    let turn =
        |turn: &Turn| json!({"model": turn.model, "parts": turn.parts.iter().map(part).collect::<Vec<_>>()});
    let tools: Vec<Value> = talk.tools.iter().map(|tool| json!([tool.name, tool.parameters])).collect();
    json!({
        "system": talk.system, "turns": talk.turns.iter().map(turn).collect::<Vec<_>>(), "tools": tools,
        "choice": format!("{:?}", talk.choice), "stop": talk.stop,
    })
}

proptest! {
    #[test]
    fn a_conversation_says_the_same_there_and_back(talk in talks(), from in 0..3_usize, to in 0..3_usize) {
        let (from, to) = (SHAPES[from], SHAPES[to]);
        let there = read_back(from, written(from, talk.clone()));
        prop_assert_eq!(gist(&there), gist(&talk), "{:?}", from);
        let back = read_back(to, written(to, there));
        prop_assert_eq!(gist(&back), gist(&talk), "{:?} {:?}", from, to);
    }
}
