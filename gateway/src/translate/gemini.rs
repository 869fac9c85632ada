//! Requests in Gemini's shape.

use serde_json::{Map, Value, json};

use super::schema::json_schema;
use super::talk::{Choice, Members, Part, Talk, Tool, Turn, called, malformed, put};
use super::unsupported;
use crate::refusal::Refusal;

pub(super) fn read(body: Value) -> Result<Talk, Refusal> {
    let mut body = Members::of(body, "the body")?;
    body.ignore(&["model", "labels"]);
    let mut talk = Talk::default();
    let config = body.take("generationConfig").or_else(|| body.take("generation_config"));
    if let Some(config) = config {
        read_config(config, &mut talk)?;
    }
    if let Some(system) = body.take("systemInstruction").or_else(|| body.take("system_instruction")) {
        let mut system = Members::of(system, "the system instruction")?;
        system.ignore(&["role"]);
        for part in system.list("parts")? {
            match read_part(part, &mut Calls::default())? {
                Some(Part::Text(text)) => talk.system.push(text),
                _ => return Err(unsupported("this system instruction")),
            }
        }
        system.done()?;
    }
    for tool in body.list("tools")? {
        let mut tool = Members::of(tool, "a tool")?;
        for function in tool.list("functionDeclarations")? {
            talk.tools.push(read_function(function)?);
        }
        tool.done()?;
    }
    talk.choice = match body.take("toolConfig").or_else(|| body.take("tool_config")) {
        Some(config) => read_choice(config)?,
        None => None,
    };
    let mut calls = Calls::default();
    for content in body.list("contents")? {
        let mut content = Members::of(content, "a content")?;
        let model = match content.text("role")?.as_deref() {
            None | Some("user" | "function") => false,
            Some("model") => true,
            Some(other) => return Err(unsupported(&format!("the role `{other}`"))),
        };
        let mut parts = Vec::new();
        for part in content.list("parts")? {
            parts.extend(read_part(part, &mut calls)?);
        }
        content.done()?;
        talk.turns.push(Turn { model, parts });
    }
    body.done()?;
    Ok(talk)
}

fn read_config(config: Value, talk: &mut Talk) -> Result<(), Refusal> {
    let mut config = Members::of(config, "the generation config")?;
    config.only("candidateCount", &[json!(1)])?;
    config.only("responseMimeType", &[json!("text/plain")])?;
    talk.most_output = config.count("maxOutputTokens")?;
    talk.temperature = config.number("temperature")?;
    talk.top_p = config.number("topP")?;
    talk.stop = config.texts("stopSequences")?;
    config.done()
}

fn read_function(function: Value) -> Result<Tool, Refusal> {
    let mut function = Members::of(function, "a function")?;
    // Of the two ways to say it only one may be used; the other would be left here.
    let schema = function.take("parametersJsonSchema");
    let schema = if schema.is_some() { schema } else { function.take("parameters").map(json_schema) };
    let tool = Tool {
        name: function.needed("name")?,
        description: function.text("description")?,
        parameters: schema,
    };
    function.done()?;
    Ok(tool)
}

fn read_choice(config: Value) -> Result<Option<Choice>, Refusal> {
    let mut config = Members::of(config, "the tool config")?;
    let Some(calling) = config.take("functionCallingConfig") else {
        return config.done().map(|()| None);
    };
    config.done()?;
    let mut calling = Members::of(calling, "the function calling config")?;
    let names = calling.texts("allowedFunctionNames")?;
    let mode = calling.text("mode")?;
    calling.done()?;
    match (mode.as_deref(), names.as_slice()) {
        (None | Some("AUTO" | "MODE_UNSPECIFIED"), []) => Ok(Some(Choice::Auto)),
        (Some("NONE"), []) => Ok(Some(Choice::Never)),
        (Some("ANY"), []) => Ok(Some(Choice::Any)),
        (Some("ANY"), [only]) => Ok(Some(Choice::Named(only.clone()))),
        _ => Err(unsupported("this function calling config")),
    }
}

/// The calls that were read so far. Their ids are optional in this shape and needed in the others.
#[derive(Debug, Default)]
struct Calls {
    count: usize,
    /// Name and id of those that have no result yet.
    open: Vec<(String, String)>,
}

impl Calls {
    fn called(&mut self, name: &str, id: Option<String>) -> String {
        let id = id.unwrap_or_else(|| format!("call_{}", self.count));
        self.count += 1;
        self.open.push((name.to_owned(), id.clone()));
        id
    }

    fn answered(&mut self, name: &str, id: Option<&String>) -> Option<String> {
        let is_it = |(other, open): &(String, String)| id.map_or(other == name, |id| id == open);
        let at = self.open.iter().position(is_it)?;
        Some(self.open.remove(at).1)
    }
}

