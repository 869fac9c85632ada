//! What goes back to the client.

mod chunks;

use bytes::Bytes;

pub use self::chunks::{Broken, Chunks};
pub(crate) use self::chunks::{Chunker, chunks};

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers, `content-type` among them.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: ReplyBody,
}

/// The body of an answer.
#[derive(Debug)]
pub enum ReplyBody {
    /// All of it.
    Whole(Bytes),
    /// A stream. Little of it waits: who reads slowly slows the provider, and who reads too slowly has it broken off.
    Stream(Chunks),
}

impl Reply {
    /// A whole answer of JSON.
    pub(crate) fn json(status: u16, body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: ReplyBody::Whole(body.into()) }
    }

    /// The same with one more header.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}
