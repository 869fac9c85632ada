//! Metadata: the caller's own facts about a wallet or a transaction, kept and never interpreted.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

/// The largest serialized form that is kept, in bytes.
const MAX_BYTES: usize = 16 * 1024;
/// The deepest nesting that is kept.
const MAX_DEPTH: usize = 8;
/// How many digits a number may have before the point. Postgres gives a number back in all its digits, and those of what
/// is nearly as large as a number can be are read as one that is too large: whoever has to read it stops there.
const MAX_DIGITS: i32 = 300;

/// A JSON object of at most 16 KiB, nested at most 8 deep, without the NUL character (which Postgres cannot keep) and
/// without numbers of more than 300 digits (which it gives back so that they cannot be read). Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(Arc<Map<String, Value>>);

/// Why a JSON object cannot be kept as metadata.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Larger than 16 KiB.
    #[error("metadata must be at most {MAX_BYTES} bytes of JSON")]
    TooLarge,
    /// Nested too deep.
    #[error("metadata must be nested at most {MAX_DEPTH} deep")]
    TooDeep,
    /// A NUL character in a key or a value.
    #[error("metadata must not contain the NUL character")]
    Nul,
    /// A number that cannot be read back.
    #[error("metadata must not contain numbers of more than {MAX_DIGITS} digits")]
    Number,
}

impl Metadata {
    /// Checks that `map` can be kept.
    ///
    /// # Errors
    /// [`MetadataError`] with the limit that it breaks.
    pub fn new(map: Map<String, Value>) -> Result<Self, MetadataError> {
        for (key, value) in &map {
            if key.contains('\0') {
                return Err(MetadataError::Nul);
            }
            check(value, 2)?;
        }
        let bytes = serde_json::to_vec(&map).map_or(usize::MAX, |text| text.len());
        if bytes > MAX_BYTES { Err(MetadataError::TooLarge) } else { Ok(Self(Arc::new(map))) }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object itself.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// Whether it has too many digits. A large one is written with its exponent.
fn is_too_large(number: &Number) -> bool {
    let text = number.to_string();
    let exponent = text.rsplit_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok());
    exponent.is_some_and(|exponent| exponent >= MAX_DIGITS)
}

fn check(value: &Value, depth: usize) -> Result<(), MetadataError> {
    if depth > MAX_DEPTH && (value.is_object() || value.is_array()) {
        return Err(MetadataError::TooDeep);
    }
    match value {
        Value::String(text) if text.contains('\0') => Err(MetadataError::Nul),
        Value::Number(number) if is_too_large(number) => Err(MetadataError::Number),
        Value::Array(items) => items.iter().try_for_each(|item| check(item, depth + 1)),
        Value::Object(map) => map.iter().try_for_each(|(key, item)| {
            if key.contains('\0') { Err(MetadataError::Nul) } else { check(item, depth + 1) }
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: Value) -> Result<Metadata, MetadataError> {
        match value {
            Value::Object(map) => Metadata::new(map),
            other => panic!("{other} is not an object"),
        }
    }

    #[test]
    fn what_postgres_cannot_keep_is_refused() {
        assert_eq!(of(serde_json::json!({"a": ["x\0"]})), Err(MetadataError::Nul));
        assert_eq!(of(serde_json::json!({"a\0": 1})), Err(MetadataError::Nul));
        assert_eq!(of(serde_json::json!({"a": "x".repeat(MAX_BYTES)})), Err(MetadataError::TooLarge));
        let deep = (0..MAX_DEPTH).fold(serde_json::json!({}), |inner, _| serde_json::json!({ "d": inner }));
        assert_eq!(of(deep), Err(MetadataError::TooDeep));
        let number = |text: &str| of(serde_json::from_str(&format!("{{\"a\":[{{\"b\":{text}}}]}}")).unwrap());
        for large in ["1.7976931348623157e308", "-1e300", "9e301"] {
            assert_eq!(number(large), Err(MetadataError::Number), "{large}");
        }
        for good in ["9.9e299", "-9.9e299", "5e-324", "18446744073709551615", "-9223372036854775808"] {
            assert!(number(good).is_ok(), "{good}");
        }
        assert!(of(serde_json::json!({"order": {"id": 7, "tags": ["a", null, true]}})).is_ok());
    }
}
