//! Requests in the shape of OpenAI's chat completions.

use serde_json::{Value, json};

use super::talk::{Choice, Members, Part, Talk, Tool, Turn, arguments, malformed, put};
use super::unsupported;
use crate::refusal::Refusal;

/// Members that change no answer.
const HINTS: [&str; 7] =
    ["model", "user", "metadata", "store", "service_tier", "prompt_cache_key", "safety_identifier"];

pub(super) fn read(body: Value) -> Result<Talk, Refusal> {
    let mut body = Members::of(body, "the body")?;
    body.ignore(&HINTS);
    body.flag("stream")?;
    if let Some(options) = body.take("stream_options") {
        let mut options = Members::of(options, "the `stream_options`")?;
        options.ignore(&["include_usage", "include_obfuscation"]);
        options.done()?;
    }
    body.only("n", &[json!(1)])?;
    body.only("logprobs", &[json!(false)])?;
    body.only("parallel_tool_calls", &[json!(true)])?;
    body.only("response_format", &[json!({"type": "text"})])?;
    body.nothing("presence_penalty")?;
    body.nothing("frequency_penalty")?;
    let mut talk = Talk {
        most_output: body.count("max_completion_tokens")?,
        temperature: body.number("temperature")?,
        top_p: body.number("top_p")?,
        stop: body.texts("stop")?,
        ..Talk::default()
    };
    let older = body.count("max_tokens")?;
    talk.most_output = talk.most_output.or(older);
    for tool in body.list("tools")? {
        talk.tools.push(read_tool(tool)?);
    }
    talk.choice = body.take("tool_choice").map(read_choice).transpose()?;
    for message in body.list("messages")? {
        read_message(message, &mut talk)?;
    }
    body.done()?;
    Ok(talk)
}

fn read_tool(tool: Value) -> Result<Tool, Refusal> {
    let mut tool = Members::of(tool, "a tool")?;
    tool.only("type", &[json!("function")])?;
    let mut function = Members::of(tool.take("function").unwrap_or_default(), "a tool's function")?;
    tool.done()?;
    function.only("strict", &[json!(false)])?;
    let read = Tool {
        name: function.needed("name")?,
        description: function.text("description")?,
        parameters: function.take("parameters"),
    };
    function.done()?;
    Ok(read)
}

fn read_choice(choice: Value) -> Result<Choice, Refusal> {
    match choice {
        Value::String(text) if text == "auto" => Ok(Choice::Auto),
        Value::String(text) if text == "none" => Ok(Choice::Never),
        Value::String(text) if text == "required" => Ok(Choice::Any),
        Value::Object(_) => {
            let mut choice = Members::of(choice, "the `tool_choice`")?;
            if choice.needed("type")? != "function" {
                return Err(unsupported("this `tool_choice`"));
            }
            let mut function =
                Members::of(choice.take("function").unwrap_or_default(), "the `tool_choice`'s function")?;
            choice.done()?;
            let name = function.needed("name")?;
            function.done()?;
            Ok(Choice::Named(name))
        }
        _ => Err(unsupported("this `tool_choice`")),
    }
}

fn read_message(message: Value, talk: &mut Talk) -> Result<(), Refusal> {
    let mut message = Members::of(message, "a message")?;
    let role = message.needed("role")?;
    let content = message.take("content");
    match role.as_str() {
        "system" | "developer" => talk.system.push(plain(content)?),
        "user" => talk.turns.push(Turn { model: false, parts: parts(content)? }),
        "tool" => {
            let id = message.needed("tool_call_id")?;
            let result = Part::Result { id, text: plain(content)?, failed: false };
            talk.turns.push(Turn { model: false, parts: vec![result] });
        }
        "assistant" => {
            let mut said = parts(content)?;
            for call in message.list("tool_calls")? {
                said.push(read_call(call)?);
            }
            // As it stands in answers that are sent back.
            message.only("annotations", &[json!([])])?;
            talk.turns.push(Turn { model: true, parts: said });
        }
        other => return Err(unsupported(&format!("the role `{other}`"))),
    }
    message.done()
}

fn read_call(call: Value) -> Result<Part, Refusal> {
    let mut call = Members::of(call, "a tool call")?;
    call.only("type", &[json!("function")])?;
    call.ignore(&["index"]);
    let id = call.needed("id")?;
    let mut function = Members::of(call.take("function").unwrap_or_default(), "a tool call's function")?;
    call.done()?;
    let name = function.needed("name")?;
    let written = function.text("arguments")?.unwrap_or_default();
    function.done()?;
    let odd = || malformed("a tool call", "has arguments that are no object");
    Ok(Part::Call { id, name, arguments: arguments(&written).ok_or_else(odd)? })
}

