//! What is to become of something that may be absent.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a change says about a field that need not be there. In JSON: nothing at all, a value, or `null`; a field of
/// this type carries `#[serde(default, skip_serializing_if = "Change::is_keep")]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It becomes this.
    Set(T),
    /// It is gone.
    Clear,
}

impl<T> Change<T> {
    /// Whether nothing changes.
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// Changes `field` as this says.
    pub fn apply(self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Set(value) => *field = Some(value),
            Self::Clear => *field = None,
        }
    }
}

impl<T: Serialize> Serialize for Change<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Set(value) => serializer.serialize_some(value),
            Self::Keep | Self::Clear => serializer.serialize_none(),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Form {
        #[serde(default, skip_serializing_if = "Change::is_keep")]
        field: Change<u8>,
    }

    #[test]
    fn nothing_null_and_a_value_are_three_things() {
        for (text, field) in
            [("{}", Change::Keep), (r#"{"field":null}"#, Change::Clear), (r#"{"field":7}"#, Change::Set(7))]
        {
            let form: Form = serde_json::from_str(text).unwrap();
            assert_eq!(form.field, field);
            assert_eq!(serde_json::to_string(&form).unwrap(), text);
        }
    }
}