fn read_part(part: Value, calls: &mut Calls) -> Result<Option<Part>, Refusal> {
    let mut part = Members::of(part, "a part")?;
    part.ignore(&["thoughtSignature"]);
    if part.flag("thought")? {
        part.ignore(&["text"]);
        return part.done().map(|()| None);
    }
    let read = if let Some(text) = part.text("text")? {
        Part::Text(text)
    } else if let Some(inline) = part.take("inlineData").or_else(|| part.take("inline_data")) {
        let mut inline = Members::of(inline, "inline data")?;
        let media = inline.text("mimeType")?.map_or_else(|| inline.needed("mime_type"), Ok)?;
        if !media.starts_with("image/") {
            return Err(unsupported(&format!("inline data of type `{media}`")));
        }
        let image = Part::Image { media, data: inline.needed("data")? };
        inline.done()?;
        image
    } else if let Some(call) = part.take("functionCall") {
        let mut call = Members::of(call, "a function call")?;
        let name = call.needed("name")?;
        let id = calls.called(&name, call.text("id")?);
        let arguments = call.object("args")?;
        call.done()?;
        Part::Call { id, name, arguments }
    } else if let Some(response) = part.take("functionResponse") {
        let mut response = Members::of(response, "a function response")?;
        let name = response.needed("name")?;
        let id = calls.answered(&name, response.text("id")?.as_ref());
        let id = id.ok_or_else(|| malformed("a function response", "belongs to no call"))?;
        let (text, failed) = result_text(&response.take("response").unwrap_or_default());
        response.done()?;
        Part::Result { id, text, failed }
    } else {
        return part.done().map(|()| None);
    };
    part.done()?;
    Ok(Some(read))
}

/// What a function answered, as text. An object with nothing but `result` or `error` is how a text is written.
fn result_text(response: &Value) -> (String, bool) {
    let only = |name: &str| match response {
        Value::Object(members) if members.len() == 1 => members.get(name).and_then(Value::as_str),
        _ => None,
    };
    if let Some(text) = only("error") {
        return (text.to_owned(), true);
    }
    (only("result").map_or_else(|| response.to_string(), str::to_owned), false)
}

pub(super) fn write(talk: Talk) -> Result<Value, Refusal> {
    let mut contents = Vec::new();
    for (at, turn) in talk.turns.iter().enumerate() {
        let before = talk.turns.get(..at).unwrap_or_default();
        let parts: Result<Vec<Value>, Refusal> =
            in_order(turn, before).into_iter().map(|part| written(part, before)).collect();
        contents.push(json!({"role": if turn.model { "model" } else { "user" }, "parts": parts?}));
    }
    let mut body = json!({"contents": contents});
    if !talk.system.is_empty() {
        put(&mut body, "systemInstruction", json!({"parts": [{"text": talk.system.join("\n\n")}]}));
    }
    let mut config = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            config.insert(name.to_owned(), value);
        }
    };
    set("maxOutputTokens", talk.most_output.map(Value::from));
    set("temperature", talk.temperature.map(Value::from));
    set("topP", talk.top_p.map(Value::from));
    set("stopSequences", (!talk.stop.is_empty()).then(|| talk.stop.into()));
    if !config.is_empty() {
        put(&mut body, "generationConfig", config.into());
    }
    if !talk.tools.is_empty() {
        let functions: Vec<Value> = talk.tools.into_iter().map(written_function).collect();
        put(&mut body, "tools", json!([{"functionDeclarations": functions}]));
    }
    if let Some(choice) = talk.choice {
        let calling = match choice {
            Choice::Auto => json!({"mode": "AUTO"}),
            Choice::Never => json!({"mode": "NONE"}),
            Choice::Any => json!({"mode": "ANY"}),
            Choice::Named(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
        };
        put(&mut body, "toolConfig", json!({"functionCallingConfig": calling}));
    }
    Ok(body)
}

fn written_function(tool: Tool) -> Value {
    let mut function = json!({"name": tool.name});
    if let Some(description) = tool.description {
        put(&mut function, "description", description.into());
    }
    if let Some(parameters) = tool.parameters {
        put(&mut function, "parametersJsonSchema", parameters);
    }
    function
}

/// The parts of a turn. Results come first and in the order of their calls: they are written without ids, and several calls
/// of one function are told apart by their place alone.
fn in_order<'t>(turn: &'t Turn, before: &[Turn]) -> Vec<&'t Part> {
    let mut parts: Vec<&Part> = turn.parts.iter().collect();
    parts.sort_by_key(|part| match part {
        Part::Result { id, .. } => (0, called(before, id).map(|(place, _)| place)),
        _ => (1, None),
    });
    parts
}

fn written(part: &Part, before: &[Turn]) -> Result<Value, Refusal> {
    Ok(match part {
        Part::Text(text) => json!({"text": text}),
        Part::Image { media, data } => json!({"inlineData": {"mimeType": media, "data": data}}),
        Part::Call { name, arguments, .. } => json!({"functionCall": {"name": name, "args": arguments}}),
        Part::Result { id, text, failed } => {
            let (_, name) =
                called(before, id).ok_or_else(|| malformed("a tool's result", "belongs to no call"))?;
            let said = serde_json::from_str::<Value>(text).ok().filter(|value| value.is_object() && !failed);
            let response = said.unwrap_or_else(|| json!({(if *failed { "error" } else { "result" }): text}));
            json!({"functionResponse": {"name": name, "response": response}})
        }
    })
}
