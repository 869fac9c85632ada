//! The members of a JSON object, and changes to some of them that leave every other byte as it was.
//!
//! What a client sends for a provider is the client's: numbers keep their digits, members their order, strings their
//! escapes. So a body is not parsed and written again; what has to change is cut out and put in.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Why a text is not taken as an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAnObject {
    /// It is not JSON in UTF-8, or not an object.
    #[error("the body is not a JSON object: {0}")]
    Malformed(String),
    /// Which one counts would depend on who reads it.
    #[error("the member {0:?} is there twice")]
    Twice(String),
}

/// A change of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Edit<'a> {
    /// It becomes this JSON text, and is added if it is not there.
    Set(&'a str, String),
    /// It goes.
    Remove(&'a str),
}

/// An object and where the values of its members are.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    text: Bytes,
    /// Behind the opening brace.
    open: usize,
    members: Vec<(String, Range<usize>)>,
}

impl Object {
    /// Finds the members of `text`.
    pub(crate) fn parse(text: Bytes) -> Result<Self, NotAnObject> {
        let malformed = |error: &dyn fmt::Display| NotAnObject::Malformed(error.to_string());
        let read = std::str::from_utf8(&text).map_err(|error| malformed(&error))?;
        let Members(found) = serde_json::from_str(read).map_err(|error| malformed(&error))?;
        let base = read.as_ptr().addr();
        let mut members: Vec<(String, Range<usize>)> = Vec::with_capacity(found.len());
        for (name, value) in found {
            if members.iter().any(|(other, _)| *other == name) {
                return Err(NotAnObject::Twice(name));
            }
            // A borrowed value is a part of the text it was read from.
            let start = value.get().as_ptr().addr().saturating_sub(base);
            members.push((name, start..start + value.get().len()));
        }
        let open = read.find('{').map_or(0, |at| at + 1);
        Ok(Self { text, open, members })
    }

    /// The JSON text of a member's value.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, range) = self.members.iter().find(|(other, _)| other == name)?;
        std::str::from_utf8(self.text.get(range.clone())?).ok()
    }

    /// A member's value as a `T`; `None` where it is not there, is null, or is something else.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str::<Option<T>>(self.get(name)?).ok().flatten()
    }

    /// The text with these members changed and every other byte as it was.
    pub(crate) fn edited(&self, edits: &[Edit<'_>]) -> Bytes {
        let mut removed: Vec<&str> = Vec::new();
        let mut patches: Vec<(Range<usize>, String)> = Vec::new();
        let mut added = String::new();
        for edit in edits {
            match edit {
                Edit::Remove(name) => removed.push(name),
                Edit::Set(name, value) => match self.members.iter().find(|(other, _)| other == name) {
                    Some((_, range)) => patches.push((range.clone(), value.clone())),
                    None => {
                        added.push(',');
                        added.push_str(&serde_json::Value::from(*name).to_string());
                        added.push(':');
                        added.push_str(value);
                    }
                },
            }
        }
        patches.extend(self.cuts(&removed));
        if patches.is_empty() && added.is_empty() {
            return self.text.clone();
        }
        patches.sort_by_key(|(range, _)| range.start);
        let kept = self.members.iter().any(|(name, _)| !removed.contains(&name.as_str()));
        // Additions come first, so that nothing needs to be known of what is behind the last member.
        let added =
            if kept { added.get(1..).map(|text| format!("{text},")) } else { added.get(1..).map(Into::into) };
        self.patched(&added.unwrap_or_default(), &patches)
    }

    fn patched(&self, added: &str, patches: &[(Range<usize>, String)]) -> Bytes {
        let part = |range: Range<usize>| self.text.get(range).unwrap_or_default();
        let mut text = Vec::with_capacity(self.text.len() + added.len() + 64);
        text.extend_from_slice(part(0..self.open));
        text.extend_from_slice(added.as_bytes());
        let mut at = self.open;
        for (range, value) in patches {
            text.extend_from_slice(part(at..range.start));
            text.extend_from_slice(value.as_bytes());
            at = range.end;
        }
        text.extend_from_slice(part(at..self.text.len()));
        text.into()
    }

    /// What is cut out to remove members: each with the comma before it, but for those before the first that stays, which
    /// go with the comma behind them.
    fn cuts(&self, removed: &[&str]) -> Vec<(Range<usize>, String)> {
        let mut cuts = Vec::new();
        let mut end = self.open;
        let mut kept_before = false;
        for (at, (name, range)) in self.members.iter().enumerate() {
            if !removed.contains(&name.as_str()) {
                kept_before = true;
            } else if kept_before {
                cuts.push((end..range.end, String::new()));
            } else {
                let comma = self.text.iter().skip(range.end).position(|byte| *byte == b',');
                let more = at + 1 < self.members.len();
                let after = comma.filter(|_| more).map_or(range.end, |comma| range.end + comma + 1);
                cuts.push((end..after, String::new()));
                end = after;
                continue;
            }
            end = range.end;
        }
        cuts
    }
}