/// A content that is text alone.
fn plain(content: Option<Value>) -> Result<String, Refusal> {
    let mut text = String::new();
    for part in parts(content)? {
        match part {
            Part::Text(more) => text.push_str(&more),
            _ => return Err(unsupported("a picture in this place")),
        }
    }
    Ok(text)
}

fn parts(content: Option<Value>) -> Result<Vec<Part>, Refusal> {
    match content {
        None => Ok(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::Text(text)]),
        Some(Value::Array(parts)) => parts.into_iter().map(part).collect(),
        Some(_) => Err(malformed("a message", "has a content that is neither text nor a list")),
    }
}

fn part(part: Value) -> Result<Part, Refusal> {
    let mut part = Members::of(part, "a part of a message")?;
    let kind = part.needed("type")?;
    let read = match kind.as_str() {
        "text" => Part::Text(part.needed("text")?),
        "image_url" => {
            let mut image = Members::of(part.take("image_url").unwrap_or_default(), "a picture")?;
            image.only("detail", &[json!("auto")])?;
            let url = image.needed("url")?;
            image.done()?;
            let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
            let (media, data) = inline.ok_or_else(|| unsupported("a picture that is only linked to"))?;
            Part::Image { media: media.to_owned(), data: data.to_owned() }
        }
        other => return Err(unsupported(&format!("a part of type `{other}`"))),
    };
    part.done()?;
    Ok(read)
}

pub(super) fn write(talk: Talk, model: &str) -> Result<Value, Refusal> {
    let mut messages = Vec::new();
    if !talk.system.is_empty() {
        messages.push(json!({"role": "system", "content": talk.system.join("\n\n")}));
    }
    for turn in &talk.turns {
        if turn.model {
            messages.push(written_answer(turn)?);
        } else {
            written_user(turn, &mut messages)?;
        }
    }
    let mut body = json!({"model": model, "messages": messages});
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            put(&mut body, name, value);
        }
    };
    set("max_completion_tokens", talk.most_output.map(Value::from));
    set("temperature", talk.temperature.map(Value::from));
    set("top_p", talk.top_p.map(Value::from));
    set("stop", (!talk.stop.is_empty()).then(|| talk.stop.into()));
    let tools: Vec<Value> = talk.tools.into_iter().map(written_tool).collect();
    set("tools", (!tools.is_empty()).then(|| tools.into()));
    set(
        "tool_choice",
        talk.choice.map(|choice| match choice {
            Choice::Auto => json!("auto"),
            Choice::Never => json!("none"),
            Choice::Any => json!("required"),
            Choice::Named(name) => json!({"type": "function", "function": {"name": name}}),
        }),
    );
    if talk.stream {
        set("stream", Some(json!(true)));
        set("stream_options", Some(json!({"include_usage": true})));
    }
    Ok(body)
}

fn written_tool(tool: Tool) -> Value {
    let mut function = json!({"name": tool.name});
    if let Some(description) = tool.description {
        put(&mut function, "description", description.into());
    }
    if let Some(parameters) = tool.parameters {
        put(&mut function, "parameters", parameters);
    }
    json!({"type": "function", "function": function})
}

fn written_answer(turn: &Turn) -> Result<Value, Refusal> {
    let mut text = String::new();
    let mut calls = Vec::new();
    for part in &turn.parts {
        match part {
            Part::Text(more) => text.push_str(more),
            Part::Call { id, name, arguments } => calls.push(json!({
                "id": id, "type": "function", "function": {"name": name, "arguments": arguments.to_string()},
            })),
            Part::Image { .. } | Part::Result { .. } => {
                return Err(unsupported("what the model is said to have sent"));
            }
        }
    }
    let content = if text.is_empty() { Value::Null } else { text.into() };
    let mut message = json!({"role": "assistant", "content": content});
    if !calls.is_empty() {
        put(&mut message, "tool_calls", calls.into());
    }
    Ok(message)
}

fn written_user(turn: &Turn, messages: &mut Vec<Value>) -> Result<(), Refusal> {
    let mut parts = Vec::new();
    for part in &turn.parts {
        match part {
            Part::Text(text) => parts.push(json!({"type": "text", "text": text})),
            Part::Image { media, data } => {
                parts.push(
                    json!({"type": "image_url", "image_url": {"url": format!("data:{media};base64,{data}")}}),
                );
            }
            // The results stand before anything else that is said to them.
            Part::Result { id, text, failed } => {
                // The shape has no mark for a failure; what tools say in it says so itself.
                let content = if *failed { json!({"error": text}).to_string() } else { text.clone() };
                messages.push(json!({"role": "tool", "tool_call_id": id, "content": content}));
            }
            Part::Call { .. } => return Err(unsupported("a call that the user is said to have made")),
        }
    }
    match parts.as_slice() {
        [] => {}
        [only] if only["type"] == "text" => messages.push(json!({"role": "user", "content": only["text"]})),
        _ => messages.push(json!({"role": "user", "content": parts})),
    }
    Ok(())
}
