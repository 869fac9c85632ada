//! Schemas of parameters as Gemini writes them, turned into JSON schema.
//!
//! Gemini has types in capitals, `nullable`, and counts that may be texts. What stands in them as an example or as a value
//! is left as it is.

use serde_json::{Map, Value, json};

/// Members that hold a schema.
const ONE: [&str; 3] = ["items", "additionalProperties", "not"];
/// Members that hold a list of schemas.
const SEVERAL: [&str; 4] = ["anyOf", "oneOf", "allOf", "prefixItems"];
/// Members that hold schemas by name.
const NAMED: [&str; 2] = ["properties", "$defs"];
/// Members that are whole numbers.
const COUNTS: [&str; 6] =
    ["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"];

/// The schema as JSON schema says it.
pub(super) fn json_schema(schema: Value) -> Value {
    let Value::Object(members) = schema else {
        return schema;
    };
    let mut written = Map::new();
    let mut nullable = false;
    for (name, value) in members {
        let value = match (name.as_str(), value) {
            ("nullable", Value::Bool(given)) => {
                nullable = given;
                continue;
            }
            ("type", Value::String(kind)) => kind.to_ascii_lowercase().into(),
            (one, value) if ONE.contains(&one) => json_schema(value),
            (several, Value::Array(items)) if SEVERAL.contains(&several) => {
                items.into_iter().map(json_schema).collect()
            }
            (named, Value::Object(schemas)) if NAMED.contains(&named) => {
                Value::Object(schemas.into_iter().map(|(name, value)| (name, json_schema(value))).collect())
            }
            (count, Value::String(digits)) if COUNTS.contains(&count) => {
                digits.parse::<u64>().map_or(Value::String(digits), Value::from)
            }
            (_, value) => value,
        };
        written.insert(name, value);
    }
    if nullable {
        take_null(&mut written);
    }
    written.into()
}

/// Makes a schema take null as well.
fn take_null(schema: &mut Map<String, Value>) {
    if let Some(kind) = schema.get_mut("type").filter(|kind| kind.is_string()) {
        *kind = json!([kind.take(), "null"]);
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
    if let Some(Value::Array(schemas)) = schema.get_mut("anyOf") {
        schemas.push(json!({"type": "null"}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_means_the_same_there() {
        let gemini = json!({
            "type": "OBJECT", "required": ["type"],
            "properties": {
                "type": {"type": "STRING", "enum": ["A", "B"], "nullable": true},
                "tags": {"type": "ARRAY", "items": {"type": "STRING", "maxLength": "9"}, "minItems": "1"},
                "at": {"anyOf": [{"type": "INTEGER"}, {"type": "STRING"}], "nullable": true},
                "free": {"type": "OBJECT", "nullable": false, "default": {"type": "LOUD"}},
            },
        });
        let expected = json!({
            "type": "object", "required": ["type"],
            "properties": {
                "type": {"type": ["string", "null"], "enum": ["A", "B", null]},
                "tags": {"type": "array", "items": {"type": "string", "maxLength": 9}, "minItems": 1},
                "at": {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]},
                "free": {"type": "object", "default": {"type": "LOUD"}},
            },
        });
        assert_eq!(json_schema(gemini), expected);
    }
}