/// The members of an object, as they are written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(entry) = map.next_entry::<String, &'de RawValue>()? {
                    members.push(entry);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn object(text: &str) -> Object {
        Object::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    fn edited(text: &str, edits: &[Edit<'_>]) -> String {
        String::from_utf8(object(text).edited(edits).to_vec()).unwrap()
    }

    #[test]
    fn only_the_member_that_changes_changes() {
        let text = " { \"model\" : \"a\\u0062\" ,\"temperature\":1.0e-3, \"x\":[1.10, {\"model\":2}] }\n";
        assert_eq!(
            edited(text, &[Edit::Set("model", "\"z\"".into())]),
            " { \"model\" : \"z\" ,\"temperature\":1.0e-3, \"x\":[1.10, {\"model\":2}] }\n"
        );
        assert_eq!(edited(text, &[]), text);
    }

    #[test]
    fn members_are_added_and_removed_wherever_they_stand() {
        let add = || Edit::Set("n", "1".into());
        assert_eq!(edited("{}", &[add()]), "{\"n\":1}");
        assert_eq!(edited("{\"a\":1}", &[add()]), "{\"n\":1,\"a\":1}");
        let text = "{\"a\":1, \"b\" : 2 ,\"c\":3}";
        assert_eq!(edited(text, &[Edit::Remove("a")]), "{ \"b\" : 2 ,\"c\":3}");
        assert_eq!(edited(text, &[Edit::Remove("b")]), "{\"a\":1 ,\"c\":3}");
        assert_eq!(edited(text, &[Edit::Remove("c")]), "{\"a\":1, \"b\" : 2}");
        assert_eq!(edited(text, &[Edit::Remove("a"), Edit::Remove("b")]), "{\"c\":3}");
        assert_eq!(edited("{\"a\":1}", &[Edit::Remove("a"), add()]), "{\"n\":1}");
    }

    #[test]
    fn what_is_no_object_or_says_something_twice_is_refused() {
        for bad in [&b""[..], b"[]", b"{", b"{\"a\":1}x", b"\"a\"", b"{\"a\":\"\xff\"}"] {
            assert!(Object::parse(Bytes::copy_from_slice(bad)).is_err(), "{bad:?}");
        }
        let twice = Object::parse(Bytes::from_static(b"{\"a\":1,\"\\u0061\":2}")).unwrap_err();
        assert_eq!(twice, NotAnObject::Twice("a".into()));
    }

    proptest! {
        #[test]
        fn an_edit_does_to_the_text_what_it_does_to_the_map(
            values in prop::collection::btree_map("[a-e]", any::<i64>(), 0..5),
            set in "[a-f]",
            removed in prop::collection::btree_set("[a-e]", 0..4),
        ) {
            prop_assume!(!removed.contains(&set));
            let before: Map<String, Value> = values.into_iter().map(|(k, v)| (k, v.into())).collect();
            let text = serde_json::to_string_pretty(&before).unwrap();
            let mut edits: Vec<_> = removed.iter().map(|name| Edit::Remove(name)).collect();
            edits.push(Edit::Set(&set, "true".into()));
            let mut expected = before;
            expected.retain(|name, _| !removed.contains(name));
            expected.insert(set.clone(), true.into());
            let after: Map<String, Value> = serde_json::from_str(&edited(&text, &edits)).unwrap();
            prop_assert_eq!(after, expected);
        }
    }
}
