//! A conversation in the form that all shapes can say.

use serde_json::{Map, Number, Value};

use super::unsupported;
use crate::refusal::Refusal;

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Talk {
    pub(super) system: Vec<String>,
    pub(super) turns: Vec<Turn>,
    pub(super) tools: Vec<Tool>,
    pub(super) choice: Option<Choice>,
    pub(super) most_output: Option<u64>,
    pub(super) temperature: Option<Number>,
    pub(super) top_p: Option<Number>,
    pub(super) stop: Vec<String>,
    pub(super) stream: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Turn {
    /// Whether the model said it.
    pub(super) model: bool,
    pub(super) parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Text(String),
    /// A picture in base64.
    Image {
        media: String,
        data: String,
    },
    /// The model calls a function. The arguments are an object.
    Call {
        id: String,
        name: String,
        arguments: Value,
    },
    /// What the function answered.
    Result {
        id: String,
        text: String,
        failed: bool,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) description: Option<String>,
    /// A JSON schema.
    pub(super) parameters: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    Auto,
    Never,
    Any,
    Named(String),
}

impl Talk {
    /// Joins what the same side says one after the other, and leaves out texts without a letter and who says nothing: not
    /// every shape takes them.
    pub(super) fn merge_turns(&mut self) {
        let mut merged: Vec<Turn> = Vec::with_capacity(self.turns.len());
        for turn in &mut self.turns {
            turn.parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        }
        for turn in self.turns.drain(..).filter(|turn| !turn.parts.is_empty()) {
            match merged.last_mut() {
                Some(last) if last.model == turn.model => last.parts.extend(turn.parts),
                _ => merged.push(turn),
            }
        }
        self.turns = merged;
    }
}

/// The place of the call with this id among what was said, and the function that it called. Where an id was used again,
/// the last of the calls is meant.
pub(super) fn called<'t>(said: &'t [Turn], wanted: &str) -> Option<(usize, &'t str)> {
    let parts: Vec<&Part> = said.iter().flat_map(|turn| &turn.parts).collect();
    parts.into_iter().enumerate().rev().find_map(|(place, part)| match part {
        Part::Call { id, name, .. } if id == wanted => Some((place, name.as_str())),
        _ => None,
    })
}

/// An object whose members are taken one by one; what is left at the end is what nobody knew.
#[derive(Debug)]
pub(super) struct Members {
    what: &'static str,
    left: Map<String, Value>,
}

impl Members {
    pub(super) fn of(value: Value, what: &'static str) -> Result<Self, Refusal> {
        match value {
            Value::Object(left) => Ok(Self { what, left }),
            _ => Err(malformed(what, "is no object")),
        }
    }

    /// A member that is there and not null.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.left.remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(malformed(self.what, &format!("has a `{name}` that is no text"))),
        }
    }

    pub(super) fn needed(&mut self, name: &str) -> Result<String, Refusal> {
        self.text(name)?.ok_or_else(|| malformed(self.what, &format!("has no `{name}`")))
    }

    /// A member that is true or false; false where it is not there.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Refusal> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(malformed(self.what, &format!("has a `{name}` that is neither true nor false"))),
        }
    }

    /// A member that is an object; one without members where it is not there.
    pub(super) fn object(&mut self, name: &str) -> Result<Value, Refusal> {
        match self.take(name) {
            None => Ok(Value::Object(Map::new())),
            Some(object @ Value::Object(_)) => Ok(object),
            Some(_) => Err(malformed(self.what, &format!("has a `{name}` that is no object"))),
        }
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<Number>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(_) => Err(malformed(self.what, &format!("has a `{name}` that is no number"))),
        }
    }

    pub(super) fn count(&mut self, name: &str) -> Result<Option<u64>, Refusal> {
        let number = self.number(name)?;
        let odd = || malformed(self.what, &format!("has a `{name}` that is no whole number"));
        number.map(|number| number.as_u64().ok_or_else(odd)).transpose()
    }

    pub(super) fn list(&mut self, name: &str) -> Result<Vec<Value>, Refusal> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(malformed(self.what, &format!("has a `{name}` that is no list"))),
        }
    }

    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, Refusal> {
        let text = |value| match value {
            Value::String(text) => Ok(text),
            _ => Err(malformed(self.what, &format!("has a `{name}` that is no list of texts"))),
        };
        match self.left.remove(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => items.into_iter().map(text).collect(),
            Some(one) => text(one).map(|text| vec![text]),
        }
    }

    /// Takes a member that says what would be so without it, and refuses any other value.
    pub(super) fn only(&mut self, name: &str, plain: &[Value]) -> Result<(), Refusal> {
        match self.take(name) {
            Some(value) if !plain.contains(&value) => Err(unsupported(&format!("`{name}`"))),
            _ => Ok(()),
        }
    }

    /// Takes a number that must be zero, however it is written.
    pub(super) fn nothing(&mut self, name: &str) -> Result<(), Refusal> {
        match self.number(name)? {
            Some(number) if number.to_string().bytes().any(|byte| (b'1'..=b'9').contains(&byte)) => {
                Err(unsupported(&format!("`{name}`")))
            }
            _ => Ok(()),
        }
    }

    /// Takes members that change no answer.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.left.remove(*name);
        }
    }

    /// Refuses what is left.
    pub(super) fn done(self) -> Result<(), Refusal> {
        match self.left.iter().find(|(_, value)| !value.is_null()) {
            Some((name, _)) => Err(unsupported(&format!("`{name}` of {}", self.what))),
            None => Ok(()),
        }
    }
}

/// Sets a member of an object.
pub(super) fn put(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(name.to_owned(), value);
    }
}

pub(super) fn malformed(what: &str, why: &str) -> Refusal {
    Refusal::invalid("malformed_body", format!("{what} {why}"))
}

/// The arguments of a call: an object, from the text that some shapes write it as. No text is no argument.
pub(super) fn arguments(text: &str) -> Option<Value> {
    if text.trim().is_empty() {
        return Some(Value::Object(Map::new()));
    }
    serde_json::from_str(text).ok().filter(Value::is_object)
}
