use domain::Usage;
use proptest::prelude::*;
use serde_json::json;

use super::talk::{Choice, Part, Talk, Tool, Turn};
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
    let (mut deltas, mut meter) = (Deltas::new(operation), Meter::new(operation));
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
    let exchange = (text(), any::<bool>(), prop::option::of("[a-z_]{1,8}"), text(), text());
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
                if let Some(name) = called {
                    let id = format!("call_{number}");
                    let arguments = json!({"q": result, "n": [1, null]});
                    talk.turns.push(Turn {
                        model: true,
                        parts: vec![Part::Call { id: id.clone(), name, arguments }],
                    });
                    talk.turns.push(Turn {
                        model: false,
                        parts: vec![Part::Result { id, text: result, failed: false }],
                    });
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
    let name = |id: &str| talk.called(id).unwrap_or_default().to_owned();
    let part = |part: &Part| match part {
        Part::Text(text) => json!({"text": text}),
        Part::Image { media, data } => json!({"image": [media, data]}),
        Part::Call { name, arguments, .. } => json!({"call": name, "arguments": arguments}),
        // An object in a text is an object or a text, as the shape has it.
        Part::Result { id, text, failed } => {
            let object = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
            json!({"result": name(id), "text": object.unwrap_or_else(|| text.as_str().into()), "failed": failed})
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
