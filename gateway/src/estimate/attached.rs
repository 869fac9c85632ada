//! What is attached to a request: found by the members that each shape has for it, because a long string alone says nothing.
//!
//! Bytes stand in `data` beside a media type, or in an address that begins with `data:`; what is elsewhere is named by an
//! address or the id of a file. What a call of a function and its result carry is text, whatever its members are called.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Input, length};

/// Deeper than this everything is text. No shape puts an attachment there.
const DEEPEST: u32 = 12;
/// Members that the model reads as text, with all that is in them.
const PLAIN: [&str; 9] = [
    "args",
    "response",
    "tools",
    "functions",
    "metadata",
    "response_format",
    "output_config",
    "text",
    "generationConfig",
];
/// The kinds of parts that are pictures.
const PICTURES: [&str; 3] = ["image", "image_url", "input_image"];
/// Members that hold what belongs to the part around them.
const WRAPPERS: [&str; 2] = ["source", "file"];

/// Reads what a body has in it. What is no JSON object is all text.
pub(crate) fn read(body: &[u8]) -> Input {
    let bytes = length(body.len());
    let mut input = Input { written: bytes, ..Input::default() };
    let parsed = std::str::from_utf8(body).ok().map(|text| serde_json::from_str::<&RawValue>(text.trim()));
    let Some(Ok(whole)) = parsed else {
        return Input { written: bytes, texts: bytes, ..Input::default() };
    };
    let mut reader = Reader { input: &mut input, plain: false, depth: 0 };
    let loose = reader.value("", whole);
    reader.settle(loose, false, true);
    input
}

/// What was found in an object, and may be a picture by what is said around it.
#[derive(Debug, Clone, Copy)]
enum Thing {
    /// So many bytes.
    Bytes(u64),
    /// Something elsewhere.
    Reference,
}

struct Reader<'i> {
    input: &'i mut Input,
    plain: bool,
    depth: u32,
}

/// What an object says of itself.
#[derive(Default)]
struct Said {
    kind: String,
    media: String,
    /// Whether the form of a sound is named.
    format: bool,
    thing: Option<Thing>,
}

