//! Requests in the shape of Anthropic's messages.

use serde_json::{Value, json};

use super::talk::{Choice, Members, Part, Talk, Tool, Turn, malformed, put};
use super::unsupported;
use crate::refusal::Refusal;

/// Members that change no answer.
const HINTS: [&str; 4] = ["model", "metadata", "service_tier", "cache_control"];
/// The bound of an output that nobody bounded: the shape must be told one.
const MOST_OUTPUT: u64 = 4_096;

pub(super) fn read(body: Value) -> Result<Talk, Refusal> {
    let mut body = Members::of(body, "the body")?;
    body.ignore(&HINTS);
    body.flag("stream")?;
    body.only("thinking", &[json!({"type": "disabled"})])?;
    let mut talk = Talk {
        most_output: body.count("max_tokens")?,
        temperature: body.number("temperature")?,
        top_p: body.number("top_p")?,
        stop: body.texts("stop_sequences")?,
        ..Talk::default()
    };
    for part in parts(body.take("system"))? {
        match part {
            Part::Text(text) => talk.system.push(text),
            _ => return Err(unsupported("this `system`")),
        }
    }
    for tool in body.list("tools")? {
        talk.tools.push(read_tool(tool)?);
    }
    talk.choice = body.take("tool_choice").map(read_choice).transpose()?;
    for message in body.list("messages")? {
        let mut message = Members::of(message, "a message")?;
        let role = message.needed("role")?;
        let said = parts(message.take("content"))?;
        message.done()?;
        let model = match role.as_str() {
            "user" => false,
            "assistant" => true,
            other => return Err(unsupported(&format!("the role `{other}`"))),
        };
        talk.turns.push(Turn { model, parts: said });
    }
    body.done()?;
    Ok(talk)
}

fn read_tool(tool: Value) -> Result<Tool, Refusal> {
    let mut tool = Members::of(tool, "a tool")?;
    tool.only("type", &[json!("custom")])?;
    tool.ignore(&["cache_control"]);
    let read = Tool {
        name: tool.needed("name")?,
        description: tool.text("description")?,
        parameters: tool.take("input_schema"),
    };
    tool.done()?;
    Ok(read)
}

fn read_choice(choice: Value) -> Result<Choice, Refusal> {
    let mut choice = Members::of(choice, "the `tool_choice`")?;
    choice.only("disable_parallel_tool_use", &[json!(false)])?;
    let read = match choice.needed("type")?.as_str() {
        "auto" => Choice::Auto,
        "none" => Choice::Never,
        "any" => Choice::Any,
        "tool" => Choice::Named(choice.needed("name")?),
        _ => return Err(unsupported("this `tool_choice`")),
    };
    choice.done()?;
    Ok(read)
}

fn parts(content: Option<Value>) -> Result<Vec<Part>, Refusal> {
    match content {
        None => Ok(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::Text(text)]),
        Some(Value::Array(blocks)) => blocks.into_iter().map(block).collect(),
        Some(_) => Err(malformed("a message", "has a content that is neither text nor a list")),
    }
}

fn block(block: Value) -> Result<Part, Refusal> {
    let mut block = Members::of(block, "a block")?;
    block.ignore(&["cache_control"]);
    let kind = block.needed("type")?;
    let read = match kind.as_str() {
        "text" => {
            block.only("citations", &[json!([])])?;
            Part::Text(block.needed("text")?)
        }
        "image" => {
            let mut source = Members::of(block.take("source").unwrap_or_default(), "a picture")?;
            if source.needed("type")? != "base64" {
                return Err(unsupported("a picture that is only linked to"));
            }
            let image = Part::Image { media: source.needed("media_type")?, data: source.needed("data")? };
            source.done()?;
            image
        }
        "tool_use" => Part::Call {
            id: block.needed("id")?,
            name: block.needed("name")?,
            arguments: block.object("input")?,
        },
        "tool_result" => {
            let mut text = String::new();
            for part in parts(block.take("content"))? {
                match part {
                    Part::Text(more) => text.push_str(&more),
                    _ => return Err(unsupported("a picture in a tool's result")),
                }
            }
            let failed = block.flag("is_error")?;
            Part::Result { id: block.needed("tool_use_id")?, text, failed }
        }
        other => return Err(unsupported(&format!("a block of type `{other}`"))),
    };
    block.done()?;
    Ok(read)
}

pub(super) fn write(talk: Talk, model: &str, most_output: Option<u64>) -> Value {
    let messages: Vec<Value> = talk.turns.iter().map(written).collect();
    let most = talk.most_output.or(most_output).unwrap_or(MOST_OUTPUT);
    let mut body = json!({"model": model, "max_tokens": most, "messages": messages});
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            put(&mut body, name, value);
        }
    };
    set("system", (!talk.system.is_empty()).then(|| talk.system.join("\n\n").into()));
    set("temperature", talk.temperature.map(Value::from));
    set("top_p", talk.top_p.map(Value::from));
    set("stop_sequences", (!talk.stop.is_empty()).then(|| talk.stop.into()));
    let tools: Vec<Value> = talk.tools.into_iter().map(written_tool).collect();
    set("tools", (!tools.is_empty()).then(|| tools.into()));
    set(
        "tool_choice",
        talk.choice.map(|choice| match choice {
            Choice::Auto => json!({"type": "auto"}),
            Choice::Never => json!({"type": "none"}),
            Choice::Any => json!({"type": "any"}),
            Choice::Named(name) => json!({"type": "tool", "name": name}),
        }),
    );
    set("stream", talk.stream.then_some(Value::Bool(true)));
    body
}

fn written_tool(tool: Tool) -> Value {
    let schema = tool.parameters.unwrap_or_else(|| json!({"type": "object"}));
    let mut written = json!({"name": tool.name, "input_schema": schema});
    if let Some(description) = tool.description {
        put(&mut written, "description", description.into());
    }
    written
}

fn written(turn: &Turn) -> Value {
    // Results come first in the turn that has them.
    let is_result = |part: &&Part| matches!(part, Part::Result { .. });
    let (results, others): (Vec<&Part>, Vec<&Part>) = turn.parts.iter().partition(is_result);
    let blocks: Vec<Value> = results.into_iter().chain(others).map(written_block).collect();
    let role = if turn.model { "assistant" } else { "user" };
    match blocks.as_slice() {
        [only] if only["type"] == "text" => json!({"role": role, "content": only["text"]}),
        _ => json!({"role": role, "content": blocks}),
    }
}

fn written_block(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({"type": "text", "text": text}),
        Part::Image { media, data } => {
            json!({"type": "image", "source": {"type": "base64", "media_type": media, "data": data}})
        }
        Part::Call { id, name, arguments } => {
            json!({"type": "tool_use", "id": id, "name": name, "input": arguments})
        }
        Part::Result { id, text, failed } => {
            let mut result = json!({"type": "tool_result", "tool_use_id": id, "content": text});
            if *failed {
                put(&mut result, "is_error", true.into());
            }
            result
        }
    }
}
