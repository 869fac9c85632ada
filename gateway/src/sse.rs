//! Server-sent events: a stream of bytes taken apart into events as they arrive.
//!
//! Each byte is looked at once, whatever the chunks it comes in, and no more than one unfinished event is kept in memory:
//! an event that is longer than the limit is an error. Comments and events without data are passed over, as the format
//! has it; several SDKs fail on them.

use bytes::{Buf as _, Bytes, BytesMut};

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its bytes as they came, the blank line that ends it included.
    pub(crate) raw: Bytes,
    /// What its `event` field says.
    pub(crate) name: Option<String>,
    /// Its data; several lines of data are joined by line feeds.
    pub(crate) data: Bytes,
}

/// An event is longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream has over {0} bytes")]
pub(crate) struct TooLong(pub(crate) usize);

/// Takes a stream apart.
#[derive(Debug)]
pub(crate) struct Parser {
    buffer: BytesMut,
    /// Where the present line begins.
    line: usize,
    /// Up to where the present line is known to have no end.
    seen: usize,
    most: usize,
    began: bool,
    ended: bool,
}

impl Parser {
    /// For events of `most` bytes each.
    pub(crate) fn new(most: usize) -> Self {
        Self { buffer: BytesMut::new(), line: 0, seen: 0, most, began: false, ended: false }
    }

    /// Takes in the next bytes of the stream.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The stream is at its end. An event whose blank line is missing is given out as if it had one: whether it is whole
    /// shows in its data.
    pub(crate) fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.buffer.extend_from_slice(b"\n\n");
        }
    }

    /// The next whole event, if there is one.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, TooLong> {
        if !self.began && !self.skip_mark() {
            return Ok(None);
        }
        while let Some((end, next)) = self.line_end() {
            if end > self.line {
                self.line = next;
                self.seen = next;
                continue;
            }
            let raw = self.buffer.split_to(next).freeze();
            self.line = 0;
            self.seen = 0;
            if raw.len() > self.most {
                return Err(TooLong(self.most));
            }
            if let Some(event) = parse(raw) {
                return Ok(Some(event));
            }
        }
        if self.buffer.len() > self.most { Err(TooLong(self.most)) } else { Ok(None) }
    }

    /// Passes over a byte order mark at the very beginning; false while it is not known whether there is one.
    fn skip_mark(&mut self) -> bool {
        const MARK: &[u8] = "\u{feff}".as_bytes();
        if self.buffer.len() < MARK.len() && MARK.starts_with(&self.buffer) && !self.ended {
            return false;
        }
        if self.buffer.starts_with(MARK) {
            self.buffer.advance(MARK.len());
        }
        self.began = true;
        true
    }

    /// Where the present line ends and the next one begins. A carriage return that is the last byte so far may be half
    /// of a line end.
    fn line_end(&mut self) -> Option<(usize, usize)> {
        let rest = self.buffer.get(self.seen..)?;
        let Some(found) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            self.seen = self.buffer.len();
            return None;
        };
        let end = self.seen + found;
        self.seen = end;
        match (self.buffer.get(end), self.buffer.get(end + 1)) {
            (Some(b'\n'), _) => Some((end, end + 1)),
            (_, Some(b'\n')) => Some((end, end + 2)),
            (_, Some(_)) => Some((end, end + 1)),
            (_, None) => None,
        }
    }
}

/// The event of a block of lines; `None` without data.
fn parse(raw: Bytes) -> Option<Event> {
    let mut name = None;
    let mut data: Option<Bytes> = None;
    for line in raw.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, rest) = line.split_at(colon);
        let value = rest.strip_prefix(b":").unwrap_or(rest);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => name = Some(String::from_utf8_lossy(value).into_owned()),
            b"data" => {
                let value = raw.slice_ref(value);
                data = Some(match data {
                    None => value,
                    Some(before) => [before.as_ref(), b"\n", value.as_ref()].concat().into(),
                });
            }
            _ => {}
        }
    }
    let data = data?;
    Some(Event { raw, name, data })
}

#[cfg(test)]
mod tests;