impl Reader<'_> {
    /// Reads the value of a member, and gives what is for the object around it to judge.
    fn value(&mut self, name: &str, raw: &RawValue) -> Option<Thing> {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'"') => self.text(&string(text)),
            Some(b'{' | b'[') if self.depth >= DEEPEST => self.text(text),
            Some(b'{') => return self.within(|reader| reader.object(name, text)),
            Some(b'[') => self.within(|reader| reader.array(name, text)),
            // A number is a token: inputs of embeddings are lists of them.
            Some(b'-' | b'0'..=b'9') => self.input.texts = self.input.texts.saturating_add(super::BYTES),
            _ => {}
        }
        None
    }

    fn within<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        self.depth += 1;
        let done = read(self);
        self.depth -= 1;
        done
    }

    fn text(&mut self, text: &str) {
        self.input.texts = self.input.texts.saturating_add(length(text.len()));
    }

    fn array(&mut self, name: &str, text: &str) {
        each_item(text, |item| {
            let loose = self.value(name, item);
            self.settle(loose, false, true);
        });
    }

    fn object(&mut self, name: &str, text: &str) -> Option<Thing> {
        let mut said = Said::default();
        each_member(text, |member, value| {
            self.text(member);
            let plain = self.plain;
            // `input` is that of a function where it is an object, and the conversation where it is a list.
            let arguments = member == "input" && value.get().starts_with('{');
            self.plain |= PLAIN.contains(&member) || arguments;
            let found = if self.plain || !value.get().starts_with('"') {
                self.value(member, value)
            } else {
                self.member(name, member, &string(value.get()), &mut said)
            };
            self.plain = plain;
            let before = if found.is_some() { std::mem::replace(&mut said.thing, found) } else { None };
            self.settle(before, false, false);
        });
        let picture =
            said.media.starts_with("image/") || PICTURES.contains(&said.kind.as_str()) || name == "image_url";
        let bubbles = matches!(said.thing, Some(Thing::Reference)) && !picture && WRAPPERS.contains(&name);
        if bubbles {
            return said.thing;
        }
        let file = said.format || !(said.media.is_empty() || said.media.starts_with("text/"));
        self.settle(said.thing, picture, file || matches!(said.thing, Some(Thing::Reference)));
        None
    }

    /// Reads a member that is a string.
    fn member(&mut self, around: &str, name: &str, text: &str, said: &mut Said) -> Option<Thing> {
        let elsewhere = text.starts_with("http:") || text.starts_with("https:");
        match name {
            "data" => return Some(Thing::Bytes(length(text.len()))),
            "url" | "image_url" | "file_data" if text.starts_with("data:") => {
                let picture = text.starts_with("data:image/");
                self.settle(Some(Thing::Bytes(length(text.len()))), picture, true);
                return None;
            }
            "file_data" => {
                self.settle(Some(Thing::Bytes(length(text.len()))), false, true);
                return None;
            }
            "image_url" if elsewhere => self.settle(Some(Thing::Reference), true, true),
            "url" if elsewhere && (around == "source" || around == "image_url") => {
                self.text(text);
                return Some(Thing::Reference);
            }
            "file_id" | "file_url" | "fileUri" | "file_uri" => {
                self.text(text);
                return Some(Thing::Reference);
            }
            "type" => text.clone_into(&mut said.kind),
            "media_type" | "mimeType" | "mime_type" => text.clone_into(&mut said.media),
            "format" => said.format = true,
            _ => {}
        }
        self.text(text);
        None
    }

    /// Counts something, now that it is known whether it is a picture, and whether it is anything but text.
    fn settle(&mut self, thing: Option<Thing>, picture: bool, attached: bool) {
        let input = &mut *self.input;
        match thing {
            None => {}
            Some(Thing::Reference) if picture => input.pictures = input.pictures.saturating_add(1),
            Some(Thing::Reference) => input.refer(),
            Some(Thing::Bytes(bytes)) if picture || attached => {
                input.written = input.written.saturating_sub(bytes);
                if picture {
                    input.pictures = input.pictures.saturating_add(1);
                } else {
                    input.files = input.files.saturating_add(1);
                    input.bytes = input.bytes.saturating_add(bytes);
                }
            }
            Some(Thing::Bytes(bytes)) => input.texts = input.texts.saturating_add(bytes),
        }
    }
}

/// The text of a JSON string.
fn string(raw: &str) -> Cow<'_, str> {
    // Without escapes it is what stands between the quotes.
    let bare = raw.get(1..raw.len().saturating_sub(1)).filter(|text| !text.contains('\\'));
    match bare {
        Some(text) => Cow::Borrowed(text),
        None => serde_json::from_str(raw).map_or(Cow::Borrowed(raw), Cow::Owned),
    }
}

/// Does something with each member of an object, one after the other: a body may have millions.
fn each_member(text: &str, each: impl FnMut(&str, &RawValue)) {
    struct Members<F>(F);
    impl<'de, F: FnMut(&str, &RawValue)> Visitor<'de> for Members<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some((name, value)) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                (self.0)(&name, value);
            }
            Ok(())
        }
    }
    // It was read as a whole before.
    let _ = serde_json::Deserializer::from_str(text).deserialize_map(Members(each));
}

/// Does something with each item of a list.
fn each_item(text: &str, each: impl FnMut(&RawValue)) {
    struct Items<F>(F);
    impl<'de, F: FnMut(&RawValue)> Visitor<'de> for Items<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
            while let Some(item) = items.next_element::<&'de RawValue>()? {
                (self.0)(item);
            }
            Ok(())
        }
    }
    let _ = serde_json::Deserializer::from_str(text).deserialize_seq(Items(each));
}
